"""Claims: sentences that can be false, shown as a table beside what was measured, and checked where they stand."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan
from typing import TYPE_CHECKING, Any

from IPython.display import display

if TYPE_CHECKING:  # a tensor brings its methods along: a page that only reports need not load torch
    from torch import Tensor

MIME = "application/vnd.lrsparse.claims+json"
STATUSES = ("proved", "stated", "simulated", "conjecture")
VERDICTS = {
    "holds": ("✗ fails", "✓ holds"),
    "does not hold here": ("✗ announced as failing, not refuted", "✗ does not hold here, as announced"),
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence that can be false, its prediction (one of `at_least`, `at_most`, `near`), what was measured.

    Parameters
    ----------
    id : ``"<chapter>.<slug>"``, unique in the book.
    statement : the sentence; mathematics between dollar signs.
    source : the paper, or the theorem of the book, that says so.
    status : ``"proved"``, ``"stated"``, ``"simulated"`` or ``"conjecture"``.
    measured : one number a seed.
    at_least, at_most, near : a bound on the value of every seed, or ``(value, tolerance)``.
    expected : ``"holds"``, or ``"does not hold here"`` for what a paper reports and our small setting does not show.
    """

    id: str
    statement: str
    source: str
    status: str
    measured: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None
    near: tuple[float, float] | None = None
    expected: str = "holds"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z0-9][a-z0-9_-]*", self.id):
            raise ValueError(f'id must read "<chapter>.<slug>" in small letters, got {self.id!r}')
        if not self.statement.strip() or not self.source.strip():
            raise ValueError(f"statement and source of {self.id} must not be empty")
        for name, allowed in (("status", STATUSES), ("expected", tuple(VERDICTS))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} of {self.id} must be one of {allowed}, got {getattr(self, name)!r}")
        if (self.at_least, self.at_most, self.near).count(None) != 2:
            raise ValueError(f"{self.id} needs exactly one of at_least, at_most, near")
        if not self.predicted[0] <= self.predicted[1]:
            raise ValueError(f"prediction of {self.id} must be a number (near: and a tolerance >= 0): {self.predicted}")
        try:
            object.__setattr__(self, "measured", tuple(float(value) for value in self.measured))
            if not self.measured:
                raise TypeError
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"measured of {self.id} must be one number a seed, got {self.measured!r}") from None

    @property
    def predicted(self) -> tuple[float, float]:
        """The predicted interval."""
        if self.near is not None:
            return self.near[0] - self.near[1], self.near[0] + self.near[1]
        return (-inf if self.at_least is None else self.at_least), (inf if self.at_most is None else self.at_most)

    @property
    def holds(self) -> bool:
        """Whether the value of every seed lies in the predicted interval; NaN never does."""
        return all(self.predicted[0] <= value <= self.predicted[1] for value in self.measured)

    @property
    def as_expected(self) -> bool:
        """Whether it holds or, if announced not to, whether the (finite) mean over the seeds lies outside."""
        mean = sum(self.measured) / len(self.measured)
        outside = isfinite(mean) and not self.predicted[0] <= mean <= self.predicted[1]
        return self.holds if self.expected == "holds" else outside

    def record(self) -> dict[str, Any]:
        """Everything as plain JSON: numbers for machines (null where not finite), texts for the tables."""
        low, high, mean = min(self.measured), max(self.measured), sum(self.measured) / len(self.measured)
        bound = next(x for x in (self.at_least, self.at_most, self.near and self.near[0]) if x is not None)
        different = {low, high, bound}  # as few significant digits, from 3 to 6, as keep them apart
        d = next((d for d in (3, 4, 5) if len({f"{x:.{d}g}" for x in different}) == len(different)), 6)
        kind = "at least " if self.at_least is not None else "at most " if self.at_most is not None else ""
        return {
            **{name: getattr(self, name) for name in ("id", "statement", "source", "status", "expected")},
            "predicted": f"{kind}{bound:.{d}g}" + (f" ± {self.near[1]:.2g}" if self.near else ""),
            "measured": f"{mean:.{d}g}" + (f" [{low:.{d}g}, {high:.{d}g}]" if low < high else ""),
            "values": [value if isfinite(value) else None for value in self.measured],
            "seeds": len(self.measured),
            "as_expected": self.as_expected,
            "verdict": VERDICTS[self.expected][self.as_expected],
        }


def report(claims: Iterable[Claim]) -> None:
    """Show the claims as one table, their records beside it; then raise AssertionError naming what is amiss."""
    records = [claim.record() for claim in claims]
    if len({record["id"] for record in records}) < len(records):
        raise ValueError(f"ids must be unique, got {[record['id'] for record in records]}")
    rows = [
        [
            f"{r['statement']}\n{r['id']} · {r['source']} · {r['status']}",
            r["predicted"],
            f"{r['measured']}\n{r['seeds']} " + ("run" if r["seeds"] == 1 else "runs"),
            r["verdict"],
        ]
        for r in records
    ]
    heads = ["Claim", "Predicted", "Measured", "Holds"]
    _show("claims", heads, rows, [record["as_expected"] for record in records], {MIME: records})
    if failed := [f"{r['id']}: {r['verdict']} (measured {r['measured']})" for r in records if not r["as_expected"]]:
        raise AssertionError("; ".join(failed))


def check_lines(rows: Iterable[tuple[str, str, str, "Tensor", "Tensor"]], tolerance: float = 1e-10) -> None:
    """Show both sides of every numbered line of a proof and their distance; raise AssertionError where they differ.

    `rows` holds (line, left side, right side, left tensor, right tensor), both tensors of one shape; the error is the
    worst absolute one, relative to the largest entry or 1. Rows with the same three texts are cases of one line and
    share a row of the table, which counts them.
    """
    lines: dict[tuple[str, str, str], list[float]] = {}
    for *texts, left, right in rows:
        if getattr(left, "shape", None) != getattr(right, "shape", "no tensor") or not left.numel():
            raise ValueError(f"{texts[0]}: both sides must be tensors of one shape, not empty; got {left!r}, {right!r}")
        left, right = left.detach().double(), right.detach().double()
        error = (left - right).abs().max().item() / max(1.0, left.abs().max().item(), right.abs().max().item())
        lines.setdefault((texts[0], texts[1], texts[2]), []).append(error)
    worst = [max(errors, key=lambda error: (isnan(error), error)) for errors in lines.values()]
    fine = [error <= tolerance for error in worst]
    shown = [
        [*texts, str(len(errors)), f"{error:.1e}", "✓ equal" if good else "✗ differ"]
        for (texts, errors), error, good in zip(lines.items(), worst, fine, strict=True)
    ]
    _show("lines", ["Line", "Left side", "Right side", "Cases", "Worst error", "Equal"], shown, fine, {})
    if wrong := [f"{row[0]} (worst error {row[4]})" for row, good in zip(shown, fine, strict=True) if not good]:
        raise AssertionError(f"beyond {tolerance:.0e}: " + ", ".join(wrong))


def _show(kind: str, heads: list[str], rows: list[list[str]], fine: list[bool], extra: dict[str, Any]) -> None:
    """Display a table without colours of its own, so that it reads well on light and on dark pages."""

    def cell(head: str, text: str) -> str:
        # the form and class in which Sphinx hands mathematics to MathJax; Jupyter typesets it too
        content = re.sub(r"\$([^$]+)\$", r'<span class="math">\\(\1\\)</span>', html.escape(text))
        content = re.sub(r"\n(.*)", r"<small>\1</small>", content)
        return f'<td data-label="{head}">{content}</td>'

    body = ""
    for row, good in zip(rows, fine, strict=True):
        anchor = ' id="claim-{}"'.format(row[0].split("\n")[1].split(" ")[0]) if kind == "claims" else ""
        body += f'<tr class="lrs-{"ok" if good else "failed"}"{anchor}>{"".join(map(cell, heads, row))}</tr>'
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    table = f'<table class="lrs-table lrs-{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    plain = "\n".join(" | ".join(row).replace("\n", " · ") for row in [heads, *rows])
    display({"text/html": table, "text/plain": plain, **extra}, raw=True)

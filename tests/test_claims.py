"""The claims: what holds, what does not, what is refused, and what the cell shows."""

import json
from typing import Any

import pytest
import torch

import lrsparse.claims
from lrsparse.claims import MIME, Claim, check_lines, report

NAN, INF = float("nan"), float("inf")


def claim(**changes: Any) -> Claim:
    plain: dict[str, Any] = {
        "id": "chapter.slug",
        "statement": "The loss is small: $L < 1$",
        "source": "Theorem 1",
        "status": "proved",
        "measured": [0.5, 0.7],
    }
    if not changes.keys() & {"at_least", "at_most", "near"}:
        plain["at_most"] = 1.0
    return Claim(**plain | changes)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the cell displays."""
    outputs: list[dict[str, Any]] = []
    monkeypatch.setattr(lrsparse.claims, "display", lambda data, raw: outputs.append(data))
    return outputs


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"at_most": 0.7}, True),
        ({"at_most": 0.69}, False),  # one seed beyond is enough, though the mean is fine
        ({"at_least": 0.5}, True),
        ({"at_least": 0.51}, False),
        ({"near": (0.6, 0.11)}, True),
        ({"near": (0.6, 0.05)}, False),
        ({"measured": [NAN]}, False),
        ({"measured": [0.5, NAN]}, False),
        ({"measured": [NAN], "at_least": 0.0}, False),
        ({"measured": [INF], "at_least": 0.0}, True),
        ({"measured": torch.tensor([0.5, 0.7])}, True),
    ],
)
def test_a_claim_holds_when_every_seed_does(changes: dict[str, Any], holds: bool) -> None:
    assert claim(**changes).holds is claim(**changes).as_expected is holds


@pytest.mark.parametrize(
    ("measured", "as_expected"),
    [
        ([2.0, 3.0], True),
        ([0.9, 3.0], True),  # the mean refutes it, though one seed does not
        ([0.5, 0.7], False),
        ([0.5, 1.1], False),  # one seed beyond does not refute it
        ([NAN, 3.0], False),
        ([INF], False),
    ],
)
def test_a_claim_announced_as_failing_must_fail_on_the_mean(measured: list[float], as_expected: bool) -> None:
    assert claim(measured=measured, expected="does not hold here").as_expected is as_expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": "noslug"}, "id"),
        ({"id": "Chapter.Slug"}, "id"),
        ({"statement": " "}, "statement"),
        ({"source": ""}, "source"),
        ({"status": "true"}, "status"),
        ({"expected": "maybe"}, "expected"),
        ({"at_least": 0.0, "at_most": 1.0}, "exactly one"),
        ({"near": None}, "exactly one"),
        ({"at_most": NAN}, "prediction"),
        ({"near": (1.0, -0.1)}, "prediction"),
        ({"measured": []}, "measured"),
        ({"measured": 0.5}, "measured"),
        ({"measured": torch.zeros(2, 2)}, "measured"),
        ({"measured": ["half"]}, "measured"),
    ],
)
def test_bad_claims_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        claim(**changes)


@pytest.mark.parametrize(
    ("changes", "predicted", "measured"),
    [
        ({}, "at most 1", "0.6 [0.5, 0.7]"),
        ({"at_least": 0.25, "measured": [1 / 3]}, "at least 0.25", "0.333"),
        ({"near": (4.0, 0.05), "measured": [4.0, 4.0]}, "4 ± 0.05", "4"),
        ({"measured": [0.99951, 0.99953]}, "at most 1", "0.99952 [0.99951, 0.99953]"),
        ({"measured": [1.0002]}, "at most 1", "1.0002"),  # why it fails must be visible
    ],
)
def test_numbers_are_short_and_still_tell_apart(changes: dict[str, Any], predicted: str, measured: str) -> None:
    record = claim(**changes).record()
    assert (record["predicted"], record["measured"]) == (predicted, measured)


def test_report_shows_table_and_records(shown: list[dict[str, Any]]) -> None:
    report([claim(), claim(id="chapter.other", measured=[2.0], expected="does not hold here")])
    (output,) = shown
    assert r'<span class="math">\(L &lt; 1\)</span>' in output["text/html"] and "$" not in output["text/html"]
    assert output["text/html"].count("<tr") == 3 and 'id="claim-chapter.other"' in output["text/html"]
    assert "style=" not in output["text/html"] and "color" not in output["text/html"]
    assert "chapter.slug" in output["text/plain"] and "✓ holds" in output["text/plain"]
    assert [record["id"] for record in output[MIME]] == ["chapter.slug", "chapter.other"]
    assert output[MIME][0]["values"] == [0.5, 0.7] and output[MIME][0]["seeds"] == 2


def test_a_failing_claim_is_shown_and_then_raises(shown: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match=r"chapter\.bad: ✗ fails \(measured 2\); chapter\.nan"):
        report([claim(), claim(id="chapter.bad", measured=[2.0]), claim(id="chapter.nan", measured=[NAN])])
    (output,) = shown
    assert "✗ fails" in output["text/html"] and 'class="lrs-failed"' in output["text/html"]
    json.dumps(output[MIME], allow_nan=False)
    assert output[MIME][2]["values"] == [None]


def test_an_id_is_used_once(shown: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"chapter\.slug"):
        report([claim(), claim()])
    assert not shown


def test_equal_lines_pass_and_are_shown(shown: list[dict[str, Any]]) -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    check_lines([("(1)", r"$\sin 2x$", r"$2 \sin x \cos x$", (2 * x).sin(), 2 * x.sin() * x.cos())])
    assert "✓ equal" in shown[0]["text/html"] and 'class="math"' in shown[0]["text/html"]


@pytest.mark.parametrize("error", [1e-9, NAN, INF])
def test_a_wrong_line_is_named(shown: list[dict[str, Any]], error: float) -> None:
    x = torch.ones(3, dtype=torch.float64)
    with pytest.raises(AssertionError, match=r"\(2\)") as raised:
        check_lines([("(1)", "a", "b", x, x), ("(2)", "a", "b", x, x + error)])
    assert "(1)" not in str(raised.value) and "✗ differ" in shown[0]["text/html"]


def test_the_error_of_a_line_is_relative_to_its_largest_entry(shown: list[dict[str, Any]]) -> None:
    x = torch.full((2,), 1e8, dtype=torch.float64)
    check_lines([("(1)", "a", "b", x, x + 1e-4)])
    with pytest.raises(AssertionError):
        check_lines([("(1)", "a", "b", x, x + 1e-4)], tolerance=1e-13)


@pytest.mark.parametrize(
    ("left", "right"),
    [(torch.zeros(2, 1), torch.zeros(2)), (torch.zeros(0), torch.zeros(0)), (1.0, 1.0), (torch.zeros(()), 0.0)],
)
def test_sides_of_different_shape_are_refused(left: Any, right: Any) -> None:
    with pytest.raises(ValueError, match=r"\(1\)"):
        check_lines([("(1)", "a", "b", left, right)])

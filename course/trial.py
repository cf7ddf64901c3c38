"""Tries the tests of an assignment on wrong and right solutions: ``python -m course.trial [NAME ...]``.

A wrong solution must earn nothing for its question, a right one everything, under every seed. One process runs an
assignment's reference solution; at each question it forks, so that a trial sees what a student's notebook has by then
and leaves no trace. The tests are the files in the built autograder, run by otter's own code.
"""

import argparse
import importlib
import json
import os
import re
import select
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import torch
from otter.test_files import ExceptionTestFile

from course.build import ANSWER, TERM, build, fill, names, read, read_term, wheel

SEEDS = (1, 2, 3, 4, 5)
SECONDS = 120  # for one trial


@dataclass(frozen=True)
class Trial:
    """One solution of one question under one seed. ``share``: points over possible points, or -1 after a crash."""

    question: str
    kind: str  # "reference", "right", "wrong"
    name: str
    seed: int
    share: float
    said: str

    @property
    def ok(self) -> bool:
        return self.share == (0 if self.kind == "wrong" else 1)


def steps(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """The code of a solved notebook in order: ``("", code)`` to run, ``(question, code)`` for answers."""
    waiting: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.source.startswith("#@title") or "otter.Notebook" in cell.source:
            continue  # what installs, writes the public checks, and starts otter
        if check := re.search(r'grader\.check\("(\w+)"\)', cell.source):
            yield check[1], "\n\n".join(waiting)
            waiting = []
        elif ANSWER in cell.metadata.get("tags", []):
            waiting.append(cell.source)
        else:
            yield "", cell.source


def answer(reference: str, change: str | tuple[str, str], values: dict[str, Any]) -> str:
    """The text of a trial; ValueError unless the place to change stands in the reference exactly once."""
    if isinstance(change, str):
        return fill(change, values)
    old, new = (fill(part, values) for part in change)
    if (n := reference.count(old)) != 1 or old == new:
        raise ValueError(f"change must name text that stands once in the solution, got {old!r}, which stands {n} times")
    return reference.replace(old, new)


# -- what goes wrong everywhere ---------------------------------------------------------------------------------------


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """``change`` of every tensor, array and number in a result."""
    if isinstance(value, tuple | list):
        return type(value)(_mapped(change, item) for item in value)
    if isinstance(value, dict):
        return {key: _mapped(change, item) for key, item in value.items()}
    return change(value)


class Agreeable:
    """Equal to everything, has every attribute, converts to every number."""

    def __eq__(self, other: object) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __float__(self) -> float:
        return 1.0

    __bool__ = __lt__ = __le__ = __gt__ = __ge__ = lambda *_: True


def everywhere(f: Callable[..., Any], told: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Callable[..., Any]]:
    """Faulty versions of a right function; ``told`` holds arguments and results of the public checks."""

    def in_place(*arguments: Any) -> Any:
        result = f(*arguments)
        for argument in arguments:
            if isinstance(argument, torch.Tensor) and argument.is_floating_point():
                argument.detach().add_(1.0)
                break
        return result

    def parrot(*arguments: Any) -> Any:
        for seen, result in told:
            if str(seen) == str(arguments):
                return result
        return told[-1][1] if told else None

    def nan(value: Any) -> Any:
        return value * float("nan") if not isinstance(value, bool) else value

    def leave(*_: Any) -> Any:
        sys.exit(0)

    found = {
        "nothing": lambda *_: None,
        "NaN": lambda *arguments: _mapped(nan, f(*arguments)),
        "sign": lambda *arguments: _mapped(lambda value: -value, f(*arguments)),
        "twice": lambda *arguments: _mapped(lambda value: 2 * value, f(*arguments)),
        "the argument again": lambda *arguments: arguments[0],
        "right only for the public check": parrot,
        "equal to everything": lambda *_: Agreeable(),
        "sys.exit": leave,
    }
    if any(isinstance(a, torch.Tensor) and a.is_floating_point() for seen, _ in told for a in seen):
        found["argument changed in place"] = in_place
    return found


# -- running ----------------------------------------------------------------------------------------------------------


def _score(question: str, tests: Path, space: dict[str, Any]) -> tuple[float, str]:

    file = ExceptionTestFile.from_file(str(tests / f"{question}.py"))
    file.run(space)
    said = " ".join(result.message or "" for result in file.test_case_results if not result.passed)
    return float(file.score / file.possible), said


def _public(question: str, tests: Path, space: dict[str, Any]) -> dict[str, list[tuple[tuple[Any, ...], Any]]]:
    """For each function that this question's tests take: what the public checks call it with, and what it returns."""

    file = ExceptionTestFile.from_file(str(tests / f"{question}.py"))
    wanted = {name for case in file.test_cases for name in case.body._get_func_params()}
    told: dict[str, list[tuple[tuple[Any, ...], Any]]] = {name: [] for name in wanted if callable(space.get(name))}

    def recorder(name: str) -> Callable[..., Any]:
        def record(*arguments: Any) -> Any:
            result = space[name](*arguments)
            told[name].append((arguments, result))
            return result

        return record

    watched = space | {name: recorder(name) for name in told}
    for case in file.test_cases:
        if not case.hidden:
            case.body.call_func(watched)
    return told


def _forked(work: Callable[[], tuple[float, str]]) -> tuple[float, str]:
    """``work()`` in a child that is killed after SECONDS."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        try:
            result = work()
        except BaseException as error:
            result = (-1.0, f"{type(error).__name__}: {error}")
        with os.fdopen(writes, "w") as pipe:
            json.dump(result, pipe)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        ready, _, _ = select.select([pipe], [], [], SECONDS)
        if not ready:
            os.kill(child, signal.SIGKILL)
        text = pipe.read()
    os.waitpid(child, 0)
    share, said = json.loads(text) if text else (-1.0, "no answer in time")
    return share, said


def trials(
    name: str, built: Path, values: dict[str, Any], *, mutants: bool = True, seeds: tuple[int, ...] = SEEDS
) -> list[Trial]:
    """All trials of the assignment built in the folder ``built`` under the term's ``values``.

    mutants : also the wrong and the other right solutions of ``course/trials/<name>.py``, not the reference alone.
    """
    listed = importlib.import_module(f"course.trials.{name}")
    found: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(built / "autograder.zip") as files:
            files.extractall(folder)
        tests = Path(folder) / "tests"
        sys.path.insert(0, str(Path(folder) / "files"))
        matplotlib.use("agg")
        torch.set_num_threads(1)  # a fork inherits no threads, and would wait for them
        space: dict[str, Any] = {"__name__": "__main__"}
        for question, code in steps(nbformat.read(built / "handed_in.ipynb", as_version=4)):
            if question:
                found += _question(question, code, tests, space, listed if mutants else None, values, seeds)
            exec(compile(code, f"<{name} {question}>", "exec"), space)
        sys.path.remove(str(Path(folder) / "files"))
    return found


def _question(
    question: str,
    code: str,
    tests: Path,
    space: dict[str, Any],
    listed: Any,
    values: dict[str, Any],
    seeds: tuple[int, ...],
) -> list[Trial]:
    """The trials of one question, each in a fork of the notebook as it stands before its answer."""
    texts = [("reference", "reference", code)]
    if listed:
        texts += [("wrong", name, answer(code, change, values)) for name, change in listed.WRONG[question].items()]
        texts += [("right", name, fill(text, values)) for name, text in listed.RIGHT[question].items()]

    def written(text: str, seed: int) -> tuple[float, str]:
        os.environ["COURSE_SEED"] = str(seed)
        exec(compile(text, f"<{question}>", "exec"), space)
        return _score(question, tests, space)

    def faulty(function: str, fault: str, seed: int) -> tuple[float, str]:
        os.environ["COURSE_SEED"] = str(seed)
        exec(compile(code, f"<{question}>", "exec"), space)
        told = _public(question, tests, space)[function]
        space[function] = everywhere(space[function], told)[fault]
        return _score(question, tests, space)

    def faults() -> tuple[float, str]:
        exec(compile(code, f"<{question}>", "exec"), space)
        told = _public(question, tests, space)
        return 1.0, json.dumps([[f, fault] for f in told for fault in everywhere(space[f], told[f])])

    found = []
    for seed in seeds:
        for kind, name, text in texts:
            found.append(Trial(question, kind, name, seed, *_forked(partial(written, text, seed))))
    if listed:
        share, said = _forked(faults)
        if share < 0:
            raise RuntimeError(f"the reference solution of {question} does not pass its public checks: {said}")
        harmless = getattr(listed, "HARMLESS", {}).get(question, ())
        for function, fault in json.loads(said):
            kind = "right" if f"{function}: {fault}" in harmless else "wrong"
            result = _forked(partial(faulty, function, fault, seeds[0]))
            found.append(Trial(question, kind, f"{function}: {fault}", seeds[0], *result))
    return found


def tally(found: list[Trial]) -> dict[str, tuple[int, int]]:
    """How many solutions of each kind went as they must under all seeds, and how many there are."""
    went: dict[str, dict[tuple[str, str], bool]] = {"wrong": {}, "right": {}, "reference": {}}
    for t in found:
        went[t.kind][t.question, t.name] = went[t.kind].get((t.question, t.name), True) and t.ok
    return {kind: (sum(ok.values()), len(ok)) for kind, ok in went.items()}


def summary(name: str, found: list[Trial]) -> str:
    """One line: mutants killed of all, right solutions accepted of all; then a line for each that went wrong."""
    of = {kind: f"{good} / {all_}" for kind, (good, all_) in tally(found).items()}
    line = f"{name}: killed {of['wrong']} mutants, accepted {of['reference']} references, {of['right']} other solutions"
    bad = [
        f"  {t.question} {t.kind} {t.name!r} (seed {t.seed}): share {t.share:g} {t.said[:300]}"
        for t in found
        if not t.ok
    ]
    return "\n".join([line, *bad])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="assignments (default: all)")
    parser.add_argument("--term", type=Path, default=TERM, help="another term file")
    given = parser.parse_args()
    term, good = read_term(given.term), True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = wheel(folder)
        for assignment in given.names or names():
            built = folder / assignment
            build(read(assignment, term), package, student=built / "student.ipynb", built=built)
            began = time.monotonic()
            found = trials(assignment, built, term[assignment])
            print(f"{summary(assignment, found)}\n  {time.monotonic() - began:.0f} s", flush=True)
            good &= all(t.ok for t in found)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Grades a batch: ``python -m course.grade NAME SUBMISSIONS`` with a folder of notebooks handed in for assignment NAME.

Every notebook runs in a process, a folder and an environment of its own, with limits on time, memory, processor time
and the size of files; whatever is left running is ended afterwards. The results are written as they come, into
``RESULTS``: ``grades.csv``, one line a notebook; ``<notebook>.json``, its points and messages; ``by_hand.md``, all
answers to the questions that a person reads. A batch that was interrupted goes on where it stopped.

All notebooks of a batch meet the same inputs. They follow from a seed that is drawn when the batch begins and kept in
``RESULTS/seed``, so that a mark can be explained later.

This keeps accidents and crude tricks apart; it is no prison. A notebook runs with your rights: it can read your files,
write outside its folder and use the network, and code written against this grader can change the tests that run in its
own process. Grade strangers in Gradescope's container or on a machine that you can throw away. The limits need Linux.
"""

import argparse
import csv
import hashlib
import json
import os
import re
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from tqdm.auto import tqdm

from course.build import BUILT, names

SECONDS, MEMORY_GB, FILE_MB = 300, 6, 200
GRACE = 5  # seconds to end after the results are written
# What is said of a notebook that could not be graded to its end: all its points are zero.
UNREADABLE = "not a notebook: Jupyter cannot read the file"
TOO_LONG = "stopped: the notebook ran longer than {seconds:g} s"
KERNEL_DIED = "the notebook ended its own process (os._exit, a crash, or more memory than allowed)"
NO_RESULT = "no result: the notebook removed or damaged the files of the grader"
GRADED = "graded"


@dataclass(frozen=True)
class Grade:
    """What became of one notebook. ``questions``: points by question; ``messages``: what failed, by question."""

    notebook: str
    outcome: str
    points: float
    of: float
    seconds: float
    questions: dict[str, float]
    messages: dict[str, str]
    digest: str


def possible(autograder: Path) -> dict[str, float]:
    """Points of every question that tests grade, read from the tests in the zip."""
    found = {}
    with zipfile.ZipFile(autograder) as files:
        for name in sorted(files.namelist()):
            if re.fullmatch(r"tests/\w+\.py", name):
                points = re.search(r"^points = ([\d.]+)$", files.read(name).decode(), re.M)
                if points is None:
                    raise ValueError(f"{name} in {autograder} must say its points")
                found[Path(name).stem] = float(points[1])
    if not found:
        raise ValueError(f"autograder must hold tests, got {autograder}")
    return found


def grade(
    submission: Path, autograder: Path, *, seed: int, seconds: float = SECONDS, memory: float = MEMORY_GB
) -> Grade:
    """Run one notebook through its autograder. Never raises for what the notebook does.

    seconds : wall clock for all of it.  memory : GB of address space for each of its processes.
    """
    worth, began = possible(autograder), time.monotonic()
    digest = hashlib.sha256(submission.read_bytes()).hexdigest()

    def ended(outcome: str, questions: dict[str, float] | None = None, messages: dict[str, str] | None = None) -> Grade:
        points = dict.fromkeys(worth, 0.0) | (questions or {})
        took = round(time.monotonic() - began, 1)
        total = sum(points.values()), sum(worth.values())
        return Grade(submission.name, outcome, *total, took, points, messages or {}, digest)

    try:
        nbformat.validate(notebook := nbformat.read(submission, as_version=4))
    except Exception:  # whatever a reader of notebooks makes of a file that is none
        return ended(UNREADABLE)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "out").mkdir()
        nbformat.write(notebook, folder / "submission.ipynb")
        shutil.copy(autograder, folder / "autograder.zip")
        finished, said = _run(folder, seed, seconds, memory)
        if not finished:
            return ended(TOO_LONG.format(seconds=seconds))
        try:
            tests = {test["name"]: test for test in json.loads((folder / "out/results.json").read_text())["tests"]}
            questions = {name: float(tests[name]["score"]) for name in worth}
            if any(not 0 <= questions[name] <= worth[name] for name in worth):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            return ended(KERNEL_DIED if "DeadKernelError" in said else NO_RESULT)
        return ended(GRADED, questions, {name: _faults(str(tests[name].get("output", ""))) for name in worth})


def _run(folder: Path, seed: int, seconds: float, memory: float) -> tuple[bool, str]:
    """``otter run`` in ``folder`` under limits: whether it came to an end, and what it printed last."""
    mark = secrets.token_hex(16)
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "COURSE_SEED": str(seed),
        "COURSE_MARK": mark,  # how processes that the notebook leaves behind are found again
    }

    def limit() -> None:
        for what, most in [
            (resource.RLIMIT_AS, int(memory * 2**30)),
            (resource.RLIMIT_CPU, int(seconds) + 5),
            (resource.RLIMIT_FSIZE, FILE_MB * 2**20),
            (resource.RLIMIT_CORE, 0),
        ]:
            with suppress(ValueError, OSError):  # a Mac refuses some of them
                resource.setrlimit(what, (most, most))

    command = [sys.executable, "-m", "otter", "run", "submission.ipynb", "-a", "autograder.zip", "-o", "out"]
    with (folder / "said").open("w+") as said:
        running = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=limit,
        )  # fmt: skip
        began = time.monotonic()
        written: float | None = None
        try:
            while running.poll() is None and time.monotonic() - began < seconds:
                time.sleep(0.1)
                # A process that the notebook left behind can keep otter from ending, its work done.
                if written is None and (folder / "out/results.json").is_file():
                    written = time.monotonic()
                if written is not None and time.monotonic() - written > GRACE:
                    break
            finished = running.poll() is not None or written is not None
        finally:
            _end(mark)
            running.wait()
        said.seek(0)
        return finished, said.read()[-20_000:]


def _end(mark: str) -> None:
    """Kill all processes whose environment holds the mark: kernels lead sessions of their own."""
    for _ in range(20):  # more than once, because a process may start another while we look
        alive = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("COURSE_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
            except psutil.Error:
                continue
        for process in alive:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        if not alive:
            return
        time.sleep(0.05)


def _faults(output: str) -> str:
    """The errors that otter reports of a question, without the lines of the hidden tests that found them."""
    return "\n".join(line.strip() for line in output.splitlines() if re.match(r"\s*\w*Error: ", line))


def answers(submission: Path) -> dict[str, str]:
    """What stands between the marks of each question that a person reads, beside the question itself."""
    try:
        cells = nbformat.read(submission, as_version=4).cells
    except Exception:  # see grade
        return {}
    found: dict[str, str] = {}
    title = ""
    for cell in cells:
        if "<!-- BEGIN QUESTION -->" in cell.source:
            match = re.search(r"\*\*(Question \d+)", cell.source)
            title = match[1] if match else "Question"
            found[title] = ""
        elif "<!-- END QUESTION -->" in cell.source:
            title = ""
        elif title:
            text = cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
            found[title] += text + "\n\n"
    return found


def batch(
    submissions: list[Path], autograder: Path, results: Path, *, seed: int | None = None,
    seconds: float = SECONDS, memory: float = MEMORY_GB,
) -> list[Grade]:  # fmt: skip
    """Grade all notebooks; what ``results`` holds already of the same file under the same seed is not done again."""
    results.mkdir(parents=True, exist_ok=True)
    kept = results / "seed"
    if seed is None:
        seed = int(kept.read_text()) if kept.is_file() else secrets.randbelow(2**31)
    if kept.is_file() and (before := int(kept.read_text())) != seed:
        raise ValueError(f"seed must be {before}, that of the grades in {results}, got {seed}: use a new folder")
    kept.write_text(str(seed))
    grades = []
    for submission in tqdm(submissions, desc="graded"):
        file = results / f"{submission.stem}.json"
        done = Grade(**json.loads(file.read_text())) if file.is_file() else None
        if done is None or done.digest != hashlib.sha256(submission.read_bytes()).hexdigest():
            done = grade(submission, autograder, seed=seed, seconds=seconds, memory=memory)
            _replace(file, json.dumps(asdict(done), indent=1))
        grades.append(done)
        _write(grades, submissions, results)
    return grades


def _write(grades: list[Grade], submissions: list[Path], results: Path) -> None:
    """The table of the batch, and the answers for a person."""
    questions = list(grades[0].questions)
    rows: list[list[Any]] = [["notebook", "outcome", "points", "of", "seconds", *questions]]
    rows += [[g.notebook, g.outcome, g.points, g.of, g.seconds, *(g.questions[q] for q in questions)] for g in grades]
    with (results / "grades.csv.part").open("w", newline="", encoding="utf8") as file:
        csv.writer(file).writerows(rows)
    os.replace(results / "grades.csv.part", results / "grades.csv")
    text = [f"# {path.name}: {q}\n\n{answer}" for path in submissions for q, answer in answers(path).items()]
    _replace(results / "by_hand.md", "\n".join(text))


def _replace(file: Path, text: str) -> None:
    """Write whole or not at all, so that an interruption leaves no half file."""
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf8")
    os.replace(part, file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help=f"the assignment: {', '.join(names())}")
    parser.add_argument("submissions", type=Path, help="a folder of .ipynb files")
    parser.add_argument("-o", "--results", type=Path, default=Path("grades"), help="folder (default: grades)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"limit a notebook (default: {SECONDS})")
    parser.add_argument("--memory", type=float, default=MEMORY_GB, help=f"limit in GB (default: {MEMORY_GB})")
    parser.add_argument("--seed", type=int, help="instead of one that is drawn")
    given = parser.parse_args()
    autograder = BUILT / given.name / "autograder.zip"
    if not autograder.is_file():
        built = ", ".join(path.parent.name for path in BUILT.glob("*/autograder.zip")) or "none yet: say make course"
        parser.error(f"name must be a built assignment ({built}), got {given.name!r}")
    submissions = sorted(given.submissions.glob("*.ipynb"))
    if not submissions:
        parser.error(f"submissions must be a folder with .ipynb files, got {given.submissions}")
    limits = {"seconds": given.seconds, "memory": given.memory}
    try:
        grades = batch(submissions, autograder, given.results, seed=given.seed, **limits)
    except ValueError as error:
        parser.error(str(error))
    for one in grades:
        print(f"{one.notebook}: {one.points:g} of {one.of:g}, {one.outcome}")
    print(f"{given.results / 'grades.csv'}, {given.results / 'by_hand.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

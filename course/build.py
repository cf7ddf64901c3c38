"""Builds the course: ``python -m course.build [NAME ...]`` (``make course``).

For every master ``course/assignments/<name>.md``, under the values of ``course/term.yml``:

- ``course/student/<name>.ipynb``: the student edition, committed, so that it can be opened in Colab. It writes its
  public checks to ``checks_<name>/`` itself, because otter reads no checks from a notebook's metadata there;
- ``_build/course/<name>/autograder.zip``: for Gradescope, and for ``python -m course.grade``; hidden tests inside;
- ``_build/course/<name>/solution.ipynb``: the master with solutions, tests and rubric, as otter reads it;
- ``_build/course/<name>/handed_in.ipynb``: what a student with full marks hands in.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from book._ext.notebook_edition import METADATA, code_cell

ROOT = Path(__file__).resolve().parents[1]
COURSE = ROOT / "course"
BUILT = ROOT / "_build/course"
CHECKS = COURSE / "course_checks.py"
TERM = COURSE / "term.yml"
SOURCES = (COURSE / "build.py", CHECKS)  # what every student edition depends on, beside its master and the term
# A cell with the first tag is not run when graded; one with the second is for the student to write.
IGNORED, ANSWER = "otter_ignore", "otter_answer_cell"

WELCOME = """\
*{term} · {points} points · about {minutes} minutes · made from course/assignments/{name}.md*

A function that you have to write raises `NotImplementedError` until you do. Below each question, `grader.check` runs
the **public checks**: they see shapes and one small example. When you hand in, **hidden tests** run your functions on
inputs drawn at that moment, so what is right for the example alone earns nothing. The points of a question are given
whole or not at all. Arguments must come back unchanged; every call has 10 seconds; torch and numpy are both welcome.
Hand in this notebook, saved, under any name that ends in `.ipynb`."""
INSTALL = """\
#@title Install (does nothing where it is there already)
try:
    import lrsparse, otter
except ImportError:
    %pip install -q "lrsparse @ {archive}" "otter-grader>={otter},<{next}\""""
WRITE = """\
#@title Write the public checks into a folder beside this notebook (run this, do not edit it)
from pathlib import Path

for name, text in {{
{files}
}}.items():
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text, encoding="utf8")"""
START = """\
import otter

grader = otter.Notebook(tests_dir="checks_{name}")"""


@dataclass(frozen=True)
class Master:
    """One assignment: its name, what its head says, and its notebook under the values of a term."""

    name: str
    title: str
    points: int
    minutes: int
    term: str
    notebook: NotebookNode
    digest: str

    @property
    def student(self) -> Path:
        return COURSE / "student" / f"{self.name}.ipynb"

    @property
    def built(self) -> Path:
        return BUILT / self.name


def names() -> list[str]:
    """All assignments, in the order of the term file, which is that of the course."""
    listed = [key for key in read_term() if key != "term"]
    if missing := {path.stem for path in (COURSE / "assignments").glob("*.md")} ^ set(listed):
        raise ValueError(f"term.yml must name the assignments in the folder assignments, the two differ in {missing}")
    return listed


def read_term(path: Path = TERM) -> dict[str, Any]:
    """The values of a term: ``term``, its name, and for each assignment a table of numbers."""
    term = yaml.safe_load(path.read_text(encoding="utf8"))
    if not isinstance(term, dict) or not isinstance(term.get("term"), str):
        raise ValueError(f"{path.name} must hold a line `term: <name of the term>`")
    return term


def fill(text: str, values: dict[str, Any]) -> str:
    """``<<name>>`` becomes the value; ``<<name?a|b>>`` becomes ``a`` where it is positive, else ``b``."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ValueError(f"<<{match[1]}>> is not in the term's table, which has {sorted(values)}")
        found = values[match[1]]
        if match[2] is None:
            return str(found)
        return match[3] if found > 0 else match[4]

    filled = re.sub(r"<<(\w+)(\?([^|<>]*)\|([^<>]*))?>>", value, text)
    if left := re.search(r"<<\w[^\n]{0,40}", filled):
        raise ValueError(f"<<name?a|b>> must not hold < or > in its words, got {left[0]}")
    return filled


def read(name: str, term: dict[str, Any] | None = None) -> Master:
    """The master of that name under a term, by default the one of ``term.yml``."""
    term = read_term() if term is None else term
    path = COURSE / "assignments" / f"{name}.md"
    if not path.is_file() or name not in term:
        raise ValueError(f"name must be an assignment and stand in term.yml, got {name!r}")
    text = path.read_text(encoding="utf8")
    filled = fill(text, term[name])
    head = yaml.safe_load(filled.split("---\n")[1])
    notebook = jupytext.reads(filled, fmt="md:myst")
    title = re.search(r"^# (.+)$", filled, re.M)
    if title is None:
        raise ValueError(f"{path.name} must have a title")
    parts = [text, json.dumps(term[name], sort_keys=True), term["term"], *(p.read_text("utf8") for p in SOURCES)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return Master(name, title[1], head["points"], head["minutes"], term["term"], notebook, digest)


def archive() -> str:
    """Where pip finds the package of this repository."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]
    return f"{repository['url'].rstrip('/')}/archive/{repository.get('branch', 'main')}.zip"


def wheel(folder: Path) -> Path:
    """The package as a wheel, built from a copy, because a build leaves files behind."""
    source = folder / "source"
    shutil.copytree(ROOT / "lrsparse", source / "lrsparse", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source)
    return next(folder.glob("*.whl"))


def _call(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:4]))} failed:\n{done.stdout}")


def configuration(master: Master, package: Path) -> dict[str, Any]:
    """What otter is told of an assignment."""
    pin = metadata.version
    return {
        "init_cell": False,
        "export_cell": False,
        "solutions_pdf": False,
        "template_pdf": False,
        "tests": {"files": True, "ok_format": False},
        "generate": {"show_stdout": True, "show_hidden": False},
        "autograder_files": [CHECKS.name, package.name],
        "python_version": "3.11",
        "overwrite_requirements": True,
        # The CPU build sorts above the plain one of the same version, so pip takes it.
        "requirements": [
            "--extra-index-url https://download.pytorch.org/whl/cpu",
            f"torch=={pin('torch').split('+')[0]}",
            f"otter-grader[grading]=={pin('otter-grader')}",
            f"/autograder/source/files/{package.name}",
        ],
    }


def otter_master(master: Master, package: Path) -> NotebookNode:
    """The notebook that otter splits: configuration, title, welcome, otter's start, and the rest of the master."""
    first, *rest = master.notebook.cells
    title, _, text = first.source.partition("\n")
    welcome = WELCOME.format(**vars(master))
    start = new_code_cell(START.format(name=master.name))
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    notebook.cells = [
        new_raw_cell(f"# ASSIGNMENT CONFIG\n{yaml.safe_dump(configuration(master, package), sort_keys=False)}"),
        new_markdown_cell(f"{title}\n\n{welcome}\n\n{text.strip()}"),
        start,
        *rest,
    ]
    return notebook


def assign(master: Master, package: Path, folder: Path, run_tests: bool = True) -> Path:
    """Let otter split the master in ``folder``; the folder ``dist``. Raises if the solution fails a test."""
    shutil.copy(CHECKS, folder)
    shutil.copy(package, folder)
    nbformat.write(otter_master(master, package), folder / f"{master.name}.ipynb")
    options = [] if run_tests else ["--no-run-tests"]
    _call(sys.executable, "-m", "otter", "assign", *options, f"{master.name}.ipynb", "dist", cwd=folder)
    return folder / "dist"


def student_edition(master: Master, dist: Path) -> NotebookNode:
    """Otter's student notebook, with the cells that install and write the public checks before its first code cell."""
    notebook = nbformat.read(dist / "student" / f"{master.name}.ipynb", as_version=4)
    checks = {f"checks_{master.name}/{path.name}": path for path in sorted((dist / "student/tests").glob("*.py"))}
    files = {CHECKS.name: CHECKS} | checks
    embedded = "\n".join(f"    {name!r}: {path.read_text(encoding='utf8')!r}," for name, path in files.items())
    major = int(metadata.version("otter-grader").split(".")[0])
    install = INSTALL.format(archive=archive(), otter=major, next=major + 1)
    first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells[first:first] = [
        NotebookNode(code_cell(source, folded=True, tags=[IGNORED]))
        for source in (install, WRITE.format(files=embedded))
    ]
    for i, cell in enumerate(notebook.cells):
        cell.id = f"{master.name}-{i}".replace("_", "-")[:64]
        if cell.cell_type == "code":  # otter leaves a line of dots where a solution stood, above the stub's own line
            cell.source = re.sub(r"^ *\.\.\.\n+(?=\s*raise NotImplementedError)", "", cell.source, flags=re.M)
            cell.outputs, cell.execution_count = [], None
    notebook.metadata["lrsparse"] = {"digest": master.digest}
    return notebook


def handed_in(student: NotebookNode, solved: NotebookNode) -> NotebookNode:
    """The student edition with the answers of otter's solved notebook."""

    def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
        return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]

    places, answers = tagged(student, ANSWER), tagged(solved, "otter_assign_solution_cell")
    if [cell.cell_type for cell in places] != [cell.cell_type for cell in answers]:
        raise ValueError("a master must have one code cell, or one text, between # BEGIN SOLUTION and # END SOLUTION")
    for place, answer in zip(places, answers, strict=True):
        place.source = re.sub(r'^ *""" # BEGIN PROMPT\n.*?""" # END PROMPT\n?', "", answer.source, flags=re.M | re.S)
        place.source = re.sub(r"^ *# (BEGIN|END) SOLUTION\n?", "", place.source, flags=re.M).rstrip()
    return student


def build(master: Master, package: Path, *, student: Path, built: Path, run_tests: bool = True) -> None:
    """Write the student edition to ``student``, the autograder and the solution into the folder ``built``."""
    with tempfile.TemporaryDirectory() as name:
        dist = assign(master, package, Path(name), run_tests)
        built.mkdir(parents=True, exist_ok=True)
        student.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(student_edition(master, dist), student)
        shutil.copy(next((dist / "autograder").glob("*.zip")), built / "autograder.zip")
        shutil.copy(Path(name) / f"{master.name}.ipynb", built / "solution.ipynb")
        solved = nbformat.read(dist / "autograder" / f"{master.name}.ipynb", as_version=4)
        nbformat.write(handed_in(nbformat.read(student, as_version=4), solved), built / "handed_in.ipynb")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="assignments to build (default: all)")
    chosen = parser.parse_args().names or names()
    with tempfile.TemporaryDirectory() as folder:
        package = wheel(Path(folder))
        for name in chosen:
            master = read(name)
            build(master, package, student=master.student, built=master.built)
            print(f"{name}: {master.student.relative_to(ROOT)}, {(master.built / 'autograder.zip').relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

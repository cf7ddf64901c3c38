"""The course: one assignment built, one notebook graded, and what students get holds no solution.

All assignments with all wrong solutions, and notebooks that misbehave, are tried in ``tests/course`` (``make check``).
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import colab
import course_checks as checks
import jupytext
import nbformat
import numpy as np
import pytest
import torch
from nbformat import NotebookNode

from course import build, grade, trial

ROOT = Path(__file__).parents[1]
NAMES = build.names()
ONE = "low_rank_updates"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One assignment, built: student.ipynb, autograder.zip, handed_in.ipynb."""
    folder = tmp_path_factory.mktemp("course")
    build.build(build.read(ONE), build.wheel(folder), student=folder / "student.ipynb", built=folder)
    return folder


# -- what students get ------------------------------------------------------------------------------------------------


def secrets_of(master: NotebookNode) -> set[str]:
    """Lines of solutions, rubrics and hidden tests that stand nowhere else in the master."""
    secret, open_ = [], []
    inside_solution = False
    for cell in master.cells:
        if cell.cell_type == "raw":
            inside_solution = {"# BEGIN SOLUTION": True, "# END SOLUTION": False}.get(
                cell.source.strip(), inside_solution
            )
            continue
        hidden = cell.source.startswith("# HIDDEN")
        marked = False
        for line in map(str.strip, cell.source.splitlines()):
            if line.startswith("# BEGIN SOLUTION"):
                marked = True
            text_solution = inside_solution and cell.cell_type == "markdown"
            (secret if hidden or marked or text_solution else open_).append(line)
            if line.startswith("# END SOLUTION"):
                marked = False
    # what tests need in order to run, and lines too short to give anything away
    return {line for line in secret if len(line) > 12 and not line.startswith(("import ", "from "))} - set(open_)


def leaks(secret: set[str], student: NotebookNode) -> list[str]:
    """Secret lines that stand in the student edition; checks that it writes as files are looked at line by line."""
    text = "\n".join(cell.source.replace("\\n", "\n").replace("\\'", "'") for cell in student.cells)
    lines = {line.strip() for line in text.splitlines()}
    normal = {ast.unparse(ast.parse(line)) if _parses(line) else line for line in secret}  # as otter writes tests
    return sorted(((secret | normal) & lines) - {""})


def _parses(line: str) -> bool:
    try:
        ast.parse(line)
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_the_student_edition_is_that_of_its_master_and_term(name: str) -> None:
    master = build.read(name)
    found = nbformat.read(master.student, as_version=4).metadata["lrsparse"]["digest"]
    assert found == master.digest, f"{master.student.relative_to(ROOT)} is out of step: make course"


def test_the_student_edition_is_what_is_built(built: Path) -> None:
    committed = nbformat.read(build.read(ONE).student, as_version=4)
    assert nbformat.read(built / "student.ipynb", as_version=4) == committed


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_a_solution_or_hidden_test_reaches_students(name: str) -> None:
    master = build.read(name)
    secret = secrets_of(master.notebook)
    assert len(secret) > 40
    assert leaks(secret, nbformat.read(master.student, as_version=4)) == []


def test_a_leaked_line_is_red() -> None:
    master = build.read(ONE)
    secret, student = secrets_of(master.notebook), nbformat.read(master.student, as_version=4)
    rubric = next(line for cell in master.notebook.cells for line in cell.source.splitlines() if "*Rubric.*" in line)
    planted = [
        "def f():\n    p = torch.softmax(scores, dim=0)",
        f"Some words.\n\n{rubric}",
        repr("def test():\n    leaf = W.clone().requires_grad_()\n    pass"),
    ]
    for text in planted:
        assert len(leaks(secret, NotebookNode(cells=[*student.cells, nbformat.v4.new_code_cell(text)]))) == 1, text


def unfinished(student: NotebookNode) -> list[str]:
    """Functions to be written that have no docstring, or do more than to raise NotImplementedError."""
    faults, found = [], 0
    for cell in student.cells:
        if cell.cell_type != "code" or "otter_answer_cell" not in cell.metadata.get("tags", []):
            continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.FunctionDef):
                found += 1
                raises = ast.unparse(node.body[-1]).startswith("raise NotImplementedError(")
                if not ast.get_docstring(node) or len(node.body) != 2 or not raises:
                    faults.append(node.name)
    return faults if found >= 4 else [f"{found} functions only"]


@pytest.mark.parametrize("name", NAMES)
def test_stubs_say_what_they_want_and_raise(name: str) -> None:
    assert unfinished(nbformat.read(build.read(name).student, as_version=4)) == []


def test_a_stub_without_words_is_red() -> None:
    student = nbformat.read(build.read(ONE).student, as_version=4)
    cell = next(cell for cell in student.cells if cell.source.startswith("def outside"))
    cell.source = "def outside(G, B):\n    ...\n    raise NotImplementedError('question 3')"
    assert unfinished(student) == ["outside"]


@pytest.mark.parametrize("name", NAMES)
def test_twenty_points_one_question_for_a_person(name: str) -> None:
    source = "\n".join(cell.source for cell in build.read(name).notebook.cells if cell.cell_type == "raw")
    questions = re.findall(
        r"^# BEGIN QUESTION\nname: (q\d)\npoints: (\d+)\n(manual|all_or_nothing): true$", source, re.M
    )
    assert [q for q, _, _ in questions] == [f"q{i + 1}" for i in range(len(questions))] and 5 <= len(questions) <= 7
    assert sum(int(points) for _, points, _ in questions) == build.read(name).points == 20
    assert [kind for _, _, kind in questions].count("manual") == 1 and 60 <= build.read(name).minutes <= 120


# -- in Colab ---------------------------------------------------------------------------------------------------------


def test_otter_alone_finds_no_checks_in_colab(tmp_path: Path) -> None:
    assert "Tests directory ./tests does not exist" in colab.run('run("import otter; otter.Notebook()")', tmp_path)


def test_the_student_edition_checks_itself_in_colab(built: Path, tmp_path: Path) -> None:
    colab.work_through(build.read(ONE).student, built / "handed_in.ipynb", tmp_path)
    assert (tmp_path / f"checks_{ONE}/q1.py").is_file() and not (tmp_path / "tests").exists()


# -- grading ----------------------------------------------------------------------------------------------------------


def test_the_solution_gets_full_marks_and_a_file_that_is_none_gets_a_word(built: Path, tmp_path: Path) -> None:
    handed_in = tmp_path / "in"
    handed_in.mkdir()
    (handed_in / "ada.ipynb").write_bytes((built / "handed_in.ipynb").read_bytes())
    (handed_in / "text.ipynb").write_text("my homework")
    (handed_in / "empty.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    files = sorted(handed_in.glob("*.ipynb"))
    ada, empty, text = grade.batch(files, built / "autograder.zip", tmp_path / "out")
    assert (ada.outcome, ada.points, ada.of) == (grade.GRADED, 17, 17)
    assert (empty.outcome, empty.points) == (grade.GRADED, 0) and "is not defined" in empty.messages["q1"]
    assert (text.outcome, text.points) == (grade.UNREADABLE, 0)
    table = (tmp_path / "out/grades.csv").read_text().splitlines()
    assert table[0] == "notebook,outcome,points,of,seconds,q1,q2,q3,q4,q5" and table[1].startswith(
        "ada.ipynb,graded,17.0,"
    )
    assert "# ada.ipynb: Question 6" in (tmp_path / "out/by_hand.md").read_text()

    # again: nothing is graded twice, a changed file is, and the seed stays
    seed = (tmp_path / "out/seed").read_text()
    files[2].write_text("another")
    again = grade.batch(files, built / "autograder.zip", tmp_path / "out")
    assert again[:2] == [ada, empty] and again[2].digest != text.digest
    assert (tmp_path / "out/seed").read_text() == seed
    with pytest.raises(ValueError, match=f"seed must be {seed}"):
        grade.batch(files, built / "autograder.zip", tmp_path / "out", seed=int(seed) + 1)


def test_an_interruption_loses_nothing(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{name}.ipynb" for name in "abc"]
    for file in files:
        file.write_text(file.stem)
    real = grade.grade

    def interrupted(submission: Path, *rest: Any, **more: Any) -> grade.Grade:
        if submission.stem == "c":
            raise KeyboardInterrupt
        return real(submission, *rest, **more)

    monkeypatch.setattr(grade, "grade", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grade.batch(files, built / "autograder.zip", tmp_path / "out")
    assert len((tmp_path / "out/grades.csv").read_text().splitlines()) == 3
    graded = []
    monkeypatch.setattr(grade, "grade", lambda s, *rest, **more: graded.append(s.stem) or real(s, *rest, **more))
    assert len(grade.batch(files, built / "autograder.zip", tmp_path / "out")) == 3 and graded == ["c"]


def test_three_wrong_solutions_of_each_question_are_listed() -> None:
    for name in NAMES:
        listed = __import__(f"course.trials.{name}", fromlist=["WRONG"])
        automatic = [f"q{i + 1}" for i in range(len(listed.WRONG))]
        assert list(listed.WRONG) == list(listed.RIGHT) == automatic
        assert min(map(len, listed.WRONG.values())) >= 3 and min(map(len, listed.RIGHT.values())) >= 1


def test_a_trial_finds_the_mutant_that_weak_tests_let_pass(built: Path, tmp_path: Path) -> None:
    """With the public checks alone the right answers pass, and some wrong ones too."""
    import zipfile

    (tmp_path / "handed_in.ipynb").write_bytes((built / "handed_in.ipynb").read_bytes())
    with zipfile.ZipFile(built / "autograder.zip") as full, zipfile.ZipFile(tmp_path / "autograder.zip", "w") as weak:
        for name in full.namelist():
            text = full.read(name)
            if name.startswith("tests/"):
                parts = text.decode().split("@test_case")
                text = "@test_case".join(part for part in parts if "hidden=True" not in part).encode()
            weak.writestr(name, text)
    found = trial.trials(ONE, tmp_path, build.read_term()[ONE], seeds=(1,))
    of = trial.tally(found)
    assert of["reference"][0] == of["reference"][1] == 5 and of["right"][0] == of["right"][1]
    assert of["wrong"][0] < of["wrong"][1]
    parrots = [t for t in found if t.name.endswith("right only for the public check")]
    assert len(parrots) >= 5 and not any(t.ok for t in parrots)


# -- pieces -----------------------------------------------------------------------------------------------------------


def test_a_term_fills_numbers_and_words() -> None:
    assert build.fill("<<M>> <<sign?up|down>> $\\ll$", {"M": 3, "sign": 1}) == "3 up $\\ll$"
    assert build.fill("<<sign?up|down>>", {"sign": -1}) == "down"
    with pytest.raises(ValueError, match="<<N>> is not in the term's table"):
        build.fill("<<N>>", {"M": 3})
    with pytest.raises(ValueError, match="must not hold < or >"):
        build.fill("1[x <<sign?>|<>> 0]", {"sign": 1})
    with pytest.raises(ValueError, match="name must be an assignment"):
        build.read("no_such")


def test_a_change_that_changes_nothing_is_refused() -> None:
    assert trial.answer("return a", ("a", "<<M>>"), {"M": 2}) == "return 2"
    for change in [("b", "c"), ("a", "a")]:
        with pytest.raises(ValueError, match="which stands"):
            trial.answer("return a", change, {})
    with pytest.raises(ValueError, match="which stands 2 times"):
        trial.answer("a + a", ("a", "b"), {})


class Sly(float):
    def __float__(self) -> float:
        return 1.0


@pytest.mark.parametrize(("call", "said"), [
    (lambda: checks.run(None), "is not defined"),
    (lambda: checks.run(lambda: sys.exit(0)), "raised SystemExit"),
    (lambda: checks.run(lambda: 1 / 0), "raised ZeroDivisionError: division by zero"),
    (lambda: checks.run(lambda x: x.add_(1), torch.zeros(2)), "changed its argument number 1"),
    (lambda: checks.run(lambda xs: xs[0].add_(1), [torch.zeros(2)]), "changed its argument number 1"),
    (lambda: checks.run(lambda a: a.sort(), np.array([2.0, 1.0])), "changed its argument number 1"),
    (lambda: checks.run(lambda: exec("while True: pass"), seconds=0.2), "was stopped after 0.2 s"),
    (lambda: checks.tensor([1.0], (1,)), "must be a torch.Tensor, got list"),
    (lambda: checks.tensor(torch.zeros(2, 3), (3, 2)), r"must have shape \(3, 2\), got \(2, 3\)"),
    (lambda: checks.tensor(torch.tensor([float("nan")]), (1,)), "holds NaN"),
    (lambda: checks.tensor(torch.zeros(1, dtype=torch.complex64), (1,)), "must be real"),
    (lambda: checks.number(trial.Agreeable()), "must be a number, got Agreeable"),
    (lambda: checks.number(Sly(2.0)), "must be a number, got Sly"),
    (lambda: checks.number(float("inf")), "must be finite"),
    (lambda: checks.whole(2.5), "must be a whole number"),
    (lambda: checks.same(1.0, 1.1), "wrong by 0.1"),
    (lambda: checks.same(torch.zeros(2), torch.zeros(3)), "shapes"),
    (lambda: checks.same(1e-3, 0.0), "wrong by 0.001"),
])  # fmt: skip
def test_checks_say_what_is_wrong(call: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        call()


def test_checks_take_what_is_right() -> None:
    assert checks.run(lambda a, b: a + b, 1, 2) == 3
    weights = torch.ones(2, requires_grad=True)
    assert checks.run(lambda w: w.sum(), weights).requires_grad and weights.requires_grad
    draw = torch.Generator().manual_seed(3)
    assert torch.equal(*(checks.run(lambda g: torch.rand(3, generator=g), draw) for _ in range(2)))
    assert checks.tensor(np.float32([1, 2]), (2,)).dtype == torch.float64
    assert checks.number(np.int64(3)) == checks.number(torch.tensor(3)) == checks.whole(3.0) == 3
    checks.same(torch.tensor([1.0, 1e-9]), torch.tensor([1.0, 0.0]))
    assert not torch.equal(torch.rand(4, generator=checks.generator(1)), torch.rand(4, generator=checks.generator(2)))


def test_the_seed_of_a_batch_is_the_one_that_tests_use() -> None:
    code = "import sys; sys.path.insert(0, 'course'); import course_checks; print(course_checks.SEED)"
    given = [{"COURSE_SEED": "7"}, {"COURSE_SEED": ""}, {"COURSE_SEED": ""}]
    command = [sys.executable, "-c", code]
    found = [subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True).stdout for env in given]
    assert found[0] == "7\n" and found[1] != found[2]


def test_masters_are_notebooks_that_jupytext_reads_back() -> None:
    for name in NAMES:
        notebook = build.read(name).notebook
        text = jupytext.writes(notebook, fmt="md:myst")
        assert [c.source for c in jupytext.reads(text, fmt="md:myst").cells] == [c.source for c in notebook.cells]


def test_answers_are_found_between_their_marks(tmp_path: Path) -> None:
    cells = ["<!-- BEGIN QUESTION -->\n\n**Question 6: x (3 points).**", "My answer.", "<!-- END QUESTION -->", "other"]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_markdown_cell, cells)))
    notebook.cells.insert(2, nbformat.v4.new_code_cell("1 + 1"))
    nbformat.write(notebook, tmp_path / "a.ipynb")
    assert grade.answers(tmp_path / "a.ipynb") == {"Question 6": "My answer.\n\n```python\n1 + 1\n```\n\n"}
    assert json.dumps(grade.answers(tmp_path / "none.ipynb")) == "{}"


# -- the guide --------------------------------------------------------------------------------------------------------

GUIDE = (ROOT / "book/course.md").read_text(encoding="utf8")


def misread(guide: str) -> list[str]:
    """Chapters that the plan leaves out, or whose minutes differ from those that the chapter states."""
    faults = []
    said = dict(re.findall(r"\{doc\}`[^`<]+<([\w/]+)>`, (\d+) minutes", guide))
    for chapter in sorted((ROOT / "book").glob("[!_.]*/*.md")):
        name = str(chapter.relative_to(ROOT / "book").with_suffix(""))
        stated = re.search(r"(\d+) minutes to read", chapter.read_text(encoding="utf8"))
        if stated is None or said.get(name) != stated[1]:
            faults.append(name)
    return faults


def test_the_plan_names_every_chapter_with_its_minutes() -> None:
    assert misread(GUIDE) == []
    assert misread(GUIDE.replace("<low_rank/pruning>`, 35", "<low_rank/pruning>`, 20")) == ["low_rank/pruning"]


@pytest.mark.parametrize("name", NAMES)
def test_the_guide_names_every_assignment_as_it_is(name: str) -> None:
    master = build.read(name)
    row = f"* - {master.title}\n  - {master.points}\n  - {master.minutes}\n  - [Colab](https://colab.research.google.com/github/"
    assert row in GUIDE and f"/blob/main/course/student/{name}.ipynb)" in GUIDE
    assert f"{{download}}`file </course/student/{name}.ipynb>`" in GUIDE


def test_the_guide_states_the_limits_of_the_grader() -> None:
    assert f"Give it 3 GB of memory and {grade.SECONDS // 60} minutes" in GUIDE

"""All assignments: every trial under two terms, notebooks that misbehave, Gradescope's folders, limits as stated."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import colab
import nbformat
import pytest
import yaml
from nbformat import NotebookNode

from course import build, grade

ROOT = Path(__file__).parents[2]
NAMES = build.names()
OTHER = Path(__file__).with_name("other_term.yml")
PIP = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def built(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Every assignment under the public and under another term; building runs the solution against all tests."""
    folder = tmp_path_factory.mktemp("built")
    terms = {"public": build.read_term(), "other": build.read_term(OTHER)}

    def make(case: tuple[str, str]) -> Path:
        name, term = case
        to = folder / term / name
        build.build(build.read(name, terms[term]), package, student=to / "student.ipynb", built=to)
        return to

    cases = [(name, term) for term in terms for name in NAMES]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(cases, pool.map(make, cases), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_student_edition_is_what_is_built(built: dict[tuple[str, str], Path], name: str) -> None:
    found = nbformat.read(built[name, "public"] / "student.ipynb", as_version=4)
    assert found == nbformat.read(build.read(name).student, as_version=4), "make course"


def run_trials(name: str, folder: Path, term: str, *options: str) -> dict[str, list[int]]:
    """The tally of all trials, in a process of their own."""
    code = f"""
import json, sys
from pathlib import Path
from course import build, trial
term = build.read_term({f"Path({str(OTHER)!r})" if term == "other" else ""})
found = trial.trials({name!r}, Path({str(folder)!r}), term[{name!r}], {", ".join(options)})
print(trial.summary({name!r}, found), file=sys.stderr)
print(json.dumps(trial.tally(found)))
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, text=True, capture_output=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    print(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("term", ["public", "other"])
@pytest.mark.parametrize("name", NAMES)
def test_every_mutant_loses_its_points_and_every_right_solution_keeps_them(
    built: dict[tuple[str, str], Path], name: str, term: str, capsys: pytest.CaptureFixture[str]
) -> None:
    of = run_trials(name, built[name, term], term)
    with capsys.disabled():
        (killed, mutants), (right, solutions) = of["wrong"], of["right"]
        print(f" {name}, {term} term: killed {killed} / {mutants} mutants, accepted {right} / {solutions}")
    assert killed == mutants >= 5 * 10
    assert of["reference"] == [5, 5] and right == solutions >= 5


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_of_the_public_term_loses_points_in_another(
    built: dict[tuple[str, str], Path], name: str, tmp_path: Path
) -> None:
    shutil.copy(built[name, "public"] / "handed_in.ipynb", tmp_path)
    shutil.copy(built[name, "other"] / "autograder.zip", tmp_path)
    good, all_ = run_trials(name, tmp_path, "other", "mutants=False", "seeds=(1,)")["reference"]
    assert good < all_


def test_student_editions_run_after_a_plain_pip_install_in_colab(
    built: dict[tuple[str, str], Path], package: Path, tmp_path: Path
) -> None:
    """In a new environment with what Colab has and what the first cell installs."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    python = tmp_path / "venv/bin/python"
    student = nbformat.read(build.read(NAMES[0]).student, as_version=4)
    install = next(cell.source for cell in student.cells if "%pip install" in cell.source)
    assert re.search(r'%pip install -q "lrsparse @ https://[^"]+" "otter-grader>=7,<8"$', install)
    has = ["torch", "numpy", "matplotlib", "scipy", "scikit-learn", "ipykernel"]
    constraints = ["-c", str(ROOT / "constraints.txt")]
    pip = [python, "-m", "pip", "install", "-q", *constraints]
    subprocess.run([*pip, *has, str(package), "otter-grader>=7,<8"], check=True, timeout=900)
    for name in NAMES:
        folder = tmp_path / name
        folder.mkdir()
        colab.work_through(build.read(name).student, built[name, "public"] / "handed_in.ipynb", folder, python)


# -- misbehaviour -----------------------------------------------------------------------------------------------------

# Put before the first check. Outcome, points lost of 17, what is said.
MISBEHAVES = {
    "loop in a cell": ("while True:\n    pass", grade.TOO_LONG.format(seconds=90), 17, ""),
    "loop in a function": (
        "def outside(G, B):\n    while True:\n        pass", grade.GRADED, 3, "was stopped after 10 s"),
    "sys.exit in a function": ("import sys\ndef outside(G, B):\n    sys.exit(0)", grade.GRADED, 3, "raised SystemExit"),
    "os._exit in a cell": ("import os\nos._exit(0)", grade.KERNEL_DIED, 17, ""),
    "os._exit in a function": ("import os\ndef outside(G, B):\n    os._exit(0)", grade.KERNEL_DIED, 17, ""),
    "a terabyte in a function": (
        "def outside(G, B):\n    return torch.ones(10**11, 10).sum()", grade.GRADED, 3, "raised RuntimeError"),
    # not touched, so that the limit is met before the time is over
    "memory until there is none": (
        "def outside(G, B):\n    kept = []\n    while True:\n        kept.append(torch.empty(10**8))",
        grade.GRADED, 3, "raised RuntimeError"),
    "files deleted": (
        "import os, shutil\nfor name in os.listdir():\n    shutil.rmtree(name, ignore_errors=True) "
        "if os.path.isdir(name) else os.remove(name)", grade.NO_RESULT, 17, ""),
    "equal to everything": (
        "class Equal:\n    def __eq__(self, other):\n        return True\n    def __getattr__(self, name):\n"
        "        return self\n    def __call__(self, *_, **__):\n        return self\n    def __float__(self):\n"
        "        return 0.5\noutside = lambda G, B: Equal()", grade.GRADED, 3, "must be a number, got Equal"),
    "sys.exit in a cell": ("import sys\nsys.exit(0)", grade.GRADED, 0, ""),
    "left running": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)", grade.GRADED, 0, ""),
}  # fmt: skip


def with_cell(notebook: NotebookNode, source: str) -> NotebookNode:
    """The notebook with one more cell, just before the check of question 3."""
    at = next(i for i, cell in enumerate(notebook.cells) if cell.source == 'grader.check("q3")')
    notebook.cells.insert(at, nbformat.v4.new_code_cell(source))
    return notebook


def test_whoever_misbehaves_is_named_and_the_others_are_graded(
    built: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    folder = built["low_rank_updates", "public"]
    files = []
    for i, (source, *_) in enumerate([*MISBEHAVES.values(), ("",)]):
        files.append(tmp_path / f"{i:02d}.ipynb")
        nbformat.write(with_cell(nbformat.read(folder / "handed_in.ipynb", as_version=4), source), files[-1])
    files.append(tmp_path / "tags_lost.ipynb")  # as a platform might that keeps no metadata: all cells run
    bare = nbformat.read(folder / "handed_in.ipynb", as_version=4)
    bare.metadata.clear()
    for cell in bare.cells:
        cell.metadata.clear()
    nbformat.write(bare, files[-1])
    grades = grade.batch(files, folder / "autograder.zip", tmp_path / "out", seconds=90)
    for (case, (_, outcome, lost, said)), found in zip(MISBEHAVES.items(), grades[:-2], strict=True):
        assert (case, found.outcome, found.of - found.points) == (case, outcome, lost)
        assert said in found.messages.get("q3", ""), (case, found.messages)
        assert found.seconds < 100, case
    for well_behaved in grades[-2:]:
        assert well_behaved.outcome == grade.GRADED and well_behaved.points == 17
    assert "sleep(1000)" not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout


# -- Gradescope -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_zip_works_where_gradescope_lays_it(built: dict[tuple[str, str], Path], name: str, tmp_path: Path) -> None:
    """Its folders at another place than /autograder, its wheel installed, and a `mamba` that does nothing."""
    home = tmp_path / "autograder"
    for folder in ("source", "submission", "results"):
        (home / folder).mkdir(parents=True)
    (home / "submission_metadata.json").write_text("{}")
    with zipfile.ZipFile(built[name, "public"] / "autograder.zip") as files:
        files.extractall(home / "source")
    for file in ("run_autograder", "run_otter.py", "environment.yml", "setup.sh"):
        text = (home / "source" / file).read_text()
        assert file == "setup.sh" or "/autograder" in text
        (home / "source" / file).write_text(text.replace("/autograder", str(home)))

    # what its environment names: the tested versions, the CPU build of torch, the wheel that lies there
    environment = yaml.safe_load((home / "source/environment.yml").read_text())
    index, *required = environment["dependencies"][-1]["pip"]
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    pins = set((ROOT / "constraints.txt").read_text().splitlines())
    assert [line.replace("[grading]", "") for line in required[:2]] == sorted(
        (pin for pin in pins if pin.startswith(("torch==", "otter-grader=="))), reverse=True
    )
    subprocess.run([*PIP, "--target", str(tmp_path / "site"), required[2]], check=True, timeout=120)

    notebook = nbformat.read(built[name, "public"] / "handed_in.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(
        "import lrsparse, pathlib\npathlib.Path('../where').write_text(lrsparse.__file__)"))  # fmt: skip
    nbformat.write(notebook, home / "submission/mine.ipynb")
    mamba = tmp_path / "bin/mamba"
    mamba.parent.mkdir()
    mamba.write_text("#!/bin/sh\necho 'mamba() { :; }'\n")
    mamba.chmod(0o755)
    environment = {
        "PATH": os.pathsep.join([str(mamba.parent), str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", str(home / "source/run_autograder")], env=environment, cwd=tmp_path, text=True, capture_output=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tests = json.loads((home / "results/results.json").read_text())["tests"]
    assert sum(test.get("score", 0) for test in tests) == 17, tests
    assert (home / "where").read_text().startswith(str(tmp_path / "site"))


STATED = re.compile(r"(\d+) GB of memory and (\d+) minutes")


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_stays_far_below_the_stated_limits(built: dict[tuple[str, str], Path], name: str) -> None:
    """Half of the memory and time that the guide asks for in Gradescope, and that the grader of a batch allows."""
    found = STATED.search((ROOT / "book/course.md").read_text(encoding="utf8"))
    assert found is not None
    memory, minutes = int(found[1]), int(found[2])
    assert minutes * 60 == grade.SECONDS
    folder = built[name, "public"]
    code = f"""
import resource
from pathlib import Path
from course import grade
found = grade.grade(Path({str(folder / "handed_in.ipynb")!r}), Path({str(folder / "autograder.zip")!r}), seed=5)
print(found.outcome, found.points, found.seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    outcome, points, seconds, kilobytes = done.stdout.split()
    # two processes are alive at once, otter and the kernel, neither larger than the largest
    assert outcome == grade.GRADED and float(points) == 17
    assert 2 * int(kilobytes) / 2**20 < memory / 2 and float(seconds) < grade.SECONDS / 2, done.stdout

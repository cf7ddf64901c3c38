"""nbmake runs each notebook as a reader has it: an empty folder, a new environment, the built wheel; nothing edited.

It must measure exactly the numbers that the site shows; `make book` comes first. A new environment takes minutes:
leave these tests out with ``-k "not alone"``.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gates
import pytest
from nbmake.nb_run import NotebookRun

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("[!_.]*/*.ipynb"))
READERS_HAVE = ("torch", "numpy", "matplotlib", "scikit-learn", "ipywidgets", "ipykernel")
# What would let a process find this repository or its virtual environment.
LEADS_BACK = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JUPYTER_PATH")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in LEADS_BACK}


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel and what a reader has anyway, in the tested versions."""
    folder = tmp_path_factory.mktemp("alone")
    source = folder / "source"  # a copy, because a build leaves files behind
    shutil.copytree(ROOT / "lrsparse", source / "lrsparse", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)

    def call(*command: str | Path) -> None:
        done = subprocess.run(
            command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
        )
        assert done.returncode == 0, done.stdout

    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source)
    call(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv/bin/python"
    (wheel,) = folder.glob("*.whl")
    call(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *READERS_HAVE, wheel)
    return python


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_alone(notebook: Path, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = tmp_path / "jupyter/kernels/alone/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": argv, "display_name": "alone", "language": "python"}))
    for name in LEADS_BACK:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    folder = tmp_path / "empty"
    folder.mkdir()

    result = NotebookRun(Path(shutil.copy(notebook, folder)), 300, kernel="alone").execute()

    assert result.error is None, result.error
    assert [path.name for path in folder.iterdir()] == [notebook.name], "cells leave no files behind"
    problems = gates.same_numbers(ROOT, notebook.relative_to(ROOT).with_suffix("").as_posix(), result.nb)
    assert not problems, "\n".join(problems)


def test_the_package_is_the_wheel_alone(python: Path, tmp_path: Path) -> None:
    code = "import lrsparse.models; print(lrsparse.__file__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True)
    assert done.stdout.startswith(str(python.parents[1])), done.stdout + done.stderr

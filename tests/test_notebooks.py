"""nbmake runs each notebook as a reader has it: an empty folder, a new environment, the built wheel; nothing edited.

It must measure exactly the numbers that the site shows; `make book` comes first. A new environment takes minutes:
leave these tests out with ``-k "not alone"``.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import gates
import pytest
from nbmake.nb_run import NotebookRun
from packaging.utils import canonicalize_name

from book._ext.notebook_edition import declared_extra, required_by

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("[!_.]*/*.ipynb"))
READERS_HAVE = ("torch", "numpy", "matplotlib", "scikit-learn", "ipywidgets", "ipykernel")
# What would let a process find this repository or its virtual environment.
LEADS_BACK = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JUPYTER_PATH")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in LEADS_BACK}


def call(*command: str | Path) -> None:
    together = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, env=clean_environment(), text=True, timeout=900, **together)
    assert done.returncode == 0, done.stdout


def install(python: Path, *what: str | Path) -> None:
    call(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *what)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, because a build leaves files behind
    shutil.copytree(ROOT / "lrsparse", source / "lrsparse", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel and what a reader has anyway, in the tested versions."""
    folder = tmp_path_factory.mktemp("alone")
    call(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv/bin/python"
    install(python, *READERS_HAVE, wheel)
    return python


@pytest.fixture(scope="session")
def python_for(python: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """That Python or, for a chapter with an extra, one of an environment upon it that has the extra's packages too.

    An environment of their own, so that the other chapters cannot use these packages unseen.
    """
    made = {"": python}

    def find(extra: str) -> Path:
        if extra not in made:
            folder = tmp_path_factory.mktemp(f"alone-{extra}")
            call(sys.executable, "-m", "venv", folder / "venv")
            (below,) = python.parents[1].glob("lib/python*/site-packages")
            (packages,) = folder.glob("venv/lib/python*/site-packages")
            (packages / "below.pth").write_text(f"{below}\n")
            made[extra] = folder / "venv/bin/python"
            install(made[extra], f"{wheel}[{extra}]")
        return made[extra]

    return find


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_alone(
    notebook: Path, python_for: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = declared_extra(notebook.with_suffix(".md").read_text(encoding="utf8"))
    argv = [str(python_for(extra)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
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


def test_the_wheel_holds_the_texts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        for text in (ROOT / "lrsparse/texts").iterdir():
            assert packed.read(f"lrsparse/texts/{text.name}") == text.read_bytes()


def test_the_package_is_the_wheel_alone(python: Path, tmp_path: Path) -> None:
    code = "import lrsparse.models; print(lrsparse.__file__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True)
    assert done.stdout.startswith(str(python.parents[1])), done.stdout + done.stderr


def test_the_extras_are_not_in_the_environment_of_the_others(python: Path) -> None:
    extras = {declared_extra(notebook.with_suffix(".md").read_text(encoding="utf8")) for notebook in NOTEBOOKS}
    names = sorted({name for extra in extras for name in required_by(ROOT, extra)})
    code = "from importlib.metadata import distributions; print(*(d.name for d in distributions()))"
    done = subprocess.run([python, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True)
    installed = {canonicalize_name(name) for name in done.stdout.split()}
    assert "torch" in installed and not installed.intersection(map(canonicalize_name, names))

"""Each notebook alone, as a reader has it: an empty folder, a new environment, the built wheel; nothing edited.

A new environment takes minutes: leave these tests out with ``-k "not alone"``.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("[!_.]*/*.ipynb"))
READERS_HAVE = ("torch", "numpy", "matplotlib", "scikit-learn", "ipywidgets", "ipykernel")
CLAIMS = "application/vnd.lrsparse.claims+json"


def clean_environment() -> dict[str, str]:
    """The environment variables without what would let the kernel find this repository or its virtual environment."""
    gone = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JUPYTER_PATH")
    return {name: value for name, value in os.environ.items() if name not in gone}


def run(notebook: Path, folder: Path, python: Path, timeout: int = 300) -> nbformat.NotebookNode:
    """Run a notebook, as it is, in `folder` with the kernel of `python`; return it with its outputs.

    Raises CellExecutionError if a cell does.
    """
    specs = folder.with_name(folder.name + "-kernels")
    (specs / "alone").mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (specs / "alone/kernel.json").write_text(json.dumps({"argv": argv, "display_name": "alone", "language": "python"}))
    manager = AsyncKernelManager(kernel_name="alone", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(specs)]))
    node = nbformat.read(notebook, as_version=4)
    NotebookClient(node, km=manager, timeout=timeout).execute(cwd=str(folder), env=clean_environment())
    return node


def claims(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """The records of all claims that an executed notebook shows, by their ids."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    records = [record for output in outputs for record in output.get("data", {}).get(CLAIMS, [])]
    return {record["id"]: record for record in records}


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
def test_notebook_alone(notebook: Path, python: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    done = run(notebook, folder, python)
    assert claims(done), "a chapter ends with its claims"
    assert not list(folder.iterdir()), "cells leave no files behind"


def test_the_package_is_the_wheel_alone(python: Path, tmp_path: Path) -> None:
    code = "import lrsparse.models; print(lrsparse.__file__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True)
    assert done.stdout.startswith(str(python.parents[1])), done.stdout + done.stderr


def test_run_raises_and_claims_are_found(tmp_path: Path) -> None:
    """The tools above, on notebooks that fail and that claim, with this environment's own kernel."""
    shown = {"text/plain": "a table", CLAIMS: [{"id": "chapter.slug", "values": [1.0]}]}
    sources = {
        "claims": f"from IPython.display import display\ndisplay({shown!r}, raw=True)",
        "fault": "raise RuntimeError('a fault')",
    }
    for name, source in sources.items():
        cells = [nbformat.v4.new_code_cell(source)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
        (tmp_path / name).mkdir()
    done = run(tmp_path / "claims.ipynb", tmp_path / "claims", Path(sys.executable))
    assert claims(done) == {"chapter.slug": {"id": "chapter.slug", "values": [1.0]}}
    with pytest.raises(CellExecutionError, match="a fault"):
        run(tmp_path / "fault.ipynb", tmp_path / "fault", Path(sys.executable))

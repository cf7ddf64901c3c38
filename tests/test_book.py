"""The gates on the real book; `make book` comes first."""

import shutil
from collections.abc import Callable
from pathlib import Path

import gates
import pytest
from nbmake.nb_run import NotebookRun

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def root() -> Path:
    if not (ROOT / "_build/html/book/index.html").is_file():
        pytest.fail("There is no site yet: run make book first", pytrace=False)
    return ROOT


@pytest.mark.parametrize("gate", gates.GATES, ids=lambda gate: gate.__name__)
def test_gate(gate: Callable[[Path], list[str]], root: Path) -> None:
    problems = gate(root)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("notebook", sorted((ROOT / "book").glob("[!_.]*/*.ipynb")), ids=lambda path: path.stem)
def test_the_notebook_alone_gives_the_numbers_of_the_site(notebook: Path, root: Path, tmp_path: Path) -> None:
    result = NotebookRun(Path(shutil.copy(notebook, tmp_path)), 300, kernel="python3").execute()
    assert result.error is None, result.error
    page = notebook.relative_to(ROOT).with_suffix("").as_posix()
    problems = gates.same_numbers(root, page, result.nb)
    assert not problems, "\n".join(problems)

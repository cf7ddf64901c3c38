"""A tiny book under the real configuration, for tests that need one.

def test_of_the_site(built_book): ...     # built once a session: look, never change
def test_of_a_fault(mini_book):           # a factory of fresh copies, ready to be changed
    book = mini_book()
    book.edit("book/index.md", "a text that is there", "a fault")
    result = book.build()                 # .returncode, .log; cells are cached: about 6 s
    assert result.returncode != 0
    page = book.html / "book/low_rank/first.html"
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = Path(__file__).parent / "mini_book"


@dataclass(frozen=True)
class BuildResult:
    returncode: int
    log: str


@dataclass(frozen=True)
class MiniBook:
    """A book in a folder of its own, laid out as the real one."""

    root: Path

    @property
    def html(self) -> Path:
        return self.root / "_build/html"

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} does not hold {old!r}: the fault would not be planted"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def build(self, *options: str) -> BuildResult:
        command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "-n", "--keep-going", *options]
        # The copied package comes before the installed one, so that a test may change it.
        environment = os.environ | {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        together = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=self.root, env=environment, text=True, timeout=300, **together)
        return BuildResult(done.returncode, done.stdout)


def _assemble(root: Path) -> MiniBook:
    shutil.copytree(PAGES, root)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "book/references.bib", root / "book")
    shutil.copy(ROOT / "book/bibliography.md", root / "book")
    for folder in ("book/_ext", "book/_static"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "lrsparse").mkdir()
    for module in (ROOT / "lrsparse").glob("*.py"):
        shutil.copy(module, root / "lrsparse")
    if (checks := ROOT / "book/checks.md").exists():
        shutil.copy(checks, root / "book")
    else:
        (root / "book/checks.md").write_text("# How this book is checked\n", encoding="utf-8")
    return MiniBook(root)


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> MiniBook:
    """Built once and without fault. Never change it: take a copy from `mini_book`."""
    book = _assemble(tmp_path_factory.mktemp("mini") / "book")
    result = book.build()
    assert result.returncode == 0, result.log
    return book


@pytest.fixture
def mini_book(built_book: MiniBook, tmp_path: Path) -> Callable[[], MiniBook]:
    """Makes a fresh, built copy whenever it is called."""
    made: list[MiniBook] = []

    def copy() -> MiniBook:
        made.append(MiniBook(tmp_path / f"book-{len(made)}"))
        shutil.copytree(built_book.root, made[-1].root, symlinks=True)
        return made[-1]

    return copy

"""Arrows point down: chapter -> models -> the shared files. And the package stays small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OUTSIDE = {"benchmarks", "book", "course", "tests", "tools"}
PACKAGE_LINES, FILE_LINES = 1500, 300


def imported(path: Path, root: Path) -> list[tuple[int, str]]:
    """Line and full dotted name of everything `path` imports, wherever in the file; relative imports resolved."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            found += [(node.lineno, f"{source}.{name.name}") for name in node.names]
    return found


def upward_imports(root: Path) -> list[str]:
    """Imports in the package that point sideways or up: of a model, or of what is not part of the package."""
    faults = []
    for path in sorted((root / "lrsparse").rglob("*.py")):
        for line, name in imported(path, root):
            if name.startswith("lrsparse.models.") or name.split(".")[0] in OUTSIDE:
                faults.append(f"{path.relative_to(root)}:{line} imports {name}")
    return faults


def oversized(root: Path) -> list[str]:
    """Files of the package over the limit, and the package itself."""
    files = sorted((root / "lrsparse").rglob("*.py"))
    lines = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in files}
    faults = [f"{name}: {n} lines, {FILE_LINES} allowed" for name, n in lines.items() if n > FILE_LINES]
    if (total := sum(lines.values())) > PACKAGE_LINES:
        faults.append(f"lrsparse: {total} lines, {PACKAGE_LINES} allowed")
    return faults


def test_arrows_point_down() -> None:
    assert upward_imports(ROOT) == []


def test_the_package_is_small() -> None:
    assert oversized(ROOT) == []


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A clean little package, to plant faults in."""
    (tmp_path / "lrsparse/models").mkdir(parents=True)
    (tmp_path / "lrsparse/spectrum.py").write_text("import torch\n")
    (tmp_path / "lrsparse/models/patterns.py").write_text("from lrsparse.spectrum import a\nfrom .. import spectrum\n")
    return tmp_path


def test_a_clean_package_has_no_fault(package: Path) -> None:
    assert upward_imports(package) == [] and oversized(package) == []


@pytest.mark.parametrize("line", [
    "import lrsparse.models.patterns",
    "from lrsparse.models import patterns",
    "from lrsparse.models.patterns import Task",
    "from . import patterns",
    "from .patterns import Task",
    "from ..models import patterns",
    "def f():\n    from lrsparse.models import patterns",
    "import tests.conftest",
    "from book._ext import site",
    "from course import builder",
])  # fmt: skip
def test_a_model_that_imports_a_model_or_the_outside_is_red(package: Path, line: str) -> None:
    (package / "lrsparse/models/bigrams.py").write_text(line + "\n")
    (fault,) = upward_imports(package)
    assert fault.startswith("lrsparse/models/bigrams.py:")


@pytest.mark.parametrize("line", ["import lrsparse.models.patterns", "from .models import patterns", "import tools"])
def test_a_shared_file_that_looks_up_is_red(package: Path, line: str) -> None:
    (package / "lrsparse/spectrum.py").write_text(line + "\n")
    assert len(upward_imports(package)) == 1


def test_a_long_file_is_red(package: Path) -> None:
    (package / "lrsparse/spectrum.py").write_text("x = 1\n" * (FILE_LINES + 1))
    assert oversized(package) == [f"lrsparse/spectrum.py: {FILE_LINES + 1} lines, {FILE_LINES} allowed"]


def test_a_large_package_is_red(package: Path) -> None:
    for i in range(PACKAGE_LINES // FILE_LINES + 1):
        (package / f"lrsparse/part{i}.py").write_text("x = 1\n" * FILE_LINES)
    assert len(oversized(package)) == 1 and oversized(package)[0].startswith("lrsparse: ")

"""The gates on the real book; `make book` comes first."""

from collections.abc import Callable
from pathlib import Path

import gates
import pytest

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

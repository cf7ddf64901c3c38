"""`make check`: the built site in a real browser, its network cut."""

from collections.abc import Iterator
from pathlib import Path

import look
import pytest
from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.glob("book/**/*.html"))
RUN = [page for page in PAGES if "widget-view+json" in (SITE / page).read_text(encoding="utf-8")]


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    with look.browser() as chrome:
        yield chrome


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    if not PAGES:
        pytest.fail("There is no site yet: run make book first", pytrace=False)
    with look.served(ROOT) as address:
        yield address


def test_there_is_a_site(site: str, chrome: Browser) -> None:
    """Without pages the tests below would be none, and pass."""
    assert "book/index.html" in PAGES


@pytest.mark.parametrize("width", [look.DESK, look.PHONE])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", [*PAGES, "search.html"])
def test_a_page_has_no_fault(chrome: Browser, site: str, page: str, dark: bool, width: int) -> None:
    faults = look.page_faults(chrome, site, page, dark, width)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", RUN)
def test_sliders_turn_by_mouse_and_by_keys(chrome: Browser, site: str, page: str) -> None:
    faults = look.slider_faults(chrome, site, page)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_folded_opens_by_keys(chrome: Browser, site: str, page: str) -> None:
    faults = look.fold_faults(chrome, site, page)
    assert not faults, "\n".join(faults)


def test_the_search_finds_a_word(chrome: Browser, site: str) -> None:
    faults = look.search_faults(chrome, site, "book/index.html", "rank")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", ["no.html", "book/no/such/page.html"])
def test_a_missing_page_leads_back(chrome: Browser, site: str, page: str) -> None:
    faults = look.missing_page_faults(chrome, site, page)
    assert not faults, "\n".join(faults)

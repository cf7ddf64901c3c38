"""Every gate is shown red by a fault planted in a small book, and green without it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import gates
import look
import nbformat
import notebook_edition
import pytest
from conftest import MiniBook
from nbmake.nb_run import NotebookRun
from playwright.sync_api import Browser

CHAPTER = "_build/html/book/low_rank/first.html"
NOTEBOOK = "book/low_rank/first.ipynb"
SHIPPED = "_build/html/_sources/book/low_rank/first.ipynb"
SECRET = "At most three: this sentence is the secret of the solution."


@pytest.fixture(scope="session")
def clean(built_book: MiniBook, tmp_path_factory: pytest.TempPathFactory) -> MiniBook:
    """The small book with its notebook, which the site ships; never changed."""
    book = MiniBook(tmp_path_factory.mktemp("clean") / "book")
    shutil.copytree(built_book.root, book.root)
    notebook_edition.write(book.root)
    result = book.build("--all")
    assert result.returncode == 0, result.log
    return book


@pytest.fixture
def book(clean: MiniBook, tmp_path: Path) -> MiniBook:
    """A copy in which a fault may be planted."""
    return MiniBook(Path(shutil.copytree(clean.root, tmp_path / "book")))


# --- without a fault --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", gates.GATES, ids=lambda gate: gate.__name__)
def test_without_a_fault_every_gate_is_open(gate: Callable[[Path], list[str]], clean: MiniBook) -> None:
    assert gate(clean.root) == []


# --- faults in what was built -----------------------------------------------------------------------------------------


def changed(path: str, old: str, new: str) -> Callable[[MiniBook], None]:
    return lambda book: book.edit(path, old, new)


def added(path: str, text: str) -> Callable[[MiniBook], None]:
    return lambda book: book.write(path, text)


def cell(path: str, source: str, **extra: Any) -> Callable[[MiniBook], None]:
    """One more cell in a notebook: text, or code if it has outputs."""

    def plant(book: MiniBook) -> None:
        notebook = nbformat.read(book.root / path, as_version=4)
        make = nbformat.v4.new_code_cell if extra else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(source, **extra))
        nbformat.write(notebook, book.root / path)

    return plant


def without(path: str) -> Callable[[MiniBook], None]:
    return lambda book: (book.root / path).unlink()


def frames_without_alt(book: MiniBook) -> None:
    book.edit(CHAPTER, r"alt=\"Two bars, the second of height 4\"", r"alt=\"\"")


def second_description(book: MiniBook) -> None:
    index = (book.html / "book/index.html").read_text(encoding="utf-8")
    start = index.index('<meta name="description"')
    page = (book.root / CHAPTER).read_text(encoding="utf-8")
    own = page.index('<meta name="description"')
    same = page[:own] + index[start : index.index(">", start) + 1] + page[page.index(">", own) + 1 :]
    book.write(CHAPTER, same)


def failed_claim(book: MiniBook) -> None:
    book.edit("_build/html/claims.json", '"as_expected": true', '"as_expected": false')


def no_claim(book: MiniBook) -> None:
    book.write("_build/html/claims.json", json.dumps({"claims": []}))


ALT = 'alt="Eight singular values: two large ones, then a drop to zero"'
STATUS = "<em>Proved below, for every width.</em>"

FAULTS: list[tuple[Callable[[Path], list[str]], Callable[[MiniBook], None], str]] = [
    (gates.notebooks_in_step, changed(NOTEBOOK, "orthonormal", "orthogonal"), "first.ipynb"),
    (gates.notebooks_in_step, without(NOTEBOOK), "first.ipynb is missing"),
    (gates.toc, added("book/low_rank/lost.md", "# Lost\n"), "book/low_rank/lost: not in"),
    (gates.toc, without("_build/html/book/low_rank/second.html"), "book/low_rank/second: no page"),
    (gates.alt_texts, changed(CHAPTER, ALT, 'alt=""'), "has no description"),
    (gates.alt_texts, changed(CHAPTER, ALT, ""), "has no description"),
    (gates.alt_texts, changed(CHAPTER, ALT, 'alt="../_images/0123abcd.png"'), "described by a path"),
    (gates.alt_texts, changed(CHAPTER, ALT, 'alt="Two bars, the second of height 4"'), "of another picture"),
    (gates.alt_texts, frames_without_alt, "has no description"),
    (gates.errors, changed(CHAPTER, "<article", '<div class="output traceback">No</div><article'), "shows an error"),
    (gates.notebooks_clean, cell(NOTEBOOK, "```{note}\nA note.\n```"), "a directive"),
    (gates.notebooks_clean, cell(NOTEBOOK, ":::{prf:proof}\nIt is.\n:::"), "the end of a directive"),
    (gates.notebooks_clean, cell(NOTEBOOK, "By {prf:ref}`thm-span`."), "a role"),
    (gates.notebooks_clean, cell(NOTEBOOK, "$$\nx\n$$ (eq-x)"), "the label of an equation"),
    (gates.notebooks_clean, cell(NOTEBOOK, "(the-target)=\n# Title"), "a target"),
    (gates.notebooks_clean, cell(NOTEBOOK, SECRET), "text of a solution"),
    (gates.notebooks_clean, cell(SHIPPED, SECRET), f"{SHIPPED}: holds text of a solution"),
    (gates.notebooks_clean, cell(SHIPPED, "A word more."), f"{SHIPPED}: not a committed notebook"),
    (gates.notebooks_clean, cell(NOTEBOOK, "1", outputs=[nbformat.v4.new_output("stream", text="1")]), "an output"),
    (gates.notebooks_clean, added("_build/html/_sources/book/low_rank/first.md", SECRET), "first.md: not a committed"),
    (gates.statement_classes, changed(CHAPTER, "theorem proved ", "theorem "), "has status []"),
    (gates.statement_classes, changed(CHAPTER, "theorem proved ", "theorem proved stated "), "['proved', 'stated']"),
    (gates.statement_classes, changed(CHAPTER, STATUS, "<em>Simulated only.</em>"), "says simulated"),
    (gates.statement_classes, changed(CHAPTER, STATUS, "<em>Not proved, only stated.</em>"), "says stated"),
    (gates.statement_classes, changed(CHAPTER, STATUS, ""), "says nothing"),
    (gates.claims, failed_claim, "first.rank"),
    (gates.claims, no_claim, "book/low_rank/first: makes no claim"),
    (gates.sizes, changed(CHAPTER, "<article", f"<!--{'x' * 1_600_000}--><article"), "first.html: "),
    (gates.sizes, added("_build/html/_static/large.bin", "x" * 26_000_000), "the site: "),
    (gates.descriptions, changed(CHAPTER, 'name="description"', 'name="other"'), "needs one description"),
    (gates.descriptions, second_description, "has the description of"),
    (gates.links, changed(CHAPTER, "<article", '<a href="gone.html">x</a><article'), "gone.html does not exist"),
    (gates.links, changed(CHAPTER, "<article", '<a href="second.html#gone">x</a><article'), "has no such place"),
    (gates.links, without(SHIPPED), "first.ipynb does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("gate", "plant", "named"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_fault_shuts_its_gate(
    gate: Callable[[Path], list[str]], plant: Callable[[MiniBook], None], named: str, book: MiniBook
) -> None:
    plant(book)
    problems = gate(book.root)
    assert any(named in problem for problem in problems), problems


def test_a_second_run_gives_the_same_numbers_and_others_are_seen(
    clean: MiniBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(clean.root))
    copy = Path(shutil.copy(clean.root / NOTEBOOK, tmp_path))
    result = NotebookRun(copy, 120, kernel="python3").execute()
    assert result.error is None, result.error
    assert gates.same_numbers(clean.root, "book/low_rank/first", result.nb) == []
    (record,) = gates.notebook_claims(result.nb)
    record["values"][0] += 1e-12
    assert gates.same_numbers(clean.root, "book/low_rank/first", result.nb)
    assert gates.same_numbers(clean.root, "book/low_rank/first", nbformat.v4.new_notebook())


# --- faults in the sources: the build itself --------------------------------------------------------------------------

TEXT = "The first bar stays as it is."


def test_nothing_changed_nothing_written(book: MiniBook) -> None:
    assert book.build().returncode == 0  # a copy lies elsewhere, so Sphinx reads it once more
    pages = [book.html / "claims.json", *book.html.glob("book/**/*.html")]
    before = {path: path.stat().st_mtime_ns for path in pages}
    result = book.build()
    assert result.returncode == 0, result.log
    assert "Executing notebook" not in result.log
    assert [path.name for path, time in before.items() if path.stat().st_mtime_ns != time] == []


def test_bad_references_and_names_of_claims_stop_the_build(book: MiniBook) -> None:
    faults = ["{prf:ref}`thm-gone`", "{eq}`eq-gone`", "{numref}`fig-gone`", "{cite:p}`gone2000`", "{doc}`/book/gone`"]
    book.edit("book/low_rank/first.md", TEXT, " ".join([TEXT, *faults]))
    book.edit("book/low_rank/first.md", 'id="first.rank"', 'id="second.rank"')
    result = book.build()
    assert result.returncode != 0
    for fault in (
        "thm-gone",
        "eq-gone",
        "fig-gone",
        "gone2000",
        "/book/gone",
        "claim second.rank must begin with first",
    ):
        assert fault in result.log, fault


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("near=(2.0, 0.1)", "near=(3.0, 0.1)", "first.rank: ✗ fails"),
        ("lrsparse.report(claims)", "lrsparse.report(klaims)", "NameError"),
        ('print("a very long line', 'assert False; print("', "AssertionError"),
    ],
    ids=["claim", "name", "cell"],
)
def test_a_cell_that_raises_stops_the_build(book: MiniBook, old: str, new: str, named: str) -> None:
    book.edit("book/low_rank/first.md", old, new)
    result = book.build()
    assert result.returncode != 0
    assert named in result.log


def test_a_callback_that_raises_is_seen(book: MiniBook) -> None:
    """It stops neither the build nor a run of the notebook, but its error is on the page."""
    callback = "```{code-cell} ipython3\nimport ipywidgets\nipywidgets.interact(lambda k: 1 / 0, k=3);\n```"
    book.edit("book/low_rank/first.md", TEXT, f"{TEXT}\n\n{callback}")
    assert book.build().returncode == 0
    assert any("a callback raised ZeroDivisionError" in problem for problem in gates.errors(book.root))


# --- faults that only a browser sees ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    if chromium.find() is None:
        pytest.skip("no Chromium or Chrome on this machine; make check needs one")
    with look.browser() as chrome:
        yield chrome


PAGE = "book/low_rank/first.html"


def test_without_a_fault_the_browser_finds_none(chrome: Browser, clean: MiniBook) -> None:
    with look.served(clean.root) as site:
        assert look.page_faults(chrome, site, PAGE) == []
        assert look.page_faults(chrome, site, PAGE, dark=True, width=look.PHONE) == []
        assert look.slider_faults(chrome, site, PAGE) == []
        assert look.fold_faults(chrome, site, PAGE) == []
        assert look.search_faults(chrome, site, "book/index.html", "rank") == []
        assert look.missing_page_faults(chrome, site) == []


def test_the_browser_finds_every_fault_of_a_page(chrome: Browser, book: MiniBook) -> None:
    faults = {
        '<p style="width: 900px">wide</p>': "pixels wide on a screen of 390",
        '<img src="https://example.org/a.png" alt="outside">': "https://example.org/a.png, which is outside",
        '<img src="gone.png" alt="not there">': "gone.png",
        '<img src="../../_static/logo.svg">': "image-alt",
        '<p style="color: #ddd; background: #fff">pale</p>': "color-contrast",
        r'<span class="math">\(\unknownmacro\)</span>': r"unknown macro \unknownmacro",
        r'<span class="math">\(\frac{1}\)</span>': "MathJax error",
        r'<span class="math">\(\eqref{nothing}\)</span>': "reference to nothing",
        "<script>console.error('a complaint')</script>": "console: a complaint",
        "<script>throw new Error('a mishap')</script>": "error: a mishap",
    }
    book.edit(CHAPTER, "<section", "".join(faults) + "<section")
    with look.served(book.root) as site:
        found = look.page_faults(chrome, site, PAGE, width=look.PHONE)
    assert [named for named in faults.values() if not any(named in fault for fault in found)] == []


def test_the_browser_sees_what_does_not_move(chrome: Browser, book: MiniBook) -> None:
    book.edit(CHAPTER, '"LinkModel"', '"CheckboxModel"')
    stop = "<script>addEventListener('keydown', e => e.key === 'Enter' && e.preventDefault(), true)</script>"
    book.edit(CHAPTER, "</body>", stop + "</body>")
    book.write("_build/html/searchindex.js", "")
    book.edit("_build/html/404.html", "<h1>Page not found", "<h1>Oh")
    with look.served(book.root) as site:
        found = look.slider_faults(chrome, site, PAGE)
        assert any("does not turn by keys" in fault for fault in found), found
        assert any("does not turn by mouse" in fault for fault in found), found
        assert any("does not open by keys" in fault for fault in look.fold_faults(chrome, site, PAGE))
        assert any("finds nothing" in fault for fault in look.search_faults(chrome, site, "book/index.html", "rank"))
        assert any("no heading" in fault for fault in look.missing_page_faults(chrome, site))

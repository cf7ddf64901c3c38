"""What every page of the site must be, told on the mini book: a fault here is a fault of the real one."""

import hashlib
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "book/_static/vendor"


def pages(book):
    return sorted(path for path in book.html.rglob("*.html") if path.relative_to(book.html).as_posix() != "index.html")


def text(path):
    return path.read_text(encoding="utf-8")


def scripts(page):
    return {Path(name).name.split("?")[0] for name in re.findall(r'<script[^>]* src="([^"]+)"', text(page))}


def stamps(book):
    return {path: path.stat().st_mtime_ns for path in book.html.rglob("*.html")}


# What pages load


def test_vendored_files_are_those_of_the_list():
    rows = re.findall(r"^\| (\S+/\S+) \|.*`([0-9a-f]{64})` \|$", text(VENDOR / "README.md"), re.MULTILINE)
    assert {name for name, _ in rows} == {
        path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.suffix in {".js", ".woff2"}
    }
    for name, expected in rows:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == expected, name


def test_no_page_loads_anything_from_elsewhere(built_book):
    loads = re.compile(r"""<(?:script|img|link(?![^>]*rel="canonical"))[^>]*(?:src|href)="((?:https?:)?//[^"]+)""")
    for page in pages(built_book):
        assert not loads.findall(text(page)), page
    for sheet in (built_book.html / "_static").rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", text(sheet)), sheet


def test_only_pages_that_need_them_load_maths_and_widgets(built_book):
    full, plain = built_book.html / "book/low_rank/first.html", built_book.html / "book/index.html"
    assert {"maths.js", "widgets.js"} <= scripts(full)
    assert not {"maths.js", "widgets.js", "design-tabs.js", "fontawesome.js", "searchindex.js"} & scripts(plain)


def test_nothing_that_no_page_uses_is_shipped(built_book):
    static = built_book.html / "_static"
    assert not [*static.rglob("*.map"), *static.rglob("fontawesome*"), *static.rglob("locales")]
    everything = sum(path.stat().st_size for path in built_book.html.rglob("*") if path.is_file())
    assert everything < 9_000_000


def test_widget_states_come_after_the_text(built_book):
    page = text(built_book.html / "book/low_rank/first.html")
    assert page.index("widget-state+json") > page.index('id="exercises"')


def test_pictures_have_their_size(built_book):
    figures = re.findall(r'<img [^>]*src="[^"]*_images/[^>]*>', text(built_book.html / "book/low_rank/first.html"))
    assert figures and all('width="' in tag and 'height="' in tag for tag in figures)


# What pages say of themselves


def test_every_page_has_its_own_description_and_a_language(built_book):
    found = {}
    for page in pages(built_book):
        (tag,) = re.findall(r'<meta [^>]*name="description"[^>]*>', text(page))
        description = re.search('content="([^"]*)"', tag)[1]
        assert 20 < len(description) <= 170, (page, description)
        assert '<html lang="en"' in text(page)
        found[page] = description
    assert len(set(found.values())) == len(found)


def test_the_description_is_the_first_sentence_not_the_line_of_prerequisites(built_book):
    assert 'content="How many directions does a sum' in text(built_book.html / "book/low_rank/first.html")


def test_no_address_is_claimed_while_it_is_a_placeholder(built_book):
    assert not any('rel="canonical"' in text(page) for page in pages(built_book))


def test_once_the_address_is_set_pages_name_it(mini_book):
    book = mini_book()
    book.edit("_config.yml", "OWNER.github.io", "me.github.io")
    assert book.build().returncode == 0
    address = "https://me.github.io/low-rank-and-sparse/book/index.html"
    assert f'<link rel="canonical" href="{address}"' in text(book.html / "book/index.html")


def test_the_missing_page_needs_no_other_file_and_knows_all_pages(built_book):
    page = text(built_book.html / "404.html")
    assert not re.findall(r'(?:src|<link[^>]*href)="(?!data:)', page)
    targets = re.findall(r'<a [^>]*href="/low-rank-and-sparse/([^"#]+)"', page)
    assert {"book/low_rank/first.html", "book/checks.html", "search.html"} <= set(targets)
    assert all((built_book.html / target).is_file() for target in targets)


def test_the_search_knows_the_text(built_book):
    index = text(built_book.html / "searchindex.js")
    assert "orthonorm" in json.loads(index[len("Search.setIndex(") : -1])["terms"]


def test_the_colab_button_leads_to_the_notebook_beside_the_source(mini_book):
    book = mini_book()
    book.write("book/low_rank/first.ipynb", "{}")
    book.edit("book/low_rank/first.md", "At most two", "No more than two")
    assert book.build().returncode == 0
    page = text(book.html / "book/low_rank/first.html")
    assert "research.google.com/github/OWNER/low-rank-and-sparse/blob/main/book/low_rank/first.ipynb" in page


# What pages offer for download


def test_neither_sources_nor_executed_notebooks_are_shipped(built_book):
    assert not [path for path in (built_book.html / "_sources").rglob("*") if path.is_file()]
    for page in pages(built_book):
        assert "_sources/" not in text(page), page


def test_the_committed_notebook_is_what_one_downloads(mini_book):
    book = mini_book()
    book.write("book/low_rank/first.ipynb", '{"clean": 1}')
    book.edit("book/low_rank/first.md", "At most two", "No more than two")
    assert book.build().returncode == 0
    shipped = book.html / "_sources/book/low_rank/first.ipynb"
    assert text(shipped) == '{"clean": 1}'
    assert "_sources/book/low_rank/first.ipynb" in text(book.html / "book/low_rank/first.html")

    book.write("book/low_rank/first.ipynb", '{"clean": 2}')  # written anew after the build, as `make notebooks` does
    assert book.build().returncode == 0
    assert text(shipped) == '{"clean": 2}'


# What runs when


def test_an_unchanged_book_runs_no_cell_and_rewrites_no_page(mini_book):
    book = mini_book()
    assert book.build().returncode == 0  # the folder is a new one, so this reads all pages once
    before = stamps(book)
    result = book.build()
    assert result.returncode == 0 and "Executing notebook" not in result.log
    assert stamps(book) == before


def test_a_change_of_text_runs_no_cell(mini_book):
    book = mini_book()
    book.edit("book/low_rank/first.md", "The first bar stays", "The first bar remains")
    result = book.build()
    assert result.returncode == 0 and "Executing notebook" not in result.log
    assert "The first bar remains" in text(book.html / "book/low_rank/first.html")


def test_a_change_of_the_package_runs_the_chapters_that_import_it(mini_book):
    book = mini_book()
    assert book.build().returncode == 0
    book.write("lrsparse/unused.py", "x = 1\n")
    assert "Executing notebook" not in book.build().log
    book.edit("lrsparse/figures.py", "for the figures of the book", "for the pictures of the book")
    result = book.build()
    assert result.returncode == 0 and result.log.count("Executing notebook") == 1
    assert "pictures of the book" in text(book.html / "book/low_rank/first.html")


@pytest.fixture
def freshness(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    return importlib.import_module("book._ext.freshness")


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "lrsparse"
    (folder / "models").mkdir(parents=True)
    for name, code in {
        "__init__.py": "from lrsparse.figures import show\n",
        "figures.py": "import os\n",
        "deep.py": "",
        "models/__init__.py": "",
        "models/one.py": "from .. import deep\n",
        "models/two.py": "import torch\n",
    }.items():
        (folder / name).write_text(code)
    return tmp_path


@pytest.mark.parametrize(
    ("code", "used"),
    [
        ("import numpy", []),
        ("import lrsparse", ["__init__", "figures"]),
        ("from lrsparse.models import one", ["__init__", "figures", "deep", "models/__init__", "models/one"]),
        ("def f():\n    import lrsparse.models.two", ["__init__", "figures", "models/__init__", "models/two"]),
    ],
)
def test_files_used_by_a_chapter(freshness, package, code, used):
    found = freshness.used_files(package, code)
    assert {path.relative_to(package / "lrsparse").with_suffix("").as_posix() for path in found} == set(used)


@pytest.mark.parametrize("options", ["", ":tags: [x]\n", "---\ntags: [x]\n---\n", "%matplotlib inline\n"])
def test_imports_are_found_whatever_stands_before_them(freshness, package, options):
    chapter = f"# Title\n\n```{{code-cell}} ipython3\n{options}from lrsparse.models import one\n```\n"
    before = freshness.key(package, chapter)
    assert before
    (package / "lrsparse/models/two.py").write_text("import torch  # changed\n")
    assert freshness.key(package, chapter) == before
    (package / "lrsparse/deep.py").write_text("x = 1\n")
    assert freshness.key(package, chapter) != before

"""The converter from chapters to notebooks: every rule, every refusal, and that it gives the same bytes twice."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from conftest import MiniBook
from hypothesis import given, settings
from hypothesis import strategies as st

from book._ext import notebook_edition
from book._ext.built_book import Book
from book._ext.plain_markdown import PlainText

SITE = "https://OWNER.github.io/low-rank-and-sparse/book"
CELLS = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

"""


@pytest.fixture(scope="session")
def book(built_book: MiniBook) -> Book:
    return Book(built_book.root)


@pytest.fixture
def page(book: Book) -> PlainText:
    """A page other than the one that holds the labels."""
    return PlainText(book, book.root / "book/low_rank/second.md")


@pytest.fixture
def home(book: Book) -> PlainText:
    """The page that holds the labels."""
    return PlainText(book, book.root / "book/low_rank/first.md")


def cells_of(book: Book, text: str) -> list[nbformat.NotebookNode]:
    """The cells of a chapter `first.md` that reads so, without the two of the opening."""
    page = PlainText(book, book.root / "book/low_rank/first.md")
    return [nbformat.from_dict(cell) for cell in notebook_edition.cells(page, CELLS + text)]


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("{prf:ref}`thm-span`", f"[Theorem 1.1]({SITE}/low_rank/first.html#thm-span)"),
        ("{prf:ref}`that one <thm-span>`", f"[that one]({SITE}/low_rank/first.html#thm-span)"),
        ("{eq}`eq-model`", f"[(1.1)]({SITE}/low_rank/first.html#equation-eq-model)"),
        ("{numref}`fig-decay`", f"[Fig. 1.1]({SITE}/low_rank/first.html#fig-decay)"),
        ("{numref}`Picture %s <fig-decay>`", f"[Picture 1.1]({SITE}/low_rank/first.html#fig-decay)"),
        ("{ref}`ex-three`", f"[Exercise 1.1]({SITE}/low_rank/first.html#ex-three)"),
        ("{ref}`a title over\ntwo lines <ex-three>`", f"[a title over two lines]({SITE}/low_rank/first.html#ex-three)"),
        ("{doc}`first`", f"[The span of two vectors is low rank]({SITE}/low_rank/first.html)"),
        ("{doc}`words </book/index>`", f"[words]({SITE}/index.html)"),
        ("[words](first.md)", f"[words]({SITE}/low_rank/first.html)"),
        ("[words](#thm-span)", f"[words]({SITE}/low_rank/first.html#thm-span)"),
        ("[](#thm-span)", f"[Theorem 1.1]({SITE}/low_rank/first.html#thm-span)"),
        ("[out](https://example.org/a)", "[out](https://example.org/a)"),
        ("![far](https://example.org/a.png){width=30px}", "![far](https://example.org/a.png)"),
        ("{math}`a^2`", "$a^2$"),
        ("{sub}`a` {sup}`b`", "<sub>a</sub> <sup>b</sup>"),
        ("{abbr}`SGD (stochastic gradient descent)`", "SGD (stochastic gradient descent)"),
        ("$a % no\n= b\\label{x}$", "$a = b$"),
        ("a note[^n]\n\n[^n]: its text", "a note<sup>1</sup>\n\n\n<sup>1</sup> its text"),
        ("one <!-- gone -->two", "one two"),
        ("<!-- gone\nwholly -->\n\ntext", "text"),
        ("% gone\ntext", "text"),
        ("(here)=\n# Title", "# Title"),
        ("`code`{.python}", "`code`"),
    ],
)
def test_running_text(page: PlainText, source: str, plain: str) -> None:
    assert page.blocks(source, 1) == plain


def test_on_its_own_page_a_reference_is_a_name(home: PlainText) -> None:
    references = "{prf:ref}`thm-span` by {eq}`eq-model`, {numref}`fig-decay`"
    assert home.blocks(references, 1) == "Theorem 1.1 by (1.1), Fig. 1.1"


def test_citations_name_authors_and_year(page: PlainText) -> None:
    key = page.book.env.domaindata["cite"]["citations"][0].key
    textual, bracketed = page.blocks(f"{{cite:t}}`{key}`", 1), page.blocks(f"{{cite:p}}`{{see}}{key}{{line 3}}`", 1)
    assert textual.startswith("[") and f"]({SITE}/bibliography.html)" in textual
    assert bracketed.startswith("(see [") and bracketed.endswith(", line 3)")


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        (":::{prf:theorem} Two\n:label: thm-span\n\nText.\n:::", "> **Theorem 1.1** (Two)\n>\n> Text."),
        (":::{prf:remark}\nText.\n:::", "> **Remark**\n>\n> Text."),
        (":::{prf:proof}\nBy hand.\n:::", "*Proof.* By hand."),
        (":::{prf:proof}\n(1) By hand.\n:::", "*Proof.*\n\n(1) By hand."),
        (":::{exercise} Three\n:label: ex-three\n\nDo it.\n:::", "**Exercise 1.1** (Three)\n\nDo it."),
        (":::{note}\nText {eq}`eq-model`.\n:::", "> **Note**\n>\n> Text (1.1)."),
        ("```{warning} Mind\nText.\n```", "> **Mind**\n>\n> Text."),
        ("::::{tip}\n:::{note} Inner\nText.\n:::\n::::", "> **Tip**\n>\n> > **Inner**\n> >\n> > Text."),
        ("```{margin}\nText.\n```", "> Text."),
        (":::{tip} A\n:class: dropdown\nText.\n:::", "<details>\n<summary><b>A</b></summary>\n\nText.\n\n</details>"),
        (":::{dropdown} Open\nText.\n:::", "<details>\n<summary><b>Open</b></summary>\n\nText.\n\n</details>"),
        ("::::{tab-set}\n:::{tab-item} A\nText.\n:::\n::::", "**A**\n\nText."),
        ("```{code-block} python\n{eq}`x`\n```", "```python\n{eq}`x`\n```"),
        ("$$\na\n$$ (eq-model)", "$$\na\n\\tag{1.1}\n$$"),
        ("```{math}\n:label: eq-model\na\n```", "$$\na\n\\tag{1.1}\n$$"),
        ("$$\na &= b \\\\\n&= c\n$$", "$$\n\\begin{aligned}\na &= b \\\\\n&= c\n\\end{aligned}\n$$"),
        ("$$\n\\begin{aligned}a\\\\b\\end{aligned}\n$$", "$$\n\\begin{aligned}a\\\\b\\end{aligned}\n$$"),
        ("\\begin{align*}\na\n\\end{align*}\n\ntext", "\\begin{align*}\na\n\\end{align*}\n\ntext"),
        (":::{note}\n$$\na\n= b\n$$\n:::", "> **Note**\n>\n> $$ a = b $$"),
        ("- one\n\n  $$\n  a\n  $$ (eq-model)\n- two", "- one\n\n  $$\n  a\n  \\tag{1.1}\n  $$\n\n- two"),
        ("- ```{note}\n  Text.\n  ```", "- > **Note**\n  >\n  > Text."),
        ("text\n:::{solution} ex-three\nsecret\n:::\nmore", "text\n\nmore"),
        ("| a |\n|---|\n| {eq}`eq-model` |", "| a |\n|---|\n| (1.1) |"),
    ],
)
def test_blocks(home: PlainText, source: str, plain: str) -> None:
    assert home.blocks(source, 1) == plain


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("text\n\n```{raw} html\n```", 3, "the directive {raw} has no plain form"),
        (":::{prf:dream}\n:::", 1, "{prf:dream}"),
        (":::{note}\n\ntext {glue}`x`\n:::", 3, "the role {glue} has no plain form"),
        ("```{list-table}\n* - a\n```", 1, "{list-table}"),
        ("text\n{{ word }}", 2, "{{"),
        ("{{ block }}", 1, "{{ block }}"),
        ("term\n: meaning", 1, "term"),
        (":::\ntext\n:::", 1, ":::"),
        ("[text]{.red}", 1, "]{"),
        ("<project:#x>", 1, "<project:"),
        ("text\n$$\na\n$$", 2, "an empty line before it"),
        ("\\begin{align}\na\n\\end{align}", 1, "add a star"),
        ("{prf:ref}`thm-none`", 1, "thm-none"),
        ("{eq}`eq-none`", 1, "eq-none"),
        ("{numref}`none`", 1, "none"),
        ("{doc}`none`", 1, "none"),
        ("{cite:t}`none1999`", 1, "none1999"),
        ("{term}`none`", 1, "none"),
        ("[text](none.md)", 1, "none"),
        ("[text](data.csv)", 1, "data.csv"),
        ("![alt](none.png)", 1, "none.png"),
        ("```{figure} none.png\n```", 1, "none.png"),
        (":::{exercise}\nDo it.\n:::", 1, "needs a label"),
        (":::{table} Title\n| a |\n|---|\n:::", 1, "needs a label"),
        (":::{note}\n---\nclass: x\n---\n:::", 1, ":key: value"),
        (":::{solution-end}\n:::", 1, "solution-end without its other half"),
        (":::{solution-start} a\n:::\n\n:::{solution-start} b\n:::", 4, "solution-start without its other half"),
        (":::{note}\n```{code-cell} ipython3\n1\n```\n:::", 2, "{code-cell}"),
    ],
)
def test_what_has_no_plain_form_is_refused(page: PlainText, source: str, line: int, message: str) -> None:
    with pytest.raises(ValueError) as error:
        page.blocks(source, 10)
    assert str(error.value).startswith(f"book/low_rank/second.md:{9 + line}: ")
    assert message in str(error.value)


def test_macros_are_written_out(page: PlainText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page.book, "macros", {"R": r"\mathbb{R}", "norm": [r"\lVert #1 \rVert", 1]})
    assert page.blocks(r"$x \in \R^d$ and $\norm{x_{1}}$, not $\Re$ or `\R`", 1) == (
        r"$x \in \mathbb{R}^d$ and $\lVert x_{1} \rVert$, not $\Re$ or `\R`"
    )


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(exclude_characters="`\r", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_code_is_never_touched(book: Book, code: str) -> None:
    page = PlainText(book, book.root / "book/low_rank/second.md")
    fenced = f"```python\n{code}\n{{eq}}`none` {{{{ x }}}} % y\n```"
    assert page.blocks(fenced, 1) == fenced
    if code.strip():
        assert f"``{code} {{eq}}`none` ``" in page.blocks(f"a ``{code} {{eq}}`none` `` b", 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("abc xyz.,;*_", min_size=1).filter(str.strip), min_size=1))
def test_plain_text_stays(book: Book, lines: list[str]) -> None:
    text = "\n\n".join(line.strip() for line in lines)
    assert PlainText(book, book.root / "book/low_rank/second.md").blocks(text, 1) == text


def test_solutions_go_with_their_cells(book: Book) -> None:
    cells = cells_of(
        book,
        "before\n\n:::{solution-start} ex-three\n:::\n\nSECRET {none}`x`\n\n```{code-cell}\nSECRET = 1\n```\n\n"
        "SECRET\n\n:::{solution-end}\n:::\n\nafter\n\n```{code-cell}\nkept = 1\n```\n",
    )
    assert [cell.source for cell in cells] == ["before", "after", "kept = 1"]


def test_open_solution_is_refused(book: Book) -> None:
    with pytest.raises(ValueError, match="solution-start without its solution-end"):
        cells_of(book, ":::{solution-start} ex-three\n:::\n\ntext\n")


def test_lines_of_later_cells_are_counted_in_the_file(book: Book) -> None:
    with pytest.raises(ValueError, match=r"first\.md:13: the role \{none\}"):
        cells_of(book, "text\n\n```{code-cell}\n1\n```\n\n{none}`x`\n")


@pytest.mark.parametrize("tag", ["hide-input", "hide-cell", "remove-input", "remove-cell"])
def test_hidden_code_is_folded_and_kept(book: Book, tag: str) -> None:
    (cell,) = cells_of(book, f"```{{code-cell}} ipython3\n:tags: [{tag}]\n# Check every line: both sides\nx = 1\n```\n")
    assert cell.source == "#@title Check every line: both sides\nx = 1"
    assert cell.metadata == {"tags": [tag], "cellView": "form", "jupyter": {"source_hidden": True}}
    assert cell.outputs == [] and cell.execution_count is None


def test_a_cell_magic_stays_first(book: Book) -> None:
    (cell,) = cells_of(book, "```{code-cell}\n:tags: [hide-input]\n%%time\nx = 1\n```\n")
    assert cell.source == "%%time\nx = 1"


def test_captions_and_descriptions_follow_the_figure(book: Book) -> None:
    figure = '{figure: {name: fig-decay, caption: "A fall by {eq}`eq-model`."}, image: {alt: "Two bars, one < other"}}'
    code, words = cells_of(book, f"```{{code-cell}}\n:mystnb: {figure}\nx = 1\n```\n")
    assert code.metadata == {}
    assert words.source.startswith("**Fig. 1.1** A fall by (1.1).\n\n<details>\n<summary>The figure in words</summary>")
    assert "Two bars, one &lt; other" in words.source


def test_the_whole_chapter(book: Book) -> None:
    path = book.root / "book/low_rank/first.md"
    text = notebook_edition.convert(book, path)
    assert text == notebook_edition.convert(Book(book.root), path), "the same bytes twice"
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].source.splitlines()[0] == "*Generated from first.md; edit that.*"
    assert f"({SITE}/low_rank/first.html)" in notebook.cells[0].source
    assert "lrsparse @ https://github.com/OWNER/low-rank-and-sparse/archive/main.zip" in notebook.cells[1].source
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert "secret of the solution" in path.read_text() and "secret of the solution" not in text
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not [mark for mark in ("```{", ":::", "}`", ")=\n", "$$ (") if mark in words]


def test_a_new_cell_changes_no_other(book: Book) -> None:
    before = cells_of(book, "# A\n\n```{code-cell}\n1\n```\n")
    after = cells_of(book, "# A\n\n```{code-cell}\n0\n```\n\n```{code-cell}\n1\n```\n\n```{code-cell}\n1\n```\n")
    assert {cell.id for cell in before} < {cell.id for cell in after}
    assert len({cell.id for cell in after}) == 4


def test_install_cell_judges_the_version(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    """Run it as a reader does, twice, with the package there; then with an old one."""
    from IPython.core.interactiveshell import InteractiveShell

    install = notebook_edition.opening(PlainText(book, book.root / "book/low_rank/first.md"))[1]["source"]
    shell = InteractiveShell()
    for _ in range(2):
        shell.run_cell(install).raise_error()
    assert "lrsparse 0." in capsys.readouterr().out
    with pytest.raises(ImportError, match="uninstall it, restart"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrsparse.__version__", "0.0.9")
        shell.run_cell(install).raise_error()
    assert "torch" not in install and "numpy" not in install


EXTRAS = """[project.optional-dependencies]
real = ["numpy>=1.26", "no-such-package>=4"]
there = ["numpy", "ipykernel>=6"]
"""


def install_cell(book: MiniBook, extra: str) -> str:
    """The install cell of a chapter whose first lines name this extra."""
    book.write("pyproject.toml", EXTRAS)
    book.edit("book/low_rank/first.md", "kernelspec:", f"extra: {extra}\nkernelspec:")
    page = PlainText(Book(book.root), book.root / "book/low_rank/first.md")
    return str(notebook_edition.opening(page)[1]["source"])


def test_a_chapter_without_an_extra_keeps_its_install_cell(book: Book) -> None:
    install = notebook_edition.opening(PlainText(book, book.root / "book/low_rank/first.md"))[1]["source"]
    assert install.splitlines()[1:6] == [
        "try:",
        "    import lrsparse",
        "except ImportError:",
        f'    %pip install -q "lrsparse @ {book.archive}"',
        "    import lrsparse",
    ]


def test_install_cell_asks_for_the_extra_of_its_chapter(mini_book: Callable[[], MiniBook]) -> None:
    """Not only for the package, which imports without it: installed where one of its packages is missing."""
    from IPython.core.interactiveshell import InteractiveShell

    for extra, asked in (("real", 1), ("there", 0)):
        install = install_cell(mini_book(), extra)
        assert f'%pip install -q "lrsparse[{extra}] @ https://github.com/' in install
        calls: list[str] = []
        shell = InteractiveShell()
        shell.register_magic_function(calls.append, magic_name="pip")
        shell.run_cell(install).raise_error()
        assert len(calls) == asked


@pytest.mark.parametrize("extra", ["rael", "", "[real]"])
def test_an_unknown_extra_is_refused(mini_book: Callable[[], MiniBook], extra: str) -> None:
    with pytest.raises(ValueError, match=r"first\.md:1: extra must be one of \['real', 'there'\] in pyproject"):
        install_cell(mini_book(), extra)


def test_the_head_of_a_chapter_survives_its_extra(mini_book: Callable[[], MiniBook]) -> None:
    """The site builds without a warning, and the notebook has the kernel that every notebook has."""
    book = mini_book()
    install_cell(book, "there")
    result = book.build()
    assert result.returncode == 0, result.log
    notebook = nbformat.reads(notebook_edition.convert(Book(book.root), book.root / "book/low_rank/first.md"), 4)
    assert notebook.metadata == notebook_edition.METADATA
    assert "extra" not in (book.html / "book/low_rank/first.html").read_text()


def test_steps(mini_book: Callable[[], MiniBook]) -> None:
    """Missing, written, edited by hand, without a source, and changed since the build."""
    root = mini_book().root
    source, notebook = root / "book/low_rank/first.md", root / "book/low_rank/first.ipynb"
    notebook.unlink(missing_ok=True)
    assert "book/low_rank/first.ipynb is missing: make notebooks" in notebook_edition.out_of_step(root)
    assert notebook in notebook_edition.write(root)
    assert notebook_edition.out_of_step(root) == [] == notebook_edition.write(root)

    content = json.loads(notebook.read_text())
    content["cells"][2]["source"] = ["by hand"]
    notebook.write_text(json.dumps(content))
    (line,) = notebook_edition.out_of_step(root)
    assert line == "book/low_rank/first.ipynb is not what first.md gives: make notebooks"
    notebook_edition.write(root)

    stray = notebook.with_name("stray.ipynb")
    stray.write_text("{}")
    assert notebook_edition.out_of_step(root) == ["book/low_rank/stray.ipynb has no chapter: delete it"]
    stray.unlink()

    later = time.time() + 3600  # than the build, however old the checkout is
    os.utime(source, (later, later))
    assert [line.split(": ", 1)[1] for line in notebook_edition.out_of_step(root)] == [
        "not in the last build, or changed since: make book"
    ]


def test_the_address_comes_from_the_configuration(mini_book: Callable[[], MiniBook]) -> None:
    """And nothing else hangs on it: a new address may as well be written into the notebooks by search and replace."""
    book = mini_book()

    def convert() -> str:
        return notebook_edition.convert(Book(book.root), book.root / "book/low_rank/first.md")

    before = convert()
    book.edit("_config.yml", "https://github.com/OWNER/low-rank-and-sparse", "https://github.com/ada/rank")
    assert "https://github.com/ada/rank/archive/main.zip" in convert()
    replaced = before.replace("github.com/OWNER/low-rank-and-sparse", "github.com/ada/rank")
    assert convert() == replaced.replace("OWNER.github.io/low-rank-and-sparse", "ada.github.io/rank")
    book.edit("_config.yml", "https://github.com/ada/rank", "https://github.com/ada/Ada.github.io")
    assert "(https://ada.github.io/book/low_rank/first.html)" in convert()
    book.edit("_config.yml", "https://github.com/ada/Ada.github.io", "https://example.org/rank")
    with pytest.raises(ValueError, match="repository url in _config"):
        convert()


def test_command_line(tmp_path: Path, mini_book: Callable[[], MiniBook]) -> None:
    root = mini_book().root
    (root / "book/low_rank/first.ipynb").unlink(missing_ok=True)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, root / "book/_ext/notebook_edition.py", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    check = run("--check")
    assert check.returncode == 1 and "first.ipynb is missing" in check.stdout
    assert run().stdout.startswith("wrote book/low_rank/first.ipynb")
    assert run("--check").returncode == 0
    (root / "_build/.doctrees/environment.pickle").unlink()
    missing = run("--check")
    assert missing.returncode == 1 and "build the site first: make book" in missing.stderr

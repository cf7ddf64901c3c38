"""The notebook edition: every chapter ``book/<part>/<chapter>.md`` as a plain notebook of the same stem beside it.

    python book/_ext/notebook_edition.py            write all notebooks anew (``make notebooks``)
    python book/_ext/notebook_edition.py --check    write nothing; list those out of step with their chapter

Every cell stays, in order, except those inside solutions. What the site hides is folded, not dropped.
"""

import argparse
import hashlib
import html
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import yaml
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # of a script Python knows the folder only

from book._ext.built_book import Book  # noqa: E402
from book._ext.plain_markdown import PlainText, box  # noqa: E402

FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
INSTALL = """\
#@title Install lrsparse (does nothing where it is there already)
try:
    import lrsparse
{check}except ImportError:
    %pip install -q "lrsparse{extra} @ {archive}"
    import lrsparse

if tuple(int(part) for part in lrsparse.__version__.split(".")[:2]) < ({major}, {minor}):
    raise ImportError(f"needs lrsparse {major}.{minor} or newer, found {{lrsparse.__version__}}: uninstall it, restart")
print("lrsparse", lrsparse.__version__)"""
# The package imports without its extra, so a chapter that needs one asks for these packages by name.
CHECK_EXTRA = """\
    from importlib.metadata import version  # raises an ImportError for what is not there

    for name in {packages}:
        version(name)
"""


def chapters(root: Path) -> list[Path]:
    """The pages below the parts of the book that hold code cells."""
    pages = sorted((root / "book").glob("[!_.]*/*.md"))
    return [page for page in pages if is_myst_markdown_notebook(page.read_text(encoding="utf8"))]


def declared_extra(text: str) -> str:
    """The optional extra that a chapter with the source `text` names under `extra` in its first lines, or nothing."""
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    return str((yaml.safe_load(head[1]) if head else {}).get("extra", ""))


def required_by(root: Path, extra: str) -> list[str]:
    """Names of the packages that an optional extra of pyproject.toml asks for; none without an extra."""
    if not extra:
        return []
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf8"))["project"]["optional-dependencies"]
    if extra not in extras:
        raise ValueError(f"extra must be one of {sorted(extras)} in pyproject.toml, got {extra!r}")
    return [Requirement(line).name for line in extras[extra]]


def convert(book: Book, path: Path) -> str:
    """The notebook of one chapter, as the text of its file."""
    page = PlainText(book, path)
    if path.stat().st_mtime_ns // 1000 > book.env.all_docs.get(page.doc, 0):
        page.fail(1, "not in the last build, or changed since: make book")
    all_cells = opening(page) + cells(page, path.read_text(encoding="utf8"))
    notebook = nbformat.from_dict({"cells": all_cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def cells(page: PlainText, text: str) -> list[dict[str, Any]]:
    """The cells of a chapter that reads `text`."""
    source, lines, out = read_myst_markdown_notebook(text, add_source_map=True, path=page.path), text.split("\n"), []
    for cell, line in zip(source.cells, source.metadata["source_map"], strict=True):
        if cell.cell_type == "markdown":
            line += next(number for number, written in enumerate(lines[line:]) if written.strip())
            out.append(markdown(page.blocks(cell.source, line + 1)))
        elif cell.cell_type == "raw":
            page.fail(line, "a raw cell has no plain form")
        elif not page.hidden:
            out += code(page, cell, line)
    if page.hidden:
        page.fail(len(lines), "a solution-start without its solution-end")
    return identified(page.book, [cell for cell in out if cell["source"]])


def identified(book: Book, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every cell an id that follows from its text alone, so that a new cell or address changes no other."""
    seen: Counter[str] = Counter()
    for cell in cells:
        text = f"{cell['cell_type']}:{cell['source']}".replace(book.site, "").replace(book.archive, "")
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        cell["id"] = f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1
    return cells


def opening(page: PlainText) -> list[dict[str, Any]]:
    """Where this comes from, where its rendered page is; and the install cell."""
    title = page.book.env.titles[page.doc].astext()
    made = f"*Generated from {page.path.name}; edit that.*"
    rendered = f"The rendered page, with figures and solutions: [{title}]({page.book.url(page.doc)})."
    package = (page.book.root / "lrsparse/__init__.py").read_text(encoding="utf8")
    found = re.search(r'^__version__ = "(\d+)\.(\d+)', package, re.MULTILINE)
    if not found:
        raise ValueError('lrsparse/__init__.py must hold a line __version__ = "<major>.<minor>..."')
    extra = declared_extra(page.path.read_text(encoding="utf8"))
    try:
        packages = required_by(page.book.root, extra)
    except ValueError as error:
        page.fail(1, str(error))
    install = INSTALL.format(
        archive=page.book.archive,
        major=found[1],
        minor=found[2],
        extra=f"[{extra}]" if extra else "",
        check=CHECK_EXTRA.format(packages=packages) if packages else "",
    )
    return identified(page.book, [markdown(f"{made}\n\n{rendered}"), code_cell(install, folded=True)])


def code(page: PlainText, cell: nbformat.NotebookNode, line: int) -> list[dict[str, Any]]:
    """A code cell and, where the site has a caption or a description of its figure, these in words below it."""
    tags, site = cell.metadata.get("tags", []), cell.metadata.get("mystnb", {})
    words = []
    if figure := site.get("figure"):
        if "name" not in figure:
            page.fail(line, "a figure with a caption carries a number on the site, so it needs a name")
        words.append(f"**{page.name_and_number(figure['name'], line)}** {page.blocks(figure.get('caption', ''), line)}")
    if alt := " ".join(site.get("image", {}).get("alt", "").split()):
        words.append(box("The figure in words", html.escape(alt, quote=False), True))
    return [code_cell(cell.source, bool(FOLDED.intersection(tags)), tags), markdown("\n\n".join(words))]


def code_cell(source: str, folded: bool, tags: list[str] | None = None) -> dict[str, Any]:
    """A cell without outputs. A folded one is a form in Colab, its first comment as title, and closed in JupyterLab."""
    metadata: dict[str, Any] = {"tags": list(tags)} if tags else {}
    if folded:
        metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
        if not source.startswith(("%%", "#@title")):  # a cell magic must stay on the first line
            comment = re.match(r"#+ *(\S.*)(?:\n|$)", source)
            title, rest = (comment[1], source[comment.end() :]) if comment else ("Show the code", source)
            source = f"#@title {title}\n{rest}"
    cell = {"cell_type": "code", "source": source.strip("\n"), "metadata": metadata}
    return cell | {"outputs": [], "execution_count": None}


def markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def out_of_step(root: Path = ROOT) -> list[str]:
    """One sentence for every notebook that is not, byte for byte, what its chapter gives."""
    book, found = Book(root), []
    for path in chapters(root):
        notebook = path.with_suffix(".ipynb")
        name = notebook.relative_to(root).as_posix()
        try:
            text = convert(book, path)
        except ValueError as error:
            found.append(str(error))
            continue
        if not notebook.exists():
            found.append(f"{name} is missing: make notebooks")
        elif notebook.read_bytes() != text.encode():
            found.append(f"{name} is not what {path.name} gives: make notebooks")
    sources = {path.with_suffix(".ipynb") for path in chapters(root)}
    strays = sorted(set((root / "book").glob("[!_.]*/*.ipynb")) - sources)
    return found + [f"{path.relative_to(root).as_posix()} has no chapter: delete it" for path in strays]


def write(root: Path = ROOT) -> list[Path]:
    """Write every notebook that is out of step; return what was written."""
    book = Book(root)
    texts = {path.with_suffix(".ipynb"): convert(book, path).encode() for path in chapters(root)}
    changed = [path for path, text in texts.items() if not path.exists() or path.read_bytes() != text]
    for path in changed:
        path.write_bytes(texts[path])
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, list the notebooks out of step")
    check = parser.parse_args().check
    try:
        lines = out_of_step() if check else [f"wrote {path.relative_to(ROOT).as_posix()}" for path in write()]
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines) or "every notebook is in step with its chapter")
    return int(check and bool(lines))


if __name__ == "__main__":
    sys.exit(main())

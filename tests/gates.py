"""The gates on the built book: each takes the root of the book and names every problem that it finds."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pages
import yaml
from bs4 import BeautifulSoup, Tag

# At the end, because one of the book's extensions bears the name of a module of Python's own.
sys.path.append(str(Path(__file__).parents[1] / "book/_ext"))
import notebook_edition

MIME = "application/vnd.lrsparse.claims+json"
STATE = "application/vnd.jupyter.widget-state+json"
MEGABYTE = 1_000_000

# What the last line of a box says; the first of these words counts.
STATUS_WORDS = {
    "proved": r"(?<!not )\bproved\b",
    "stated": r"\b(?:stated|quoted)\b",
    "simulated": r"\b(?:simulated|measured|seen in our runs)\b",
    "conjecture": r"\bconjectured?\b",
}
STATEMENTS = ("theorem", "lemma", "proposition", "corollary", "conjecture")

LEFTOVERS = {
    "a directive": r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{",
    "the end of a directive": r"^\s*:{3,}\s*$",
    "a role": r"\{[a-z][\w:+-]*\}`",
    "an option": r"^:(?:class|label|name|tags|alt|nonumber|width):",
    "a target": r"^\([\w:.-]+\)=\s*$",
    "the label of an equation": r"\$\$\s*\([\w:.-]+\)\s*$",
    "a substitution": r"\{\{.*?\}\}",
    "a block break": r"^\+\+\+",
    "a comment": r"^% ",
}
SOLUTION = re.compile(
    r"^(?P<gate>:{3,}|`{3,})\{solution-start\}.*?^(?P=gate)\s*$(?P<gated>.*?)^(?:`{3,}|:{3,})\{solution-end\}"
    r"|^(?P<fence>:{3,}|`{3,})\{solution\}(?P<plain>.*?)^(?P=fence)\s*$",
    re.MULTILINE | re.DOTALL,
)


def html_pages(root: Path) -> dict[str, BeautifulSoup]:
    """Every page of the built site by its path, but those that only send the reader on."""
    site = root / "_build/html"
    files = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.relative_to(site).parts]
    found = {path.relative_to(site).as_posix(): _parsed(path, path.stat().st_mtime_ns) for path in files}
    return {name: page for name, page in found.items() if not page.select_one('meta[http-equiv="refresh" i]')}


@cache
def _parsed(path: Path, changed: int) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _sources(root: Path) -> list[Path]:
    """The pages of the book as they are written."""
    found = sorted((root / "book").rglob("*.md"))
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(root / "book").parts)]


def notebooks_in_step(root: Path) -> list[str]:
    """Every chapter has its notebook, and generating it anew changes nothing."""
    return list(notebook_edition.out_of_step(root))


def toc(root: Path) -> list[str]:
    """Every entry of the table of contents is a page, and every page of the book an entry."""
    named = pages.entries(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))
    written = [path.relative_to(root).with_suffix("").as_posix() for path in _sources(root)]
    lost = [f"{name}: no page was built" for name in pages.missing(root)]
    return lost + [f"{name}: not in the table of contents" for name in written if name not in named]


def alt_texts(root: Path) -> list[str]:
    """Every picture, those of sliders included, has a description of its own."""
    problems: list[str] = []
    seen: dict[str, str] = {}
    for name, page in html_pages(root).items():
        pictures = [*page.select("article img"), *_slider_pictures(page)]
        for image in pictures:
            source = str(image.get("src", ""))
            shown = source if len(source) < 80 else source[:30] + "..."
            alt = " ".join(str(image.get("alt") or "").split())
            if not alt:
                problems.append(f"{name}: {shown} has no description")
            elif re.search(r"\.(?:png|svg|jpe?g|gif|webp)$|_images/|<Figure", alt) or alt == Path(source).stem:
                problems.append(f"{name}: {shown} is described by a path: {alt}")
            elif alt in seen:
                problems.append(f"{name}: {shown} has the description of another picture, on {seen[alt]}: {alt}")
            seen.setdefault(alt, name)
    return problems


def _slider_pictures(page: Tag) -> Iterator[Tag]:
    """The pictures in the state of the page's widgets."""
    for model in _widgets(page):
        if model.get("model_name") == "ImageModel":
            yield from BeautifulSoup('<img src="an ipywidgets.Image, which can have none">', "html.parser")
        yield from BeautifulSoup(str(model.get("state", {}).get("value", "")), "html.parser").find_all("img")


def _widgets(page: Tag) -> Iterator[dict[str, Any]]:
    for script in page.find_all("script", type=STATE):
        yield from json.loads(script.string or "{}").get("state", {}).values()


def errors(root: Path) -> list[str]:
    """No page shows an error; that of a widget's callback stops neither build nor notebook, but is published."""
    problems = [
        f"{name}: shows an error" for name, page in html_pages(root).items() if page.select(".output.traceback")
    ]
    for name, page in html_pages(root).items():
        for model in _widgets(page):
            outputs = model.get("state", {}).get("outputs") or []
            problems += [f"{name}: a callback raised {o['ename']}" for o in outputs if o.get("output_type") == "error"]
    return problems


def notebooks_clean(root: Path) -> list[str]:
    """No shipped notebook holds MyST, an output or a solution, and the site ships the committed ones and no source."""
    problems: list[str] = []
    secrets = {path: solution_lines(path.read_text(encoding="utf-8")) for path in _sources(root)}
    every = [line for lines in secrets.values() for line in lines]
    site = root / "_build/html"
    committed = {path.relative_to(root): path for path in sorted((root / "book").rglob("*.ipynb"))}
    for path in [*committed.values(), *sorted(site.rglob("*.ipynb"))]:
        name = path.relative_to(root).as_posix()
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.get("outputs"):
                problems.append(f"{name}: holds an output")
            if cell.cell_type == "markdown":
                text = re.sub(r"(?ms)^```(?!\{).*?^```\s*$", "", cell.source)
                left = [what for what, form in LEFTOVERS.items() if re.search(form, text, re.MULTILINE)]
                problems += [f"{name}: MyST left over, {what}: {cell.source[:60]!r}" for what in left]
        text = _plain("\n".join(cell.source for cell in notebook.cells))
        problems += [f"{name}: holds text of a solution: {line}" for line in every if line in text]
    for path in sorted((site / "_sources").rglob("*")) if (site / "_sources").is_dir() else []:
        kept = root / path.relative_to(site / "_sources")
        if path.is_file() and (path.suffix != ".ipynb" or not kept.is_file() or path.read_bytes() != kept.read_bytes()):
            problems.append(f"{path.relative_to(root).as_posix()}: not a committed notebook")
    return problems


def solution_lines(source: str) -> list[str]:
    """The lines that stand only in the solutions of a chapter, cut at roles, which a notebook writes in another way."""
    outside = _plain(SOLUTION.sub("", source))
    inside = "\n".join(match["gated"] or match["plain"] for match in SOLUTION.finditer(source))
    lines = (line for line in inside.split("\n") if not re.match(r"\s*(?:[:`]{3,}|:\w+:|$)", line))
    parts = (_plain(part) for line in lines for part in re.split(r"\{[\w:]+\}`[^`]*`|\[[^\]]*\]\([^)]*\)", line))
    return [part for part in parts if len(part) >= 15 and part not in outside]


def _plain(text: str) -> str:
    return " ".join(text.split())


def statement_classes(root: Path) -> list[str]:
    """Every statement carries one status as a class, and its last line says the same in words."""
    problems = []
    for name, page in html_pages(root).items():
        for box in page.select(", ".join(f"div.proof.{kind}" for kind in STATEMENTS)):
            kind, *classes = [word for word in box["class"] if word != "proof"]
            status = [word for word in classes if word in STATUS_WORDS]
            if kind == "conjecture":  # the kind says it, and Sphinx writes a class once
                status.append(kind)
            lines = box.select("p")
            text = lines[-1].get_text() if lines and lines[-1].find("em") else ""
            said = {
                word: found.start() for word, form in STATUS_WORDS.items() if (found := re.search(form, text, re.I))
            }
            first = min(said, key=said.__getitem__, default="nothing")
            if status != [first]:
                problems.append(
                    f"{name}#{box.get('id', '')}: has status {status}, its last line says {first}: {text!r}"
                )
    return problems


def claims(root: Path) -> list[str]:
    """Every chapter that runs code makes claims, and every claim is as expected."""
    records = site_claims(root)
    problems = [f"{record['id']}: {record['verdict']}" for record in records if not record["as_expected"]]
    chapters = [path.relative_to(root).with_suffix("").as_posix() for path in notebook_edition.chapters(root)]
    with_claims = {record["page"] for record in records}
    return problems + [f"{name}: makes no claim" for name in chapters if name not in with_claims]


def site_claims(root: Path) -> list[dict[str, Any]]:
    """The records that the site shows."""
    path = root / "_build/html/claims.json"
    return list(json.loads(path.read_text(encoding="utf-8"))["claims"]) if path.is_file() else []


def notebook_claims(notebook: Any) -> list[dict[str, Any]]:
    """The records in the outputs of an executed notebook."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [dict(record) for output in outputs for record in output.get("data", {}).get(MIME, [])]


def same_numbers(root: Path, page: str, notebook: Any) -> list[str]:
    """A second run, of the notebook, measures exactly the numbers that the site shows for the page."""
    site = {record["id"]: record["values"] for record in site_claims(root) if record["page"] == page}
    again = {record["id"]: record["values"] for record in notebook_claims(notebook)}
    return [
        f"{page}: {name} is {site.get(name)} on the site, {again.get(name)} in the notebook"
        for name in {**site, **again}
        if site.get(name) != again.get(name)
    ]


def sizes(root: Path) -> list[str]:
    """A page takes at most 1.5 MB besides what all pages share, the site at most 25 MB."""
    site = root / "_build/html"
    problems = []
    for name, page in html_pages(root).items():
        files = {site / name} | {_target(site, name, str(image["src"]))[0] for image in page.select("img[src]")}
        size = sum(path.stat().st_size for path in files if path.is_file() and "_static" not in path.parts)
        if size > 1.5 * MEGABYTE:
            problems.append(f"{name}: {size / MEGABYTE:.2f} MB")
    whole = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    return problems + ([f"the site: {whole / MEGABYTE:.1f} MB"] if whole > 25 * MEGABYTE else [])


def descriptions(root: Path) -> list[str]:
    """Every page describes itself to those who search, each in other words."""
    problems: list[str] = []
    seen: dict[str, str] = {}
    for name, page in html_pages(root).items():
        texts = [str(meta.get("content", "")).strip() for meta in page.select('meta[name="description"]')]
        if len(texts) != 1 or len(texts[0]) < 20:
            problems.append(f"{name}: needs one description, has {texts}")
        elif texts[0] in seen:
            problems.append(f"{name}: has the description of {seen[texts[0]]}")
        else:
            seen[texts[0]] = name
    return problems


def links(root: Path) -> list[str]:
    """Every link to a page, a file or a place of the site leads there."""
    site = root / "_build/html"
    anchors: dict[Path, set[str]] = {}
    problems = []
    for name, page in html_pages(root).items():
        base = page.select_one("base[href]")
        start = "" if base else name  # only the missing page has one; it counts from the root of the site
        for element in page.select("a[href], link[href], img[src], script[src]"):
            address = str(element.get("href") or element.get("src") or "")
            if not address or urlsplit(address).scheme or address.startswith("//"):
                continue
            path, anchor = _target(site, start, address)
            if not path.is_file():
                problems.append(f"{name}: {address} does not exist")
            elif anchor and path.suffix == ".html":
                if path not in anchors:
                    places = _parsed(path, path.stat().st_mtime_ns).select("[id], a[name]")
                    anchors[path] = {str(place.get("id") or place.get("name")) for place in places}
                if anchor not in anchors[path]:
                    problems.append(f"{name}: {address} has no such place")
    return sorted(set(problems))


def prefix(root: Path) -> str:
    """The path at which the site is published: the missing page, shown at any address, counts from there."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return urlsplit(config.get("html", {}).get("baseurl", "")).path.rstrip("/") + "/"


def _target(site: Path, page: str, address: str) -> tuple[Path, str]:
    start = prefix(site.parents[1])
    parts = urlsplit(urljoin(f"http://site{start}{page}", unescape(address)))
    path = site / unquote(parts.path).removeprefix(start).lstrip("/")
    return (path / "index.html" if path.is_dir() else path), unquote(parts.fragment)


GATES: tuple[Callable[[Path], list[str]], ...] = (
    notebooks_in_step,
    toc,
    alt_texts,
    errors,
    notebooks_clean,
    statement_classes,
    claims,
    sizes,
    descriptions,
    links,
)

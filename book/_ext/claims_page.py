"""Collects the claims of all executed chapters: into claims.json and onto the page *How this book is checked*.

No cell is run for it: the records leave the notebooks while the pages are read and live in the pickled environment from
then on, and the page is written again only when something on it has changed.
"""

import hashlib
import json
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer, load_mime_renders
from myst_nb.sphinx_ import NbMetadataCollector, SphinxEnvType
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

MIME = "application/vnd.lrsparse.claims+json"
VERSIONS = ("torch", "numpy", "matplotlib", "scikit-learn", "ipywidgets", "jupyter-book", "Sphinx", "myst-nb")
LOGGER = logging.getLogger(__name__)


class Records:
    """Puts the records of a claims table, and the table as the chapter shows it, aside; prints nothing of its own."""

    mime_priority_overrides = ()

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool) -> list[nodes.Element] | None:
        env = cast(SphinxEnvType, renderer.renderer.sphinx_env)
        page = NbMetadataCollector.get_doc_data(env).setdefault(env.docname, {})
        if data.mime_type == MIME:
            page.setdefault("claims", []).extend(json.loads(json.dumps(data.content)))
            return []
        if data.mime_type == "text/html" and 'class="lrs-table lrs-claims"' in data.content:
            page.setdefault("claims_html", []).append(data.content)
        return None


def pages(env: BuildEnvironment) -> dict[str, dict[str, Any]]:
    """What was put aside on every page that has claims, in the order of the table of contents."""
    found = NbMetadataCollector.get_doc_data(cast(SphinxEnvType, env))
    order = [*env.collect_relations(), *sorted(env.found_docs)]
    return {name: found[name] for name in dict.fromkeys(order) if found.get(name, {}).get("claims")}


def claims(env: BuildEnvironment) -> list[dict[str, Any]]:
    """All records, each with its page."""
    return [{"page": name, **record} for name, page in pages(env).items() for record in page["claims"]]


def versions() -> dict[str, str]:
    """The software that this build ran on."""
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in VERSIONS},
        "Machine": f"{platform.system()}, {platform.machine()}",
    }


def ratios(env: BuildEnvironment) -> dict[str, Any]:
    """The committed ratios of speed against peers; empty if there are none."""
    path = Path(env.srcdir, "benchmarks/ratios.json")
    return json.loads(path.read_text()) if path.is_file() else {}


class Part(nodes.General, nodes.Element):
    """Holds the place of a part of the page until every chapter has been executed."""


class PartDirective(SphinxDirective):
    """`claims-table`, `build-versions`, `benchmark-ratios`."""

    def run(self) -> list[nodes.Node]:
        env = cast(SphinxEnvType, self.env)
        NbMetadataCollector.set_doc_data(env, env.docname, "has_checks", True)
        # statements hold mathematics, and MathJax is loaded only where a page is known to have some
        cast(Any, env.get_domain("math")).data["has_equations"][env.docname] = True
        return [Part(part=self.name)]


class FillParts(SphinxPostTransform):
    """Puts the tables where the directives stand."""

    default_priority = 8  # like the table of execution times

    def run(self, **kwargs: Any) -> None:
        for part in list(self.document.findall(Part)):
            if part["part"] == "claims-table":
                part.replace_self(self.claims())
            elif part["part"] == "build-versions":
                part.replace_self(table(["Software", "Version"], versions()))
            else:
                found = ratios(self.env)
                part.replace_self(
                    [nodes.rubric("", found["title"]), table(found["heads"], found["rows"])] if found else []
                )

    def claims(self) -> list[nodes.Node]:
        """The tables as the chapters show them, with a link from every id to the chapter."""
        out: list[nodes.Node] = []
        for name, page in pages(self.env).items():
            url = self.app.builder.get_relative_uri(self.env.docname, name)
            words = [child.deepcopy() for child in self.env.titles[name].children]
            title = nodes.title("", "", nodes.reference("", "", *words, refuri=url, internal=True))
            shown = re.sub(
                r'(<tr class="[\w-]+") id="claim-([^"]+)">(.*?<small>)\2',
                rf'\1>\3<a href="{url}#claim-\2">\2</a>',
                "".join(page["claims_html"]),
            )
            body = nodes.raw("", shown, format="html", classes=["output", "text_html"])
            out.append(nodes.section("", title, body, ids=[f"claims-of-{name.rpartition('/')[2].replace('_', '-')}"]))
        return out or [nodes.paragraph("", "No chapter makes a claim yet.")]


def table(heads: list[str], rows: dict[str, Any]) -> nodes.table:
    """A table of two columns."""
    group = nodes.tgroup("", nodes.colspec(colwidth=50), nodes.colspec(colwidth=50), cols=2)
    lines = [
        nodes.row("", *(nodes.entry("", nodes.paragraph("", str(text))) for text in line))
        for line in [heads, *rows.items()]
    ]
    group += [nodes.thead("", lines[0]), nodes.tbody("", *lines[1:])]
    return nodes.table("", group, classes=["colwidths-auto"])


def changed(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The pages to write again because claims, versions or ratios differ from those they show."""
    shown = hashlib.sha256(repr((pages(env), versions(), ratios(env))).encode()).hexdigest()
    before, cast(Any, env).checks_shown = getattr(env, "checks_shown", None), shown
    found = NbMetadataCollector.get_doc_data(cast(SphinxEnvType, env))
    return [] if shown == before else [name for name in found if found[name].get("has_checks")]


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of ids that do not begin with their chapter or stand twice in the book."""
    seen: dict[str, str] = {}
    for record in claims(env):
        name, page = record["id"], record["page"]
        if name.partition(".")[0] != page.rpartition("/")[2]:
            LOGGER.warning("claim %s must begin with %s.", name, page.rpartition("/")[2], location=page, type="claims")
        if name in seen:
            LOGGER.warning("claim %s stands in %s already", name, seen[name], location=page, type="claims")
        seen[name] = page


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write claims.json beside the site and into it, if it differs."""
    if exception or app.builder.format != "html":
        return
    text = json.dumps({"versions": versions(), "claims": claims(app.env)}, indent=1, ensure_ascii=False) + "\n"
    for folder in (Path(app.outdir).parent, Path(app.outdir)):
        path = folder / "claims.json"
        if not path.is_file() or path.read_text(encoding="utf8") != text:
            path.write_text(text, encoding="utf8")


def setup(app: Sphinx) -> dict[str, Any]:
    # An entry point would do the same, but only for an installed package; the list is cached and shared.
    if Records not in load_mime_renders():
        load_mime_renders().append(cast(Any, Records))
    app.add_node(Part)
    for name in ("claims-table", "build-versions", "benchmark-ratios"):
        app.add_directive(name, PartDirective)
    app.add_post_transform(FillParts)
    app.connect("env-updated", changed)
    app.connect("env-check-consistency", check)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

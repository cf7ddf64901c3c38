"""Mends the pages of the theme once, in one place: what they load, say of themselves and offer for download."""

import os
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import imagesize
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

# Files of the theme and of extensions that no page uses, as patterns below _static.
UNUSED = (
    "**/*.map",
    "**/*.LICENSE.txt",
    "locales",
    "scripts/fontawesome.js",
    "vendor/fontawesome",
    "sbt-webpack-macros.html",
    "webpack-macros.html",
    "images/logo_binder.svg",
    "images/logo_deepnote.svg",
    "images/logo_jupyterhub.svg",
    "images/logo_jupyterlite.svg",
)
# Scripts of extensions, each with what a page must hold to need it.
NEEDED_BY = {
    "maths.js": 'class="math',
    "widgets.js": "application/vnd.jupyter.widget-view+json",
    "design-tabs.js": "sd-tab-set",
    "clipboard.min.js": 'class="highlight',
    "copybutton.js": 'class="highlight',
    "togglebutton.js": "dropdown",
    "exercise.js": "",
}

AT_ONCE = ("_static/documentation_options.js",)  # tiny, and read by lines in the page


def address(app: Sphinx, config: Config) -> None:
    """Links of the missing page start at the path of the site's address; a placeholder is said nowhere."""
    config.notfound_urls_prefix = urlparse(config.html_baseurl).path or "/"
    if "OWNER" in config.html_baseurl:
        config.html_baseurl = ""


def describe(doctree: nodes.document) -> str:
    """The first sentences of a page, at most 160 characters."""
    for paragraph in doctree.findall(nodes.paragraph):
        inside = paragraph.parent
        text = re.sub(r"\s+", " ", paragraph.astext()).strip()
        # not a box, a list or the line of prerequisites
        if isinstance(inside, nodes.section) and len(text) > 40 and " · " not in text and "$" not in text:
            return text if len(text) <= 160 else text[:157].rsplit(" ", 1)[0].rstrip(",;:") + "…"
    return ""


def mended(body: str) -> str:
    """Roles, labels and ids that stock extensions set wrongly."""
    body = body.replace(' role="doc-biblioentry"', ' role="listitem"')  # children of role="list" must be items
    body = body.replace(' aria-label="Toggle hidden content"', "")  # "Show code" is what one sees
    return re.sub(r' id="(?:proof|(?:proof|exercise|solution)-content)"', "", body)  # the same on every box


def sized(app: Sphinx, body: str) -> str:
    """Say the size of every picture, so that no line moves when it arrives."""
    files = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}

    def measure(match: re.Match[str]) -> str:
        file = files.get(Path(match["name"]).name)
        if file is None or "width" in match[0] or file.suffix == ".svg":
            return match[0]
        width, height = imagesize.get(file)
        # Figures are drawn finer than shown, for screens with small dots; 104 as in lrsparse/widgets.py.
        scale = 104 / (imagesize.getDPI(file)[0] if imagesize.getDPI(file)[0] > 100 else 104)
        return f'{match[0][:4]} width="{width * scale:.0f}" height="{height * scale:.0f}"{match[0][4:]}'

    return re.sub(r'<img [^>]*src="[^">]*_images/(?P<name>[^">]+)"[^>]*>', measure, body)


def page(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """What one page loads, says of itself and offers for download."""
    body = context.get("body", "")

    def needed(script: Any) -> bool:
        name = Path(str(getattr(script, "filename", None) or script)).name
        return NEEDED_BY.get(name, "") in body

    scripts = {str(getattr(s, "filename", None) or s): s for s in context["script_files"]}
    if NEEDED_BY["maths.js"] in body and not any(name.endswith("maths.js") for name in scripts):
        app.builder.add_js_file("maths.js", defer="defer")  # type: ignore[attr-defined]  # formulas in outputs only
    context["script_files"] = [script for script in context["script_files"] if needed(script)]
    for script in list(context["script_files"]):
        attributes = getattr(script, "attributes", {})
        if "widget-state" in attributes.get("type", ""):  # the pictures of all sliders: after the text, not before it
            context["script_files"].remove(script)
            context["body"] += f'<script type="{attributes["type"]}">{attributes["body"]}</script>'
        elif pagename != "search" and getattr(script, "filename", None) and script.filename not in AT_ONCE:
            # a new object: all pages share this one
            deferred = type(script)(script.filename, priority=script.priority, **attributes | {"defer": "defer"})
            context["script_files"][context["script_files"].index(script)] = deferred

    if 'name="description"' not in context.get("metatags", ""):
        text = describe(doctree) if doctree else ""
        text = text or f"{context.get('title', '')}: a page of {app.config.html_title}.".lstrip(": ")
        text = re.sub(r"<[^>]+>", "", text)
        context["metatags"] = context.get("metatags", "") + f'\n<meta name="description" content="{escape(text)}" />'

    context["site_path"] = app.config.notfound_urls_prefix
    context["body"] = sized(app, mended(context.get("body", "")))

    committed = doctree is not None and Path(app.env.doc2path(pagename)).with_suffix(".ipynb").is_file()
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            group["buttons"] = [
                button
                for button in group["buttons"]
                if button["label"] != "download-source-button"
                and (committed or button["label"] != "download-notebook-button")
            ]


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Ship the committed notebooks, no sources; drop what no page uses."""
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for path in sorted((out / "_sources").rglob("*")):
        if not path.is_file():
            continue
        committed = Path(app.srcdir, path.relative_to(out / "_sources"))
        if path.suffix != ".ipynb" or not committed.is_file():
            path.unlink()
        elif path.read_bytes() != committed.read_bytes():
            shutil.copyfile(committed, path)
    for pattern in UNUSED:
        for path in list((out / "_static").glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    os.environ["TQDM_DISABLE"] = "1"  # for the kernels: progress bars are for readers who wait, a page keeps none
    # jupyter-book sets it for sphinx_comments, which is not loaded here
    app.add_config_value("comments_config", {}, "", dict)
    app.connect("config-inited", address, priority=100)
    app.connect("html-page-context", page, priority=900)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""A chapter runs again exactly when a module of `lrsparse` that it imports, directly or not, has changed.

Jupyter's cache compares code cells and the kernel's description only, so a change in the package would go unseen. A
hash of the modules that the chapter imports goes into the description; Sphinx re-reads the page when the hash is new.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGE = "lrsparse"
CELL = re.compile(r"^(?P<fence>`{3,}|:{3,})\{code-cell\}[^\n]*\n(?P<code>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"\A(?:---\n(?:[^\n]*\n)*?---\n|(?::[\w-]+:[^\n]*\n)+)")  # as YAML, or as lines
MAGIC = re.compile(r"^([ \t]*)[%!].*$", re.MULTILINE)


def imports(code: str, inside: str = "") -> Iterator[str]:
    """Full names of the modules and members of the package that `code`, a file of the folder `inside`, imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = inside.split(".")[: len(inside.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE)


def used_files(root: Path, code: str) -> set[Path]:
    """Files of the package that run when `code` is executed; importing a.b.c runs the `__init__` of a and a.b too."""
    found: set[Path] = set()
    waiting = list(imports(code))
    while waiting:
        parts = waiting.pop().split(".")
        for n in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:n])
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                if path.is_file() and path not in found:
                    found.add(path)
                    inside = ".".join(parts[: n if path.name == "__init__.py" else n - 1])
                    waiting.extend(imports(path.read_text(encoding="utf-8"), inside))
    return found


def key(root: Path, text: str) -> str:
    """Hash of all that a chapter with the source `text` imports from the package; empty if it imports nothing."""
    files: set[Path] = set()
    for cell in CELL.finditer(text):
        with suppress(SyntaxError):  # running the cell says it better
            files |= used_files(root, MAGIC.sub(r"\1pass", OPTIONS.sub("", cell["code"])))
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16] if files else ""


def mark(app: Sphinx, docname: str, source: list[str]) -> None:
    """Write the hash into the kernel's description, which Jupyter's cache compares."""
    if text := key(Path(app.srcdir), source[0]):
        inserted = rf"\g<0>{PACKAGE}: {text}, "
        source[0], count = re.subn(r"\A---\n(?:.*\n)*?kernelspec:[ \t]*\{", inserted, source[0], count=1)
        if not count:  # the block form of YAML
            block = rf"\g<1>\g<2>{PACKAGE}: {text}\n\g<2>"
            source[0], count = re.subn(r"(\A---\n(?:.*\n)*?kernelspec:[ \t]*\n)([ \t]+)", block, source[0], count=1)
        if not count:
            raise ValueError(f"{docname} imports {PACKAGE} and must name its kernelspec in its first lines")


def stale(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Pages whose text stands as it was, but not the modules they import."""
    old = getattr(env, "lrsparse_keys", {})
    sources = {name: Path(env.doc2path(name)) for name in env.found_docs}
    new = {n: key(Path(app.srcdir), p.read_text(encoding="utf-8")) for n, p in sources.items() if p.suffix == ".md"}
    env.lrsparse_keys = new  # type: ignore[attr-defined]  # kept with the environment, between builds
    return [name for name in new if name in old and old[name] != new[name]]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", stale)
    app.connect("source-read", mark)
    return {"parallel_read_safe": True}

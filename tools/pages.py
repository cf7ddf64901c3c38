"""Fails, naming them, when entries of _toc.yml have no page in the built site."""

import sys
from pathlib import Path

import yaml


def entries(node: object) -> list[str]:
    """All documents named in a table of contents, in order."""
    if isinstance(node, list):
        return [name for item in node for name in entries(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [name for value in node.values() for name in entries(value)]


def missing(root: Path) -> list[str]:
    """Entries of the table of contents under `root` that have no page."""
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    return [name for name in entries(toc) if not (root / f"_build/html/{name}.html").is_file()]


if __name__ == "__main__":
    if lost := missing(Path()):
        sys.exit(f"No page was built for: {', '.join(lost)}")

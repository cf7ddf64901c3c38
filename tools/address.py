"""Rewrites the address of the repository, and of the site that follows from it, wherever they stand."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

SKIPPED = {".git", ".venv", "_build", "vendor", "node_modules", "__pycache__"}
SUFFIXES = {".bib", ".cff", ".html", ".ipynb", ".js", ".md", ".py", ".toml", ".txt", ".yml"}


def parse(url: str) -> tuple[str, str]:
    """Owner and name of the repository at `url`."""
    match = re.fullmatch(r"https://github\.com/([A-Za-z0-9][A-Za-z0-9-]*)/([\w.-]+?)(?:\.git)?/?", url.strip())
    if match is None:
        said = f"got {url!r}" if url else "none was given"
        raise ValueError(f"URL must be https://github.com/<owner>/<repository>, {said}: make address URL=...")
    return match[1], match[2]


def site(owner: str, name: str) -> str:
    """Where GitHub Pages shows the site of a repository, without https."""
    return f"{owner}.github.io" if name.lower() == f"{owner}.github.io".lower() else f"{owner}.github.io/{name}"


def current(root: Path) -> tuple[str, str]:
    """Owner and name that stand in _config.yml."""
    match = re.search(r"https://github\.com/[^\s\"',}]+", (root / "_config.yml").read_text())
    if match is None:
        raise ValueError("_config.yml holds no https://github.com/<owner>/<repository>")
    return parse(match[0])


def texts(root: Path) -> Iterator[Path]:
    """Files that may hold the address."""
    for path in sorted(root.rglob("*")):
        if path.suffix in SUFFIXES and not SKIPPED & set(path.relative_to(root).parts) and path.is_file():
            yield path


def rewrite(root: Path, url: str) -> list[Path]:
    """Put `url` in place of the present address; the files changed. A second call changes none."""
    old, new = current(root), parse(url)
    # As in github.com/owner/name and, for Colab, in colab.research.google.com/github/owner/name.
    patterns = {rf"(github(?:\.com)?)/{re.escape('/'.join(old))}(?![\w-])": rf"\1/{'/'.join(new)}"}
    patterns[rf"(?<=//){re.escape(site(*old))}(?![\w-])"] = site(*new)
    changed = []
    for path in texts(root):
        before = after = path.read_bytes().decode()
        for pattern, replacement in patterns.items():
            after = re.sub(pattern, replacement, after)
        if after != before:
            path.write_bytes(after.encode())
            changed.append(path)
    return changed


if __name__ == "__main__":
    try:
        changed = rewrite(Path(), sys.argv[1] if len(sys.argv) > 1 else "")
    except ValueError as fault:
        sys.exit(str(fault))
    print("\n".join(map(str, changed)) or "nothing to change")

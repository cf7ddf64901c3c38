"""Copy the pictures of the front page and the README out of the built site: cells tagged first-look made them."""

import re
import sys
from pathlib import Path

PICTURES = {
    "first-look": ("book/low_rank/low_rank_updates.html", "book/_static/first-look.png"),
    "first-look-pruning": ("book/low_rank/pruning.html", "book/_static/first-look-pruning.png"),
}


def built(root: Path, tag: str) -> Path:
    """The picture that the cell with this tag made, in the built site."""
    page = root / "_build/html" / PICTURES[tag][0]
    picture = rf'tag_{tag}(?![\w-]).*?<img[^>]*?src="([^"]+\.png)"'
    found = re.search(picture, page.read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise ValueError(f"{page.name} has no picture from a cell tagged {tag}")
    return (page.parent / found[1]).resolve()


if __name__ == "__main__":
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for tag, (_, target) in PICTURES.items():
        (root / target).write_bytes(built(root, tag).read_bytes())

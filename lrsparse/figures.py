"""How figures and source code look: right on light and on dark pages, in the book and in Jupyter."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from cycler import cycler
from IPython.display import display

# A grey with contrast 4.9 on white and 3.9 on the dark page, which lifts it to 5.2 (custom.css); colours near those of
# Okabe and Ito (safe for the colour-blind), each with contrast >= 3 on both.
GREY = "#6e7276"
COLOURS = ("#2f81c4", "#d2691e", "#139070", "#c060a0", "#a08000", "#4f9bb5", "#8a6fd1", "#808080")

STYLE: Any = {
    "figure.figsize": (5.8, 3.5),
    "figure.dpi": 144,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "savefig.bbox": "standard",  # so that the frames of a slider keep one size
    "axes.facecolor": "none",
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.2,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "font.size": 12,
    "lines.linewidth": 2.0,
    "image.cmap": "cividis",
}


def use_style() -> None:
    """Set matplotlib's rcParams for the figures of the book, and nothing else."""
    mpl.rcParams.update(STYLE)


def show(obj: Callable[..., Any] | type) -> None:
    """Display the source of a function or class, highlighted: what the book shows is what runs.

    Raises ValueError if `obj` has no Python source.
    """
    try:
        source = textwrap.dedent(inspect.getsource(obj)).strip()
    except (OSError, TypeError) as error:
        raise ValueError(f"obj must be a function or class with Python source, got {obj!r}") from error
    # Markdown: the site and Jupyter each highlight it in their own colours, light or dark.
    display({"text/markdown": f"````python\n{source}\n````", "text/plain": source}, raw=True)

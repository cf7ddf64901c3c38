"""lrsparse: the small helper package of the book *Low Rank and Sparse*."""

from lrsparse.claims import Claim, check_lines, report
from lrsparse.figures import show, use_style
from lrsparse.widgets import slider

__all__ = ["Claim", "check_lines", "report", "show", "slider", "use_style"]
__version__ = "0.1.0"

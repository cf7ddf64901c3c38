"""scikit-learn's handwritten digits as sequences of patch tokens: real data that needs no download."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from sklearn.datasets import load_digits
from torch import Tensor


def patch_tokens(
    classes: Sequence[int] = range(10), patch: int = 4
) -> tuple[Float[Tensor, "n positions d"], Int[Tensor, " n"]]:
    """The 8x8 images of ``classes`` cut into square tokens, and the index of each image's class in ``classes``.

    A token holds the ``patch^2`` pixels of its patch, in [0, 1], followed by the unit vector of its position:
    ``positions = (8/patch)^2``, ``d = patch^2 + positions``.
    Source: the 1,797 handwritten digits that ship with scikit-learn.
    """
    if patch not in (1, 2, 4, 8):
        raise ValueError(f"patch must be 1, 2, 4 or 8, got {patch}")
    if len(set(classes)) < len(classes) or len(classes) < 2 or not set(classes) <= set(range(10)):
        raise ValueError(f"classes must be at least two different digits, got {list(classes)}")
    data = load_digits()
    wanted = torch.tensor(list(classes))
    images, digits = torch.tensor(data.images / 16, dtype=torch.float32), torch.tensor(data.target)
    keep = torch.isin(digits, wanted)
    side = 8 // patch
    cut = images[keep].reshape(-1, side, patch, side, patch).permute(0, 1, 3, 2, 4).reshape(-1, side**2, patch**2)
    positions = torch.eye(side**2).expand(len(cut), -1, -1)
    return torch.cat([cut, positions], dim=2), (digits[keep, None] == wanted).long().argmax(1)

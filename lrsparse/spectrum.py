"""Singular values, numerical ranks, and angles between subspaces."""

import torch
from jaxtyping import Float
from torch import Tensor


def energy_rank(A: Float[Tensor, "m n"], share: float = 0.99) -> int:
    """Smallest number of singular directions that hold ``share`` of ``||A||_F^2`` (0 for a zero matrix)."""
    if not 0 < share < 1:
        raise ValueError(f"share must lie in (0, 1), got {share}")
    energy = torch.linalg.svdvals(A.double()).square()
    if energy.sum() == 0:
        return 0
    return int((energy.cumsum(0) / energy.sum() < share).sum()) + 1


def stable_rank(A: Float[Tensor, "m n"]) -> float:
    """``||A||_F^2 / ||A||_2^2``, between 1 and the rank."""
    s = torch.linalg.svdvals(A.double()).square()
    return float(s.sum() / s[0])


def row_space(A: Float[Tensor, "m n"], rank: int) -> Float[Tensor, "n rank"]:
    """Orthonormal basis of the span of the leading right singular vectors. Compare the span, never the columns."""
    if not 1 <= rank <= min(A.shape):
        raise ValueError(f"rank must lie between 1 and {min(A.shape)}, got {rank}")
    return torch.linalg.svd(A, full_matrices=False).Vh[:rank].T


def overlap(A: Float[Tensor, "n p"], B: Float[Tensor, "n q"]) -> float:
    """Mean squared cosine of the principal angles between two column spans (1 if one contains the other)."""
    if len(A) != len(B):
        raise ValueError(f"A and B must have one number of rows, got {len(A)} and {len(B)}")
    Q_A, Q_B = torch.linalg.qr(A.double()).Q, torch.linalg.qr(B.double()).Q
    return float((Q_A.T @ Q_B).square().sum() / min(A.shape[1], B.shape[1]))

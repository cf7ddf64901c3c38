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
    """``||A||_F^2 / ||A||_2^2``, between 1 and the rank (0 for a zero matrix)."""
    s = torch.linalg.svdvals(A.double()).square()
    return float(s.sum() / s[0]) if s[0] > 0 else 0.0


def row_space(A: Float[Tensor, "m n"], rank: int) -> Float[Tensor, "n rank"]:
    """Orthonormal basis of the span of the leading right singular vectors. Compare the span, never the columns."""
    if not 1 <= rank <= min(A.shape):
        raise ValueError(f"rank must lie between 1 and {min(A.shape)}, got {rank}")
    return torch.linalg.svd(A, full_matrices=False).Vh[:rank].T


def overlap(A: Float[Tensor, "n p"], B: Float[Tensor, "n q"]) -> float:
    """Mean squared cosine of the principal angles between two column spans (1 if one contains the other).

    Raises ValueError unless both have the same number of rows, and linearly independent columns.
    """
    if len(A) != len(B):
        raise ValueError(f"A and B must have one number of rows, got {len(A)} and {len(B)}")
    Q_A, Q_B = _basis(A, "A"), _basis(B, "B")
    return float((Q_A.T @ Q_B).square().sum() / min(A.shape[1], B.shape[1]))


def low_rank(
    A: Float[Tensor, "m n"], rank: int, *, generator: torch.Generator, oversampling: int = 16, power: int = 2
) -> tuple[Float[Tensor, "m rank"], Float[Tensor, " rank"], Float[Tensor, "rank n"]]:
    """Leading singular triples ``(U, s, Vh)``, by randomised SVD: ``(U * s) @ Vh`` is nearly the best of its rank.

    Multiplies ``A`` by ``rank + oversampling`` Gaussian vectors (at most ``min(m, n)`` of them), then ``power`` times
    by ``A.T`` and ``A``, orthonormalising in between, and truncates the SVD of ``A`` in the space found. Its mean
    squared error is bounded in chapter *Preliminaries*; ``torch.svd_lowrank`` does the same, but draws from the global
    generator and knows no truncation.

    Source: Halko, Martinsson, Tropp 2011 (arXiv 0909.4061), algorithms 4.4 and 5.1. Raises ValueError for a rank
    outside 1 .. min(m, n), and for a negative oversampling or power.
    """
    if not 1 <= rank <= min(A.shape):
        raise ValueError(f"rank must lie between 1 and {min(A.shape)}, got {rank}")
    if oversampling < 0 or power < 0:
        raise ValueError(f"oversampling and power must not be negative, got {oversampling} and {power}")
    width = min(rank + oversampling, *A.shape)
    # drawn where the generator lives, so that a seed means one draw on every device
    sketch = torch.randn(A.shape[1], width, generator=generator, dtype=A.dtype, device=generator.device)
    Q = torch.linalg.qr(A @ sketch.to(A.device)).Q
    for _ in range(power):
        Q = torch.linalg.qr(A.T @ Q).Q
        Q = torch.linalg.qr(A @ Q).Q
    U, s, Vh = torch.linalg.svd(Q.T @ A, full_matrices=False)
    return (Q @ U)[:, :rank], s[:rank], Vh[:rank]


def _basis(A: Float[Tensor, "n p"], name: str) -> Float[Tensor, "n p"]:
    """Orthonormal basis of the column span, float64."""
    Q, R = torch.linalg.qr(A.double())
    # how far a column leaves the span of those before it, relative to its length
    new = R.diagonal().abs() / A.double().norm(dim=0)[: len(R)]
    if A.shape[1] > len(A) or not bool((new > len(A) * torch.finfo(A.dtype).eps).all()):
        raise ValueError(f"columns of {name} must be linearly independent, got shape {tuple(A.shape)}")
    return Q

"""Frozen random features, ReLU attention and a fully connected layer, with their kernels and ridge regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, pi
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


def draw_tokens(n: int, N: int, d: int, generator: torch.Generator) -> Float[Tensor, "n 1+N d"]:
    """``n`` inputs of one query (row 0) and ``N`` keys, independent and uniform on the unit sphere of ``R^d``."""
    if n < 1 or N < 1 or d < 2:
        raise ValueError(f"n and N must be at least 1 and d at least 2, got n={n}, N={N}, d={d}")
    tokens = torch.randn(n, N + 1, d, generator=generator, dtype=torch.float64)
    return tokens / tokens.norm(dim=2, keepdim=True)


def append_one(tokens: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d+1"]:
    """Every token with a coordinate 1 after its own."""
    return torch.cat([tokens, torch.ones_like(tokens[..., :1])], dim=-1)


@dataclass(frozen=True)
class RandomAttention:
    """``m`` heads with frozen query-key matrices; only what reads their values is trained, ``m (d+1)`` numbers.

    Parameters
    ----------
    G : ``2 W``, shape (m, d+1, d+1): the scores of unit tokens are N(0, 1) if the entries of ``G`` are, and
        query . key more with ``2 diag(I, 0)`` added to all of them (the biased variant, ``W`` of mean ``diag(I, 0)``).
    weights : ``"relu"`` of the scores over ``N``, as in the paper, or their ``"softmax"``, which sums to 1.

    Source: Fu, Guo, Bai, Mei 2023 (arXiv 2307.11353), as far as known; chapter *Random-feature attention*.
    """

    G: Float[Tensor, "m d+1 d+1"]
    weights: Literal["relu", "softmax"] = "relu"

    def __post_init__(self) -> None:
        if self.G.ndim != 3 or self.G.shape[1] != self.G.shape[2]:
            raise ValueError(f"G must have shape (m, d+1, d+1), got {tuple(self.G.shape)}")
        if self.weights not in ("relu", "softmax"):
            raise ValueError(f'weights must be "relu" or "softmax", got {self.weights!r}')

    def features(self, tokens: Float[Tensor, "n 1+N d"]) -> Float[Tensor, "n m*(d+1)"]:
        """Divided by ``sqrt(m)``, so that inner products tend to a kernel."""
        x = append_one(tokens)
        if tokens.ndim != 3 or x.shape[1] < 2 or x.shape[2] != self.G.shape[1]:
            raise ValueError(f"tokens must have shape (n, 1+N, {self.G.shape[1] - 1}), got {tuple(tokens.shape)}")
        query, keys = x[:, 0], x[:, 1:]
        z = torch.einsum("na,nib->niab", query, keys).flatten(2) / 2
        scores = z @ self.G.flatten(1).T
        weights = scores.relu() / keys.shape[1] if self.weights == "relu" else scores.softmax(dim=1)
        return (keys.mT @ weights).flatten(1) / len(self.G) ** 0.5


@dataclass(frozen=True)
class RandomMLP:
    """Neurons with frozen weights on the whole input in one row, ``(x_0, .., x_N, 1) / sqrt(N+2)``."""

    G: Float[Tensor, "m d*(N+1)+1"]

    def features(self, tokens: Float[Tensor, "n 1+N d"]) -> Float[Tensor, "n m"]:
        """Divided by ``sqrt(m)``."""
        z = append_one(tokens.flatten(1))
        if tokens.ndim != 3 or self.G.ndim != 2 or z.shape[1] != self.G.shape[1]:
            raise ValueError(f"tokens must have (N+1) d + 1 = {self.G.shape[-1]}, got shape {tuple(tokens.shape)}")
        return (z @ self.G.T / (tokens.shape[1] + 1) ** 0.5).relu() / len(self.G) ** 0.5


def solve_shifted(
    A: Float[Tensor, "n n"], b: Float[Tensor, "n targets"], ridges: Sequence[float]
) -> Float[Tensor, "ridges n targets"]:
    """``(A + ridge I)^-1 b`` for every ridge, from one factorisation of the positive semidefinite ``A``."""
    if A.ndim != 2 or A.shape[0] != A.shape[1] or b.ndim != 2 or len(b) != len(A):
        raise ValueError(f"A must be square and b have as many rows, got {tuple(A.shape)} and {tuple(b.shape)}")
    if not ridges or not all(0 < ridge < inf for ridge in ridges):
        raise ValueError(f"ridges must be positive numbers, got {list(ridges)}")
    L, U = torch.linalg.eigh(A)
    seen = U.T @ b
    found = torch.stack([seen / (L.clamp(min=0) + ridge)[:, None] for ridge in ridges])
    return torch.einsum("ij,rjt->rit", U, found)  # one product for all ridges, where U @ found makes many


def ridge_path(
    features: Float[Tensor, "n p"], labels: Float[Tensor, "n targets"], ridges: Sequence[float]
) -> Float[Tensor, "ridges p targets"]:
    """Minimisers of ``|features w - y|^2 + ridge |w|^2`` for all labels and ridges; dual where ``n < p``."""
    n, p = features.shape
    if labels.ndim != 2 or len(labels) != n:
        raise ValueError(f"labels must have shape ({n}, targets), got {tuple(labels.shape)}")
    if n < p:
        return torch.einsum("np,rnt->rpt", features, solve_shifted(features @ features.T, labels, ridges))
    return solve_shifted(features.T @ features, features.T @ labels, ridges)


def arc_cosine(rho: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """``E relu(g) relu(g')`` for standard Gaussians of correlation ``rho``; derived in the chapter."""
    rho = rho.clamp(-1, 1)
    return ((1 - rho.square()).sqrt() + (pi - rho.acos()) * rho) / (2 * pi)


def attention_kernel(x: Float[Tensor, "n 1+N d"], y: Float[Tensor, "k 1+N d"]) -> Float[Tensor, "n k"]:
    """What the inner products of :class:`RandomAttention` without bias tend to for many heads."""
    x, y = append_one(x), append_one(y)
    keys = torch.einsum("nia,kja->nkij", x[:, 1:], y[:, 1:])
    return (arc_cosine((x[:, 0] @ y[:, 0].T)[:, :, None, None] * keys / 4) * keys).mean((2, 3))


def mlp_kernel(x: Float[Tensor, "n 1+N d"], y: Float[Tensor, "k 1+N d"]) -> Float[Tensor, "n k"]:
    """What the inner products of :class:`RandomMLP` tend to for many neurons."""
    return arc_cosine(append_one(x.flatten(1)) @ append_one(y.flatten(1)).T / (x.shape[1] + 1))

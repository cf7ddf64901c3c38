"""Average the chosen tokens: the task, one softmax head, and everything about the pair that has a closed form."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class TokenSelection:
    """Average ``q`` of ``T`` Gaussian tokens in ``R^d``; which ones is part of the input.

    Source: Wang, Wei, Hsu, Lee 2024 (arXiv 2406.06893); chapter *Token selection*.
    """

    T: int = 16
    q: int = 2
    d: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.q < self.T:
            raise ValueError(f"q must satisfy 1 <= q < T, got q={self.q}, T={self.T}")
        if self.d < 1:
            raise ValueError(f"d must be at least 1, got d={self.d}")

    def sample(self, n: int, generator: torch.Generator) -> tuple[Float[Tensor, "n T d"], Float[Tensor, "n T"]]:
        """Draw ``n`` sequences and, for each, the 0/1 indicator of a uniform ``q``-subset of its positions."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        tokens = torch.randn(n, self.T, self.d, generator=generator)
        order = torch.rand(n, self.T, generator=generator).argsort(dim=1)
        return tokens, (order < self.q).to(tokens.dtype)

    def target(self, tokens: Float[Tensor, "n T d"], chosen: Float[Tensor, "n T"]) -> Float[Tensor, "n d"]:
        """The mean of the chosen tokens."""
        return torch.einsum("ntd,nt->nd", tokens, chosen) / self.q


class OneHeadSelector(nn.Module):
    """``f(Z) = V Z softmax(Z^T W z_query)``: one softmax head, merged matrices, zero start.

    Token ``i`` is ``z_i = [x_i; e_i]``; the query is ``z_query = [0; sum of the chosen e_i]``.
    """

    def __init__(self, d: int, d_e: int) -> None:
        super().__init__()
        if min(d, d_e) < 1:
            raise ValueError(f"d and d_e must be at least 1, got {d} and {d_e}")
        self.V = nn.Parameter(torch.zeros(d, d + d_e))
        self.W = nn.Parameter(torch.zeros(d + d_e, d + d_e))

    def forward(
        self,
        tokens: Float[Tensor, "n T d"],
        chosen: Float[Tensor, "n T"],
        encodings: Float[Tensor, "n T d_e"],
    ) -> Float[Tensor, "n d"]:
        Z = torch.cat([tokens, encodings], dim=-1)
        e_y = torch.einsum("nte,nt->ne", encodings, chosen)
        z_query = torch.cat([torch.zeros_like(tokens[:, 0]), e_y], dim=-1)
        attention = torch.softmax(torch.einsum("nti,ni->nt", Z, z_query @ self.W.T), dim=-1)
        return torch.einsum("nti,nt->ni", Z, attention) @ self.V.T


def frames(n: int, T: int, d_e: int, generator: torch.Generator) -> Float[Tensor, "n T d_e"]:
    """``n`` lists of ``T <= d_e`` orthonormal encodings (rows), each list uniformly distributed (Haar), float32."""
    if not 1 <= T <= d_e:
        raise ValueError(f"T orthonormal encodings need 1 <= T <= d_e, got T={T}, d_e={d_e}")
    precision = torch.float32 if d_e >= 2 * T else torch.float64  # a nearly square G is ill-conditioned
    G = torch.randn(n, T, d_e, generator=generator, dtype=precision)
    # Gram-Schmidt of all n at once: if L L^T = G G^T, the rows of L^-1 G are orthonormal
    return torch.linalg.solve_triangular(torch.linalg.cholesky(G @ G.mT), G, upper=False).float()


def signs(n: int, T: int, d_e: int, generator: torch.Generator) -> Float[Tensor, "n T d_e"]:
    """``n`` lists of ``T`` encodings with independent fair entries ``+-1/sqrt(d_e)``: orthonormal only on average."""
    if min(n, T, d_e) < 1:
        raise ValueError(f"n, T and d_e must be at least 1, got {n}, {T} and {d_e}")
    return (2.0 * torch.randint(0, 2, (n, T, d_e), generator=generator) - 1) / d_e**0.5


def chosen_mass(C: float | np.ndarray, T: int | np.ndarray, q: int) -> np.ndarray:
    """Attention ``P`` on the ``q`` chosen of ``T`` tokens if their scores exceed the others' by ``C``."""
    if not 1 <= q < np.min(T):
        raise ValueError(f"q must satisfy 1 <= q < T, got q={q}, T={T}")
    odds = np.log(q / (np.asarray(T, dtype=float) - q)) + np.asarray(C, dtype=float)
    return 0.5 + 0.5 * np.tanh(odds / 2)  # the logistic function, without overflow


def loss(alpha: float | np.ndarray, C: float | np.ndarray, T: int | np.ndarray, q: int) -> np.ndarray:
    """Normalised loss ``E|f - target|^2 / (d/q)`` at ``V = [alpha I, 0]``, ``W = diag(0, C I)``.

    For orthonormal encodings of length 1; zero as an answer costs 1. Derived in chapter *Token selection*.
    """
    P = chosen_mass(C, T, q)
    return (1 - alpha * P) ** 2 + q * alpha**2 * (1 - P) ** 2 / (np.asarray(T) - q)


def velocity(alpha: float, C: float, T: int, q: int, ratio: float) -> tuple[float, float]:
    """Right side of the gradient flow of the two scalars, ``ratio = d / kappa`` (chapter *Token selection*)."""
    P = q / (q + (T - q) * np.exp(-C))
    rest = 1 - P
    drive = 1 / q - alpha * (P / q - rest / (T - q))
    return P * drive - alpha * rest / (T - q), ratio * alpha * P * rest * drive


def width_bound(m: int, T: int, q: int, d: int) -> float:
    """Least normalised loss of any function of ``m`` linear forms of the tokens and of the chosen subset.

    Holds for fully connected nets of every depth whose first layer has ``m`` units. Proved in chapter
    *Token selection*.
    """
    if m < 0 or not 1 <= q < T:
        raise ValueError(f"m must be non-negative, q must satisfy 1 <= q < T, got m={m}, q={q}, T={T}")
    return 1 - m / d * q / T if m < d else max(0.0, 1 - m / (T * d)) * (T - q) / (T - 1)

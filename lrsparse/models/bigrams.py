"""Next tokens that follow one of a few earlier positions, and the linear attention ``V X a^(k)`` that learns them."""

import re
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import torch
from jaxtyping import Float, Int
from torch import Tensor

ALPHABET = " abcdefghilmnoprstuwy*"  # the star stands for j, k, q, v, x and z, the rarest letters


@dataclass(frozen=True)
class ContextualBigram:
    """``T`` tokens and a last one ``k``, all from ``mu``; a position ``t ~ Q[:, k]``; the next token ``~ P[:, x_t]``.

    Parameters
    ----------
    P : transition matrix, shape (N, N), float64; column ``n`` is the law of what follows token ``n``.
    Q : position matrix, shape (T, N), float64; column ``k`` is the law of the position chosen by a last token ``k``.

    Source: Ren, Wang, Lee 2024 (arXiv 2410.23438); chapter *Contextual bigrams*.
    """

    P: Float[Tensor, "N N"]
    Q: Float[Tensor, "T N"]

    def __post_init__(self) -> None:
        if self.P.ndim != 2 or self.P.shape[0] != self.P.shape[1]:
            raise ValueError(f"P must be a square matrix, got shape {tuple(self.P.shape)}")
        if self.Q.ndim != 2 or self.Q.shape[1] != len(self.P):
            raise ValueError(f"Q must have one column per token (N={len(self.P)}), got shape {tuple(self.Q.shape)}")
        for name, matrix in (("P", self.P), ("Q", self.Q)):
            if matrix.dtype != torch.float64:
                raise ValueError(f"{name} must be float64, got {matrix.dtype}")
            if not (matrix >= 0).all() or (matrix.sum(0) - 1).abs().max() > 1e-9:
                raise ValueError(f"columns of {name} must be probabilities that sum to 1, got {matrix}")
        # two independent solutions of P mu = mu would leave mu undefined
        if torch.linalg.svdvals(self.P - torch.eye(len(self.P), dtype=torch.float64))[-2:-1].lt(1e-9).any():
            raise ValueError("P must have one stationary law, got more than one solution of P mu = mu")

    @cached_property
    def mu(self) -> Float[Tensor, " N"]:
        """Stationary law, ``P mu = mu``."""
        N = len(self.P)
        ones = torch.ones(1, N, dtype=torch.float64)
        system = torch.cat([self.P - torch.eye(N, dtype=torch.float64), ones])
        last = torch.eye(N + 1, dtype=torch.float64)[:, -1:]
        return torch.linalg.lstsq(system, last, driver="gels").solution[:, 0]  # the default driver varies in last bits

    @property
    def T(self) -> int:
        """Length of the context."""
        return len(self.Q)

    def inner(self, M: Float[Tensor, "rows N"], W: Float[Tensor, "rows N"]) -> Float[Tensor, ""]:
        """``sum_k mu_k <m_k, w_k>`` over the columns."""
        return (self.mu * (M * W).sum(0)).sum()

    @property
    def signals(self) -> tuple[float, float]:
        """``K_P = |P|_mu^2 - |mu|^2`` and ``K_Q = |Q|_mu^2 - 1/T``: how far P and Q are from saying nothing."""
        K_P = self.inner(self.P, self.P) - self.mu @ self.mu
        return K_P.item(), self.inner(self.Q, self.Q).item() - 1 / self.T

    def start(self) -> tuple[Float[Tensor, "N N"], Float[Tensor, "T N"]]:
        """``V = mu 1^T`` (always guess the marginal law) and ``A = 11^T/T`` (look at all positions alike)."""
        return self.mu[:, None].repeat(1, len(self.P)), torch.full_like(self.Q, 1 / self.T)

    def progress(self, V: Float[Tensor, "N N"], A: Float[Tensor, "T N"]) -> tuple[float, float]:
        """``alpha_V`` and ``alpha_A``: 0 at :meth:`start`, 1 at the truth (P, Q)."""
        K_P, K_Q = self.signals
        alpha_V = (self.inner(V, self.P) - self.mu @ self.mu) / K_P
        return alpha_V.item(), (self.inner(A, self.Q).item() - 1 / self.T) / K_Q

    def sample(
        self, n: int, generator: torch.Generator
    ) -> tuple[Int[Tensor, "n T"], Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Draw ``n`` samples: contexts, last tokens, and the tokens that come next."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        drawn = _draw(self.mu[:, None], torch.zeros(n * (self.T + 1), dtype=torch.long), generator)
        context, last = drawn[n:].view(n, self.T), drawn[:n]
        position = _draw(self.Q, last, generator)
        return context, last, _draw(self.P, context.gather(1, position[:, None])[:, 0], generator)

    def gradients(
        self, V: Float[Tensor, "N N"], A: Float[Tensor, "T N"]
    ) -> tuple[Float[Tensor, "N N"], Float[Tensor, "T N"]]:
        """Exact gradients of the population risk in V and A. Source: chapter *Contextual bigrams*."""
        mu, P, Q = self.mu, self.P, self.Q
        D, outer = mu.diag(), mu[:, None] * mu

        def moment(A: Tensor, B: Tensor) -> Tensor:  # E_k E_X [X a_k b_k^T X^T]
            return self.inner(A, B) * (D - outer) + (mu * A.sum(0) * B.sum(0)).sum() * outer

        def back(M: Tensor, B: Tensor) -> Tensor:  # columns E_X [X^T M X b_k]
            return ((M.diag() * mu).sum() - mu @ M @ mu) * B + (mu @ M @ mu) * B.sum(0)

        return V @ moment(A, A) - P @ moment(Q, A), mu * (back(V.T @ V, A) - back(V.T @ P, Q))

    def precondition(
        self, grad_V: Float[Tensor, "N N"], grad_A: Float[Tensor, "T N"]
    ) -> tuple[Float[Tensor, "N N"], Float[Tensor, "T N"]]:
        """From every column subtract its mean (so sums are kept), then divide column ``k`` by ``mu_k``."""
        return (grad_V - grad_V.mean(0)) / self.mu, (grad_A - grad_A.mean(0)) / self.mu


def batch_gradients(
    V: Float[Tensor, "N N"], A: Float[Tensor, "T N"], batch: tuple[Tensor, Tensor, Tensor]
) -> tuple[Float[Tensor, "N N"], Float[Tensor, "T N"]]:
    """Gradients of the mean of ``|e_out - V X A e_last|^2 / 2`` over a batch of :meth:`ContextualBigram.sample`."""
    context, last, out = batch
    n, N = len(context), len(V)
    looked = torch.zeros(n, N, dtype=V.dtype).scatter_add_(1, context, A.T[last])  # rows X a
    error = looked @ V.T
    error[torch.arange(n), out] -= 1
    per_position = (error @ V).gather(1, context)
    return error.T @ looked / n, torch.zeros_like(A.T).index_add_(0, last, per_position).T / n


def random_bigram(N: int, T: int, q: int, temperature: float, generator: torch.Generator) -> ContextualBigram:
    """Columns of P: softmax of ``temperature`` times Gaussians; of Q: ``q`` equal entries at random positions."""
    if N < 2 or not 1 <= q <= T:
        raise ValueError(f"N must be at least 2 and q between 1 and T, got N={N}, q={q}, T={T}")
    P = torch.softmax(temperature * torch.randn(N, N, generator=generator, dtype=torch.float64), dim=0)
    order = torch.rand(T, N, generator=generator, dtype=torch.float64).argsort(dim=0)
    return ContextualBigram(P, (order < q).double() / q)


def letters(name: str) -> Int[Tensor, " n"]:
    """One of the two texts of the package as indices into ``ALPHABET``; whatever is no letter becomes one space.

    Source: ``"genesis"`` (King James Version) and ``"opticks"`` (Newton), see ``lrsparse/texts/README.md``.
    """
    if name not in ("genesis", "opticks"):
        raise ValueError(f'name must be "genesis" or "opticks", got {name!r}')
    text = resources.files("lrsparse").joinpath("texts", f"{name}.txt").read_text(encoding="utf-8")
    text = re.sub("[^a-z]+", " ", text.lower().replace("æ", "ae")).strip() + " "
    return torch.tensor([ALPHABET.index(c) for c in re.sub("[jkqvxz]", "*", text)])


def _draw(laws: Float[Tensor, "outcomes cases"], case: Int[Tensor, " n"], generator: torch.Generator) -> Tensor:
    """One outcome from column ``case[i]`` of ``laws`` for every i."""
    ends = laws.cumsum(0).T.contiguous()
    u = torch.rand(len(case), 1, generator=generator, dtype=torch.float64)
    if laws.shape[1] == 1:
        return torch.searchsorted(ends[0], u[:, 0]).clamp(max=len(laws) - 1)
    return torch.searchsorted(ends[case], u).clamp(max=len(laws) - 1)[:, 0]

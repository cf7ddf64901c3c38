"""Tokens that are noisy copies of orthonormal patterns, and the one-layer transformer that learns from them."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lrsparse.training import find_device, random_orthonormal


@dataclass(frozen=True)
class PatternTask:
    """Two classes, ``K`` label-relevant patterns each, ``M - 2K`` patterns that say nothing, majority vote.

    Patterns ``0 .. K-1`` speak for ``y = +1``, ``K .. 2K-1`` for ``y = -1``, the rest for nobody. A sample shows one
    pattern of its own class (a share ``alpha_own`` of its ``L`` tokens), one of the other (``alpha_confusion``) and
    irrelevant ones.

    Parameters
    ----------
    M, K, L : number of patterns, of relevant patterns per class, of tokens per sample.
    d : dimension of a token, at least M; 0 means M.
    alpha_own, alpha_confusion : the paper's alpha_* and alpha_#, shares in [0, 1].
    noise : root mean square length of the isotropic Gaussian added to every token (a pattern has length 1).
    counts : ``"random"``: every token draws its kind by itself, samples without a majority are drawn again;
        ``"equal"``: shares are met exactly and irrelevant patterns appear equally often, up to one token.
    together : every relevant token draws its pattern by itself, so that one sample shows all ``K``.

    Source: Li, Wang, Zhang, Liu, Chen 2024 (arXiv 2406.17167) for K = 1;
    chapters *Data and model* and *Low-rank updates*.
    """

    M: int = 20
    K: int = 1
    L: int = 40
    alpha_own: float = 0.4
    alpha_confusion: float = 0.05
    noise: float = 0.1
    d: int = 0
    counts: Literal["random", "equal"] = "random"
    together: bool = False

    def __post_init__(self) -> None:
        if self.K < 1:
            raise ValueError(f"K must be at least 1, got K={self.K}")
        if self.M < 2 * self.K + 1:
            raise ValueError(f"M must be at least 2K + 1 = {2 * self.K + 1}, got M={self.M}")
        if not 0 <= self.alpha_confusion < self.alpha_own:
            raise ValueError(
                f"alpha_confusion must lie in [0, alpha_own={self.alpha_own}), got {self.alpha_confusion}"
            )
        if self.alpha_own + self.alpha_confusion > 1:
            raise ValueError(
                f"alpha_own + alpha_confusion must be at most 1, got {self.alpha_own + self.alpha_confusion}"
            )
        if self.noise < 0:
            raise ValueError(f"noise must be non-negative, got {self.noise}")
        if self.d and self.d < self.M:
            raise ValueError(f"d must be 0 (for d = M) or at least M={self.M}, got d={self.d}")
        if self.counts not in ("random", "equal"):
            raise ValueError(f'counts must be "random" or "equal", got {self.counts!r}')
        if round(self.L * self.alpha_own) <= round(self.L * self.alpha_confusion):
            raise ValueError(f"L must be large enough for a majority, got L={self.L} with alpha_own={self.alpha_own}")

    @property
    def patterns(self) -> Float[Tensor, "M d"]:
        """The patterns as rows: the first ``M`` unit vectors (any other orthonormal choice is a rotation)."""
        return torch.eye(self.M, self.d or self.M)

    def sample(
        self, n: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n L d"], Float[Tensor, " n"], Int[Tensor, "n L"]]:
        """Draw ``n`` samples: tokens, labels in {-1, +1}, and which pattern each token is a copy of."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        labels = torch.randint(0, 2, (n,), generator=generator) * 2 - 1
        first = torch.where(labels > 0, 0, self.K)[:, None]  # index of the first pattern of the own class
        shape = (n, self.L if self.together else 1)
        own = first + torch.randint(0, self.K, shape, generator=generator)
        confusion = self.K - first + torch.randint(0, self.K, shape, generator=generator)
        kind = self._kinds(n, generator)
        which = torch.where(kind == 0, own, torch.where(kind == 1, confusion, self._irrelevant(kind == 2, generator)))
        tokens = self.patterns[which]
        if self.noise:
            tokens = tokens + self.noise / tokens.shape[-1] ** 0.5 * torch.randn(tokens.shape, generator=generator)
        return tokens, labels.to(tokens.dtype), which

    def _kinds(self, n: int, generator: torch.Generator) -> Int[Tensor, "n L"]:
        """0 own, 1 confusion, 2 irrelevant, at shuffled positions."""
        if self.counts == "equal":
            position = torch.rand(n, self.L, generator=generator).argsort(dim=1)
            n_own, n_confusion = round(self.L * self.alpha_own), round(self.L * self.alpha_confusion)
            return (position >= n_own).long() + (position >= n_own + n_confusion).long()
        share = torch.tensor([self.alpha_own, self.alpha_own + self.alpha_confusion])
        kind = torch.bucketize(torch.rand(n, self.L, generator=generator), share, right=True)
        while (tied := (kind == 0).sum(1) <= (kind == 1).sum(1)).any():
            kind[tied] = torch.bucketize(torch.rand(int(tied.sum()), self.L, generator=generator), share, right=True)
        return kind

    def _irrelevant(self, here: Tensor, generator: torch.Generator) -> Int[Tensor, "n L"]:
        """An irrelevant pattern for every position; equal counts: those ``here`` go round a shuffled list."""
        rest = self.M - 2 * self.K
        if self.counts == "random":
            return 2 * self.K + torch.randint(0, rest, here.shape, generator=generator)
        order = torch.rand(len(here), rest, generator=generator).argsort(dim=1)
        return 2 * self.K + order.gather(1, (here.cumsum(1) - 1).clamp(min=0) % rest)

    def sample_weights(self, n: int, generator: torch.Generator) -> tuple[Float[Tensor, "n M"], Float[Tensor, " n"]]:
        """Shares of the patterns and labels of ``n`` samples without noise; the cost does not grow with ``L``.

        The law is that of :meth:`sample` with noise 0, tokens counted; only for random counts, one pattern a class.
        Source: chapter *Attention concentration*.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        if self.counts != "random" or self.together:
            raise ValueError(f'counts must be "random" and together False, got {self.counts!r} and {self.together}')

        def draw(of: Tensor, share: float) -> Tensor:  # how many of so many tokens have a property of this share
            return torch.binomial(of, torch.full_like(of, min(share, 1.0)), generator=generator)

        own, confusion = torch.zeros(2, n)
        while (tied := own <= confusion).any():
            own[tied] = draw(torch.full((int(tied.sum()),), float(self.L)), self.alpha_own)
            confusion[tied] = draw(self.L - own[tied], self.alpha_confusion / max(1 - self.alpha_own, 1e-12))
        counts, left = torch.zeros(n, self.M), self.L - own - confusion
        for j in range(2 * self.K, self.M):
            counts[:, j] = draw(left, 1 / (self.M - j))
            left = left - counts[:, j]
        labels, sample = torch.randint(0, 2, (n,), generator=generator) * 2 - 1, torch.arange(n)
        first = torch.where(labels > 0, 0, self.K)  # index of the first pattern of the own class
        counts[sample, first + torch.randint(0, self.K, (n,), generator=generator)] = own
        counts[sample, self.K - first + torch.randint(0, self.K, (n,), generator=generator)] = confusion
        return counts / self.L, labels.to(counts.dtype)

    def population(self, dtype: torch.dtype = torch.float64) -> tuple[Float[Tensor, "n M"], Float[Tensor, " n"]]:
        """The noise-free inputs of infinite length, all equally likely: weights over the patterns and labels.

        Rows sum to 1; ``n = 2 K^2`` (own x confusion pattern), or 2 if ``together``.
        """
        K, irrelevant = self.K, (1 - self.alpha_own - self.alpha_confusion) / (self.M - 2 * self.K)
        choice = torch.full((1, K), 1 / K, dtype=dtype) if self.together else torch.eye(K, dtype=dtype)
        own, confusion = choice.repeat_interleave(len(choice), dim=0), choice.repeat(len(choice), 1)
        rest = torch.full((len(own), self.M - 2 * K), irrelevant, dtype=dtype)
        plus = torch.cat([self.alpha_own * own, self.alpha_confusion * confusion, rest], dim=1)
        minus = torch.cat([self.alpha_confusion * confusion, self.alpha_own * own, rest], dim=1)
        labels = torch.tensor([1, -1], dtype=dtype).repeat_interleave(len(own))
        return torch.cat([plus, minus]), labels


class OneLayer(nn.Module):
    """``F(X) = mean over queries l of a^T ReLU(W_O W_V X softmax(X^T W_K^T W_Q x_l))``.

    Softmax attention, one ReLU layer, a fixed read-out. Tokens are rows here: ``tokens[n, l]`` is the paper's ``x_l``.
    ``weights[n, l]`` says how often a token counts (rows sum to 1; default: all alike), so that one row can stand for
    many equal tokens. Source: chapter *Data and model*.

    Parameters
    ----------
    W_Q, W_K : queries and keys, shape (m_b, d).  W_V : values, (m_a, d).  W_O : neurons, (m, m_a).
    a : read-out, (m,) or (m, outputs); never trained.
    """

    def __init__(self, W_Q: Tensor, W_K: Tensor, W_V: Tensor, W_O: Tensor, a: Tensor) -> None:
        super().__init__()
        if W_Q.shape != W_K.shape:
            raise ValueError(f"W_Q and W_K must have one shape, got {tuple(W_Q.shape)} and {tuple(W_K.shape)}")
        if W_V.shape[1] != W_Q.shape[1]:
            raise ValueError(f"W_V must have as many columns as W_Q ({W_Q.shape[1]}), got {tuple(W_V.shape)}")
        if W_O.shape[1] != W_V.shape[0] or len(a) != len(W_O):
            raise ValueError(
                f"W_O must have shape ({len(a)}, {W_V.shape[0]}) for this a and W_V, got {tuple(W_O.shape)}"
            )
        self.W_Q, self.W_K, self.W_V, self.W_O = (nn.Parameter(W.clone()) for W in (W_Q, W_K, W_V, W_O))
        self.register_buffer("a", a.clone())
        self.a: Tensor

    def attention(
        self, tokens: Float[Tensor, "n L d"], weights: Float[Tensor, "n L"] | None = None
    ) -> Float[Tensor, "n query key"]:
        """Row ``l``: how query ``l`` divides its attention among the keys."""
        if tokens.shape[-1] != self.W_Q.shape[1]:
            raise ValueError(f"tokens must have last dimension d={self.W_Q.shape[1]}, got shape {tuple(tokens.shape)}")
        logits = (tokens @ self.W_Q.T) @ (tokens @ self.W_K.T).transpose(1, 2)
        return torch.softmax(logits if weights is None else logits + weights.log()[:, None, :], dim=2)

    def hidden(
        self, tokens: Float[Tensor, "n L d"], weights: Float[Tensor, "n L"] | None = None
    ) -> Float[Tensor, "n L m"]:
        """The neurons after the ReLU, for every query."""
        return torch.relu(self.attention(tokens, weights) @ (tokens @ self.W_V.T) @ self.W_O.T)

    def forward(self, tokens: Float[Tensor, "n L d"], weights: Float[Tensor, "n L"] | None = None) -> Tensor:
        hidden = self.hidden(tokens, weights)
        return (hidden.mean(1) if weights is None else torch.einsum("nl,nlm->nm", weights, hidden)) @ self.a

    def keep(self, neurons: Bool[Tensor, " m"]) -> "OneLayer":
        """A smaller network with these neurons only: rows of ``W_O`` and entries of ``a``, which is not rescaled."""
        if neurons.dtype != torch.bool or neurons.shape != (len(self.W_O),):
            got = f"{neurons.dtype} {tuple(neurons.shape)}"
            raise ValueError(f"neurons must hold one bool for each of {len(self.W_O)} rows of W_O, got {got}")
        return type(self)(self.W_Q, self.W_K, self.W_V, self.W_O.detach()[neurons], self.a[neurons])


def start(
    d: int,
    generator: torch.Generator,
    *,
    m: int = 200,
    scale: float = 2.0,
    xi: float = 0.01,
    queries_keys: Literal["orthogonal", "equal", "independent"] = "orthogonal",
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> OneLayer:
    """The network before training.

    Queries and keys are ``scale`` times matrices of shape (2d, d) with orthonormal columns: ``"orthogonal"`` column
    spaces (all logits 0), ``"equal"`` (a token attends to its like), or ``"independent"`` (random logits).
    ``W_V`` is a random orthogonal (d, d) matrix, the entries of ``W_O`` are N(0, xi^2), ``a`` holds m random signs
    over sqrt(m).
    """
    if m < 1 or d < 1:
        raise ValueError(f"d and m must be at least 1, got d={d}, m={m}")
    if xi < 0 or scale < 0:
        raise ValueError(f"scale and xi must be non-negative, got scale={scale}, xi={xi}")
    both = random_orthonormal(2 * d, 2 * d, generator)
    keys = {"orthogonal": both[:, d:], "equal": both[:, :d], "independent": random_orthonormal(2 * d, d, generator)}
    if queries_keys not in keys:
        raise ValueError(f"queries_keys must be one of {sorted(keys)}, got {queries_keys!r}")
    W_V, W_O = random_orthonormal(d, d, generator), xi * torch.randn(m, d, generator=generator, dtype=torch.float64)
    a = (torch.randint(0, 2, (m,), generator=generator) * 2 - 1) / m**0.5
    return OneLayer(scale * both[:, :d], scale * keys[queries_keys], W_V, W_O, a).to(find_device(device), dtype)


def gradients_at_uniform_attention(
    model: OneLayer, patterns: Float[Tensor, "M d"], weights: Float[Tensor, "n M"], labels: Float[Tensor, " n"]
) -> dict[str, Tensor]:
    """The four gradients of the mean hinge loss where all logits are 0 and the hinge is active on every input.

    Derived in chapter *Low-rank updates*. ``weights`` and ``labels`` as from :meth:`PatternTask.population`.
    """
    m = weights @ patterns  # mean token of each input
    z = m @ model.W_V.T
    fires = (z @ model.W_O.T > 0).to(z.dtype)
    h = (fires * model.a) @ model.W_O  # what the firing neurons read from value space
    v = h @ model.W_V @ patterns.T  # worth of each pattern as a key
    c = (weights * (v - (weights * v).sum(1, keepdim=True))) @ patterns
    y = labels[:, None] / len(labels)
    return {
        "W_Q": -model.W_K @ (y * c).T @ m,
        "W_K": -model.W_Q @ (y * m).T @ c,
        "W_V": -(y * h).T @ m,
        "W_O": -(y * fires * model.a).T @ z,
    }

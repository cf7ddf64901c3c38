"""Pruning of whole neurons: which rows of a weight matrix stay, and a smaller pair of layers without the others."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def keep_mask(
    W: Float[Tensor, "m n"],
    share: float,
    order: Literal["smallest", "largest", "random"] = "smallest",
    *,
    generator: torch.Generator | None = None,
) -> Bool[Tensor, " m"]:
    """Which rows of ``W`` stay when ``round(share * m)`` of them are removed (structured pruning; True: stays).

    Parameters
    ----------
    W : one neuron a row.
    share : pruning rate in [0, 1]. Rounding and ties are those of ``torch.nn.utils.prune`` (half to even).
    order : ``"smallest"`` Euclidean row norm first, the same mask as ``prune.ln_structured(n=2, dim=0)``;
        ``"largest"`` first; or ``"random"`` rows, all sets alike, as ``prune.random_structured(dim=0)`` draws them.
    generator : where the random order comes from; needed for that order, refused with the others.

    Source: chapter *Pruning*.
    """
    if W.ndim != 2:
        raise ValueError(f"W must have one row for each neuron, got shape {tuple(W.shape)}")
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    if order not in ("smallest", "largest", "random"):
        raise ValueError(f'order must be "smallest", "largest" or "random", got {order!r}')
    if (order == "random") != (generator is not None):
        raise ValueError(f'generator must be given for order="random" and only for it, got {generator} for {order!r}')
    m = len(W)
    if generator is None:
        worth = W.detach().norm(p=2, dim=1)
    else:
        worth = torch.rand(m, generator=generator, device=generator.device).to(W.device)
    stays = torch.topk(worth, m - round(share * m), largest=order != "largest").indices
    keep = torch.zeros(m, dtype=torch.bool, device=W.device)
    keep[stays] = True
    return keep


def remove_neurons(first: nn.Linear, second: nn.Linear, keep: Bool[Tensor, " m"]) -> tuple[nn.Linear, nn.Linear]:
    """The two layers around an elementwise activation, without the neurons between them that ``keep`` leaves out.

    New layers of smaller shape, on the device and with the type of the old ones: ``first`` loses rows (with their
    biases), ``second`` columns; its bias stays. The outputs are those of the full pair with the removed neurons held
    at zero. Masking the rows of ``first`` alone leaves ``activation(bias)`` of a neuron standing, and saves no time.

    Parameters
    ----------
    first, second : ``second(activation(first(x)))``, with m neurons between them.
    keep : one truth value a neuron, as from :func:`keep_mask`.

    Source: chapter *Pruning*.
    """
    m = first.out_features
    if second.in_features != m:
        raise ValueError(f"second must take the {m} outputs of first, got in_features={second.in_features}")
    if keep.dtype != torch.bool or keep.shape != (m,):
        raise ValueError(f"keep must hold one bool for each of {m} neurons, got {keep.dtype} {tuple(keep.shape)}")
    keep = keep.to(first.weight.device)
    bias = None if first.bias is None else first.bias[keep]
    return _linear(first, first.weight[keep], bias), _linear(second, second.weight[:, keep], second.bias)


def _linear(old: nn.Linear, weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer with copies of these weights, trainable where ``old`` is; draws no random numbers."""
    new = nn.Linear(1, 1, bias=bias is not None, device="meta").train(old.training)
    new.out_features, new.in_features = weight.shape
    new.weight = nn.Parameter(weight.detach().clone(), requires_grad=old.weight.requires_grad)
    if bias is not None:
        new.bias = nn.Parameter(bias.detach().clone(), requires_grad=old.bias.requires_grad)
    return new

"""Adapters: a small trainable update of the frozen weight of any ``nn.Linear``; how to put it on and take it off."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lrsparse.spectrum import low_rank


class Adapter(nn.Module):
    """``W_0`` becomes ``W_0 + update()``; a kind of adapter is a subclass with its tensors and its ``update``.

    ``W_0`` itself is never changed: other adapters can use it, and taking one off is exact.
    """

    merged: Tensor | None  # the adapted weight, between `merge` and `unmerge`
    was_trainable = False  # whether W_0 was, before it was frozen

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("merged", None, persistent=False)

    def update(self) -> Float[Tensor, "out in"]:
        """What is added to ``W_0``; exactly zero before training."""
        raise NotImplementedError

    def forward(self, W_0: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
        return W_0 + self.update() if self.merged is None else self.merged


class LowRank(Adapter):
    """``update() = scale (B A - B_0 A_0)`` with ``scale = alpha / r``, or ``alpha / sqrt(r)`` if ``rank_stabilised``.

    Parameters
    ----------
    B, A : the factors at the start, (out, r) and (r, in).
    alpha : numerator of the scale; by default ``r``.
    subtract : subtract the start, ``B_0 A_0``; needed where it is not zero, as for PiSSA.
    dropout : share of input features hidden from the update in training: drawn for every forward pass, alike for all
        its samples, from torch's global generator (as every dropout of torch).

    Sources: Hu et al. 2022 (arXiv 2106.09685); ``rank_stabilised``: Kalajdzievski 2023 (arXiv 2312.03732).
    """

    B_0: Tensor | None
    A_0: Tensor | None

    def __init__(
        self,
        B: Float[Tensor, "out r"],
        A: Float[Tensor, "r in"],
        *,
        alpha: float | None = None,
        rank_stabilised: bool = False,
        subtract: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if B.ndim != 2 or A.ndim != 2 or B.shape[1] != len(A):
            raise ValueError(f"B and A must have shapes (out, r) and (r, in), got {tuple(B.shape)}, {tuple(A.shape)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.B, self.A = nn.Parameter(B.detach().clone()), nn.Parameter(A.detach().clone())
        for name, start in (("B_0", B), ("A_0", A)):
            self.register_buffer(name, start.detach().clone() if subtract else None)
        self.scale = scale_of(len(A), alpha, rank_stabilised)
        self.rank_stabilised, self.dropout = rank_stabilised, dropout

    def update(self) -> Float[Tensor, "out in"]:
        A: Tensor = self.A
        if self.dropout and self.training:
            A = A * nn.functional.dropout(torch.ones_like(A[0]), self.dropout)
        product = self.B @ A
        if self.B_0 is not None and self.A_0 is not None:
            product = product - self.B_0 @ self.A_0
        return self.scale * product

    def as_lora(self) -> "LowRank":
        """The same update as a plain LoRA of rank ``2r`` and of the same scale: ``[B, -B_0] [A; A_0]``.

        So ``alpha`` doubles or, if rank-stabilised, grows by ``sqrt(2)``. Source: Meng, Wang, Zhang 2024, appendix C.
        """
        B, A = self.B.detach(), self.A.detach()
        if self.B_0 is not None and self.A_0 is not None:
            B, A = torch.cat([B, -self.B_0], dim=1), torch.cat([A, self.A_0])
        alpha = self.scale * (len(A) ** 0.5 if self.rank_stabilised else len(A))
        return LowRank(B, A, alpha=alpha, rank_stabilised=self.rank_stabilised, dropout=self.dropout)


def scale_of(r: int, alpha: float | None = None, rank_stabilised: bool = False) -> float:
    """``alpha / r``, or ``alpha / sqrt(r)``; ``alpha`` is ``r`` by default. ValueError unless positive and finite."""
    alpha = r if alpha is None else alpha
    if r < 1 or not 0 < alpha < float("inf"):
        raise ValueError(f"r must be at least 1, alpha positive and finite, got {r} and {alpha}")
    return alpha / (r**0.5 if rank_stabilised else r)


def lora(
    W: Float[Tensor, "out in"],
    r: int,
    *,
    generator: torch.Generator,
    start: Literal["uniform", "gaussian"] = "uniform",
    **options: Any,
) -> LowRank:
    """``B = 0``; the entries of ``A`` are uniform with variance ``1 / (3 in)`` or Gaussian with variance ``1 / r^2``.

    These starts are peft's ``init_lora_weights=True`` and ``"gaussian"``; options are those of :class:`LowRank`.
    """
    _check_rank(W, r)
    shape, device = (r, W.shape[1]), generator.device
    if start == "uniform":
        A = (2 * torch.rand(shape, generator=generator, device=device) - 1) / W.shape[1] ** 0.5
    elif start == "gaussian":
        A = torch.randn(shape, generator=generator, device=device) / r
    else:
        raise ValueError(f'start must be "uniform" or "gaussian", got {start!r}')
    return LowRank(W.new_zeros(len(W), r), A.to(W), **options)


def pissa(
    W: Float[Tensor, "out in"],
    r: int,
    *,
    power: int | None = None,
    generator: torch.Generator | None = None,
    dropout: float = 0.0,
    **scale: Any,
) -> LowRank:
    """The start is the best approximation of rank ``r``: ``B = U sqrt(s / c)``, ``A = sqrt(s / c) V^T``, scale ``c``.

    ``scale`` is ``alpha`` and ``rank_stabilised``, as for :class:`LowRank`. Singular vectors are those of a full SVD
    or, with ``power`` passes and a ``generator``, of :func:`lrsparse.spectrum.low_rank`.
    Source: Meng, Wang, Zhang 2024 (arXiv 2404.02948). ValueError for dropout, and for types without an SVD.
    """
    if dropout:
        raise ValueError(f"dropout must be 0 for PiSSA, it would hide leading directions of the weight; got {dropout}")
    if power is not None and generator is None:
        raise ValueError(f"generator must be given for a randomised SVD, that is with power={power}")
    U, s, Vh = _leading(W, r, power, generator)
    root = (s / scale_of(r, **scale)).sqrt()
    return LowRank(U * root, root[:, None] * Vh, subtract=True, **scale)


class Framed(Adapter):
    """``left M right`` between frozen frames (part of the state); ``M = diag(delta)`` or, if ``square``, any matrix."""

    def __init__(self, left: Float[Tensor, "out r"], right: Float[Tensor, "r in"], *, square: bool = False) -> None:
        super().__init__()
        if left.ndim != 2 or right.ndim != 2 or left.shape[1] != len(right):
            raise ValueError(f"left, right must have shapes (out, r), (r, in), got {left.shape}, {right.shape}")
        self.left: Tensor
        self.right: Tensor
        self.register_buffer("left", left.detach().clone())
        self.register_buffer("right", right.detach().clone())
        self.delta = nn.Parameter(left.new_zeros((len(right),) * (2 if square else 1)))

    def update(self) -> Float[Tensor, "out in"]:
        return (self.left @ self.delta if self.delta.ndim == 2 else self.left * self.delta) @ self.right


def svfit(W: Float[Tensor, "out in"], r: int, *, generator: torch.Generator | None = None) -> Framed:
    """``U diag(delta) V^T`` on the ``r`` largest singular pairs; on random ones with a generator. arXiv 2409.05926."""
    _check_rank(W, r)
    U, _, Vh = _leading(W, min(W.shape))
    chosen = slice(r) if generator is None else torch.randperm(min(W.shape), generator=generator)[:r]
    return Framed(U[:, chosen], Vh[chosen])


def lora_xs(W: Float[Tensor, "out in"], r: int) -> Framed:
    """``U_r S_r M V_r^T``, any ``M``. Source: Balazy et al. 2024 (arXiv 2405.17604), who start it near 0."""
    U, s, Vh = _leading(W, r)
    return Framed(U * s, Vh, square=True)


KINDS: dict[str, Callable[..., Adapter]] = {"lora": lora, "pissa": pissa, "svfit": svfit, "lora_xs": lora_xs}


def attach(
    net: nn.Module, kind: str | Callable[..., Adapter], layers: Iterable[str] | None = None, **options: Any
) -> dict[str, Adapter]:
    """Put an adapter on the weight of every named ``nn.Linear`` of ``net`` (default: all); returns them by name.

    The weights are frozen until :func:`detach`; the rest of ``net`` is left as it is. Works wherever ``weight`` is
    read, inside ``nn.MultiheadAttention`` too. An adapted network can be copied, not pickled: pickle its :func:`state`.

    Parameters
    ----------
    kind, options : a name in ``KINDS``, or a function that makes an adapter from a weight, and what it takes.
    layers : names as in ``net.named_modules()``; ``""`` is ``net`` itself.

    ValueError, before anything is changed, for a layer that is unknown, not linear, or has an adapter already.
    """
    if isinstance(kind, str) and kind not in KINDS:
        raise ValueError(f"kind must be one of {sorted(KINDS)} or a function, got {kind!r}")
    make = KINDS[kind] if isinstance(kind, str) else kind
    linear = {name: module for name, module in net.named_modules() if isinstance(module, nn.Linear)}
    names = list(linear if layers is None else layers)
    if not names or len(set(names)) < len(names) or not set(names) <= set(linear):
        raise ValueError(f"layers must be different names of nn.Linear, among {list(linear)}; got {names}")
    if worn := [name for name in names if parametrize.is_parametrized(linear[name], "weight")]:
        raise ValueError(f"layers must have no adapter yet, but these do: {worn}")
    made = {name: make(linear[name].weight, **options) for name in names}
    for name, adapter in made.items():
        adapter.was_trainable = linear[name].weight.requires_grad
        linear[name].weight.requires_grad_(False)
        adapter.train(linear[name].training)
        parametrize.register_parametrization(linear[name], "weight", adapter, unsafe=True)  # no trial run
    return made


def attached(net: nn.Module) -> dict[str, tuple[nn.Linear, Adapter]]:
    """Layers of ``net`` that wear an adapter and the adapters, by name; ValueError if there is none."""
    found = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, "weight"):
            adapter = module.get_submodule("parametrizations.weight.0")
            if isinstance(adapter, Adapter):
                found[name] = (module, adapter)
    if not found:
        raise ValueError(f"net must have adapters, got {type(net).__name__} without any")
    return found


def merge(net: nn.Module) -> None:
    """Compute every adapted weight once, for use without training; ValueError if that was done already."""
    worn = attached(net).values()
    if any(adapter.merged is not None for _, adapter in worn):
        raise ValueError("adapters must not be merged already")
    for layer, adapter in worn:
        adapter.merged = layer.weight.detach().clone()


def unmerge(net: nn.Module) -> None:
    """Undo :func:`merge`, exactly; ValueError if there is nothing to undo."""
    worn = attached(net).values()
    if any(adapter.merged is None for _, adapter in worn):
        raise ValueError("adapters must be merged")
    for _, adapter in worn:
        adapter.merged = None


def detach(net: nn.Module, *, keep: bool = False) -> None:
    """Take all adapters off: the old weights return bit for bit or, with ``keep``, the adapted ones stay."""
    for layer, adapter in attached(net).values():
        weight = layer.weight.detach().clone()
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        layer.weight = nn.Parameter(weight) if keep else layer.weight
        layer.weight.requires_grad_(adapter.was_trainable)
        layer.register_parameter("bias", layer._parameters.pop("bias"))  # behind the weight again


def state(net: nn.Module) -> dict[str, Tensor]:
    """Copies of the tensors of the adapters alone, named ``"<layer>.<tensor>"``."""
    worn = attached(net)
    return {f"{name}.{key}": value.clone() for name in worn for key, value in worn[name][1].state_dict().items()}


def load(net: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put what :func:`state` returned into the adapters of ``net``; ValueError unless names and shapes agree."""
    want, got = ({name: tuple(value.shape) for name, value in each.items()} for each in (state(net), tensors))
    if want != got:
        raise ValueError(f"tensors must have the names and shapes {want}, got {got}")
    for name, (_, adapter) in attached(net).items():
        adapter.load_state_dict({key: tensors[f"{name}.{key}"] for key in adapter.state_dict()})


def _leading(W: Tensor, r: int, power: int | None = None, generator: torch.Generator | None = None) -> Any:
    """The first ``r`` singular triples, of a full SVD or of a randomised one with ``power`` passes."""
    _check_rank(W, r)
    if W.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"W must be float32 or float64 for an SVD, got {W.dtype}; round or quantise afterwards")
    if power is not None and generator is not None:
        return low_rank(W.detach(), r, generator=generator, power=power)
    U, s, Vh = torch.linalg.svd(W.detach(), full_matrices=False)
    return U[:, :r], s[:r], Vh[:r]


def _check_rank(W: Tensor, r: int) -> None:
    if W.ndim != 2 or not 1 <= r <= min(W.shape):
        raise ValueError(f"r must lie between 1 and the smaller side of a weight of shape {tuple(W.shape)}, got {r}")

"""Masks against torch.nn.utils.prune, smaller layers against masked ones."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from lrsparse.models.patterns import start
from lrsparse.pruning import keep_mask, remove_neurons

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=60, deadline=None)
SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.75, 1.0]))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def torch_mask(W: torch.Tensor, share: float) -> torch.Tensor:
    layer = nn.Linear(W.shape[1], W.shape[0])
    layer.weight.data = W.clone()
    prune.ln_structured(layer, "weight", amount=float(share), n=2, dim=0)
    return layer.weight_mask[:, 0].bool()


# masks


@FEW
@given(m=st.integers(1, 40), n=st.integers(1, 6), share=SHARES, seed=SEEDS, ties=st.booleans())
def test_smallest_first_is_torchs_mask(m: int, n: int, share: float, seed: int, ties: bool) -> None:
    W = torch.randn(m, n, generator=generator(seed))
    W = W.sign() if ties else W  # signs: every row has one norm
    assert torch.equal(keep_mask(W, share), torch_mask(W, share))


@FEW
@given(m=st.integers(1, 40), share=SHARES, seed=SEEDS)
def test_every_order_removes_as_many_and_the_right_ones(m: int, share: float, seed: int) -> None:
    W = torch.randn(m, 3, generator=generator(seed), dtype=torch.float64)
    norms = W.norm(dim=1)
    smallest, largest = keep_mask(W, share), keep_mask(W, share, "largest")
    chance = keep_mask(W, share, "random", generator=generator(seed))
    assert {int(keep.sum()) for keep in (smallest, largest, chance)} == {m - round(share * m)}
    if 0 < smallest.sum() < m:
        assert norms[smallest].min() >= norms[~smallest].max()
        assert norms[largest].max() <= norms[~largest].min()


def test_random_order_is_the_generators_and_uniform() -> None:
    W = torch.ones(6, 2)
    assert torch.equal(*(keep_mask(W, 0.5, "random", generator=generator(3)) for _ in range(2)))
    g = generator()
    often = torch.stack([keep_mask(W, 0.5, "random", generator=g) for _ in range(4000)]).double().mean(0)
    torch.testing.assert_close(often, torch.full((6,), 0.5, dtype=torch.float64), atol=0.04, rtol=0)


def test_mask_draws_nothing_global_and_keeps_no_graph() -> None:
    before = torch.get_rng_state()
    W = nn.Parameter(torch.ones(4, 2))
    assert not keep_mask(W, 0.5, "random", generator=generator()).requires_grad
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("W", {"W": torch.ones(4)}),
        ("share", {"share": -0.1}),
        ("share", {"share": 1.1}),
        ("share", {"share": float("nan")}),
        ("order", {"order": "biggest"}),
        ("generator", {"order": "random"}),
        ("generator", {"generator": torch.Generator()}),
    ],
)
def test_bad_mask(argument: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{argument} must"):
        keep_mask(**{"W": torch.ones(4, 2), "share": 0.5} | options)


# smaller layers


@FEW
@given(seed=SEEDS, m=st.integers(1, 20), biases=st.tuples(st.booleans(), st.booleans()), share=SHARES)
def test_smaller_layers_are_the_masked_ones(seed: int, m: int, biases: tuple[bool, bool], share: float) -> None:
    g = generator(seed)
    first, second = nn.Linear(5, m, bias=biases[0]).double(), nn.Linear(m, 3, bias=biases[1]).double()
    keep, x = keep_mask(first.weight, share, "random", generator=g), torch.randn(7, 5, generator=g).double()
    small = remove_neurons(first, second, keep)
    for activation in (torch.relu, torch.sigmoid):  # a sigmoid is not zero at zero
        expected = second(activation(first(x)) * keep)
        torch.testing.assert_close(small[1](activation(small[0](x))), expected, atol=1e-12, rtol=0)
    assert (small[0].out_features, small[1].in_features) == (keep.sum(), keep.sum())
    assert [layer.bias is not None for layer in small] == list(biases)


def test_smaller_layers_are_torchs_masked_ones_in_float32() -> None:
    first, second = nn.Linear(32, 200, bias=False), nn.Linear(200, 8)
    x, keep = torch.randn(50, 32, generator=generator()), keep_mask(first.weight, 0.6)
    small = remove_neurons(first, second, keep)
    prune.ln_structured(first, "weight", amount=0.6, n=2, dim=0)
    torch.testing.assert_close(small[1](torch.relu(small[0](x))), second(torch.relu(first(x))), atol=1e-6, rtol=0)


def test_layers_are_new_keep_their_kind_and_draw_nothing() -> None:
    first, second = nn.Linear(4, 6, dtype=torch.bfloat16), nn.Linear(6, 2, dtype=torch.bfloat16).eval()
    first.weight.requires_grad_(False)
    before = torch.get_rng_state()
    small = remove_neurons(first, second, torch.arange(6) < 4)
    assert torch.equal(before, torch.get_rng_state())
    assert all(layer.weight.dtype == torch.bfloat16 for layer in small)
    assert not small[0].weight.requires_grad and small[1].weight.requires_grad
    assert small[0].training and not small[1].training
    small[1].weight.data.zero_()
    assert second.weight.abs().sum() > 0 and small[0].weight.is_contiguous()
    small[1](torch.relu(small[0](torch.ones(3, 4, dtype=torch.bfloat16)))).sum().backward()


@pytest.mark.parametrize(
    ("argument", "second", "keep"),
    [
        ("second", nn.Linear(5, 2), torch.ones(6, dtype=torch.bool)),
        ("keep", nn.Linear(6, 2), torch.ones(5, dtype=torch.bool)),
        ("keep", nn.Linear(6, 2), torch.ones(6)),
        ("keep", nn.Linear(6, 2), torch.ones(6, 1, dtype=torch.bool)),
    ],
)
def test_bad_layers(argument: str, second: nn.Linear, keep: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=rf"^{argument} must"):
        remove_neurons(nn.Linear(4, 6), second, keep)


# the network of the book


@FEW
@given(seed=SEEDS, share=SHARES)
def test_one_layer_without_neurons(seed: int, share: float) -> None:
    net, g = start(5, generator(seed), m=12, xi=1.0, dtype=torch.float64), generator(seed)
    keep, tokens = keep_mask(net.W_O, share, "largest"), torch.randn(4, 6, 5, generator=g, dtype=torch.float64)
    small = net.keep(keep)
    torch.testing.assert_close(small(tokens), net.hidden(tokens).mean(1) @ (net.a * keep), atol=1e-12, rtol=0)
    assert small.W_O.shape == (keep.sum(), 5) and small.W_O.is_leaf and small.W_O.requires_grad


@pytest.mark.parametrize("neurons", [torch.ones(11, dtype=torch.bool), torch.ones(12), torch.arange(12)])
def test_bad_neurons(neurons: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"^neurons must"):
        start(5, generator(), m=12).keep(neurons)

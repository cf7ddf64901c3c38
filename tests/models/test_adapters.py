"""Adapters: on and off any linear layer, the same numbers as peft, and refused where they would go wrong."""

import copy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lrsparse.models import adapters
from lrsparse.models.adapters import LowRank, attach, attached, detach, lora, merge, pissa, scale_of, state, unmerge

FEW = settings(max_examples=25, deadline=None)
STARTS: list[dict[str, Any]] = [
    {"kind": "lora"}, {"kind": "lora", "start": "gaussian"}, {"kind": "pissa"}, {"kind": "pissa", "power": 2},
    {"kind": "pissa", "alpha": 6.0}, {"kind": "pissa", "alpha": 6.0, "rank_stabilised": True},
]  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5, bias=False)).to(dtype)


def inputs(n: int = 7, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, 8, generator=generator(3)).to(dtype)


def put_on(net: nn.Module, start: dict[str, Any], r: int = 3, layers: Any = None) -> Any:
    options = {"generator": generator(1), **start}
    return attach(net, options.pop("kind"), layers, r=r, **options)


def train(net: nn.Module, x: Tensor, steps: int = 5, lr: float = 0.05) -> None:
    for _ in range(steps):
        net.zero_grad()
        net(x).square().sum().backward()
        with torch.no_grad():
            for W in net.parameters():
                if W.grad is not None:
                    W -= lr * W.grad


def low_rank(adapter: adapters.Adapter) -> LowRank:
    assert isinstance(adapter, LowRank)
    return adapter


# on and off


@pytest.mark.parametrize("start", STARTS, ids=str)
def test_output_unchanged_at_the_start_and_restored_bit_for_bit(start: dict[str, Any]) -> None:
    net, x = network(), inputs()
    before, weights = net(x), [W.detach().clone() for W in net.parameters()]
    made = put_on(net, start)
    torch.testing.assert_close(net(x), before, atol=1e-6, rtol=0)
    assert list(made) == ["0", "2"] == list(attached(net))
    assert all(not adapter.update().any() for adapter in made.values())  # exactly zero, not nearly
    net[0].bias.requires_grad_(False)
    train(net, x)
    assert (net(x) - before).abs().max() > 1e-3
    detach(net)
    assert torch.equal(net(x), before)
    assert all(torch.equal(W, old) for W, old in zip(net.parameters(), weights, strict=True))
    assert type(net[0]) is nn.Linear and net[0].weight.requires_grad


@pytest.mark.parametrize("start", STARTS[:3], ids=str)
def test_merge_unmerge_and_keep(start: dict[str, Any]) -> None:
    net, x = network().requires_grad_(False), inputs()
    put_on(net, start)
    train(net, x)
    adapted = net(x).detach()
    merge(net)
    assert torch.equal(net(x), adapted) and not net(x).requires_grad
    with pytest.raises(ValueError, match="merged already"):
        merge(net)
    unmerge(net)
    assert torch.equal(net(x), adapted) and net(x).requires_grad
    with pytest.raises(ValueError, match="must be merged"):
        unmerge(net)
    detach(net, keep=True)
    assert torch.equal(net(x), adapted) and list(net.state_dict()) == list(network().state_dict())
    assert not net[0].weight.requires_grad  # as it was before


def test_only_the_adapter_is_trained() -> None:
    net = network()
    attach(net.requires_grad_(False), "lora", ["0"], r=2, generator=generator())
    assert [name for name, W in net.named_parameters() if W.requires_grad] == [
        "0.parametrizations.weight.0.B", "0.parametrizations.weight.0.A"]  # fmt: skip
    assert sum(W.numel() for W in net.parameters() if W.requires_grad) == 2 * (8 + 6)
    original = net[0].get_parameter("parametrizations.weight.original").clone()
    train(net, inputs())
    assert torch.equal(net[0].get_parameter("parametrizations.weight.original"), original)


@pytest.mark.parametrize("training", [True, False])
def test_inside_a_transformer_layer(training: bool) -> None:
    """`nn.MultiheadAttention` and the fast path of inference read weights without calling the layer."""
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).train(training).requires_grad_(False)
    x = torch.randn(2, 5, 8)
    before = net(x)
    made = attach(net, "pissa", r=2)
    assert list(made) == ["self_attn.out_proj", "linear1", "linear2"]
    torch.testing.assert_close(net(x), before, atol=1e-6, rtol=0)
    for adapter in made.values():
        B = low_rank(adapter).B
        old = B.detach().clone()
        B.data += 0.3 * torch.randn(B.shape)
        with torch.no_grad():
            assert (net(x) - before).abs().max() > 1e-3
        B.data = old
    merge(net)
    with torch.no_grad():
        torch.testing.assert_close(net(x), before, atol=1e-6, rtol=0)


def test_a_single_layer_a_shared_layer_and_copies() -> None:
    layer = nn.Linear(4, 3)
    attach(layer, "pissa", r=1)
    assert list(attached(layer)) == [""]
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert list(attach(net, "lora", r=1, generator=generator())) == ["0"]
    other = copy.deepcopy(net)
    train(other, torch.randn(3, 4))
    assert not low_rank(attached(net)["0"][1]).B.any() and low_rank(attached(other)["0"][1]).B.any()


def test_a_new_kind_is_a_function() -> None:
    class Bias(adapters.Adapter):
        def __init__(self, W: Tensor) -> None:
            super().__init__()
            self.shift = nn.Parameter(W.new_zeros(1))

        def update(self) -> Tensor:
            return self.shift.expand(6, 8)

    net = network()
    attach(net, Bias, ["0"])
    train(net, inputs())
    assert list(state(net)) == ["0.shift"] and state(net)["0.shift"].any()


@pytest.mark.parametrize("start", STARTS[:3], ids=str)
def test_state_of_the_adapter_alone(start: dict[str, Any], tmp_path: Path) -> None:
    net, x = network(), inputs()
    put_on(net, start)
    net.get_parameter("0.bias").requires_grad_(False)
    train(net, x)
    keys = ["B", "A"] + (["B_0", "A_0"] if start["kind"] == "pissa" else [])
    assert list(state(net)) == [f"{layer}.{key}" for layer in ("0", "2") for key in keys]
    torch.save(state(net), tmp_path / "adapter.pt")
    other = network()
    put_on(other, {"kind": start["kind"]})
    adapters.load(other, torch.load(tmp_path / "adapter.pt"))
    assert torch.equal(other(x), net(x))
    wrong = network()
    put_on(wrong, start, r=2)
    for bad in (state(wrong), {}, {"0.B": torch.zeros(6, 3)}):
        with pytest.raises(ValueError, match="names and shapes"):
            adapters.load(other, bad)


def test_dropout_hides_input_features_in_training_only() -> None:
    net = nn.Linear(200, 3, bias=False)
    attach(net, "lora", r=2, dropout=0.5, generator=generator())
    adapter = low_rank(attached(net)[""][1])
    adapter.B.data.fill_(1.0)
    torch.manual_seed(0)
    hidden = (adapter.update() == 0).all(0)
    assert 60 < hidden.sum() < 140
    full, part = adapter.eval().update(), adapter.train().update()
    assert torch.equal(part, torch.where((part == 0).all(0), 0, 2 * full))


# identities


@FEW
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 7), st.floats(0.1, 30), st.booleans())
def test_pissa_starts_balanced_at_the_best_approximation(seed: int, m: int, n: int, alpha: float, stable: bool) -> None:
    W = torch.randn(m, n, generator=generator(seed), dtype=torch.float64)
    r = 1 + seed % min(m, n)
    adapter = pissa(W, r, alpha=alpha, rank_stabilised=stable)
    U, s, Vh = torch.linalg.svd(W, full_matrices=False)
    torch.testing.assert_close(adapter.scale * adapter.B @ adapter.A, (U[:, :r] * s[:r]) @ Vh[:r])
    torch.testing.assert_close(adapter.A @ adapter.A.T, adapter.B.T @ adapter.B)
    torch.testing.assert_close(adapter.scale * adapter.A @ adapter.A.T, torch.diag(s[:r]))


def test_the_random_start() -> None:
    W = torch.zeros(30, 400)
    uniform, gaussian = lora(W, 20, generator=generator()), lora(W, 20, generator=generator(), start="gaussian")
    assert not uniform.B.any() and uniform.A.abs().max() <= 1 / 20
    assert uniform.A.var().item() == pytest.approx(1 / 1200, rel=0.05)
    assert gaussian.A.var().item() == pytest.approx(1 / 400, rel=0.05)


@pytest.mark.parametrize("start", STARTS, ids=str)
def test_conversion_to_lora(start: dict[str, Any]) -> None:
    net, x = network(torch.float64), inputs(dtype=torch.float64)
    put_on(net, start)
    net.get_parameter("0.bias").requires_grad_(False)
    train(net, x)
    plain = network(torch.float64)
    for name, (_, adapter) in attached(net).items():
        new = low_rank(adapter).as_lora()
        assert len(new.A) == (6 if start["kind"] == "pissa" else 3)
        assert new.scale == pytest.approx(low_rank(adapter).scale) and new.B_0 is None
        attach(plain, lambda W, new=new: new, [name])
    torch.testing.assert_close(plain(x), net(x), atol=1e-12, rtol=0)


def test_bfloat16_takes_a_lora() -> None:
    net = network(torch.bfloat16)
    attach(net, "lora", r=2, generator=generator())
    assert net(inputs(dtype=torch.bfloat16)).dtype == torch.bfloat16


# against peft


def theirs(net: nn.Module, **options: Any) -> Any:
    return peft.get_peft_model(copy.deepcopy(net), peft.LoraConfig(target_modules=["0", "2"], **options))


@pytest.mark.filterwarnings("ignore:PiSSA changes the base weights")
@pytest.mark.parametrize("alpha", [3, 6])
@pytest.mark.parametrize("stable", [False, True])
def test_pissa_as_in_peft(alpha: int, stable: bool, tmp_path: Path) -> None:
    net, x = network(), inputs()
    ours = copy.deepcopy(net)
    attach(ours.requires_grad_(False), "pissa", r=3, alpha=alpha, rank_stabilised=stable)
    peer = theirs(net, r=3, lora_alpha=alpha, use_rslora=stable, init_lora_weights="pissa")
    peer.peft_config["default"].init_lora_weights = True  # what peft asks for, to save the start
    peer.save_pretrained(tmp_path / "start")
    peer.peft_config["default"].init_lora_weights = "pissa"
    for name, (layer, adapter) in attached(ours).items():
        adapter, peers = low_rank(adapter), peer.base_model.model.get_submodule(name)
        assert adapter.scale == pytest.approx(peers.scaling["default"])
        product = peers.lora_B["default"].weight @ peers.lora_A["default"].weight
        torch.testing.assert_close(adapter.B @ adapter.A, product, atol=1e-5, rtol=0)
        residual = layer.weight - adapter.scale * adapter.B @ adapter.A
        torch.testing.assert_close(residual, peers.base_layer.weight, atol=1e-5, rtol=0)
    torch.testing.assert_close(peer(x), ours(x), atol=1e-5, rtol=0)
    for each in (ours, peer):
        train(each, x, lr=0.01)
    torch.testing.assert_close(peer(x), ours(x), atol=1e-4, rtol=0)
    peer.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=tmp_path / "start")
    plain = peft.PeftModel.from_pretrained(copy.deepcopy(net), tmp_path / "plain")
    torch.testing.assert_close(plain(x), ours(x), atol=1e-4, rtol=0)
    for name, (_, adapter) in attached(ours).items():
        new, peers = low_rank(adapter).as_lora(), plain.base_model.model.get_submodule(name)
        assert peers.r["default"] == len(new.A) == 6
        assert new.scale == pytest.approx(peers.scaling["default"])
        product = peers.lora_B["default"].weight @ peers.lora_A["default"].weight
        torch.testing.assert_close(new.B @ new.A, product, atol=1e-4, rtol=0)


@pytest.mark.parametrize("alpha", [3, 6])
@pytest.mark.parametrize("stable", [False, True])
def test_lora_as_in_peft(alpha: int, stable: bool) -> None:
    net, x = network(), inputs()
    ours = copy.deepcopy(net)
    made = attach(ours.requires_grad_(False), "lora", r=3, alpha=alpha, rank_stabilised=stable, generator=generator())
    peer = theirs(net, r=3, lora_alpha=alpha, use_rslora=stable)
    for name, adapter in made.items():
        peers = peer.base_model.model.get_submodule(name).lora_A["default"].weight
        assert peers.abs().max() <= 1 / peers.shape[1] ** 0.5 and peers.shape == low_rank(adapter).A.shape
        low_rank(adapter).A.data = peers.detach().clone()
    for each in (ours, peer):
        train(each, x)
    torch.testing.assert_close(peer(x), ours(x), atol=1e-5, rtol=0)


# refused


def test_bad_ranks_and_scales() -> None:
    net = network()
    for r in (0, -1, 6):  # the second layer is 5 x 6
        for options in ({"kind": "pissa"}, {"kind": "lora"}):
            with pytest.raises(ValueError, match=r"r must lie between 1 .* got"):
                put_on(net, options, r=r)
    with pytest.raises(ValueError, match="must have adapters"):
        attached(net)  # the first layer, 6 x 8, was not touched either
    for r, alpha in ((0, 1.0), (2, 0.0), (2, -1.0), (2, float("nan"))):
        with pytest.raises(ValueError, match="alpha positive"):
            scale_of(r, alpha)
    with pytest.raises(ValueError, match="alpha positive"):
        attach(net, "pissa", r=2, alpha=0)


def test_bad_layers_and_kinds() -> None:
    net = network()
    for layers in (["1"], ["3"], [], ["0", "0"]):
        with pytest.raises(ValueError, match="layers must be different names"):
            attach(net, "pissa", layers, r=2)
    with pytest.raises(ValueError, match="layers must be different names"):
        attach(nn.ReLU(), "pissa", r=1)
    with pytest.raises(ValueError, match="kind must be one of"):
        attach(net, "svd", r=2)
    attach(net, "pissa", ["2"], r=2)
    with pytest.raises(ValueError, match=r"no adapter yet, but these do: \['2'\]"):
        attach(net, "pissa", r=2)
    assert list(attached(net)) == ["2"]
    for act in (merge, unmerge, detach, state):
        with pytest.raises(ValueError, match="must have adapters"):
            act(network())


def test_bad_options() -> None:
    W = torch.randn(6, 8)
    with pytest.raises(ValueError, match="dropout must be 0 for PiSSA"):
        pissa(W, 2, dropout=0.1)
    for dtype in (torch.bfloat16, torch.float16, torch.int8):
        with pytest.raises(ValueError, match="W must be float32 or float64 for an SVD"):
            pissa(W.to(dtype), 2)
    with pytest.raises(ValueError, match="generator must be given"):
        pissa(W, 2, power=2)
    with pytest.raises(ValueError, match="start must be"):
        lora(W, 2, generator=generator(), start="orthogonal")  # type: ignore[arg-type]
    for dropout in (-0.1, 1.0):
        with pytest.raises(ValueError, match="dropout must lie in"):
            lora(W, 2, generator=generator(), dropout=dropout)
    with pytest.raises(ValueError, match="B and A must have shapes"):
        LowRank(torch.zeros(6, 2), torch.zeros(3, 8))


# frames: singular values and cores


@pytest.mark.parametrize("kind", ["svfit", "lora_xs"])
@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (1, 4), (4, 4)])
def test_framed_starts_at_zero_and_stays_in_its_frame(kind: str, shape: tuple[int, int]) -> None:
    W, r = torch.randn(shape, generator=generator(5), dtype=torch.float64), min(3, *shape)
    adapter = adapters.KINDS[kind](W, r)
    assert torch.equal(adapter(W), W)
    assert adapter.delta.numel() == (r if kind == "svfit" else r * r) == sum(p.numel() for p in adapter.parameters())
    U, s, Vh = torch.linalg.svd(W, full_matrices=False)
    change = torch.randn(adapter.delta.shape, generator=generator(6), dtype=torch.float64)
    adapter.delta.data = change.clone()
    seen = U.T @ (adapter(W) - W) @ Vh.T
    expected = torch.zeros_like(seen)
    expected[:r, :r] = torch.diag(change) if kind == "svfit" else s[:r, None] * change
    torch.testing.assert_close(seen, expected)


@FEW
@given(seed=st.integers(0, 10_000), m=st.integers(1, 7), n=st.integers(1, 7), size=st.sampled_from([1e-3, 1.0, 1e3]))
def test_singular_values_move_and_nothing_else(seed: int, m: int, n: int, size: float) -> None:
    """Singular values become |s + delta|, also through zero; the best delta for any target is its projection."""
    W, target = torch.randn(2, m, n, generator=generator(seed), dtype=torch.float64)
    adapter, s = adapters.svfit(W, r := min(m, n)), torch.linalg.svdvals(W)
    adapter.delta.data = size * torch.randn(r, generator=generator(seed + 1), dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.svdvals(adapter(W)), (s + adapter.delta).abs().sort(descending=True).values)
    adapter.delta.data.zero_()
    (adapter(W) - W - target).square().sum().div(2).backward()
    best = -adapter.delta.grad  # type: ignore[operator]
    left = (target - (adapter.left * best) @ adapter.right).square().sum()
    torch.testing.assert_close(left, target.square().sum() - best.square().sum())


def test_random_pairs_are_pairs_of_the_weight_and_reproducible() -> None:
    W = torch.randn(6, 8, generator=generator(7), dtype=torch.float64)
    first, second = (adapters.svfit(W, 4, generator=generator(2)) for _ in range(2))
    assert torch.equal(first.left, second.left)
    met = first.left.T @ W @ first.right.T
    s = torch.linalg.svdvals(W)
    torch.testing.assert_close(met, torch.diag(met.diagonal()))
    assert all(((s - value).abs() < 1e-9).any() for value in met.diagonal())
    assert not torch.equal(first.left, adapters.svfit(W, 4).left)


@pytest.mark.parametrize("kind", ["svfit", "lora_xs"])
def test_framed_on_a_network(kind: str) -> None:
    """On, trained, stored with its frames, loaded elsewhere, off."""
    net = network()
    before = {name: W.detach().clone() for name, W in net.state_dict().items()}
    attach(net, kind, ["0"], r=3)
    train(net, inputs())
    output, stored = net(inputs()).detach(), state(net)
    assert set(stored) == {"0.left", "0.right", "0.delta"}
    other = network()
    attach(other, kind, ["0"], r=3)
    adapters.load(other, stored)
    merge(other)
    with torch.no_grad():
        for name in ("2.weight", "2.bias"):  # trained in the first network, too
            if name in before:
                other.get_parameter(name).copy_(net.get_parameter(name))
        other[0].bias.copy_(net[0].bias)
        torch.testing.assert_close(other(inputs()), output)
    detach(net)
    assert torch.equal(net[0].weight, before["0.weight"])


def test_bad_frames() -> None:
    W = torch.eye(3)
    for kind in (adapters.svfit, adapters.lora_xs):
        for bad, r, named in ((W, 0, "r must"), (W, 4, "r must"), (W[0], 1, "r must"), (W.bfloat16(), 1, "float32")):
            with pytest.raises(ValueError, match=named):
                kind(bad, r)
    with pytest.raises(ValueError, match="shapes"):
        adapters.Framed(torch.zeros(3, 2), torch.zeros(3, 2))

"""The package against what a reader would otherwise call. Ratios only: absolute times are those of one machine."""

import time
from collections.abc import Callable
from functools import cache, partial
from statistics import median
from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils import prune

from lrsparse.models.adapters import LowRank, attach, attached
from lrsparse.models.patterns import OneLayer, PatternTask, gradients_at_uniform_attention, start
from lrsparse.pruning import keep_mask, remove_neurons
from lrsparse.spectrum import low_rank, row_space
from lrsparse.training import hinge, over_seeds, random_orthonormal

TASK = PatternTask(M=20, K=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fused(model: OneLayer, tokens: Tensor) -> Tensor:
    """The same network on torch's fused attention."""
    queries, keys, values = (tokens @ W.T for W in (model.W_Q, model.W_K, model.W_V))
    attended = scaled_dot_product_attention(queries, keys, values, scale=1.0)
    return torch.relu(attended @ model.W_O.T).mean(1) @ model.a


@pytest.mark.benchmark(group="One training step of OneLayer")
@pytest.mark.parametrize("forward", ["ours", "fused attention"])
def test_training_step(benchmark: Any, forward: str) -> None:
    model, (tokens, labels, _) = start(TASK.M, seeded()), TASK.sample(64, seeded())
    torch.testing.assert_close(model(tokens), fused(model, tokens))
    run: Callable[[], Tensor] = (lambda: model(tokens)) if forward == "ours" else (lambda: fused(model, tokens))
    benchmark(lambda: hinge(run(), labels).backward())


@pytest.mark.benchmark(group="Four gradients at the start, closed form")
@pytest.mark.parametrize("how", ["ours", "autograd"])
def test_gradients(benchmark: Any, how: str) -> None:
    model = start(TASK.M, seeded(), dtype=torch.float64)
    patterns = TASK.patterns.double()
    weights, labels = TASK.population()
    tokens = patterns.expand(len(weights), -1, -1)

    def autograd() -> dict[str, Tensor]:
        names = ("W_Q", "W_K", "W_V", "W_O")
        # Without its bend: where the hinge is active.
        loss = (1 - labels * model(tokens, weights)).mean()
        return dict(zip(names, torch.autograd.grad(loss, [getattr(model, n) for n in names]), strict=True))

    def ours() -> dict[str, Tensor]:
        with torch.no_grad():
            return gradients_at_uniform_attention(model, patterns, weights, labels)

    torch.testing.assert_close(ours(), autograd(), atol=1e-12, rtol=0)
    benchmark(ours if how == "ours" else autograd)


@pytest.mark.benchmark(group="One training step on 8 samples of 1,000 tokens, by counts")
@pytest.mark.parametrize("inputs", ["ours", "one row per token"])
def test_counts(benchmark: Any, inputs: str) -> None:
    task, n = PatternTask(M=20, L=1000, noise=0), 8
    model, (tokens, labels, which) = start(task.M, seeded()), task.sample(n, seeded())
    weights = torch.nn.functional.one_hot(which, task.M).float().mean(1)
    patterns = task.patterns.expand(n, -1, -1)
    torch.testing.assert_close(model(patterns, weights), model(tokens), atol=1e-5, rtol=1e-4)
    run: Callable[[], Tensor] = (lambda: model(patterns, weights)) if inputs == "ours" else (lambda: model(tokens))
    benchmark(lambda: hinge(run(), labels).backward())


@pytest.mark.benchmark(group="Leading 4 directions of a 400 x 200 matrix")
@pytest.mark.parametrize("how", ["ours", "torch.svd_lowrank"])
def test_row_space(benchmark: Any, how: str) -> None:
    A = torch.randn(400, 4, generator=seeded()) @ torch.randn(4, 200, generator=seeded(1))
    ours, theirs = row_space(A, 4), torch.svd_lowrank(A, 4)[2]
    torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, atol=1e-5, rtol=0)
    benchmark((lambda: row_space(A, 4)) if how == "ours" else (lambda: torch.svd_lowrank(A, 4)))


RANK, SIZE = 16, 2048
SLOW = torch.arange(1, SIZE + 1) ** -0.5  # singular values that fall slowly


@cache
def slow_matrix() -> Tensor:
    left, right = (random_orthonormal(SIZE, SIZE, seeded(seed)).float() for seed in (0, 1))
    return left * SLOW @ right.T


def excess(U: Tensor, s: Tensor, Vh: Tensor) -> float:
    """Frobenius error over the best possible one of that rank, minus 1."""
    return float((slow_matrix().double() - (U * s).double() @ Vh.double()).norm() / SLOW[RANK:].double().norm() - 1)


def ours(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    return low_rank(slow_matrix(), RANK, generator=seeded(seed))


def timed(run: Callable[[], Any]) -> float:
    """Median of five, in seconds."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return median(seconds)


@pytest.mark.benchmark(group="Rank 16 of a 2,048 x 2,048 matrix, spectrum j^(-1/2)")
@pytest.mark.parametrize("how", ["ours", "torch.linalg.svd"])
def test_low_rank(benchmark: Any, how: str) -> None:
    A = slow_matrix()
    assert max(excess(*ours(seed)) for seed in range(5)) <= 0.0025
    if how == "ours":
        benchmark(lambda: ours(0))
    else:
        result = benchmark.pedantic(lambda: torch.linalg.svd(A, full_matrices=False), rounds=2)
        torch.testing.assert_close(result.S, SLOW, atol=1e-4, rtol=0)
        assert benchmark.stats.stats.median >= 50 * timed(lambda: ours(0))


def test_low_rank_at_equal_time() -> None:
    """Against torch.svd_lowrank without spare vectors, given as many passes as fit into at least our time."""
    A, own_time, passes = slow_matrix(), timed(lambda: ours(0)), 2
    while timed(partial(torch.svd_lowrank, A, RANK, niter=passes)) < own_time:
        passes += 1
    for seed in range(5):
        torch.manual_seed(seed)  # it knows no generator
        U, s, V = torch.svd_lowrank(A, RANK, niter=passes)
        assert excess(*ours(seed)) <= excess(U, s, V.T), (seed, passes)
        torch.manual_seed(seed)
        U, s, V = torch.svd_lowrank(A, RANK + 16, niter=2)  # the same draw and the same products
        assert excess(*ours(seed)) == pytest.approx(excess(U[:, :RANK], s[:RANK], V.T[:RANK]), abs=1e-5)


def start_pissa(how: str, seed: int = 0) -> nn.Module:
    """A layer with a PiSSA adapter of rank 16, put on by us or as ``pissa_niter_k`` of peft."""
    layer = nn.Linear(SIZE, SIZE, bias=False, device="meta")
    layer.weight = nn.Parameter(slow_matrix().clone())
    if how == "ours":
        attach(layer, "pissa", r=RANK, power=2, generator=seeded(seed))
        return layer
    torch.manual_seed(seed)  # it knows no generator
    options = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["0"], init_lora_weights=how.split()[1])
    return peft.get_peft_model(nn.Sequential(layer), options)


def start_excess(how: str, seed: int) -> float:
    """Norm of the residual, the weight without the adapter, over the smallest possible one, minus 1."""
    net: Any = start_pissa(how, seed)
    if how == "ours":
        ((_, adapter),) = attached(net).values()
        assert isinstance(adapter, LowRank)
        residual = slow_matrix().double() - adapter.scale * adapter.B.double() @ adapter.A.double()
    else:
        residual = net.base_model.model[0].base_layer.weight.double()
    return float(residual.norm() / SLOW[RANK:].double().norm() - 1)


@pytest.mark.benchmark(group="PiSSA start of a 2,048 x 2,048 layer, rank 16")
@pytest.mark.parametrize("how", ["ours", "peft pissa_niter_4", "peft pissa_niter_16"])
def test_pissa_start(benchmark: Any, how: str) -> None:
    benchmark.extra_info["error"] = median(start_excess(how, seed) for seed in range(5))
    benchmark.pedantic(lambda: start_pissa(how), rounds=10, warmup_rounds=1)


def test_pissa_start_at_equal_time() -> None:
    """As many passes of peft as fit into at least our time leave a larger residual, for each of five seeds."""
    own_time, passes = timed(lambda: start_pissa("ours")), 2
    while timed(partial(start_pissa, f"peft pissa_niter_{passes}")) < own_time:
        passes += 1
    for seed in range(5):
        assert start_excess("ours", seed) <= start_excess(f"peft pissa_niter_{passes}", seed), (seed, passes)


def short_run(seed: int) -> float:
    """Training long enough to be worth a process."""
    model, generator = start(TASK.M, seeded(seed)), seeded(seed)
    for _ in range(300):
        tokens, labels, _which = TASK.sample(64, generator)
        hinge(model(tokens), labels).backward()
    return float(model.W_Q.grad.norm()) if model.W_Q.grad is not None else 0.0


@pytest.mark.benchmark(group="Four seeds in two processes")
@pytest.mark.parametrize("how", ["ours", "one after the other"])
def test_seeds(benchmark: Any, how: str) -> None:
    run = (lambda: over_seeds(short_run, range(4))) if how == "ours" else (lambda: [short_run(s) for s in range(4)])
    run()  # the processes start once and are kept
    result = benchmark.pedantic(run, rounds=3)
    assert len(set(result)) == 4


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
@pytest.mark.parametrize("how", ["ours", "all neurons", "a mask"])
def test_removed_neurons(benchmark: Any, how: str, share: float) -> None:
    """Two layers 512 -> 4096 -> 512, batch 256; where the work is all in the neurons, the ratio is 1 - share."""
    benchmark.group = f"Two layers of 4,096 neurons without {share:.0%} of them"
    first, second, x = nn.Linear(512, 4096, bias=False), nn.Linear(4096, 512), torch.randn(256, 512, generator=seeded())
    small = remove_neurons(first, second, keep_mask(first.weight, share))
    if how != "all neurons":
        prune.ln_structured(first, "weight", amount=share, n=2, dim=0)
        torch.testing.assert_close(small[1](small[0](x).relu()), second(first(x).relu()), atol=1e-6, rtol=0)
    layers = small if how == "ours" else (first, second)
    with torch.no_grad():
        benchmark.pedantic(lambda: layers[1](layers[0](x).relu()), rounds=60, warmup_rounds=5)

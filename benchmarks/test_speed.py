"""The package against what a reader would otherwise call. Ratios only: absolute times are those of one machine."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from lrsparse.models.patterns import OneLayer, PatternTask, gradients_at_uniform_attention, start
from lrsparse.spectrum import row_space
from lrsparse.training import hinge, over_seeds

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

"""The pattern task, the network, its start and its first gradients: against definitions, by hand or by autograd."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsparse.models.patterns import OneLayer, PatternTask, gradients_at_uniform_attention, start
from lrsparse.training import hinge

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=40, deadline=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def tasks(draw: st.DrawFn, **fixed: Any) -> PatternTask:
    """Any valid task: two shares, room for the patterns, enough tokens for a majority."""
    K = draw(st.integers(1, 3))
    own = draw(st.floats(0.3, 0.7))
    return PatternTask(
        M=2 * K + draw(st.integers(1, 6)),
        K=K,
        L=draw(st.integers(12, 30)),
        alpha_own=own,
        alpha_confusion=draw(st.floats(0.0, 0.5)) * min(own, 1 - own),
        noise=fixed.get("noise", draw(st.sampled_from([0.0, 0.3]))),
        counts=fixed.get("counts", draw(st.sampled_from(["random", "equal"]))),
        together=fixed.get("together", draw(st.booleans())),
    )


def votes(task: PatternTask, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many tokens of every sample speak for +1 and for -1."""
    return (which < task.K).sum(1), ((which >= task.K) & (which < 2 * task.K)).sum(1)


# the task


@FEW
@given(task=tasks(), seed=SEEDS)
def test_the_label_is_the_majority(task: PatternTask, seed: int) -> None:
    tokens, labels, which = task.sample(16, generator(seed))
    plus, minus = votes(task, which)
    assert torch.equal(torch.sign(plus - minus).to(labels.dtype), labels)
    assert tokens.shape == (16, task.L, task.M) and which.min() >= 0 and which.max() < task.M


@FEW
@given(task=tasks(counts="equal"), seed=SEEDS)
def test_equal_counts_are_exact(task: PatternTask, seed: int) -> None:
    _, labels, which = task.sample(16, generator(seed))
    plus, minus = votes(task, which)
    own = torch.where(labels > 0, plus, minus)
    assert (own == round(task.L * task.alpha_own)).all()
    assert (plus + minus - own == round(task.L * task.alpha_confusion)).all()
    irrelevant = torch.stack([(which == j).sum(1) for j in range(2 * task.K, task.M)])
    assert (irrelevant.amax(0) - irrelevant.amin(0) <= 1).all()


@FEW
@given(task=tasks(together=False), seed=SEEDS)
def test_one_pattern_of_each_class_in_a_sample(task: PatternTask, seed: int) -> None:
    _, _, which = task.sample(16, generator(seed))
    for row in which:
        assert len(row[row < task.K].unique()) <= 1
        assert len(row[(row >= task.K) & (row < 2 * task.K)].unique()) <= 1


def test_together_shows_every_pattern_of_the_class() -> None:
    _, labels, which = PatternTask(K=2, L=60, together=True).sample(20, generator())
    for row, label in zip(which, labels, strict=True):
        own = {0, 1} if label > 0 else {2, 3}
        assert own <= set(row.tolist())


def test_shares_of_random_counts() -> None:
    """With 400 tokens a majority is practically certain, so redrawing does not bias the shares."""
    task = PatternTask(M=8, L=400, alpha_own=0.4, alpha_confusion=0.1)
    _, labels, which = task.sample(500, generator())
    plus, minus = votes(task, which)
    own, confusion = torch.where(labels > 0, plus, minus), torch.where(labels > 0, minus, plus)
    n = 500 * 400
    for count, share in ((own.sum(), 0.4), (confusion.sum(), 0.1), ((which == 5).sum(), 0.5 / 6)):
        assert abs(count.item() / n - share) < 5 * (share * (1 - share) / n) ** 0.5
    assert abs((labels > 0).double().mean().item() - 0.5) < 5 * 0.5 / 500**0.5


@pytest.mark.parametrize("counts", ["random", "equal"])
def test_positions_are_shuffled(counts: Any) -> None:
    """Every position is relevant equally often."""
    task = PatternTask(L=20, counts=counts)
    _, labels, which = task.sample(4000, generator())
    frequency = (which == torch.where(labels > 0, 0, 1)[:, None]).double().mean(0)
    assert (frequency - frequency.mean()).abs().max() < 5 * 0.5 / 4000**0.5


def test_noise_has_the_length_it_says() -> None:
    task = PatternTask(M=10, d=16, noise=0.7)
    tokens, _, which = task.sample(500, generator())
    noise = tokens - task.patterns[which]
    assert noise.square().sum(2).mean().sqrt().item() == pytest.approx(0.7, rel=0.01)
    assert noise.mean((0, 1)).abs().max() < 5 * 0.7 / 16**0.5 / (500 * 40) ** 0.5
    clean, _, which = PatternTask(noise=0).sample(5, generator())
    assert torch.equal(clean, torch.eye(20)[which])


def test_the_generator_decides_everything() -> None:
    first, again, other = (PatternTask().sample(8, generator(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@FEW
@given(task=tasks())
def test_population(task: PatternTask) -> None:
    weights, labels = task.population()
    assert len(weights) == len(labels) == (2 if task.together else 2 * task.K**2)
    assert labels.sum() == 0 and (weights >= 0).all()
    plus, minus = weights[:, : task.K].sum(1), weights[:, task.K : 2 * task.K].sum(1)
    own, confusion = torch.where(labels > 0, plus, minus), torch.where(labels > 0, minus, plus)
    one = torch.ones(len(labels), dtype=torch.float64)
    torch.testing.assert_close(weights.sum(1), one)
    torch.testing.assert_close(own, task.alpha_own * one)
    torch.testing.assert_close(confusion, task.alpha_confusion * one)
    assert len(weights.unique(dim=0)) == len(weights) or task.alpha_confusion == 0


def test_population_is_the_mean_of_the_samples() -> None:
    task = PatternTask(M=9, K=2, L=20, alpha_own=0.4, alpha_confusion=0.1, noise=0, counts="equal")
    tokens, labels, _ = task.sample(8000, generator())
    weights, signs = task.population()
    for sign in (-1, 1):
        seen = tokens[labels == sign].double().mean((0, 1))
        torch.testing.assert_close(seen, weights[signs == sign].mean(0), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("K", {"K": 0}),
        ("M", {"M": 2}),
        ("M", {"M": 6, "K": 3}),
        ("alpha_confusion", {"alpha_confusion": 0.4}),
        ("alpha_confusion", {"alpha_confusion": -0.1}),
        ("alpha_own", {"alpha_own": 0.7, "alpha_confusion": 0.4}),
        ("noise", {"noise": -0.1}),
        ("d", {"d": 19}),
        ("counts", {"counts": "some"}),
        ("L", {"L": 1}),
    ],
)
def test_bad_task(argument: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        PatternTask(**changes)


def test_bad_sample_size() -> None:
    with pytest.raises(ValueError, match=r"\bn must"):
        PatternTask().sample(0, generator())


@FEW
@given(task=tasks(counts="random", together=False), seed=SEEDS)
def test_sampled_weights_are_counts_with_the_right_majority(task: PatternTask, seed: int) -> None:
    weights, labels = task.sample_weights(16, generator(seed))
    counts = weights * task.L
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    torch.testing.assert_close(weights.sum(1), torch.ones(16))
    voting = counts[:, : 2 * task.K].unflatten(1, (2, task.K))
    assert (weights >= 0).all() and ((voting > 0.5).sum(2) <= 1).all()
    plus, minus = voting.sum(2).unbind(1)
    assert torch.equal(torch.sign(plus - minus), labels)


def test_sampled_weights_have_the_law_of_counted_tokens() -> None:
    """Means, second moments, and how often each number of own tokens occurs."""
    task, n = PatternTask(M=7, K=2, L=6, alpha_own=0.35, alpha_confusion=0.2, noise=0), 40_000
    _, signs, which = task.sample(n, generator())
    counted = torch.nn.functional.one_hot(which, task.M).double().mean(1)
    drawn, labels = task.sample_weights(n, generator(1))
    for sign in (-1, 1):
        mine, theirs = drawn[labels == sign].double(), counted[signs == sign]
        torch.testing.assert_close(mine.mean(0), theirs.mean(0), atol=5e-3, rtol=0)
        torch.testing.assert_close(mine.T.cov(), theirs.T.cov(), atol=2e-3, rtol=0)
        own = [(w[:, : task.K] if sign > 0 else w[:, task.K : 2 * task.K]).sum(1) * task.L for w in (mine, theirs)]
        shares = [torch.bincount(each.round().long(), minlength=7) / len(each) for each in own]
        torch.testing.assert_close(shares[0], shares[1], atol=0.015, rtol=0)


def test_sampled_weights_extreme_shares_and_generator() -> None:
    only_own = PatternTask(M=5, L=50, alpha_own=1.0, alpha_confusion=0.0)
    weights, labels = only_own.sample_weights(8, generator())
    assert torch.equal(weights[:, :2], torch.stack([labels > 0, labels < 0], 1).float())
    assert torch.equal(weights, only_own.sample_weights(8, generator())[0])
    assert PatternTask(L=10**6).sample_weights(3, generator())[0].sum() == pytest.approx(3)


@pytest.mark.parametrize(
    ("argument", "changes", "n"),
    [("n", {}, 0), ("counts", {"counts": "equal"}, 1), ("together", {"together": True}, 1)],
)
def test_bad_sampled_weights(argument: str, changes: dict[str, Any], n: int) -> None:
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        PatternTask(**changes).sample_weights(n, generator())


# the network


def network(seed: int, scale: float = 1.5, d: int = 4) -> OneLayer:
    return start(d, generator(seed), m=12, scale=scale, xi=1.0, queries_keys="independent", dtype=torch.float64)


def by_hand(model: OneLayer, X: torch.Tensor) -> torch.Tensor:
    """The formula of the chapter for one sample, query by query, tokens as columns."""
    X = X.T
    out = torch.zeros((), dtype=X.dtype)
    for x in X.T:
        logits = X.T @ model.W_K.T @ model.W_Q @ x
        out = out + model.a @ torch.relu(model.W_O @ model.W_V @ X @ (logits.exp() / logits.exp().sum()))
    return out / X.shape[1]


@FEW
@given(seed=SEEDS, L=st.integers(1, 7), scale=st.floats(0, 3))
def test_forward_is_the_formula_and_blind_to_order(seed: int, L: int, scale: float) -> None:
    g, model = generator(seed), network(seed, scale)
    X = torch.randn(3, L, 4, generator=g, dtype=torch.float64)
    expected = torch.stack([by_hand(model, x) for x in X])
    torch.testing.assert_close(model(X), expected, atol=1e-12, rtol=1e-12)
    shuffled = model(X[:, torch.randperm(L, generator=g)])
    torch.testing.assert_close(shuffled, expected, atol=1e-12, rtol=1e-12)


@FEW
@given(seed=SEEDS, copies=st.lists(st.integers(1, 6), min_size=1, max_size=5), scale=st.floats(0, 3))
def test_weights_stand_for_copies(seed: int, copies: list[int], scale: float) -> None:
    g, model, n = generator(seed), network(seed, scale), torch.tensor(copies)
    few = torch.randn(2, len(copies), 4, generator=g, dtype=torch.float64)
    weights = (n.double() / n.sum()).expand(2, -1)
    torch.testing.assert_close(model(few.repeat_interleave(n, dim=1)), model(few, weights), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(model.attention(few, weights).sum(2), torch.ones(2, len(n), dtype=torch.float64))


def test_weight_zero_is_an_absent_token() -> None:
    model, g = network(0), generator(1)
    X = torch.randn(1, 3, 4, generator=g, dtype=torch.float64)
    weights = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(model(X, weights), model(X[:, :2]), atol=1e-14, rtol=0)


@pytest.mark.parametrize("L", [3, 200])
def test_gradients_see_counts_only(L: int) -> None:
    """Absent patterns included, whose weight is zero: no gradient is NaN."""
    task, model = PatternTask(M=6, L=L, alpha_own=0.5, noise=0), network(3, d=6)
    tokens, labels, which = task.sample(4, generator())
    weights = torch.nn.functional.one_hot(which, task.M).double().mean(1)
    assert L > 3 or (weights == 0).any()
    inputs = ((tokens.double(),), (task.patterns.double().expand(4, -1, -1), weights))
    sides = [torch.autograd.grad(hinge(model(*each), labels.double()), list(model.parameters())) for each in inputs]
    for literal, counted in zip(*sides, strict=True):
        torch.testing.assert_close(counted, literal, atol=1e-12, rtol=0)


def test_several_outputs_and_a_fixed_read_out() -> None:
    one = network(0)
    a = torch.randn(12, 3, generator=generator(1), dtype=torch.float64)
    many = OneLayer(one.W_Q, one.W_K, one.W_V, one.W_O, a)
    X = torch.randn(5, 6, 4, generator=generator(2), dtype=torch.float64)
    torch.testing.assert_close(many(X), one.hidden(X).mean(1) @ a)
    assert {name for name, _ in many.named_parameters()} == {"W_Q", "W_K", "W_V", "W_O"}


@pytest.mark.parametrize(
    ("argument", "shapes"),
    [
        ("W_K", [(6, 4), (5, 4), (4, 4), (9, 4), (9,)]),
        ("W_V", [(6, 4), (6, 4), (4, 3), (9, 4), (9,)]),
        ("W_O", [(6, 4), (6, 4), (5, 4), (9, 4), (9,)]),
        ("W_O", [(6, 4), (6, 4), (4, 4), (9, 4), (8,)]),
    ],
)
def test_bad_shapes(argument: str, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=argument):
        OneLayer(*(torch.zeros(shape) for shape in shapes))


def test_bad_tokens() -> None:
    with pytest.raises(ValueError, match="tokens"):
        network(0)(torch.zeros(2, 3, 5, dtype=torch.float64))


# the start


@FEW
@given(seed=SEEDS, d=st.integers(1, 12), scale=st.floats(0.1, 4))
def test_start(seed: int, d: int, scale: float) -> None:
    identity = torch.eye(d, dtype=torch.float64)
    logits = {"orthogonal": 0 * identity, "equal": scale**2 * identity, "independent": None}
    for kind, expected in logits.items():
        model = start(d, generator(seed), m=7, scale=scale, queries_keys=kind, dtype=torch.float64)  # type: ignore[arg-type]
        for W in (model.W_Q / scale, model.W_K / scale, model.W_V):
            torch.testing.assert_close(W.T @ W, identity, atol=1e-12, rtol=0)
        assert model.W_Q.shape == (2 * d, d) and model.W_O.shape == (7, d)
        torch.testing.assert_close(model.a.abs(), torch.full((7,), 7**-0.5, dtype=torch.float64), atol=1e-7, rtol=0)
        if expected is not None:
            torch.testing.assert_close(model.W_K.T @ model.W_Q, expected, atol=1e-11, rtol=0)


def test_start_sizes() -> None:
    model = start(40, generator(), m=2000, scale=3.0, xi=0.02, queries_keys="independent")
    assert model.W_O.std().item() == pytest.approx(0.02, rel=0.02)
    assert (model.W_K.T @ model.W_Q).std().item() == pytest.approx(9 / 80**0.5, rel=0.1)
    assert abs(model.a.sign().mean().item()) < 5 / 2000**0.5
    assert all(tensor.dtype == torch.float32 for tensor in model.state_dict().values())


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("d", {"d": 0}),
        ("m", {"m": 0}),
        ("xi", {"xi": -1}),
        ("scale", {"scale": -1}),
        ("queries_keys", {"queries_keys": "x"}),
    ],
)
def test_bad_start(argument: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        start(**{"d": 3, "generator": generator()} | changes)


# the first gradients


@settings(max_examples=30, deadline=None)
@given(K=st.integers(1, 3), extra=st.integers(1, 5), together=st.booleans(), xi=st.floats(0.01, 0.5), seed=SEEDS)
def test_closed_gradients_are_those_of_autograd(K: int, extra: int, together: bool, xi: float, seed: int) -> None:
    """With W_O small enough for the hinge to be active on every input."""
    task, g = PatternTask(M=2 * K + extra, K=K, together=together), generator(seed)
    model = start(task.M, g, m=9, dtype=torch.float64)
    with torch.no_grad():
        model.W_O.copy_(xi * torch.randn(9, task.M, generator=g, dtype=torch.float64))
    weights, labels = task.population()
    patterns = task.patterns.double()
    outputs = model(patterns.expand(len(weights), -1, -1), weights)
    assert (labels * outputs < 1).all()
    hinge(outputs, labels).backward()
    closed = gradients_at_uniform_attention(model, patterns, weights, labels)
    assert closed.keys() == dict(model.named_parameters()).keys()
    for name, W in model.named_parameters():
        assert W.grad is not None
        torch.testing.assert_close(closed[name], W.grad, atol=1e-12, rtol=1e-12)
    assert max(gradient.norm().item() for gradient in closed.values()) > 1e-3  # not all zero

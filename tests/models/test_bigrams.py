"""The contextual bigram: its law, its exact and sampled gradients; against enumeration and autograd."""

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsparse.models.bigrams import ContextualBigram, batch_gradients, random_bigram

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=25, deadline=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def tasks(draw: st.DrawFn) -> ContextualBigram:
    """Any small task, from nearly no signal to nearly deterministic steps."""
    T = draw(st.integers(1, 4))
    q, N = draw(st.integers(1, T)), draw(st.integers(2, 3))
    return random_bigram(N, T, q, draw(st.sampled_from([0.1, 1.0, 3.0])), generator(draw(SEEDS)))


def anywhere(task: ContextualBigram, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """V and A that satisfy nothing."""
    g = generator(seed)
    return torch.randn(task.P.shape, generator=g).double(), torch.randn(task.Q.shape, generator=g).double()


def enumerated(task: ContextualBigram) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """Every (context, last, next) as one batch, and its probability, straight from the definition."""
    N, rows, chance = len(task.P), [], []
    for sample in product(range(N), repeat=task.T + 2):
        *context, last, out = sample
        law = sum(task.Q[t, last] * task.P[out, x] for t, x in enumerate(context))
        rows.append(sample)
        chance.append(task.mu[[*context, last]].prod() * law)
    batch = torch.tensor(rows)
    return (batch[:, : task.T], batch[:, task.T], batch[:, task.T + 1]), torch.stack(chance)


def risk(V: torch.Tensor, A: torch.Tensor, batch: tuple[torch.Tensor, ...], chance: torch.Tensor) -> torch.Tensor:
    """Weighted mean of ``|e_out - V X A e_last|^2 / 2``, one sample at a time."""
    eye = torch.eye(len(V), dtype=V.dtype)
    terms = [
        ((eye[out] - V @ eye[context].T @ A[:, last]) ** 2).sum() / 2 for context, last, out in zip(*batch, strict=True)
    ]
    return (chance * torch.stack(terms)).sum()


# the task


@FEW
@given(task=tasks())
def test_the_stationary_law(task: ContextualBigram) -> None:
    torch.testing.assert_close(task.P @ task.mu, task.mu, atol=1e-10, rtol=0)
    assert task.mu.sum().item() == pytest.approx(1) and (task.mu > 0).all()
    torch.testing.assert_close(enumerated(task)[1].sum(), torch.tensor(1.0, dtype=torch.float64))


@FEW
@given(task=tasks())
def test_signals_and_progress(task: ContextualBigram) -> None:
    """K_P and K_Q are squared distances from the start; progress runs from 0 at the start to 1 at the truth."""
    V, A = task.start()
    K_P, K_Q = task.signals
    assert pytest.approx(task.inner(task.P - V, task.P - V).item()) == K_P
    assert pytest.approx(task.inner(task.Q - A, task.Q - A).item(), abs=1e-12) == K_Q
    if min(K_P, K_Q) > 1e-6:
        assert task.progress(V, A) == pytest.approx((0, 0), abs=1e-6)
        assert task.progress(task.P, task.Q) == pytest.approx((1, 1))
        half = task.progress((V + task.P) / 2, (3 * A + task.Q) / 4)
        assert half == pytest.approx((0.5, 0.25), abs=1e-6)


@FEW
@given(task=tasks(), seed=SEEDS)
def test_inner_weighs_columns_by_mu(task: ContextualBigram, seed: int) -> None:
    V, W = anywhere(task, seed)[0], anywhere(task, seed + 1)[0]
    torch.testing.assert_close(task.inner(V, W), (V @ task.mu.diag() @ W.T).trace())
    torch.testing.assert_close(task.inner(V, W), task.inner(W, V))
    assert task.inner(V, V) > 0


def test_frequencies_of_samples() -> None:
    """Shares of all N^(T+2) samples in 60,000 draws, within 5 standard deviations of their probabilities."""
    task = random_bigram(2, 3, 2, 1.5, generator(1))
    (contexts, lasts, outs), chance = enumerated(task)
    n = 60_000
    context, last, out = task.sample(n, generator())
    assert context.shape == (n, 3) and last.shape == out.shape == (n,)
    code = lambda c, k, o: (c * torch.tensor([16, 8, 4])).sum(1) + 2 * k + o  # noqa: E731
    share = torch.bincount(code(context, last, out), minlength=32) / n
    expected = torch.zeros(32, dtype=torch.float64).index_add_(0, code(contexts, lasts, outs), chance)
    assert ((share - expected).abs() <= 5 * (expected * (1 - expected) / n).sqrt()).all()


def test_the_generator_decides_everything() -> None:
    task = random_bigram(4, 30, 2, 2.0, generator())
    first, again, other = (task.sample(8, generator(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert torch.equal(random_bigram(4, 30, 2, 2.0, generator()).Q, task.Q)


def test_a_sure_next_token_follows_its_position() -> None:
    """P a permutation, Q a choice: the next token is a function of the context."""
    P = torch.eye(3, dtype=torch.float64)[[1, 2, 0]]
    Q = torch.eye(4, dtype=torch.float64)[:, [3, 0, 2]]
    context, last, out = ContextualBigram(P, Q).sample(200, generator())
    seen = context[torch.arange(200), torch.tensor([3, 0, 2])[last]]
    assert torch.equal(out, P.argmax(0)[seen])


# gradients


@FEW
@given(task=tasks(), seed=SEEDS)
def test_exact_gradients(task: ContextualBigram, seed: int) -> None:
    """Autograd of the risk, summed over every sample there is."""
    V, A = (W.requires_grad_() for W in anywhere(task, seed))
    slopes = torch.autograd.grad(risk(V, A, *enumerated(task)), (V, A))
    for formula, slope in zip(task.gradients(V.detach(), A.detach()), slopes, strict=True):
        torch.testing.assert_close(formula, slope, atol=1e-10, rtol=1e-9)


@FEW
@given(task=tasks(), seed=SEEDS, n=st.integers(1, 9))
def test_batch_gradients(task: ContextualBigram, seed: int, n: int) -> None:
    V, A = (W.requires_grad_() for W in anywhere(task, seed))
    batch = task.sample(n, generator(seed))
    equal = torch.full((n,), 1 / n, dtype=torch.float64)
    slopes = torch.autograd.grad(risk(V, A, batch, equal), (V, A))
    for found, slope in zip(batch_gradients(V.detach(), A.detach(), batch), slopes, strict=True):
        torch.testing.assert_close(found, slope, atol=1e-12, rtol=1e-9)


@FEW
@given(task=tasks(), seed=SEEDS)
def test_batch_gradients_are_unbiased(task: ContextualBigram, seed: int) -> None:
    """Over all samples, weighted by their probability, they are the exact ones."""
    V, A = anywhere(task, seed)
    batch, chance = enumerated(task)
    mean = [torch.zeros_like(V), torch.zeros_like(A)]
    for i, weight in enumerate(chance):
        one = batch[0][i : i + 1], batch[1][i : i + 1], batch[2][i : i + 1]
        for total, part in zip(mean, batch_gradients(V, A, one), strict=True):
            total += weight * part
    for found, exact in zip(mean, task.gradients(V, A), strict=True):
        torch.testing.assert_close(found, exact, atol=1e-10, rtol=1e-9)


def test_batch_gradients_keep_the_type_of_their_weights() -> None:
    task = random_bigram(3, 5, 2, 1.0, generator())
    V, A = task.start()
    batch = task.sample(16, generator())
    single = batch_gradients(V.float(), A.float(), batch)
    assert all(grad.dtype == torch.float32 for grad in single)
    for found, exact in zip(single, batch_gradients(V, A, batch), strict=True):
        torch.testing.assert_close(found.double(), exact, atol=1e-6, rtol=1e-4)


@FEW
@given(task=tasks(), seed=SEEDS)
def test_the_truth_is_at_rest(task: ContextualBigram, seed: int) -> None:
    for grad in task.gradients(task.P, task.Q):
        torch.testing.assert_close(grad, torch.zeros_like(grad), atol=1e-10, rtol=0)


@FEW
@given(task=tasks(), seed=SEEDS)
def test_preconditioned_gradients_keep_sums(task: ContextualBigram, seed: int) -> None:
    V, A = anywhere(task, seed)
    for raw, done in zip((V, A), task.precondition(V, A), strict=True):
        torch.testing.assert_close(done.sum(0), torch.zeros_like(task.mu), atol=1e-8, rtol=0)
        torch.testing.assert_close(task.mu * done, raw - raw.mean(0), atol=1e-10, rtol=1e-9)


@FEW
@given(task=tasks(), eta=st.floats(0.01, 1.5))
def test_descent_stays_on_two_rays(task: ContextualBigram, eta: float) -> None:
    """Theorem *Two numbers* of the chapter, for any step size."""
    (start_V, start_A), (K_P, K_Q), T = task.start(), task.signals, task.T
    V, A, x, y = start_V, start_A, 0.0, 0.0
    for _ in range(20):
        grad_V, grad_A = task.precondition(*task.gradients(V, A))
        V, A = V - eta * grad_V, A - eta * grad_A
        x, y = x + eta * ((1 - x) / T + K_Q * y * (1 - x * y)), y + eta * K_P * x * (1 - x * y)
    torch.testing.assert_close(V, start_V + x * (task.P - start_V), atol=1e-6, rtol=0)
    torch.testing.assert_close(A, start_A + y * (task.Q - start_A), atol=1e-6, rtol=0)


# random tasks and bad input


@pytest.mark.parametrize("q", [1, 3, 7])
def test_random_positions(q: int) -> None:
    """Every column of Q has q entries 1/q, and every position is used about equally often."""
    tasks_drawn = [random_bigram(5, 7, q, 1.0, generator(seed)) for seed in range(200)]
    for task in tasks_drawn:
        assert ((task.Q > 0).sum(0) == q).all()
        torch.testing.assert_close(task.Q[task.Q > 0], torch.full((5 * q,), 1 / q, dtype=torch.float64))
    used = torch.stack([(task.Q > 0).double() for task in tasks_drawn]).mean((0, 2))
    assert (used - q / 7).abs().max() < 5 * 0.5 / 1000**0.5


def test_no_temperature_no_signal() -> None:
    task = random_bigram(4, 6, 2, 0.0, generator())
    torch.testing.assert_close(task.P, torch.full_like(task.P, 0.25))
    assert task.signals == pytest.approx((0, 0.5 - 1 / 6), abs=1e-12)


GOOD_P, GOOD_Q = torch.full((2, 2), 0.5, dtype=torch.float64), torch.full((3, 2), 1 / 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("message", "P", "Q"),
    [
        ("P must be a square matrix", GOOD_P[:1], GOOD_Q),
        ("P must be a square matrix", GOOD_P[0], GOOD_Q),
        ("Q must have one column per token", GOOD_P, GOOD_Q[:, :1]),
        ("Q must have one column per token", GOOD_P, GOOD_Q[:, 0]),
        ("P must be float64", GOOD_P.float(), GOOD_Q),
        ("Q must be float64", GOOD_P, GOOD_Q.float()),
        ("columns of P must be probabilities", GOOD_P * 2, GOOD_Q),
        ("columns of Q must be probabilities", GOOD_P, GOOD_Q - 1 / 3),
        ("columns of Q must be probabilities", GOOD_P, GOOD_Q + torch.tensor([[1.0], [-0.5], [-0.5]])),
        ("P must have one stationary law", torch.eye(2, dtype=torch.float64), GOOD_Q),
    ],
)
def test_bad_tasks(message: str, P: torch.Tensor, Q: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=message):
        ContextualBigram(P, Q)


@pytest.mark.parametrize("change", [{"N": 1}, {"q": 0}, {"q": 6}])
def test_bad_random_tasks(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"N": 3, "T": 5, "q": 2, "temperature": 1.0, "generator": generator()} | change
    with pytest.raises(ValueError, match="N must be at least 2 and q between 1 and T"):
        random_bigram(**arguments)


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        random_bigram(3, 5, 2, 1.0, generator()).sample(0, generator())

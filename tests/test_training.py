"""The training loop, against one written by hand, and runs over seeds."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsparse.models.patterns import PatternTask, start
from lrsparse.training import hinge, over_seeds, random_orthonormal, sgd


def test_hinge() -> None:
    outputs, labels = torch.tensor([0.5, -2.0, 3.0, 1.0]), torch.tensor([1.0, 1.0, 1.0, -1.0])
    assert hinge(outputs, labels).item() == pytest.approx((0.5 + 3 + 0 + 2) / 4)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.integers(0, 1000))
def test_hinge_is_at_least_the_error(margins: list[float], seed: int) -> None:
    labels = torch.randint(0, 2, (len(margins),), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1
    r = torch.tensor(margins, dtype=torch.float64)
    assert hinge(labels * r, labels) >= (r <= 0).double().mean()


def test_hinge_refuses_shapes() -> None:
    with pytest.raises(ValueError, match="outputs and labels"):
        hinge(torch.zeros(3, 1), torch.zeros(3))


def test_sgd_is_the_loop_by_hand() -> None:
    task = PatternTask(M=6, L=15)
    g, again = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    model, twin = (start(6, each, m=20, dtype=torch.float64) for each in (g, again))

    def draw() -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        tokens, labels, _ = task.sample(8, g)
        return (tokens.double(),), labels.double()

    seen = list(sgd(model, draw, lr=0.3, steps=20))
    for step, value in seen:
        tokens, labels, _ = task.sample(8, again)
        loss = (1 - labels * twin(tokens.double())).clamp(min=0).mean()
        assert value == pytest.approx(loss.item(), rel=1e-12)
        parameters = dict(twin.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        with torch.no_grad():
            for W, gradient in zip(parameters.values(), gradients, strict=True):
                W -= 0.3 * gradient
        assert step == seen.index((step, value)) + 1
    assert len(seen) == 20 and seen[-1][1] < seen[0][1]
    for name, W in model.named_parameters():
        torch.testing.assert_close(W, parameters[name], atol=1e-13, rtol=0)


def test_sgd_stops_by_itself_at_margin_one() -> None:
    task = PatternTask(M=6)
    weights, labels = task.population()
    inputs = task.patterns.double().expand(2, -1, -1), weights
    model = start(6, torch.Generator().manual_seed(0), m=20, dtype=torch.float64)
    *_, (_, last) = sgd(model, lambda: (inputs, labels), lr=0.3, steps=300)
    assert last == 0 and (labels * model(*inputs) >= 1).all()
    before = {name: W.clone() for name, W in model.state_dict().items()}
    assert [value for _, value in sgd(model, lambda: (inputs, labels), lr=0.3, steps=5)] == [0.0] * 5
    assert all(torch.equal(before[name], W) for name, W in model.state_dict().items())


def test_sgd_takes_another_loss() -> None:
    line = torch.nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        line.weight.zero_()
    x = torch.ones(1, 1, dtype=torch.float64)
    loss = lambda outputs, labels: (outputs[:, 0] - labels).square().mean()  # noqa: E731
    assert [v for _, v in sgd(line, lambda: ((x,), x[0]), lr=0.25, steps=3, loss=loss)] == [1, 0.25, 0.0625]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(0, 6), st.integers(0, 10**6))
def test_random_orthonormal(columns: int, more: int, seed: int) -> None:
    Q = random_orthonormal(columns + more, columns, torch.Generator().manual_seed(seed))
    assert Q.shape == (columns + more, columns) and Q.dtype == torch.float64
    torch.testing.assert_close(Q.T @ Q, torch.eye(columns, dtype=torch.float64), atol=1e-12, rtol=0)


def test_random_orthonormal_is_uniform() -> None:
    """Without the sign correction the diagonal entries of QR have one sign."""
    g = torch.Generator().manual_seed(0)
    Q = torch.stack([random_orthonormal(3, 3, g) for _ in range(4000)])
    assert Q.mean(0).abs().max() < 5 * (1 / 3 / 4000) ** 0.5
    assert (Q.square().mean(0) - 1 / 3).abs().max() < 5 * (4 / 45 / 4000) ** 0.5


@pytest.mark.parametrize("columns", [0, 4])
def test_random_orthonormal_refuses(columns: int) -> None:
    with pytest.raises(ValueError, match="columns"):
        random_orthonormal(3, columns, torch.Generator())


def square_of_a_draw(seed: int) -> tuple[int, float]:
    return seed, torch.randn(10, generator=torch.Generator().manual_seed(seed)).square().sum().item()


def process_and_threads(_: int) -> tuple[int, int]:
    return os.getpid(), torch.get_num_threads()


def test_over_seeds_keeps_order_and_results() -> None:
    cases = [5, 3, 9, 1, 7]
    parallel = over_seeds(square_of_a_draw, iter(cases))
    assert parallel == [square_of_a_draw(case) for case in cases] == over_seeds(square_of_a_draw, cases, jobs=1)


def test_over_seeds_uses_other_processes_of_one_thread() -> None:
    for process, threads in over_seeds(process_and_threads, range(4)):
        assert process != os.getpid() and threads == 1

"""Random features, their kernels, ridge regression and the rule on the sphere: against definitions, loops or solves."""

from math import pi, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from lrsparse.models.random_features import (
    RandomAttention,
    RandomMLP,
    append_one,
    arc_cosine,
    attention_kernel,
    draw_tokens,
    mlp_kernel,
    ridge_path,
    solve_shifted,
)

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=30, deadline=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


# data


@FEW
@given(n=st.integers(1, 5), N=st.integers(1, 5), d=st.integers(2, 6), seed=SEEDS)
def test_tokens_are_unit_vectors_that_the_seed_decides(n: int, N: int, d: int, seed: int) -> None:
    x = draw_tokens(n, N, d, generator(seed))
    assert x.shape == (n, N + 1, d) and x.dtype == torch.float64
    torch.testing.assert_close(x.norm(dim=2), torch.ones(n, N + 1, dtype=torch.float64))
    assert torch.equal(x, draw_tokens(n, N, d, generator(seed)))


def test_tokens_are_uniform() -> None:
    x = draw_tokens(20_000, 1, 3, generator())
    torch.testing.assert_close(x.mean((0, 1)), torch.zeros(3, dtype=torch.float64), atol=0.015, rtol=0)
    assert (x[:, 0] * x[:, 1]).sum(1).square().mean().item() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(("name", "sizes"), [("n", (0, 1, 2)), ("N", (1, 0, 2)), ("d", (1, 1, 1))])
def test_bad_sizes(name: str, sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=rf"\b{name}="):
        draw_tokens(*sizes, generator())


# features


def by_hand(net: RandomAttention, x: torch.Tensor, head: int) -> torch.Tensor:
    """The vector that the values of one head read, from the formula, key by key."""
    x, keys = append_one(x), len(x) - 1
    W = net.G[head] / 2
    scores = torch.stack([(W * torch.outer(x[0], x[i])).sum() for i in range(1, keys + 1)])
    weights = scores.relu() / keys if net.weights == "relu" else scores.exp() / scores.exp().sum()
    return sum((w * x[i + 1] for i, w in enumerate(weights)), torch.zeros_like(x[0]))


@FEW
@given(N=st.integers(1, 4), d=st.integers(2, 4), m=st.integers(1, 3), seed=SEEDS, relu=st.booleans())
def test_attention_features_are_the_formula(N: int, d: int, m: int, seed: int, relu: bool) -> None:
    net = RandomAttention(normal(m, d + 1, d + 1, seed=seed), weights="relu" if relu else "softmax")
    x = draw_tokens(3, N, d, generator(seed))
    found = net.features(x).unflatten(1, (d + 1, m)) * sqrt(m)
    for j in range(m):
        torch.testing.assert_close(found[:, :, j], torch.stack([by_hand(net, each, j) for each in x]))
    shuffled = torch.cat([x[:, :1], x[:, 1:][:, torch.randperm(N, generator=generator(seed))]], dim=1)
    torch.testing.assert_close(net.features(shuffled), net.features(x))  # blind to the order of the keys


def test_a_mean_of_G_adds_query_times_key_to_the_scores() -> None:
    d, x = 3, draw_tokens(4, 1, 3, generator())
    bias = torch.diag(torch.tensor([2.0] * d + [0.0], dtype=torch.float64))
    found = RandomAttention(bias[None]).features(x)[:, -1]
    torch.testing.assert_close(found, (x[:, 0] * x[:, 1]).sum(1).relu())


def test_mlp_features_are_the_formula() -> None:
    x, G = draw_tokens(5, 2, 3, generator()), normal(4, 10)
    expected = torch.relu(torch.cat([x.reshape(5, 9), torch.ones(5, 1)], 1) @ G.T / 2) / 2
    torch.testing.assert_close(RandomMLP(G).features(x), expected)


def test_bad_networks_and_tokens() -> None:
    with pytest.raises(ValueError, match="G must"):
        RandomAttention(normal(2, 3, 4))
    with pytest.raises(ValueError, match="weights must"):
        RandomAttention(normal(2, 3, 3), weights="sigmoid")  # type: ignore[arg-type]
    for tokens in (normal(4, 3, 3), normal(4, 1, 2), normal(4, 2)):
        with pytest.raises(ValueError, match="tokens must"):
            RandomAttention(normal(2, 3, 3)).features(tokens)
    for tokens in (normal(4, 3, 3), normal(4, 6)):
        with pytest.raises(ValueError, match="tokens must"):
            RandomMLP(normal(5, 7)).features(tokens)


# kernels


def test_arc_cosine_kernel_by_integration() -> None:
    g = normal(400_000, 2)
    for rho in (-1.0, -0.6, 0.0, 0.5, 1.0):
        other = rho * g[:, 0] + sqrt(1 - rho**2) * g[:, 1]
        exact = arc_cosine(torch.tensor(rho)).item()
        assert (g[:, 0].relu() * other.relu()).mean().item() == pytest.approx(exact, abs=0.006)
    assert arc_cosine(torch.tensor([1.0, -1.0, 0.0])).tolist() == pytest.approx([0.5, 0, 1 / (2 * pi)], abs=1e-7)


def test_kernels_are_the_limits() -> None:
    x, y = draw_tokens(4, 3, 3, generator(1)), draw_tokens(5, 3, 3, generator(2))
    attention, mlp = RandomAttention(normal(40_000, 4, 4)), RandomMLP(normal(200_000, 13))
    torch.testing.assert_close(
        attention.features(x) @ attention.features(y).T, attention_kernel(x, y), atol=0.02, rtol=0
    )
    torch.testing.assert_close(mlp.features(x) @ mlp.features(y).T, mlp_kernel(x, y), atol=0.01, rtol=0)
    assert (attention_kernel(x, x).diagonal() <= 1).all()
    torch.testing.assert_close(mlp_kernel(x, x).diagonal(), torch.full((4,), 0.5, dtype=torch.float64))


# ridge


@FEW
@given(n=st.integers(1, 9), p=st.integers(1, 9), targets=st.integers(1, 3), ridge=st.floats(1e-4, 10), seed=SEEDS)
def test_ridge_path_is_the_solve(n: int, p: int, targets: int, ridge: float, seed: int) -> None:
    """For fewer samples than features, more, and as many."""
    F, y = normal(n, p, seed=seed), normal(n, targets, seed=seed + 1)
    found = ridge_path(F, y, [1.0, ridge])
    assert found.shape == (2, p, targets)
    for w, r in zip(found, (1.0, ridge), strict=True):
        residual = F.T @ (F @ w - y) + r * w  # the gradient of the objective
        assert residual.abs().max() < 1e-9 * (1 + F.square().sum()) * (1 + w.abs().max())


@pytest.mark.parametrize("n", [6, 60])
def test_ridge_path_is_that_of_scikit_learn(n: int) -> None:
    F, y = normal(n, 20), normal(n, 1, seed=1)
    theirs = Ridge(alpha=0.3, fit_intercept=False).fit(F.numpy(), y.numpy().ravel()).coef_
    torch.testing.assert_close(ridge_path(F, y, [0.3])[0, :, 0], torch.as_tensor(theirs))


def test_ridge_path_with_equal_rows() -> None:
    """A Gram matrix without full rank is allowed."""
    F, y = normal(1, 8).expand(5, 8), normal(5, 1)
    w = ridge_path(F, y, [1e-6])[0]
    torch.testing.assert_close(F @ w, y.mean().expand(5, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("argument", "labels", "ridges"),
    [
        ("labels", (5, 1), [1.0]),
        ("labels", (4,), [1.0]),
        ("ridges", (4, 1), []),
        ("ridges", (4, 1), [1.0, 0.0]),
        ("ridges", (4, 1), [-1.0]),
        ("ridges", (4, 1), [float("nan")]),
        ("ridges", (4, 1), [float("inf")]),
    ],
)
def test_bad_ridge_problems(argument: str, labels: tuple[int, ...], ridges: list[float]) -> None:
    with pytest.raises(ValueError, match=f"{argument} must"):
        ridge_path(normal(4, 3), normal(*labels), ridges)


@pytest.mark.parametrize(("A", "b"), [((3, 2), (3, 1)), ((3, 3), (2, 1)), ((3, 3), (3,))])
def test_bad_shifted_problems(A: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="A must"):
        solve_shifted(normal(*A), normal(*b), [1.0])

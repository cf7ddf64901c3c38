"""The selection task, the head, its encodings and closed forms: against definitions, enumeration and autograd."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsparse.models.token_selection import (
    OneHeadSelector,
    TokenSelection,
    chosen_mass,
    frames,
    loss,
    signs,
    velocity,
    width_bound,
)

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=30, deadline=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@FEW
@given(T=st.integers(2, 12), q=st.integers(1, 11), d=st.integers(1, 5), seed=SEEDS)
def test_sample_and_target(T: int, q: int, d: int, seed: int) -> None:
    task = TokenSelection(T, min(q, T - 1), d)
    tokens, chosen = task.sample(7, generator(seed))
    assert tokens.shape == (7, T, d) and chosen.shape == (7, T)
    assert set(chosen.unique().tolist()) <= {0.0, 1.0} and (chosen.sum(1) == task.q).all()
    by_hand = torch.stack([x[y > 0].mean(0) for x, y in zip(tokens, chosen, strict=True)])
    torch.testing.assert_close(task.target(tokens, chosen), by_hand)
    assert torch.equal(task.sample(7, generator(seed))[0], tokens)


def test_all_subsets_are_equally_likely() -> None:
    _, chosen = TokenSelection(4, 2, 1).sample(6000, generator())
    counts = chosen.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 6 and (counts - 1000).abs().max() < 5 * 1000**0.5


@pytest.mark.parametrize(("argument", "changes"), [("q", {"q": 0}), ("q", {"q": 16}), ("d", {"d": 0})])
def test_bad_task(argument: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        TokenSelection(**changes)


def test_bad_sizes() -> None:
    with pytest.raises(ValueError, match=r"\bn must"):
        TokenSelection().sample(0, generator())
    with pytest.raises(ValueError, match="d_e"):
        OneHeadSelector(3, 0)
    with pytest.raises(ValueError, match="T=5"):
        frames(2, 5, 4, generator())
    with pytest.raises(ValueError, match="n, T and d_e"):
        signs(2, 0, 4, generator())
    with pytest.raises(ValueError, match=r"\bm must"):
        width_bound(-1, 4, 2, 2)
    with pytest.raises(ValueError, match=r"\bq must"):
        chosen_mass(0.0, 4, 5)
    with pytest.raises(ValueError, match=r"\bq must"):
        width_bound(1, 4, 4, 2)


@FEW
@given(seed=SEEDS)
def test_the_head_is_its_formula(seed: int) -> None:
    g = generator(seed)
    net = OneHeadSelector(2, 3).double()
    assert not net.V.any() and not net.W.any()
    net.V.data, net.W.data = (torch.randn(W.shape, generator=g, dtype=torch.float64) for W in (net.V, net.W))
    tokens, encodings = (torch.randn(4, 5, n, generator=g, dtype=torch.float64) for n in (2, 3))
    chosen = torch.tensor([[1.0, 0, 1, 0, 0]] * 4, dtype=torch.float64)
    for n, out in enumerate(net(tokens, chosen, encodings)):
        Z = torch.cat([tokens[n], encodings[n]], dim=1).T
        query = torch.cat([torch.zeros(2), encodings[n, 0] + encodings[n, 2]]).double()
        torch.testing.assert_close(out, net.V @ Z @ torch.softmax(Z.T @ net.W @ query, 0))


@pytest.mark.parametrize(("T", "d_e"), [(1, 1), (3, 8), (16, 64), (60, 64), (128, 128)])
def test_frames_are_orthonormal(T: int, d_e: int) -> None:
    e = frames(5, T, d_e, generator())
    assert e.dtype == torch.float32
    torch.testing.assert_close(e @ e.mT, torch.eye(T).expand(5, -1, -1), atol=1e-5, rtol=0)


def test_frames_are_uniform_on_the_sphere() -> None:
    """Second moments of the first row, and of the row that Gram-Schmidt touches last."""
    e = frames(20_000, 3, 3, generator())
    for i in (0, 2):
        torch.testing.assert_close(e[:, i].T @ e[:, i] / len(e), torch.eye(3) / 3, atol=0.01, rtol=0)
        assert e[:, i].mean(0).abs().max() < 0.02


def test_signs() -> None:
    e = signs(400, 6, 16, generator())
    assert set(e.unique().tolist()) == {-0.25, 0.25}
    gram = (e @ e.mT).mean(0)
    torch.testing.assert_close(gram, torch.eye(6), atol=5 / (16 * 400) ** 0.5, rtol=0)


@FEW
@given(T=st.integers(3, 9), q=st.integers(1, 8), alpha=st.floats(0, 3), C=st.floats(0, 8), seed=SEEDS)
def test_closed_loss_is_that_of_the_head(T: int, q: int, alpha: float, C: float, seed: int) -> None:
    """With tokens +-sqrt(T d) times unit vectors, whose second moments are those of Gaussian tokens."""
    q, d, d_e = min(q, T - 1), 2, T + 2
    tokens = ((T * d) ** 0.5 * torch.eye(T * d)).reshape(-1, T, d)
    chosen = (torch.randperm(T, generator=generator(seed)) < q).float().expand(len(tokens), -1)
    encodings = frames(1, T, d_e, generator(seed)).expand(len(tokens), -1, -1)
    net = OneHeadSelector(d, d_e)
    net.V.data[:, :d], net.W.data[d:, d:] = alpha * torch.eye(d), C * torch.eye(d_e)
    wrong = net(tokens, chosen, encodings) - TokenSelection(T, q, d).target(tokens, chosen)
    measured = wrong.square().sum(1).mean().item() * q / d
    assert measured == pytest.approx(float(loss(alpha, C, T, q)), abs=1e-4)


@FEW
@given(T=st.integers(2, 50), q=st.integers(1, 49), alpha=st.floats(-2, 3), C=st.floats(-3, 9), r=st.floats(0.01, 9))
def test_velocity_is_minus_the_gradient(T: int, q: int, alpha: float, C: float, r: float) -> None:
    q, h = min(q, T - 1), 1e-6
    slope = [loss(alpha + h, C, T, q) - loss(alpha - h, C, T, q), loss(alpha, C + h, T, q) - loss(alpha, C - h, T, q)]
    expected = [-slope[0] / (2 * h) / (2 * q), -r * slope[1] / (2 * h) / (2 * q)]
    np.testing.assert_allclose(velocity(alpha, C, T, q, r), expected, atol=1e-7, rtol=1e-6)


def test_chosen_mass() -> None:
    assert chosen_mass(0.0, 16, 2) == pytest.approx(1 / 8)
    np.testing.assert_allclose(chosen_mass(np.array([800.0, -800.0]), 16, 2), [1, 0], atol=1e-12)


@pytest.mark.parametrize(("T", "q", "d"), [(5, 2, 2), (4, 1, 3), (4, 3, 2)])
def test_width_bound_is_the_sum_of_the_smallest_eigenvalues(T: int, q: int, d: int) -> None:
    maps = [np.kron(np.isin(np.arange(T), y)[None] / q, np.eye(d)) for y in combinations(range(T), q)]
    values = np.linalg.eigvalsh(sum(M.T @ M for M in maps) / len(maps))
    for m in range(T * d + 3):
        assert width_bound(m, T, q, d) == pytest.approx(values[: max(T * d - m, 0)].sum() * q / d, abs=1e-12)

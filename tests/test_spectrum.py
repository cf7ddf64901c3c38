"""Ranks, spans and angles of matrices for which they are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsparse.spectrum import energy_rank, low_rank, overlap, row_space, stable_rank
from lrsparse.training import random_orthonormal

SEEDS = st.integers(0, 10**6)


def with_singular_values(values: list[float], rows: int, columns: int, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    left, right = random_orthonormal(rows, len(values), g), random_orthonormal(columns, len(values), g)
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.T


def test_energy_rank_of_known_spectra() -> None:
    A = with_singular_values([3.0, 2.0, 1.0], 7, 5, 0)  # energies 9, 4, 1 of 14
    assert [energy_rank(A, share) for share in (0.5, 0.64, 0.65, 0.92, 0.93, 0.999)] == [1, 1, 2, 2, 3, 3]
    assert energy_rank(torch.zeros(3, 4)) == 0
    assert energy_rank(torch.eye(6)) == 6 and energy_rank(torch.eye(100)) == 99


@settings(deadline=None)
@given(seed=SEEDS, rank=st.integers(1, 5), scale=st.floats(1e-6, 1e6))
def test_equal_singular_values(seed: int, rank: int, scale: float) -> None:
    A = with_singular_values([scale] * rank, 6, 8, seed)
    assert energy_rank(A) == rank
    assert stable_rank(A) == pytest.approx(rank)
    assert energy_rank(A.T) == rank and stable_rank(A.T) == pytest.approx(rank)


def test_stable_rank_of_a_known_spectrum() -> None:
    assert stable_rank(with_singular_values([2.0, 1.0, 1.0], 4, 9, 1)) == pytest.approx(1.5)
    assert stable_rank(torch.zeros(3, 4)) == 0


@settings(deadline=None)
@given(seed=SEEDS)
def test_row_space(seed: int) -> None:
    A = with_singular_values([5.0, 4.0, 0.1, 0.05], 9, 6, seed)
    basis = row_space(A, 2)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(A @ basis @ basis.T, with_rank(A, 2), atol=1e-10, rtol=0)
    assert overlap(row_space(A, 4), A.T @ A[:, :4]) == pytest.approx(1)


def with_rank(A: torch.Tensor, rank: int) -> torch.Tensor:
    """The best approximation of that rank, by an eigenvalue decomposition instead of a singular one."""
    _, vectors = torch.linalg.eigh(A.T @ A)
    leading = vectors[:, -rank:]
    return A @ leading @ leading.T


@settings(deadline=None)
@given(seed=SEEDS, angle=st.floats(0, math.pi / 2))
def test_overlap_is_the_mean_squared_cosine(seed: int, angle: float) -> None:
    Q = random_orthonormal(6, 6, torch.Generator().manual_seed(seed))
    tilted = torch.stack([Q[:, 0], math.cos(angle) * Q[:, 1] + math.sin(angle) * Q[:, 2]], dim=1)
    mix = torch.tensor([[2.0, 1.0], [-3.0, 0.5]], dtype=torch.float64)  # another basis of the same plane
    expected = (1 + math.cos(angle) ** 2) / 2
    assert overlap(Q[:, :2], tilted @ mix) == pytest.approx(expected, abs=1e-10)
    assert overlap(tilted @ mix, Q[:, :2]) == pytest.approx(expected, abs=1e-10)


def test_overlap_of_nested_and_orthogonal_spans() -> None:
    E = torch.eye(5)
    assert overlap(E[:, :1], E[:, :3]) == pytest.approx(1)
    assert overlap(E[:, :2], E[:, 2:]) == pytest.approx(0)
    assert overlap(E[:, :2], E[:, 1:3]) == pytest.approx(0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_bad_share(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        energy_rank(torch.eye(2), share)


@pytest.mark.parametrize("rank", [0, 4, -1])
def test_bad_rank(rank: int) -> None:
    with pytest.raises(ValueError, match="rank"):
        row_space(torch.ones(3, 5), rank)


def test_bad_overlap() -> None:
    with pytest.raises(ValueError, match="rows"):
        overlap(torch.ones(3, 1), torch.ones(4, 1))


@pytest.mark.parametrize("which", ["A", "B"])
@pytest.mark.parametrize("bad", [
    torch.zeros(3, 1), torch.ones(3, 2), torch.eye(3, 4), torch.rand(3, 1) @ torch.ones(1, 2)
])  # fmt: skip
def test_overlap_of_dependent_columns_is_refused(bad: torch.Tensor, which: str) -> None:
    pair = {"A": torch.eye(3)[:, :1], "B": torch.eye(3)[:, :1], which: bad}
    with pytest.raises(ValueError, match=f"columns of {which} must be linearly independent"):
        overlap(**pair)


def test_overlap_does_not_mind_scales() -> None:
    A = torch.tensor([[1e8, 1.0], [0.0, 1e-4], [0.0, 0.0]])  # independent, with lengths far apart
    assert overlap(A, torch.eye(3)[:, :2]) == pytest.approx(1)


@settings(deadline=None)
@given(seed=SEEDS, rank=st.integers(1, 5), transposed=st.booleans(), scale=st.floats(1e-6, 1e6))
def test_low_rank_is_exact_where_the_rank_is(seed: int, rank: int, transposed: bool, scale: float) -> None:
    A = scale * with_singular_values([5.0, 4.0, 2.0, 1.0, 0.5][:rank], 30, 12, seed)
    A = A.T if transposed else A
    U, s, Vh = low_rank(A, rank, generator=torch.Generator().manual_seed(seed), oversampling=2)
    torch.testing.assert_close((U * s) @ Vh, A, atol=1e-10 * scale, rtol=0)
    torch.testing.assert_close(s, torch.linalg.svdvals(A)[:rank])
    for basis in (U, Vh.T):
        torch.testing.assert_close(basis.T @ basis, torch.eye(rank, dtype=A.dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(60, 25), (25, 60), (30, 30)])
def test_low_rank_against_the_best_error(shape: tuple[int, int], dtype: torch.dtype) -> None:
    values = [j**-0.5 for j in range(1, 26)]
    A = with_singular_values(values, *shape, seed=3).to(dtype)
    U, s, Vh = low_rank(A, 4, generator=torch.Generator().manual_seed(0), oversampling=8)
    assert U.dtype == s.dtype == Vh.dtype == dtype and U.shape == (shape[0], 4) and Vh.shape == (4, shape[1])
    best = sum(value**2 for value in values[4:]) ** 0.5
    assert best * (1 - 1e-5) <= float((A - (U * s) @ Vh).norm()) <= 1.01 * best


def test_low_rank_is_the_svd_when_the_sketch_is_full() -> None:
    A = torch.randn(9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    U, s, Vh = low_rank(A, 3, generator=torch.Generator().manual_seed(1), power=0)  # 16 more than 3 is more than 7
    torch.testing.assert_close((U * s) @ Vh, A @ row_space(A, 3) @ row_space(A, 3).T)
    torch.testing.assert_close(s, torch.linalg.svdvals(A)[:3])


def test_low_rank_draws_from_its_generator_alone() -> None:
    A = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
    before = torch.random.get_rng_state()
    runs = [low_rank(A, 2, generator=torch.Generator().manual_seed(s), oversampling=1, power=0)[1] for s in (5, 5, 6)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert torch.equal(before, torch.random.get_rng_state())


def test_low_rank_survives_many_passes_in_float32() -> None:
    """Without orthonormalising, seven products with A would wash out the small directions."""
    A = with_singular_values([10.0**-j for j in range(6)], 40, 40, 0).float()
    U, s, Vh = low_rank(A, 6, generator=torch.Generator().manual_seed(0), oversampling=2, power=3)
    torch.testing.assert_close((U * s) @ Vh, A, atol=1e-6, rtol=0)


@pytest.mark.parametrize("options", [
    {"rank": 0}, {"rank": 4}, {"rank": -1}, {"rank": 1, "oversampling": -1}, {"rank": 1, "power": -1}
])  # fmt: skip
def test_bad_low_rank(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="rank must lie" if len(options) == 1 else "oversampling and power"):
        low_rank(torch.ones(3, 5), generator=torch.Generator(), **options)

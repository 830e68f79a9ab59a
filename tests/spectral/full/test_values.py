"""Every singular value against numpy's float64 decomposition."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spectral.planted import SPECTRA, planted
from tests.support.covering import covering
from weightaudit.errors import UsageError
from weightaudit.records import FullSpectrum
from weightaudit.spectral import Difference, LowRank, ThreadTeam, measure
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.full import gram, values
from weightaudit.spectral.operators.base import GramOperator, Operator
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.tensors import Device

SHAPES = [(60, 60), (90, 40), (40, 90), (700, 64)]


def full_of(matrix: object, **options: object) -> FullSpectrum:
    found = measure(matrix, spectrum="full", **options).full  # type: ignore[arg-type]
    assert found is not None
    return found


def holds(found: FullSpectrum, W: NDArray[np.float64]) -> None:
    """Each σ² is within the stated error of numpy's."""
    truth = np.linalg.svd(W, compute_uv=False)
    assert len(found.singular_values) == min(W.shape)
    # numpy's own values are off by some ulps of the largest.
    own = 2.0 * float(truth[0]) * 16 * min(W.shape) * 2.0**-53 * float(truth[0])
    assert np.abs(np.square(found.singular_values) - np.square(truth)).max() <= found.squared_error + own
    assert found.squared_error <= 1e-9 * truth[0] ** 2


@pytest.mark.parametrize(("shape", "spectrum"), covering(SHAPES, [*SPECTRA], together=1))
def test_planted(shape: tuple[int, int], spectrum: str) -> None:
    W = planted(*shape, spectrum)
    holds(full_of(W), W)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_stored_types(dtype: Any) -> None:
    W = planted(90, 40, "geometric").astype(dtype)
    holds(full_of(W), W.astype(np.float64))


def test_tiles_and_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums by tiles and slabs of any size, and by any number of threads, are those of one product."""
    W = planted(700, 64, "linear")
    monkeypatch.setattr(gram, "TILE", 10)
    monkeypatch.setattr(gram, "SLAB", 64 * 33)
    found = []
    for threads in (1, 2, 3):
        with ThreadTeam(threads - 1) as team:
            found.append(values.all_values(BlockMatrix((W,)), 1.0, float(np.square(W).sum()), team).spectrum)
    assert all(np.array_equal(one.values, found[0].values) for one in found)  # type: ignore[union-attr]
    truth = np.linalg.svd(W, compute_uv=False)
    np.testing.assert_allclose(np.sqrt(found[0].values[::-1]), truth, rtol=1e-12)  # type: ignore[union-attr]


@pytest.mark.parametrize("exponent", [-900, 500, *(pytest.param(e, marks=pytest.mark.slow) for e in (-500, 300))])
def test_scales_that_squares_leave(exponent: int) -> None:
    """σ is right where σ² is no number of float64."""
    W = planted(60, 60, "geometric")
    found = full_of(np.ldexp(W, exponent))
    np.testing.assert_allclose(np.ldexp(found.singular_values, -exponent), 0.9 ** np.arange(60), rtol=1e-10)
    assert found.squared_error > 0.0


def test_transposing_and_scaling_change_nothing_else() -> None:
    W = planted(90, 60, "heavy-tailed").astype(np.float32)
    one, turned, scaled = full_of(W), full_of(W.T.copy()), full_of(8 * W)
    np.testing.assert_allclose(turned.singular_values, one.singular_values, rtol=1e-12)
    np.testing.assert_allclose(np.array(scaled.singular_values) / 8, one.singular_values, rtol=1e-12)
    assert one.tail is not None
    assert turned.tail is not None
    assert scaled.tail is not None
    for other, factor in ((turned, 1.0), (scaled, 64.0)):
        assert other.tail is not None
        assert math.isclose(other.tail.alpha, one.tail.alpha, rel_tol=1e-9)
        assert math.isclose(other.tail.x_min, factor * one.tail.x_min, rel_tol=1e-9)
        assert other.tail.count == one.tail.count
        assert math.isclose(other.tail.hill_alpha, one.tail.hill_alpha, rel_tol=1e-9)
        assert other.energy_ranks == one.energy_ranks


def test_detail_and_interval_come_from_the_same_values() -> None:
    W = planted(700, 64, "geometric")
    found = measure(W, spectrum="full")
    assert found.method == "exact"
    assert found.detail is not None
    assert not found.detail.estimated
    assert found.spectral_norm <= 1.0 + 1e-12
    assert found.spectral_norm_upper >= 1.0 - 1e-12
    assert found.full is not None
    np.testing.assert_allclose(found.detail.singular_values, found.full.singular_values[:32], rtol=1e-12)


def test_a_method_that_is_named_is_kept() -> None:
    W = planted(700, 64, "geometric")
    found = measure(W, spectrum="full", method="krylov")
    plain = measure(W, spectrum=True, method="krylov")
    assert found.method == "krylov"
    assert found.detail == plain.detail
    assert (found.spectral_norm, found.spectral_norm_upper) == (plain.spectral_norm, plain.spectral_norm_upper)
    assert found.full is not None


def test_no_other_number_changes() -> None:
    W = planted(90, 60, "linear")
    plain, asked = measure(W, method="exact"), measure(W, method="exact", spectrum="full")
    for name in ("frobenius_norm", "zeros", "max_abs", "entries", "dispersion", "nonfinite", "method"):
        assert getattr(plain, name) == getattr(asked, name)


@pytest.mark.parametrize(
    "matrix", [np.zeros((4, 5)), np.zeros((0, 5)), np.array([[1.0, np.nan]]), np.full((60, 60), np.inf)]
)
def test_of_nothing_there_is_none(matrix: NDArray[np.float64]) -> None:
    assert measure(matrix, spectrum="full").full is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (2, 2)])
def test_tiny_shapes(shape: tuple[int, int]) -> None:
    W = np.arange(1.0, 1.0 + math.prod(shape)).reshape(shape)
    found = full_of(W)
    holds(found, W)
    assert found.bulk is None
    assert found.tail is None
    assert found.energy_ranks[0][1] == 1


def test_sides_that_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.spectral.full.whole.LARGEST_SIDE", 50)
    assert measure(planted(60, 60, "linear"), spectrum="full").full is None
    assert measure(planted(60, 60, "linear"), spectrum="full").detail is not None
    assert measure(planted(90, 40, "linear"), spectrum="full").full is not None


def test_a_difference_of_two() -> None:
    A, B = planted(90, 60, "linear"), planted(90, 60, "spike", seed=1)
    found = full_of(Difference(A, B))
    holds(found, A - B)
    assert len(found.shuffled) == 60


def test_a_product_by_its_factors() -> None:
    rng = np.random.default_rng(0)
    B, A = rng.standard_normal((80, 5)), rng.standard_normal((5, 60))
    found = full_of(LowRank(B, A, scale=2.0))
    holds(found, 2.0 * B @ A)
    assert found.singular_values[5:] == (0.0,) * 55
    assert found.shuffled == ()
    assert found.bulk is None
    assert found.tail is None
    assert found.energy_ranks[-1][1] <= 5


def test_what_is_no_choice() -> None:
    with pytest.raises(UsageError, match="spectrum: 'all' is unknown"):
        measure(np.eye(3), spectrum="all")  # type: ignore[arg-type]


def test_energy_ranks_are_the_least() -> None:
    W = planted(90, 60, "heavy-tailed")
    found = full_of(W)
    squares = np.square(found.singular_values)
    for share, rank in found.energy_ranks:
        assert squares[:rank].sum() >= share * squares.sum() * (1 - 1e-11)
        assert squares[: rank - 1].sum() < share * squares.sum()
    assert full_of(np.eye(100)).energy_ranks == ((0.9, 90), (0.95, 95), (0.99, 99))


class Diagonal:
    """diag(values) as an operator of its own, which has no entries to read."""

    amplification = 1.0

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self.shape = self.cost_shape = (len(values), len(values))

    def digest(self) -> str:
        return "0" * 64

    @contextmanager
    def on(self, device: Device, team: ThreadTeam) -> Iterator[Operator]:
        yield self

    def statistics(self) -> Statistics:
        return Statistics(float(np.square(self.values).sum()), 1.0, float(self.values.max()), 0, 0, 1, None)

    def gram(self, scale: float) -> GramOperator:
        raise AssertionError("all values come from the spectrum")

    def spectrum(self, known: Statistics) -> Interval:
        squares = np.sort(np.square(self.values))
        return Interval(float(squares[-1]), float(squares[-1]), 0, WholeSpectrum(squares, 0.0, len(squares)))


def test_an_operator_of_ones_own() -> None:
    values = np.linspace(0.01, 2.0, 200)
    found = full_of(Diagonal(values))
    np.testing.assert_allclose(found.singular_values, values[::-1])
    assert found.shuffled == ()
    assert found.bulk is None
    assert found.tail is not None

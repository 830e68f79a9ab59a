"""Sums in float32 are near those in float64, and are not taken where that would not be near enough."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.support.covering import covering
from weightaudit.spectral import ThreadTeam
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.full import gram, null
from weightaudit.spectral.full.null import SINGLE_ERROR, null_values
from weightaudit.spectral.full.shuffling import Mixed
from weightaudit.spectral.full.values import eigenvalues


def both(W: Any, monkeypatch: pytest.MonkeyPatch, scale: float = 1.0) -> tuple[Any, Any, list[str]]:
    """The σ² as they are found, all of float64, and in which type the first were summed."""
    taken: list[str] = []
    own = gram.mixed_gram_matrix

    def summed(mixed: Mixed, by: float, dtype: Any, team: ThreadTeam) -> Any:
        taken.append(dtype.name)
        return own(mixed, by, dtype, team)

    monkeypatch.setattr(null, "mixed_gram_matrix", summed)
    mixed = Mixed(BlockMatrix((W,)), np.random.default_rng(1))
    frob_sq = float(np.square(W.astype(np.float64) * scale).sum())
    with ThreadTeam(0) as team:
        found = null_values(mixed, scale, frob_sq, team)
        truth = eigenvalues(own(mixed, scale, np.dtype(np.float64), team))
    return found, truth, taken


@pytest.mark.parametrize(
    ("shape", "kind", "dtype"),
    covering(
        [(400, 200), (6000, 100), (100, 6000)],
        ["normal", "t", "mean"],
        [np.float32, np.float16, ml_dtypes.bfloat16],
        together=1,
    ),
)
def test_of_tall_ones(shape: tuple[int, int], kind: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    drawn = rng.standard_t(3, shape) if kind == "t" else rng.standard_normal(shape) + (0.3 if kind == "mean" else 0.0)
    found, truth, taken = both(drawn.astype(dtype), monkeypatch)
    assert taken[0] == "float32"
    if len(taken) == 1:
        error = np.abs(found - truth).max() / truth[-1]
        assert 0.0 < error <= SINGLE_ERROR
    else:
        assert kind != "normal"
        assert np.array_equal(found, truth)


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_entries_whose_squares_float32_has_not(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    W = np.random.default_rng(3).standard_normal((800, 40)) * size
    found, truth, taken = both(W, monkeypatch)
    assert taken == ["float32"]
    np.testing.assert_allclose(found, truth, rtol=1e-4)


def test_square_ones_are_summed_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their smallest value would be lost."""
    found, truth, taken = both(np.random.default_rng(4).standard_normal((150, 100)), monkeypatch)
    assert taken == ["float64"]
    assert np.array_equal(found, truth)


@pytest.mark.parametrize("spread", [1e-5, 0.02])
def test_what_is_small_beside_the_largest_is_not_lost(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of nearly one size: all values but the first lie below the rounding of float32, or not far above it."""
    W = 1.0 + spread * np.random.default_rng(5).standard_normal((600, 60))
    found, truth, taken = both(W, monkeypatch)
    assert taken == ["float32", "float64"]
    assert np.array_equal(found, truth)


def test_several_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a height that no pool has: some pools are in two of them."""
    monkeypatch.setattr(gram, "SLAB", 1 << 17)
    found, truth, taken = both(np.random.default_rng(6).standard_normal((9000, 50)), monkeypatch)
    assert taken == ["float32"]
    np.testing.assert_allclose(found, truth, rtol=1e-5)


def test_entries_of_the_least_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """No number of float64 brings them to magnitude 1."""
    found, truth, taken = both(np.random.default_rng(7).standard_normal((2048, 300)) * 1e-310, monkeypatch, 2.0**1000)
    assert taken == ["float64"]
    assert found[-1] > 0.0
    assert np.array_equal(found, truth)


def test_one_entry_beside_which_the_others_are_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    W = np.random.default_rng(8).standard_normal((400, 40)) * 1e-3
    W[3, 4] = 1e30
    found, truth, taken = both(W, monkeypatch)
    assert taken == ["float32", "float64"]
    assert found[-1] == pytest.approx(1e60)
    assert np.array_equal(found, truth)

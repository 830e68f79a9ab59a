"""Lifts, novelty and intruders against dense decompositions in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spectral.changes import Array, adapter, few_directions, of_size, pair, weights
from tests.support.covering import covering
from weightaudit.errors import UsageError
from weightaudit.records import Directions
from weightaudit.spectral import directions as module
from weightaudit.spectral.directions import directions

SHAPES = [(160, 120), (120, 160), (100, 100)]


def decaying(m: int, n: int, rng: np.random.Generator, decay: float = 0.6) -> Array:
    """Weights without close singular values."""
    return few_directions(m, n, (1.0 + np.arange(min(m, n))) ** -decay, rng)


def lifts(W0: Array, D: Array) -> tuple[float, float]:
    both = np.square(W0).sum() * np.square(D).sum()
    m, n = W0.shape
    return n * np.square(D @ W0.T).sum() / both, m * np.square(W0.T @ D).sum() / both


def novelty(W1: Array, D: Array, k: int) -> Array:
    U, sigma, Vh = np.linalg.svd(W1)
    out: Array = np.array([U[:, j] @ D @ Vh[j] / sigma[j] for j in range(k)])
    return out


def likeness(W0: Array, W1: Array, k: int) -> Array:
    """Largest cosine of each of W₁'s k leading singular vectors of the shorter side with all of W₀'s."""
    short = [np.linalg.svd(W if W.shape[0] <= W.shape[1] else W.T)[0] for W in (W0, W1)]
    out: Array = np.abs(short[0].T @ short[1][:, :k]).max(axis=0)
    return out


@pytest.mark.parametrize("shape", SHAPES)
def test_lifts_of_few_directions_are_exact(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    W0 = decaying(*shape, rng)
    U, _, Vh = np.linalg.svd(W0)
    for left, right in ((U[:, 0], Vh[0]), (U[:, -1], Vh[0]), (U[:, 0], Vh[-1])):
        D = 0.1 * np.outer(left, right)
        found = directions(W0, W0 + D)
        assert (found.row_lift, found.col_lift) == pytest.approx(lifts(W0, D), rel=1e-6)
    along, across = lifts(W0, np.outer(U[:, -1], Vh[0]))
    assert along > 10 > 0.5 > across  # rows are told from columns


@pytest.mark.parametrize(("decay", "shape"), covering([0.0, 0.3, 0.6, 1.0], SHAPES, together=1))
def test_lifts_of_changes_in_all_directions(decay: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    W0 = decaying(*shape, rng)
    U, _, Vh = np.linalg.svd(W0, full_matrices=False)
    chance = 0.1 * few_directions(*shape, (1.0 + np.arange(min(shape))) ** -decay, rng)
    along = 0.1 * (U * (1.0 + np.arange(min(shape))) ** -decay) @ Vh
    for D in (chance, along):
        found = directions(W0, W0 + D)
        assert (found.row_lift, found.col_lift) == pytest.approx(lifts(W0, D), rel=0.25)


@pytest.mark.parametrize("seeds", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_lifts_are_right_on_average(seeds: int) -> None:
    """Without bias: what is not known of the rest is drawn."""
    rng = np.random.default_rng(2)
    W0, D = decaying(80, 60, rng), 0.1 * rng.standard_normal((80, 60))
    found = [directions(W0, W0 + D, seed=seed) for seed in range(seeds)]
    for mean, truth in zip(np.mean([(one.row_lift, one.col_lift) for one in found], axis=0), lifts(W0, D), strict=True):
        assert mean == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize(("relative", "shape"), covering([1e-4, 0.1, 1.0], SHAPES, together=1))
def test_novelty_is_that_of_the_dense_decomposition(relative: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    W0 = decaying(*shape, rng)
    for D in (decaying(*shape, rng), adapter(*shape, 2, rng), W0):
        D = of_size(D, relative, W0)
        found = directions(W0, W0 + D, k=6)
        assert found.novelty == pytest.approx(novelty(W0 + D, D, 6), abs=0.01 * relative)


def test_a_direction_that_the_base_does_not_have_counts_as_new() -> None:
    rng = np.random.default_rng(4)
    W0 = decaying(160, 120, rng)
    D = few_directions(160, 120, np.array([1.5, 0.9]), rng)
    found = directions(W0, W0 + D, k=4)
    assert found.new == 2
    assert found.novelty == pytest.approx(novelty(W0 + D, D, 4), abs=0.01)
    assert directions(W0, 1.5 * W0, k=4).novelty == pytest.approx([1 / 3] * 4)
    assert directions(W0, 3.0 * W0, k=4).new == 4
    assert directions(W0, -W0, k=3).novelty == pytest.approx([2.0] * 3)


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "lanczos"])
@pytest.mark.parametrize("count", [3, *(pytest.param(count, marks=pytest.mark.slow) for count in (9, 18))])
def test_intruders_are_never_wrong(count: int, dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten vectors of each of that many updates of all sizes, none of which counts for what it is not."""
    monkeypatch.setattr(module, "DENSE_SIDE", 1024 if dense else 0)
    rng = np.random.default_rng(5)
    true = certain = unknown = 0
    for i in range(count):
        shape = SHAPES[i % 3]
        W0 = decaying(*shape, rng, rng.choice([0.3, 0.6]))
        kinds = [decaying(*shape, rng), adapter(*shape, 4, rng), few_directions(*shape, 0.7 ** np.arange(12.0), rng)]
        W1 = W0 + of_size(kinds[(i + i // 3) % 3], rng.choice([0.1, 0.3, 0.6, 1.0]), W0)
        found = directions(W0, W1, k=10, intruders=True)
        assert found.intruders is not None
        there = int((likeness(W0, W1, 10) <= 0.5).sum())
        assert found.intruders <= there <= found.intruders + found.undetermined
        true, certain, unknown = true + there, certain + found.intruders, unknown + found.undetermined
    assert 30 * count < 18 * true < 150 * count
    assert 18 * unknown <= (0 if dense else 60 * count)
    assert certain >= (true if dense else true // 2)


def test_two_close_vectors_that_merely_turned_count_as_published() -> None:
    """Cosines of 0.7 are like enough, those of four that are mixed are not, and none of them is new."""
    rng = np.random.default_rng(6)
    close = np.r_[1.0 + 1e-3 * np.arange(4.0)[::-1], 0.5 ** np.arange(1.0, 21.0)]
    U, V = (np.linalg.qr(rng.standard_normal((side, 24)))[0] for side in (90, 60))
    W0 = (U * close) @ V.T
    mixed = np.eye(24)
    mixed[:4, :4] = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1.00]]) / 2.001
    W1 = (U @ mixed * close) @ (V @ mixed).T
    found = directions(W0, W1, k=4, intruders=True)
    assert found.intruders == int((likeness(W0, W1, 4) <= 0.5).sum())
    assert found.new == 0


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "lanczos"])
def test_vectors_of_singular_values_that_are_nothing_are_not_compared(
    dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the base in three directions has no others, which would be like none of it."""
    monkeypatch.setattr(module, "DENSE_SIDE", 1024 if dense else 0)
    W0 = decaying(80, 120, np.random.default_rng(9))
    U, sigma, Vh = np.linalg.svd(W0, full_matrices=False)
    for kept in (0, 3):
        W1 = (U[:, :kept] * sigma[:kept]) @ Vh[:kept]
        for found in (directions(W0, W1, intruders=True), directions(W0.T, W1.T, intruders=True)):
            assert (found.intruders, found.undetermined, len(found.novelty)) == (0, 0, kept)


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "lanczos"])
def test_of_equal_singular_values_any_vector_is_one(dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE_SIDE", 1024 if dense else 0)
    rng = np.random.default_rng(10)
    Q = np.linalg.qr(rng.standard_normal((90, 60)))[0]
    for W0 in (np.eye(60, dtype=np.float32), Q, Q.T):
        assert directions(W0, W0 + 1e-3 * rng.standard_normal(W0.shape), intruders=True).intruders == 0


def test_without_intruders_nothing_is_compared() -> None:
    rng = np.random.default_rng(7)
    W0 = weights(40, 30, rng)
    found = directions(W0, W0 + 0.1 * rng.standard_normal((40, 30)))
    assert (found.intruders, found.undetermined, len(found.novelty)) == (None, 0, 10)


@pytest.mark.parametrize("dtypes", [("float32", "bfloat16"), ("float16", "float16"), ("float64", "float32")])
def test_stored_numbers_blocks_and_layouts(dtypes: tuple[str, str]) -> None:
    rng = np.random.default_rng(8)
    W = weights(120, 80, rng)
    W0, W1 = pair(W, of_size(decaying(120, 80, rng), 0.3, W), dtypes)
    wide: tuple[NDArray[Any], NDArray[Any]] = W0.astype(np.float64), W1.astype(np.float64)
    found = directions([W0[:50], W0[50:]], W1, k=3, digest="0" * 64)
    assert found == directions(np.asfortranarray(W0), W1, k=3, digest="0" * 64)
    assert (found.row_lift, found.col_lift) == pytest.approx(lifts(wide[0], wide[1] - wide[0]), rel=0.25)
    other = directions(W0, np.asfortranarray(W1), k=3)
    assert (other.row_lift, other.col_lift) == pytest.approx((found.row_lift, found.col_lift), rel=0.4)
    assert other.novelty == pytest.approx(found.novelty, abs=0.01)
    turned = directions(W0.T, W1.T, k=3, digest="0" * 64)
    assert (turned.col_lift, turned.row_lift) == (found.row_lift, found.col_lift)
    assert turned.novelty == found.novelty


def test_what_has_no_directions() -> None:
    W = np.eye(6, 5) * np.arange(1.0, 6.0)
    zero = np.zeros((6, 5))

    def has(found: Directions) -> tuple[bool, bool]:
        return not math.isnan(found.row_lift), not math.isnan(found.col_lift)

    same = directions(W, W, intruders=True)
    assert has(same) == (False, False)
    assert same.novelty == (0.0,) * 5
    assert has(directions(zero, W)) == (False, False)
    assert directions(zero, W).novelty == pytest.approx([1.0] * 5)
    assert directions(zero, W, intruders=True).undetermined == 5
    assert directions(W, zero).novelty == ()
    broken = W.copy()
    broken[0, 0] = np.inf
    assert has(directions(W, broken)) == (False, False)
    assert directions(broken, W, intruders=True).novelty == ()
    assert directions(np.ones((1, 1)), np.ones((1, 1)) * 2.0).novelty == pytest.approx([0.5])
    assert directions(np.eye(6), 2.0 * np.eye(6)).novelty == pytest.approx([0.5] * 4)  # all are equal
    with pytest.raises(UsageError):
        directions(W, W.T)

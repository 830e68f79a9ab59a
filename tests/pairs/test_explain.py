"""A change as a sum of others: weights and what is left, against numpy's least squares of the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.covering import in_turn
from weightaudit.arrays import Array, Product
from weightaudit.pairs.explain import Parent, explain
from weightaudit.records import Explained
from weightaudit.spectral.entry_changes import entry_changes

FLOAT32 = np.dtype(np.float32)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
SHAPE = (150, 1100)
"""Two panels."""


def drawn(seed: int, size: float = 1.0, shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
    return size * np.random.default_rng(seed).standard_normal(shape)


def models(dtype: np.dtype = FLOAT32, size: float = 0.02) -> tuple[Array, Array, Array]:
    """A base and two that were made from it, all of ``dtype``."""
    base = drawn(0).astype(dtype)
    p, q = ((base.astype(np.float64) + drawn(seed, size)).astype(dtype) for seed in (1, 2))
    return base, p, q


def told(base: Array, derived: Array, parents: Sequence[Parent]) -> Explained:
    return explain([base], [derived], parents, entry_changes(base, derived))


def expected(base: Array, derived: Array, parents: Sequence[Array]) -> tuple[NDArray[np.float64], float]:
    """Weights and unexplained share by numpy."""
    W0, W1, *Ws = (one.astype(np.float64) for one in (base, derived, *parents))
    D = np.stack([*((W - W0).ravel() for W in Ws), W0.ravel()], axis=1)
    d = (W1 - W0).ravel()
    weights = np.linalg.lstsq(D, d, rcond=None)[0]
    rest = d - D @ weights
    return weights, float(rest @ rest / (d @ d))


def mixed(terms: Sequence[tuple[float, Array]], dtype: np.dtype) -> Array:
    whole = np.sum([weight * one.astype(np.float64) for weight, one in terms], axis=0)
    return np.asarray(whole.astype(dtype))


def slerp(p: Array, q: Array, t: float) -> NDArray[np.float64]:
    a, b = (one.astype(np.float64) for one in (p, q))
    angle = math.acos(float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)))
    return np.asarray((math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle))


@pytest.mark.parametrize(
    ("dtype", "size"),
    in_turn([np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16), BFLOAT16], [0.02, 1.0]),
)
def test_linear_merges_are_exact(dtype: np.dtype, size: float) -> None:
    base, p, q = models(dtype, size)
    derived = mixed([(0.3, p), (0.7, q)], dtype)
    recipe = told(base, derived, [[p], [q]])
    assert recipe.exact
    assert recipe.weights == pytest.approx((0.3, 0.7, 0.0), abs=5e-3)
    assert recipe.weights == pytest.approx(tuple(expected(base, derived, [p, q])[0]), abs=1e-9)
    assert 0.1 < recipe.rest < 2.0


def test_a_merge_that_was_rounded_at_each_step() -> None:
    """As float32 programs add up: each product and each sum is rounded."""
    base, p, q = models()
    derived = np.float32(0.3) * p + np.float32(0.7) * q
    recipe = told(base, derived, [[p], [q]])
    assert recipe.exact
    assert recipe.rest > 1.2  # more than the last rounding


def test_parents_that_hardly_differ_are_told_apart() -> None:
    """Inner products alone know these weights to some 1e-7."""
    base, p, _ = models(np.dtype(np.float64))
    q = p + drawn(2, 2e-7)
    derived = mixed([(0.3, p), (0.7, q)], np.dtype(np.float64))
    assert told(base, derived, [[p], [q]]).weights == pytest.approx((0.3, 0.7, 0.0), abs=1e-9)


def test_slerp_takes_a_share_of_the_base() -> None:
    base, p, q = models()
    derived = slerp(p, q, 0.3).astype(np.float32)
    recipe = told(base, derived, [[p], [q]])
    assert recipe.exact
    weights, _ = expected(base, derived, [p, q])
    assert recipe.weights == pytest.approx(tuple(weights), abs=1e-9)
    assert recipe.weights[2] > 1e-5


@pytest.mark.parametrize("keep", ["largest", "random"])
def test_what_is_not_linear_is_unexplained(keep: str) -> None:
    """TIES keeps the largest entries, DARE random ones, rescaled."""
    base, p, q = models()
    deltas = [one.astype(np.float64) - base for one in (p, q)]
    if keep == "largest":
        kept = [delta * (np.abs(delta) > np.quantile(np.abs(delta), 0.5)) for delta in deltas]
    else:
        kept = [2 * delta * (drawn(7 + i) > 0) for i, delta in enumerate(deltas)]
    derived = (base + 0.5 * kept[0] + 0.5 * kept[1]).astype(np.float32)
    recipe = told(base, derived, [[p], [q]])
    weights, unexplained = expected(base, derived, [p, q])
    assert not recipe.exact
    assert recipe.rest > 1e6
    assert recipe.unexplained == pytest.approx(unexplained, rel=1e-9)
    assert recipe.weights == pytest.approx(tuple(weights), abs=1e-9)
    assert unexplained > 0.05


def test_another_model_is_unexplained_whole() -> None:
    base, p, q = models()
    recipe = told(base, (base + drawn(9, 0.02)).astype(np.float32), [[p], [q]])
    assert recipe.unexplained > 0.99
    assert recipe.weights[:2] == pytest.approx((0.0, 0.0), abs=0.02)


def factors(rank: int = 4, *, blocks: int = 1, size: float = 0.02) -> tuple[list[Product], NDArray[np.float64]]:
    """An adapter's products, one below the other, and the matrix that they are."""
    rows = SHAPE[0] // blocks
    products = []
    for i in range(blocks):
        B = drawn(20 + i, size, (rows, rank)).astype(np.float32)
        A = drawn(30 + i, 1.0, (rank, SHAPE[1])).astype(np.float32)
        products.append(Product(B, A, 0.5 + i))
    return products, np.concatenate([one.scale * one.left.astype(np.float64) @ one.right for one in products])


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [np.dtype(np.float32), BFLOAT16])
def test_the_scale_of_a_merged_adapter(scale: float, dtype: np.dtype) -> None:
    products, change = factors(blocks=3)
    base = drawn(0).astype(dtype)
    recipe = told(base, (base.astype(np.float64) + scale * change).astype(dtype), [products])
    assert recipe.weights == pytest.approx((scale,), abs=2e-3)
    assert recipe.exact


def test_more_than_the_adapter_is_left() -> None:
    products, change = factors()
    base = drawn(0).astype(np.float32)
    recipe = told(base, (base + change + drawn(5, 0.01)).astype(np.float32), [products])
    assert not recipe.exact
    assert recipe.weights == pytest.approx((1.0,), abs=2e-2)
    assert recipe.unexplained == pytest.approx(
        1e-4 * base.size / float(np.square(change).sum() + 1e-4 * base.size), rel=0.05
    )


def test_without_the_base_where_all_are_adapters() -> None:
    products, _ = factors()
    base = drawn(0).astype(np.float32)
    assert len(told(base, base, [products]).weights) == 1
    assert len(told(base, base, [products, [base]]).weights) == 3


def test_what_rounding_swallows_has_no_weight() -> None:
    products, change = factors(size=2e-5)
    base = drawn(0).astype(BFLOAT16)
    derived = (base.astype(np.float64) + change).astype(BFLOAT16)
    assert math.isnan(told(base, derived, [products]).weights[0])
    fine = base.astype(np.float32)
    assert told(fine, (fine + change).astype(np.float32), [products]).weights == pytest.approx((1.0,), abs=1e-2)


def test_a_parent_that_is_the_base_and_one_that_comes_twice() -> None:
    base, p, _ = models()
    derived = mixed([(0.6, base), (0.4, p)], np.dtype(np.float32))
    alone = told(base, derived, [[base], [p]])
    assert math.isnan(alone.weights[0])
    assert alone.weights[1] == pytest.approx(0.4, abs=1e-6)
    assert alone.exact
    assert told(base, derived, [[p], [p]]).weights[:2] == pytest.approx((0.2, 0.2), abs=1e-6)


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_an_entry_that_is_no_number(lost: float) -> None:
    base, p, q = models()
    q[3, 4] = lost
    recipe = told(base, mixed([(0.5, p), (0.5, p)], np.dtype(np.float32)), [[p], [q]])
    assert not recipe.exact
    assert all(map(math.isnan, (*recipe.weights, recipe.rest, recipe.unexplained)))


def test_blocks_and_transposed_storage_are_the_same_matrix() -> None:
    base, p, q = models()
    derived = mixed([(0.3, p), (0.7, q)], np.dtype(np.float32))
    facts = entry_changes(base, derived)
    plain = explain([base], [derived], [[p], [q]], facts)
    turned = np.ascontiguousarray(p.T).T
    assert explain([base[:40], base[40:]], [derived], [[turned], [q[:7], q[7:]]], facts) == plain

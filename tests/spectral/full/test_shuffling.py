"""The same entries in another order: all of them, each order as likely, however they lie in memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from weightaudit.arrays import as_array, is_tensor
from weightaudit.spectral import ThreadTeam, measure
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.full import shuffling
from weightaudit.spectral.full.gram import mixed_gram_matrix
from weightaudit.spectral.full.shuffling import shuffled
from weightaudit.spectral.full.values import all_values
from weightaudit.spectral.operators.dense import DenseOperator


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_the_entries_are_the_same(dtype: Any) -> None:
    W = np.arange(600.0).reshape(20, 30).astype(dtype)
    mixed = shuffled(BlockMatrix((W,)), np.random.default_rng(0))
    (block,) = mixed.blocks
    assert block.shape == W.shape
    assert block.dtype == W.dtype
    assert np.array_equal(np.sort(block.astype(float), axis=None), np.sort(W.astype(float), axis=None))
    assert not np.array_equal(block, W)
    assert np.array_equal(W, np.arange(600.0).reshape(20, 30).astype(dtype))


def test_however_they_lie() -> None:
    W = np.random.default_rng(1).standard_normal((20, 30))
    ways = [BlockMatrix((W,)), BlockMatrix((np.asfortranarray(W),)), BlockMatrix((W[:7], np.asfortranarray(W[7:])))]
    first, *others = (shuffled(one, np.random.default_rng(2)).blocks[0] for one in ways)
    assert all(np.array_equal(first, other) for other in others)


def test_all_orders_are_as_likely() -> None:
    W, rng = np.arange(1.0, 4.0).reshape(1, 3), np.random.default_rng(3)
    times = Counter(tuple(shuffled(BlockMatrix((W,)), rng).blocks[0].ravel()) for _ in range(1200))
    assert len(times) == 6
    assert all(150 < count < 250 for count in times.values())


def test_by_seed_and_name() -> None:
    W = np.random.default_rng(4).standard_normal((30, 20)) @ np.diag(np.geomspace(1, 50, 20))
    found = {
        (seed, name): measure(W, spectrum="full", seed=seed, name=name).full
        for seed, name in [(0, "Q"), (1, "Q"), (0, "K")]
    }
    shuffles = [one.shuffled for one in found.values() if one]
    assert len(set(shuffles)) == 3
    again = measure(W, spectrum="full", name="Q").full
    assert again == found[0, "Q"]


def test_structure_is_gone() -> None:
    """A matrix of rank one in disorder is like a random one of the same entries."""
    rng = np.random.default_rng(5)
    W = np.outer(rng.choice([-1.0, 1.0], 120), rng.choice([-1.0, 1.0], 80))
    found = measure(W, spectrum="full").full
    assert found is not None
    assert found.singular_values[1] < 1e-6 * found.singular_values[0]
    edge = np.sqrt(120) + np.sqrt(80)
    assert 0.9 * edge < found.shuffled[0] < 1.1 * edge
    # The sum of squares is that of the entries, in whatever order.
    assert np.isclose(np.square(found.shuffled).sum(), np.square(W).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_device_of_torchs(dtype: torch.dtype) -> None:
    """The order is that of the CPU, and all singular values come from there."""
    W = torch.randn(60, 40, generator=torch.Generator().manual_seed(0)).to(dtype)
    there = BlockMatrix((W,))
    assert there.device == torch.device("cpu") != "cpu"  # type: ignore[comparison-overlap]
    mixed = shuffled(there, np.random.default_rng(1))
    plain = shuffled(BlockMatrix((as_array(W),)), np.random.default_rng(1))
    assert is_tensor(mixed.blocks[0])
    assert np.array_equal(as_array(mixed.blocks[0]).astype(float), plain.blocks[0].astype(float))
    with ThreadTeam(0) as team:
        found = [all_values(one, 1.0, float(W.double().square().sum()), team).spectrum for one in (mixed, plain)]
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-9)  # type: ignore[union-attr]


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "LARGEST_SHUFFLED", 100)


@pytest.mark.usefixtures("pools")
@pytest.mark.parametrize("largest_copy", [100, 10_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_large_ones_are_mixed_however_they_lie(dtype: Any, largest_copy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "LARGEST_COPY", largest_copy)
    monkeypatch.setattr(shuffling, "POOL", 64)
    W = np.arange(1.0, 248.0).reshape(19, 13).astype(dtype)  # not all lines are full
    blocks = (W[:7], np.asfortranarray(W[7:]))
    for row_major in (True, False):
        seen = []
        for one in (BlockMatrix((W,)), BlockMatrix((np.asfortranarray(W),)), BlockMatrix(blocks)):
            mixed = shuffling.disordered(one, np.random.default_rng(6))
            assert isinstance(mixed, shuffling.Mixed)
            seen.append(np.concatenate([panel.copy() for panel in mixed.panels(row_major)]))
        assert seen[0].shape == (W.shape if row_major else W.T.shape)
        assert np.array_equal(np.sort(seen[0], axis=None), np.sort(W.astype(float), axis=None))
        assert not np.array_equal(seen[0], W if row_major else W.T)
        assert all(np.array_equal(seen[0], other) for other in seen[1:])


@pytest.mark.usefixtures("pools")
@pytest.mark.parametrize("draws", [600, pytest.param(1200, marks=pytest.mark.slow)])
def test_each_order_of_one_pool_is_as_likely(draws: int) -> None:
    W, rng = np.arange(1.0, 4.0).reshape(1, 3), np.random.default_rng(7)
    times = Counter(tuple(next(shuffling.Mixed(BlockMatrix((W,)), rng).panels(True)).ravel()) for _ in range(draws))
    assert len(times) == 6
    assert all(draws / 8 < count < draws / 4.8 for count in times.values())


@pytest.mark.usefixtures("pools")
@pytest.mark.parametrize("times", [50, *(pytest.param(times, marks=pytest.mark.slow) for times in (100, 400))])
def test_each_entry_comes_once_and_may_come_anywhere(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pools, the last line not full."""
    monkeypatch.setattr(shuffling, "POOL", 64)
    W = np.arange(570.0).reshape(30, 19)
    rng = np.random.default_rng(10)
    places = np.zeros((W.size, 10))
    for _ in range(times):
        one = shuffling.Mixed(BlockMatrix((W,)), rng)
        mixed = np.concatenate([panel.copy() for panel in one.panels(True)]).ravel()
        assert np.array_equal(np.sort(mixed), W.ravel())
        places[mixed.astype(int), np.arange(W.size) * 10 // W.size] += 1.0
    # Each entry in each tenth of the places: Poisson's law around a tenth of the times.
    assert abs(places - times / 10).max() < 5.5 * np.sqrt(times / 10)


@pytest.mark.usefixtures("pools")
@pytest.mark.parametrize("shape", [(5000, 60), (60, 5000)])
def test_pools_are_the_same_whoever_writes_them(shape: tuple[int, int]) -> None:
    """Of float32 they are those of float64, rounded; the sums of the same by any number of threads are the same."""
    W = np.random.default_rng(11).standard_normal(shape).astype(np.float32)
    one = shuffling.Mixed(BlockMatrix((W,)), np.random.default_rng(12))
    A = np.concatenate([panel.copy() for panel in one.panels(shape[0] > shape[1])])
    again = np.empty(A.size, np.float32)
    for pool in reversed(one.pools(0, A.size)):
        one.write(pool, 0, again, 0.5)
    assert np.array_equal(again.reshape(A.shape), A / 2)
    found = []
    for threads in (1, 2, 3):
        with ThreadTeam(threads - 1) as team:
            found.append(mixed_gram_matrix(one, 1.0, np.dtype(np.float64), team))
    assert all(np.array_equal(other, found[0]) for other in found[1:])
    np.testing.assert_allclose(np.tril(found[0]), np.tril(A.T @ A), atol=1e-9)


def test_mixed_or_shuffled_is_the_same_to_the_eye(monkeypatch: pytest.MonkeyPatch) -> None:
    W = np.random.default_rng(8).standard_t(3, (600, 200))
    copied = measure(W, spectrum="full").full
    monkeypatch.setattr(shuffling, "LARGEST_SHUFFLED", 100)
    found = measure(W, spectrum="full").full
    assert copied is not None
    assert found is not None
    assert found.shuffled != copied.shuffled
    np.testing.assert_allclose(found.shuffled[20:-20], copied.shuffled[20:-20], rtol=0.06)
    np.testing.assert_allclose(found.shuffled[:3], copied.shuffled[:3], rtol=0.06)  # as the largest entries make them
    assert np.square(found.shuffled).sum() == pytest.approx(np.square(W).sum())
    assert found.singular_values == copied.singular_values


def test_all_that_is_drawn_goes_by_one_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes a pass over the matrix."""
    taken, own = [], DenseOperator.digest

    def digest(operator: DenseOperator) -> str:
        taken.append(operator)
        return own(operator)

    monkeypatch.setattr(DenseOperator, "digest", digest)
    found = measure(np.random.default_rng(9).standard_normal((90, 60)), spectrum="full", method="krylov")
    assert found.full is not None
    assert found.full.tail is not None
    assert len(taken) == 1

"""What updates do on one another's inputs, against dense float64: by every route, on planted updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.covering import covering
from weightaudit.arrays import Array, Product
from weightaudit.records import Interactions
from weightaudit.spectral import interactions as room
from weightaudit.spectral.interactions import interactions

Numbers = NDArray[np.float64]
ROUTES = {"cross products": 10**9, "probes": 0}
NEARLY_WHITE = 0.012


def directions(rows: int, cols: int, k: int, shared: float, common: Numbers, rng: np.random.Generator) -> Numbers:
    kept = round(shared * k)
    return np.linalg.qr(np.concatenate([common[:, :kept], rng.standard_normal((cols, k - kept))], axis=1))[0]


def planted(rows: int, cols: int, *, shared: float, rank: int = 0, decay: float = 1.0, seed: int = 0) -> list[Numbers]:
    """Two updates; the second's input directions are the first's as far as ``shared`` says, and its size another."""
    rng = np.random.default_rng(seed)
    k = rank or min(rows, cols)
    common = np.linalg.qr(rng.standard_normal((cols, k)))[0]
    sigma = np.arange(1.0, k + 1) ** -decay
    found = []
    for size, part in ((1.0, 1.0), (10 ** rng.uniform(-0.5, 0.5), shared)):
        left = np.linalg.qr(rng.standard_normal((rows, k)))[0]
        found.append(size * left * sigma @ directions(rows, cols, k, part, common, rng).T)
    return found


def dense(updates: Sequence[Numbers], weights: Sequence[float], a: int) -> tuple[float, float, float]:
    """ρ, κ and D by their definitions."""
    own = updates[a]
    E = sum((w * one for w, one in zip(weights, updates, strict=True)), np.zeros_like(own))
    size = float(np.vdot(own @ own.T, own @ own.T))
    retention = float(np.vdot(E @ own.T, own @ own.T)) / size
    contamination = float(np.linalg.norm((E - retention * own) @ own.T)) / math.sqrt(size)
    return retention, contamination, float(np.linalg.norm((E - own) @ own.T)) / math.sqrt(size)


def agree(
    found: Interactions, updates: Sequence[Numbers], weights: Sequence[float], a: int, within: float = 0.005
) -> None:
    effect, (retention, contamination, disturbance) = found.effect(a, weights), dense(updates, weights, a)
    assert effect.retention == pytest.approx(retention, abs=within)
    assert effect.contamination == pytest.approx(contamination, abs=0.005, rel=0.05)
    assert effect.disturbance == pytest.approx(disturbance, abs=0.005, rel=0.05)


def held_against_dense(
    shape: tuple[int, int], shared: float, rank: int, decay: float, *, white_too: bool = False
) -> None:
    W0, seed = np.random.default_rng(9).standard_normal(shape), rank + round(4 * decay)
    updates = planted(*shape, shared=shared, rank=rank, decay=decay, seed=seed)
    stored = [W0 + one for one in updates]
    found = interactions([W0], [[one] for one in stored], victims=2, name=str(seed))
    of_stored = [one - W0 for one in stored]
    for weights, a in product(((1.0, 1.0), (0.3, 1.2)), (0, 1)):
        agree(found, of_stored, weights, a, NEARLY_WHITE if white_too and not rank and decay < 0.5 else 0.005)


@pytest.mark.parametrize(
    ("shape", "shared", "rank", "decay"),
    covering(
        [(180, 180), (260, 140), (140, 260)], [0.0, 0.25, 0.5, 1.0], [0, 4, 48], [0.25, 0.5, 1.0, 2.0], together=1
    ),
)
def test_planted_updates_by_cross_products(shape: tuple[int, int], shared: float, rank: int, decay: float) -> None:
    """From no shared input direction to all, of full and low rank, flat and falling off: ρ to 0.005, κ to 5 % and
    0.005."""
    held_against_dense(shape, shared, rank, decay)


@pytest.mark.parametrize(
    ("shape", "shared", "kind"),
    covering([(320, 400), (450, 350)], [0.5, 0.0, 1.0], [(0, 1.0), (48, 0.25), (48, 1.0)], together=1),
)
def test_planted_updates_by_probes(
    shape: tuple[int, int], shared: float, kind: tuple[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, ``kind`` the rank and the decay."""
    monkeypatch.setattr(room, "STACKED", 0)
    held_against_dense(shape, shared, *kind)


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.25, 1.0])
@pytest.mark.parametrize("rank", [0, 48])
@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(900, 700), (640, 800)])
def test_large_planted_updates_by_probes(
    shape: tuple[int, int], shared: float, rank: int, decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of matrices about as large as this is used for; of updates that are nearly white ρ only to 0.012, which
    beside a κ of 1 and more is nothing."""
    monkeypatch.setattr(room, "STACKED", 0)
    held_against_dense(shape, shared, rank, decay, white_too=True)


@pytest.mark.parametrize("shape", [(90, 40), (40, 90), (50, 50), (1, 30), (30, 1), (1, 1)], ids=str)
def test_cross_products_are_exact_but_for_rounding(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    W0 = rng.standard_normal(shape)
    updates = [rng.standard_normal(shape) * size for size in (1e-3, 1.0, 1e2)]
    merge = 0.5 * updates[0] + 0.25 * updates[1]
    stored = [W0 + one for one in (*updates, merge)]
    found = interactions([W0], [[one] for one in stored], victims=3)
    of_stored = [one - W0 for one in stored]
    for a, weights in product(range(3), ((1, 1, 1, 0), (0, 0, 0, 1), (1, -1, 0.5, 0))):
        effect, (retention, contamination, disturbance) = found.effect(a, weights), dense(of_stored, weights, a)
        assert effect.retention == pytest.approx(retention, rel=1e-4, abs=1e-4)
        assert effect.disturbance == pytest.approx(disturbance, rel=1e-4, abs=1e-4 * max(1.0, abs(retention)))
        assert effect.contamination == pytest.approx(contamination, rel=1e-3, abs=2e-3 * max(1.0, abs(retention)))
    for i, j in product(range(4), repeat=2):
        assert found.inner[i][j] == pytest.approx(float(np.vdot(of_stored[i], of_stored[j])), rel=1e-9, abs=1e-9)
    assert found.base_sq == pytest.approx(float(np.vdot(W0, W0)), rel=1e-12)
    assert found.base_inner == pytest.approx([float(np.vdot(one, W0)) for one in of_stored], rel=1e-9, abs=1e-9)
    for a in range(3):
        G = of_stored[a].T @ of_stored[a]
        assert found.participation[a] == pytest.approx(np.trace(G) ** 2 / np.vdot(G, G), rel=1e-4)
        values = np.linalg.svd(of_stored[a], compute_uv=False) ** 2
        assert found.leading[a] == pytest.approx(values[:32].sum() / values.sum(), rel=0.02)
        assert found.leading[a] <= values[:32].sum() / values.sum() + 1e-5


def factors(rows: int, cols: int, rank: int, seed: int) -> Product:
    rng = np.random.default_rng(seed)
    return Product(rng.standard_normal((rows, rank)), rng.standard_normal((rank, cols)), 0.25)


def formed(products: Sequence[Product]) -> Numbers:
    return np.concatenate([one.scale * one.left @ one.right for one in products])


def test_adapters_by_their_factors() -> None:
    """Exactly, also of fused matrices, and beside a base; nothing as large as the matrix is made but for signs."""
    W0 = np.random.default_rng(0).standard_normal((60, 50))
    stacks = [[factors(30, 50, 4, 1), factors(30, 50, 2, 2)], [factors(60, 50, 8, 3)], [factors(60, 50, 1, 4)]]
    updates = [formed(one) for one in stacks]
    for base in (None, [W0]):
        found = interactions(base, stacks, victims=3)
        for a, weights in product(range(3), ((1, 1, 1), (0.5, 0, -1))):
            assert found.effect(a, weights).disturbance == pytest.approx(dense(updates, weights, a)[2], rel=1e-9)
        assert found.errors == (0.0, 0.0, 0.0)
        assert found.leading == pytest.approx((1.0, 1.0, 1.0))
        assert found.base_inner == pytest.approx([float(np.vdot(one, W0)) if base else 0.0 for one in updates])
    mixed = interactions([W0], [stacks[0], [W0 + updates[1]], None], victims=3)
    assert mixed.effect(0, (1, 1, 1)).disturbance == pytest.approx(dense(updates[:2], (1, 1), 0)[2], rel=1e-4)


def test_one_that_did_not_change() -> None:
    updates = planted(40, 30, shared=1.0)
    W0 = np.zeros((40, 30))
    found = interactions([W0], [[W0 + updates[0]], None, [W0.copy()]], victims=3)
    assert [found.changed_by(i) for i in range(3)] == [True, False, False]
    effect = found.effect(0, (0.5, 1, 1))
    assert (effect.retention, effect.contamination) == pytest.approx((0.5, 0.0), abs=1e-3)
    assert effect.chance == 0.0
    assert math.isnan(effect.lift)
    assert all(map(math.isnan, (found.effect(1, (1, 1, 1)).disturbance, found.participation[1], found.leading[2])))
    assert math.isnan(found.opposed[0][1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
@pytest.mark.parametrize("where", ["base", "update"])
@pytest.mark.parametrize("route", ROUTES)
def test_what_is_no_number(bad: float, where: str, route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STACKED", ROUTES[route])
    W0, (one, two) = np.zeros((60, 50)), planted(60, 50, shared=0.5)
    if where == "base":
        W0[3, 4] = bad
    else:
        two[3, 4] = bad
    found = interactions([W0], [[one], [two]], victims=2)
    assert math.isnan(found.base_sq)
    assert all(math.isnan(number) for row in found.inner for number in row)
    assert not any(found.changed_by(i) for i in range(2))
    assert math.isnan(found.effect(0, (1, 1)).disturbance)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_stored_numbers_are_subtracted_exactly(dtype: str) -> None:
    """In any layout, in blocks; a change of a hundredth is what the stored numbers say."""
    rng = np.random.default_rng(5)
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    W0 = rng.standard_normal((70, 40)).astype(kind)
    models: list[Array] = [(W0.astype(np.float64) + 0.01 * rng.standard_normal((70, 40))).astype(kind) for _ in "ab"]
    of_stored = [one.astype(np.float64) - W0.astype(np.float64) for one in models]
    turned = np.ascontiguousarray(models[1].T).T
    found = interactions([W0[:30], W0[30:]], [[models[0]], [turned[:50], turned[50:]]], victims=2)
    for a in (0, 1):
        assert found.effect(a, (1, 1)).disturbance == pytest.approx(dense(of_stored, (1, 1), a)[2], rel=1e-3)
    assert found.inner[0][1] == pytest.approx(float(np.vdot(*of_stored)), rel=1e-9)


def test_signs() -> None:
    rng = np.random.default_rng(1)
    one, two = (np.sign(rng.standard_normal((80, 60))) * (rng.random((80, 60)) < 0.5) for _ in range(2))
    both = (one != 0) & (two != 0)
    found = interactions(None, [[one], [two]], victims=2)
    assert found.opposed[0][1] == pytest.approx((one * two < 0).sum() / both.sum(), abs=1e-12)
    assert found.opposed[0][0] == 0.0


def test_a_sample_of_signs_and_no_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SAMPLE", 4000)
    one = np.random.default_rng(1).standard_normal((1000, 40))
    two = one * np.where(np.random.default_rng(2).random((1000, 40)) < 0.3, -1, 1)
    found = interactions(None, [[one], [two]], victims=2, on_inputs=False)
    assert found.opposed[0][1] == pytest.approx(0.3, abs=0.05)
    assert found.opposed[0][1] != pytest.approx((one * two < 0).mean(), abs=1e-6)
    assert math.isnan(found.on_inputs[0][0][0])
    assert found.cosine(0, 1) == pytest.approx(float(np.vdot(one, two) / np.linalg.norm(one) / np.linalg.norm(two)))


@pytest.mark.parametrize(("rows", "cols", "seeds"), [(80, 75, 30), pytest.param(160, 150, 60, marks=pytest.mark.slow)])
def test_the_error_is_what_probes_scatter(rows: int, cols: int, seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of estimates with other seeds about a third is further off than a standard error, few are than two."""
    monkeypatch.setattr(room, "STACKED", 0)
    updates = planted(rows, cols, shared=0.5, decay=0.25, seed=3)
    truth = dense(updates, (1, 1), 0)[2]
    off = []
    for seed in range(seeds):
        found = interactions(None, [[one] for one in updates], victims=2, seed=seed)
        off.append((found.effect(0, (1, 1)).disturbance - truth) / found.errors[0])
    assert 0.1 < np.mean(np.abs(off) > 1.0) < 0.55
    assert np.mean(np.abs(off) > 2.5) < 0.1


def test_the_same_for_the_same_entries() -> None:
    updates = planted(60, 50, shared=0.5)
    one, two = (interactions(None, [[update] for update in updates], victims=2, seed=4) for _ in range(2))
    assert one == two

"""The rank of a change: exact where it can be told from rounding, and nowhere else is one claimed."""

from __future__ import annotations

import math
import tracemalloc
from itertools import product

import numpy as np
import pytest

from tests.spectral.changes import Array, adapter, facts_of, few_directions, of_size, pair, stored, weights
from tests.support.covering import covering, some_of
from weightaudit.spectral import Difference, measure
from weightaudit.spectral.entry_changes import entry_changes
from weightaudit.spectral.ranks import SMALLEST_SIDE, rank_facts

DTYPES = [
    ("float32", "float32"),
    ("float32", "bfloat16"),
    ("bfloat16", "bfloat16"),
    ("bfloat16", "float32"),
    ("float32", "float16"),
    ("float16", "float16"),
    ("float64", "float64"),
]
LIMITS = {"float64": 1e-6, "float32": 2e-6, "float16": 0.002, "bfloat16": 0.01}
"""Relative size of a change by adapters, from which on its rank is found, by the coarser of the two precisions."""


def limit(dtypes: tuple[str, str], r: int) -> float:
    return max(LIMITS[dtype] for dtype in dtypes) * (2 if r > 32 else 1)


@pytest.mark.parametrize(
    ("r", "dtypes", "of_original", "factor"),
    covering([1, 2, 8, 32, 64], DTYPES, [False, True], [1.0, 5.0], together=1),
    ids=str,
)
def test_ranks_of_adapters_are_exact(r: int, dtypes: tuple[str, str], of_original: bool, factor: float) -> None:
    """Of what is stored, or ``of_original`` of what it was before that was rounded."""
    rng = np.random.default_rng(r)
    m, n = (320, 256) if r % 2 else (256, 384)
    W = weights(m, n, rng)
    D = of_size(adapter(m, n, r, rng), factor * limit(dtypes, r), W)
    found, _ = facts_of(*pair(W, D, dtypes, of_original=of_original))
    assert found.rank == r
    assert found.rest < 1.06
    assert len(found.singular_values) == r


@pytest.mark.parametrize(
    ("r", "dtypes"),
    [
        pytest.param(r, dtypes, marks=[] if (r, dtypes) == (4, ("bfloat16", "bfloat16")) else pytest.mark.slow)
        for r in (1, 4, 8)
        for dtypes in (("float32", "bfloat16"), ("bfloat16", "bfloat16"), ("float16", "float16"))
    ],
)
def test_below_the_limit_a_rank_is_right_or_not_claimed(dtypes: tuple[str, str], r: int) -> None:
    rng = np.random.default_rng(r)
    found = []
    sizes = np.geomspace(0.05, 1.0, 12) * limit(dtypes, r)
    for size in sizes:
        W = weights(192, 160, rng)
        D = of_size(adapter(192, 160, r, rng), size, W)
        found.append(facts_of(*pair(W, D, dtypes))[0].rank)
    assert found[0] is None
    assert found[-1] == r
    assert set(found) == {None, r}
    assert found == sorted(found, key=bool)  # of these, none is lost once it is large enough


def test_a_rank_some_of_whose_directions_are_hidden_is_not_claimed() -> None:
    """They fall off into the rounding, and how many there are beyond cannot be seen."""
    rng = np.random.default_rng(3)
    W = weights(384, 256, rng)
    edge = entry_changes(W, stored(W, "bfloat16")).edge
    found = []
    for smallest in (0.1, 0.3, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 2.0):
        D = few_directions(384, 256, edge * np.geomspace(12.0, smallest, 12), rng)
        facts, entries = facts_of(*pair(W, D, ("float32", "bfloat16")))
        assert entries.above_floor > 6.0
        found.append(facts.rank)
    assert found[:5] == [None] * 5
    assert found[-2:] == [12, 12]
    assert set(found) == {None, 12}


@pytest.mark.parametrize(
    ("visible", "hidden", "dtype"),
    [([1.0] * 8, [0.6] * 3, "float32"), ([90.0], [1.2], "bfloat16")],
    ids=["in the rounding of one", "in that of two"],
)
def test_what_stands_out_is_no_rank_where_the_next_are_near(
    visible: list[float], hidden: list[float], dtype: str
) -> None:
    rng = np.random.default_rng(15)
    W = 0.04 * rng.standard_normal((384, 256))  # the rounding of all rows and columns is alike
    edge = entry_changes(W, stored(W, "bfloat16")).edge
    D = few_directions(384, 256, edge * np.array(visible + hidden), rng) + of_size(
        rng.standard_normal((384, 1)) @ rng.standard_normal((1, 256)), 0.05, W
    )
    found, entries = facts_of(*pair(W, D, (dtype, "bfloat16")))
    assert entries.above_floor > 6.0
    assert found.rank in (None, 1 + len(visible) + len(hidden))


@pytest.mark.parametrize(
    "relative", [1e-4, 1.0, *(pytest.param(relative, marks=pytest.mark.slow) for relative in (0.02, 0.3))]
)
def test_exports_in_float32_that_were_rounded_twice(relative: float) -> None:
    """Factors, their product, its multiple and the sum: each is rounded to float32."""
    rng = np.random.default_rng(4)
    for r in (4, 8):
        W = weights(300, 200, rng).astype(np.float32)
        B, A = rng.standard_normal((300, r), np.float32), rng.standard_normal((r, 200), np.float32)
        scale = np.float32(relative * np.linalg.norm(W) / np.linalg.norm(B @ A))
        found, _ = facts_of(W, W + scale * (B @ A))
        assert found.rank == r


def test_a_merge_that_is_rounded_to_bfloat16_on_the_way() -> None:
    rng = np.random.default_rng(5)
    W = weights(300, 200, rng)
    D = stored(of_size(adapter(300, 200, 8, rng), 0.05, W), "bfloat16").astype(np.float64)
    W0, W1 = pair(W, D, ("bfloat16", "bfloat16"))
    assert facts_of(W0, W1)[0].rank == 8
    assert facts_of(W0.astype(np.float32), W1.astype(np.float32))[0].rank == 8  # precisions are those of the numbers


def test_ranks_of_stacked_matrices_add_up() -> None:
    rng = np.random.default_rng(6)
    parts = [weights(128, 256, rng) for _ in range(3)]
    changes = [of_size(adapter(128, 256, 8, rng), 0.02, W) for W in parts]
    changes[1][:] = 0.0
    base, derived = (
        list(blocks)
        for blocks in zip(
            *(pair(W, D, ("bfloat16", "bfloat16")) for W, D in zip(parts, changes, strict=True)), strict=True
        )
    )
    assert facts_of(base, derived)[0].rank == 16
    assert [facts_of(one, other)[0].rank for one, other in zip(base, derived, strict=True)] == [8, None, 8]
    whole = np.concatenate(base)
    assert facts_of(whole, derived) == facts_of(base, derived)


def test_either_may_lie_transposed_in_memory() -> None:
    rng = np.random.default_rng(7)
    W = weights(120, 180, rng)
    W0, W1 = pair(W, of_size(adapter(120, 180, 5, rng), 0.02, W), ("float32", "float16"))
    for base in (W0, np.asfortranarray(W0)):
        for derived in (W1, np.asfortranarray(W1)):
            assert facts_of(base, derived)[0].rank == 5
            assert facts_of(base.T, derived.T)[0].rank == 5


@pytest.mark.parametrize("detail", [True, False], ids=["with", "without"])
def test_numbers_are_those_of_the_dense_decomposition(detail: bool) -> None:
    rng = np.random.default_rng(8)
    W = weights(256, 320, rng)
    W0, W1 = pair(W, of_size(adapter(256, 320, 6, rng), 0.02, W), ("float32", "bfloat16"))
    found, entries = facts_of(W0, W1, detail=detail)
    sigma = np.linalg.svd(W1.astype(np.float64) - W0, compute_uv=False)
    assert found.singular_values == pytest.approx(sigma[:6], rel=1e-6)
    left = entries.floor * (1 - 6 / 256) * (1 - 6 / 320)
    assert found.rest == pytest.approx(np.square(sigma[6:]).sum() / left, rel=1e-3)
    assert found.edge == pytest.approx(entries.edge)
    noise = np.linalg.norm(sigma) * (math.sqrt(256) + math.sqrt(320)) / math.sqrt(256 * 320)
    assert found.flatness == pytest.approx(noise / sigma[0], rel=0.01)


def dense(m: int, n: int, decay: float, rng: np.random.Generator) -> Array:
    """A change in all directions: of trained weights the singular values fall like i^-0.4 to i^-0.7."""
    return few_directions(m, n, (1.0 + np.arange(min(m, n))) ** -decay, rng)


@pytest.mark.parametrize("count", [14, *(pytest.param(count, marks=pytest.mark.slow) for count in (60, 1000))])
def test_no_change_in_all_directions_has_a_rank(count: int) -> None:
    rng = np.random.default_rng(count)
    shapes = [(192, 192), (384, 256), (768, 192), (96, 384), (64, 64), (24, 40), (8, 128)]
    claimed, clear = [], 0
    for i in range(count):
        (m, n), dtypes = shapes[i % len(shapes)], DTYPES[rng.integers(len(DTYPES))]
        decay, relative = rng.choice([0.0, 0.3, 0.45, 0.6, 0.75, 1.0, 1.5, 2.0]), 10 ** rng.uniform(-3.2, -0.5)
        W = weights(m, n, rng)
        D = of_size(dense(m, n, decay, rng), relative, W)
        W0, W1 = pair(W, D, dtypes, of_original=bool(rng.integers(2)))
        found, entries = facts_of(W0, W1, detail=bool(i % 3))
        clear += entries.above_floor >= 6.0
        if found.rank is not None:
            claimed.append((m, n, dtypes, decay, relative, found))
    assert not claimed
    assert clear > count // 2  # of the others, which are at the resolution, nothing is claimed anyway


@pytest.mark.parametrize(
    ("share", "coarse"),
    some_of(
        product([0.1, 0.3, 0.5, 0.8, 1.3], ["float16", "bfloat16"]),
        *[(0.1, "bfloat16"), (0.5, "float16"), (1.3, "bfloat16")],
    ),
)
def test_the_resolution_of_the_base_excuses_nothing_that_was_not_rounded(coarse: str, share: float) -> None:
    """The change is in all directions, and but for six below what the base's numbers are precise to."""
    rng = np.random.default_rng(16)
    W0 = stored(weights(300, 256, rng), coarse).astype(np.float32)
    entries = entry_changes(W0, W0)
    D = few_directions(300, 256, entries.edge_base * np.linspace(20.0, 10.0, 6), rng)
    D += rng.standard_normal(W0.shape) * math.sqrt(share * entries.floor_base / W0.size)
    assert facts_of(W0, (W0 + D).astype(np.float32))[0].rank is None


@pytest.mark.parametrize(("share", "coarse"), covering([0.3, 0.4, 0.5], ["bfloat16", "float16"], together=1))
def test_two_roundings_excuse_no_part_of_one(coarse: str, share: float) -> None:
    """One direction, and a change in all below the edge: more than one rounding leaves, less than two do."""
    rng = np.random.default_rng(17)
    W0 = stored(weights(300, 256, rng), coarse)
    entries = entry_changes(W0, W0)
    D = few_directions(300, 256, entries.edge_base * np.array([40.0]), rng)
    D += rng.standard_normal(W0.shape) * math.sqrt(share * entries.floor_base / W0.size)
    assert facts_of(W0, stored(W0.astype(np.float64) + D, coarse))[0].rank is None


@pytest.mark.parametrize(
    "dtypes", [pytest.param(("float32", "float32"), marks=pytest.mark.slow), ("bfloat16", "bfloat16")]
)
def test_white_noise_is_flat_and_nothing_else_is(dtypes: tuple[str, str]) -> None:
    rng = np.random.default_rng(9)
    W = weights(300, 400, rng)
    noise, _ = facts_of(*pair(W, of_size(rng.standard_normal((300, 400)), 0.03, W), dtypes))
    assert noise.rank is None
    assert 0.93 < noise.flatness < 1.05
    update, _ = facts_of(*pair(W, of_size(dense(300, 400, 0.5, rng), 0.03, W), dtypes))
    assert update.rank is None
    assert 0.1 < update.flatness < 0.4
    few, _ = facts_of(*pair(W, of_size(adapter(300, 400, 2, rng), 0.03, W), dtypes))
    assert few.flatness < 0.2


@pytest.mark.parametrize(("share", "dtype"), covering([0.001, 0.01, 0.1, 0.5], ["float32", "bfloat16"], together=1))
def test_sparse_changes_have_no_rank(dtype: str, share: float) -> None:
    """Where they are very few they have one, which says nothing but in how many rows and columns they are."""
    rng = np.random.default_rng(10)
    W = stored(weights(300, 256, rng), dtype)
    changed = W.copy()
    where = rng.random(W.shape) < share
    changed[where] = (W.astype(np.float64) * rng.uniform(1.2, 2.0, W.shape)).astype(W.dtype)[where]
    assert facts_of(W, changed)[0].rank is None


@pytest.mark.parametrize(
    "dtype", [*(pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("float32", "float16")), "bfloat16"]
)
def test_large_changes_of_deficient_rank(dtype: str) -> None:
    rng = np.random.default_rng(11)
    W = weights(256, 256, rng)
    for r, relative in ((1, 3.0), (16, 1.0), (60, 3.0)):
        D = of_size(adapter(256, 256, r, rng), relative, W)
        assert facts_of(*pair(W, D, (dtype, dtype)))[0].rank == r
        assert facts_of(stored(0.0 * W, dtype), stored(D, dtype))[0].rank == r
    half = of_size(adapter(256, 256, 128, rng), 1.0, W)
    assert facts_of(*pair(W, half, (dtype, dtype)))[0].rank is None  # more than a quarter of the side


@pytest.mark.parametrize("shape", [(SMALLEST_SIDE - 1, 300), (300, 2), (1, 1), (1, 500)])
def test_tiny_matrices_have_no_rank(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(12)
    W = weights(*shape, rng)
    found, _ = facts_of(*pair(W, of_size(adapter(*shape, 1, rng), 0.1, W), ("float32", "float32")))
    assert found.rank is None
    assert math.isnan(found.rest)
    small = weights(SMALLEST_SIDE, SMALLEST_SIDE, rng)
    D = of_size(adapter(SMALLEST_SIDE, SMALLEST_SIDE, 1, rng), 0.1, small)
    assert facts_of(*pair(small, D, ("float32", "float32")))[0].rank == 1


def test_what_is_equal_or_not_finite_has_no_rank() -> None:
    W = weights(40, 30, np.random.default_rng(13)).astype(np.float32)
    same, _ = facts_of(W, W)
    assert (same.rank, same.singular_values) == (None, ())
    assert math.isnan(same.rest)
    assert math.isnan(same.flatness)
    broken = W.copy()
    broken[3, 4] = np.nan
    found, _ = facts_of(W, broken)
    assert (found.rank, found.singular_values) == (None, ())
    assert math.isnan(found.flatness)


def test_a_function_of_seed_name_and_entries() -> None:
    rng = np.random.default_rng(14)
    W = weights(200, 150, rng)
    W0, W1 = pair(W, of_size(adapter(200, 150, 4, rng), 0.02, W), ("float32", "bfloat16"))
    difference, entries = Difference(W1, W0), entry_changes(W0, W1)
    spectrum = measure(difference, spectrum=True)
    one = rank_facts(difference, entries, spectrum, name="W")
    assert one == rank_facts(difference, entries, spectrum, name="W", digest=difference.digest())
    other = rank_facts(difference, entries, spectrum, name="V", seed=1)
    assert other.rank == one.rank == 4
    assert other.singular_values == pytest.approx(one.singular_values, rel=1e-9)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
def test_of_no_entries(shape: tuple[int, int]) -> None:
    none = np.zeros(shape, np.float32)
    assert facts_of(none, none)[0].rank is None


def test_a_tall_matrix_takes_no_more_memory_than_its_sides() -> None:
    """No column of what is told of Δ's rank is as long as its longer side."""
    rng = np.random.default_rng(0)
    m, n = 1 << 16, 64
    W0 = rng.standard_normal((m, n), dtype=np.float32)
    W1 = W0 + (0.1 * adapter(m, n, 4, rng)).astype(np.float32)
    difference, entries = Difference(W1, W0), entry_changes(W0, W1)
    spectrum = measure(difference, spectrum=True)
    rank_facts(difference, entries, spectrum)
    tracemalloc.start()
    found = rank_facts(difference, entries, spectrum, digest="0" * 64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.rank == 4
    assert peak < W0.nbytes / 4

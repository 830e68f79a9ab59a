"""`entry_changes` against loops over the entries, by the kernel and by panels: dtypes, layouts, special numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from tests.spectral.engines import CHANGED, by_kernel
from tests.support.covering import covering, in_turn
from weightaudit.arrays import Array
from weightaudit.errors import UsageError
from weightaudit.records import CASTS, EntryChanges
from weightaudit.spectral import ThreadTeam
from weightaudit.spectral import entry_changes as module
from weightaudit.spectral.entry_changes import SAMPLE, entry_changes

DTYPES = ("float64", "float32", "float16", "bfloat16")
FORMATS = {"bfloat16": (8, -126), "float16": (11, -14), "float32": (24, -126), "float64": (53, -1022)}
"""Bits of precision and the exponent of the smallest normal number, narrowest first."""
SUMS = {
    *("base_sq", "derived_sq", "change_sq", "inner", "floor", "floor_base", "edge", "edge_base"),
    *("scaled_rest", "rows_scaled_rest", "cols_scaled_rest"),
}
HALF = np.dtype(ml_dtypes.bfloat16)


@pytest.fixture(params=["kernel", "panels"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who does the pass: "panels" as where numba is missing, and there only."""
    which: str = request.param
    if which == "panels":
        monkeypatch.setattr(module, "fused", None)
    return which


def by_either(*pairs: tuple[str, str], few: Sequence[tuple[str, str]]) -> list[Any]:
    """(base, derived, route) for `pytest.mark.parametrize`; by panels slow but for a ``few``."""
    kernel = [by_kernel(derived, base, base, derived, "kernel", among=CHANGED) for base, derived in pairs]
    panels = [pytest.param(*pair, "panels", marks=[] if pair in few else pytest.mark.slow) for pair in pairs]
    return [*kernel, *panels]


BOTH = ["kernel", "panels"]


def stored(numbers: Any, dtype: str) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(numbers, np.float64).astype(HALF if dtype == "bfloat16" else dtype)


def random(rows: int, cols: int, dtype: str, seed: int = 0, scale: float = 1.0) -> Array:
    return stored(np.random.default_rng(seed).standard_normal((rows, cols)) * scale, dtype)


def ulp(number: float, precision: str) -> float:
    bits, least = FORMATS[precision]
    exponent = math.frexp(number)[1] - 1 if number else least
    return math.ldexp(1.0, max(exponent, least) - bits + 1)


def narrowest(numbers: list[float]) -> str:
    for name in FORMATS:
        kept = stored([w for w in numbers if math.isfinite(w)], name).astype(np.float64)
        if kept.tolist() == [w for w in numbers if math.isfinite(w)]:
            return name
    raise AssertionError


def towards_zero(number: np.float32) -> np.float32:
    return (number.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def casts_of(number: np.float32) -> list[float]:
    single, half = np.float32(number), np.float16
    with np.errstate(all="ignore"):
        rounded = (
            *(single.astype(HALF), half(single), half(single).astype(HALF), half(single.astype(HALF))),
            towards_zero(single),
        )
        return [float(one) for one in rounded]


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def by_loops(W0: Array, W1: Array) -> EntryChanges:
    """Every field by its definition, one entry after the other."""
    rows, cols = W0.shape
    a, b = (one.astype(np.float64).tolist() for one in (W0, W1))
    at = [(i, j) for i in range(rows) for j in range(cols)]
    base, derived = [a[i][j] for i, j in at], [b[i][j] for i, j in at]
    differ = [(i, j) for i, j in at if not same(a[i][j], b[i][j])]
    finite = all(map(math.isfinite, base + derived))
    names = narrowest(base), narrowest(derived)

    def total(numbers: list[float]) -> float:
        return math.fsum(numbers) if finite else math.nan

    def floor(numbers: list[list[float]], name: str) -> tuple[float, float]:
        if not finite:
            return math.nan, math.nan
        squares = [[ulp(w, name) ** 2 / 12 for w in row] for row in numbers]
        tops = [max(map(math.fsum, lines), default=0.0) for lines in (squares, zip(*squares, strict=True))]
        return math.fsum(map(math.fsum, squares)), sum(map(math.sqrt, tops))

    def rest(groups: list[list[tuple[int, int]]]) -> float:
        if not finite:
            return math.nan
        left = 0.0
        for group in groups:
            square = math.fsum(a[i][j] ** 2 for i, j in group)
            inner = math.fsum((b[i][j] - a[i][j]) * a[i][j] for i, j in group)
            left += math.fsum((b[i][j] - a[i][j]) ** 2 for i, j in group) - (inner**2 / square if square else 0.0)
        return left

    floors, base_floors = floor(b, names[1]), floor(a, names[0])
    fits = names[0] != "float64"
    given = [(casts_of(np.float32(a[i][j])), b[i][j]) for i, j in at] if differ and fits else []
    quads = [b[i][j : j + 4] for i in range(rows) for j in range(0, cols, 4)]
    return EntryChanges(
        entries=rows * cols,
        nonfinite_base=sum(not math.isfinite(w) for w in base),
        nonfinite_derived=sum(not math.isfinite(w) for w in derived),
        changed=len(differ),
        rows_changed=len({i for i, _ in differ}),
        cols_changed=len({j for _, j in differ}),
        base_sq=total([w * w for w in base]),
        derived_sq=total([w * w for w in derived]),
        change_sq=total([(v - w) ** 2 for v, w in zip(derived, base, strict=True)]),
        inner=total([(v - w) * w for v, w in zip(derived, base, strict=True)]),
        precision_base=names[0],
        precision_derived=names[1],
        floor=floors[0],
        floor_base=base_floors[0],
        edge=floors[1],
        edge_base=base_floors[1],
        within_ulp=sum(
            math.isfinite(a[i][j]) and math.isfinite(b[i][j]) and abs(b[i][j] - a[i][j]) <= ulp(b[i][j], names[1])
            for i, j in differ
        ),
        zeros_base=base.count(0.0),
        zeros_derived=derived.count(0.0),
        cut=sum(v == 0.0 and w != 0.0 for v, w in zip(derived, base, strict=True)),
        casts=tuple(name for k, name in enumerate(CASTS) if given and all(same(rounded[k], w) for rounded, w in given)),
        two_of_four=bool(at) and cols % 4 == 0 and all(quad.count(0.0) >= 2 for quad in quads),
        scaled_rest=rest([at]),
        rows_scaled_rest=rest([[(i, j) for j in range(cols)] for i in range(rows)]),
        cols_scaled_rest=rest([[(i, j) for i in range(rows)] for j in range(cols)]),
    )


def assert_same(found: EntryChanges, wanted: EntryChanges) -> None:
    """Counts and names are equal, sums to rounding: what is left of a change is as good as the change itself."""
    for name, value in asdict(wanted).items():
        if name in SUMS:
            slack = 1e-13 * wanted.change_sq if name.endswith("rest") else 1e-14 * wanted.base_sq
            allowed = slack if math.isfinite(slack) and (name == "inner" or name.endswith("rest")) else 0.0
            assert getattr(found, name) == pytest.approx(value, rel=1e-12, abs=allowed, nan_ok=True), name
        else:
            assert getattr(found, name) == value, name


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("base", "derived", "route"),
    by_either(*product(DTYPES, DTYPES), few=[*zip(DTYPES, DTYPES[1:] + DTYPES[:1], strict=True)]),
    indirect=["route"],
)
def test_dtypes(base: str, derived: str) -> None:
    """A small change, then stored otherwise: some entries move by an ulp, some by more, some not at all."""
    W0 = random(13, 12, base)
    W1 = stored(
        W0.astype(np.float64) + random(13, 12, "float64", 1, 0.01) * (random(13, 12, "float64", 2) > 0), derived
    )
    W1[4], W1[:, 7] = W0[4].astype(np.float64), 0
    assert_same(entry_changes(W0, W1), by_loops(W0, W1))


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("holds", "dtype", "route"), covering(DTYPES, ["float64", "float32"], BOTH), indirect=["route"]
)
def test_precision_is_that_of_the_numbers(dtype: str, holds: str) -> None:
    """Also where one entry, far from the sample, needs another."""
    W0 = random(70, 80, holds).astype(dtype)
    W1 = np.where(np.arange(80) % 3 == 0, W0, -W0)
    expected = holds if (dtype, holds) != ("float32", "float64") else "float32"
    found = entry_changes(W0, W1)
    assert (found.precision_base, found.precision_derived) == (expected, expected)
    assert found.floor == pytest.approx(sum(ulp(w, expected) ** 2 for w in W0.ravel().tolist()) / 12, rel=1e-12)
    assert W0.size > SAMPLE
    W1[69, 79] = 1 + 2.0**-20
    assert entry_changes(W0, W1).precision_derived == ("float64" if expected == "float64" else "float32")


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(("dtype", "route"), in_turn(DTYPES, BOTH), indirect=["route"])
def test_zeros_and_subnormal_numbers(dtype: str) -> None:
    tiny = float(ml_dtypes.finfo(stored([0.0], dtype).dtype).smallest_subnormal)
    normal = float(ml_dtypes.finfo(stored([0.0], dtype).dtype).smallest_normal)
    W0 = stored([[0.0, -0.0, tiny, 5 * tiny, normal, -normal, 1.0, 0.0]], dtype)
    W1 = stored([[-0.0, 0.0, 2 * tiny, 0.0, normal - tiny, normal, 1.0, tiny]], dtype)
    for base, derived in ((W0, W1), (W1, W0), (W0, W0 * 0), (W0 * 0, W1), (W0 * 0, -W0 * 0)):
        found = entry_changes(base, derived)
        if dtype == "float64":  # squares of these numbers are nothing
            wanted = asdict(by_loops(base, derived))
            assert {k: v for k, v in asdict(found).items() if k not in SUMS} == {
                k: v for k, v in wanted.items() if k not in SUMS
            }
        else:
            assert_same(found, by_loops(base, derived))
    assert entry_changes(W0, W0.copy() * 1).changed == 0


@pytest.mark.usefixtures("route")
def test_float16_numbers_near_zero_in_wider_dtypes() -> None:
    W0 = np.array([[2.0**-24, 3 * 2.0**-24, 2.0**-14, 0.0, 1.0]], np.float32)
    W1 = np.array([[2.0**-23, 0.0, 2.0**-14 + 2.0**-24, 2.0**-24, 1.0 + 2.0**-10]], np.float32)
    found = entry_changes(W0, W1)
    assert found.precision_derived == "float16"
    assert found.within_ulp == 4  # all that differ but 3·2⁻²⁴ → 0
    assert_same(found, by_loops(W0, W1))
    W1[0, 0] = 2.0**-25  # which float16 does not have
    assert entry_changes(W0, W1).precision_derived == "float32"


def casts() -> Iterator[Any]:
    """(name, dtype, route): by the kernel in each run from float32 to bfloat16, or float32 again."""
    for name, dtype in product(CASTS, ("float32", "float64", "bfloat16", "float16")):
        derived = "bfloat16" if name.endswith(("bfloat16", "zero")) else "float16"
        yield by_kernel(derived, dtype, name, dtype, "kernel", among=[("bfloat16", "float32")])
        few = dtype == "float32" or name == "float16 then bfloat16"
        yield pytest.param(name, dtype, "panels", marks=[] if few else pytest.mark.slow)


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(("rows", "cols"), [(12, 31), pytest.param(48, 90, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "dtype", "route"), [*casts()], indirect=["route"])
def test_casts(name: str, dtype: str, rows: int, cols: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one entry, the last and not of the sample, is another."""
    monkeypatch.setattr(module, "SAMPLE", rows * cols * 3 // 4)
    single = random(rows, cols, dtype, 3)
    single[0, :4] = stored([7e4, -1e5, 3e-6, 2e-8], dtype)  # float16 overflows, and is subnormal, and zero
    numbers = single.astype(np.float32)
    with np.errstate(all="ignore"):
        rounded = {
            "bfloat16": numbers.astype(HALF),
            "float16": numbers.astype(np.float16),
            "float16 then bfloat16": numbers.astype(np.float16).astype(HALF),
            "bfloat16 then float16": numbers.astype(HALF).astype(np.float16),
            "bfloat16 towards zero": (numbers.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(HALF),
        }[name]
    for W1 in (rounded, rounded.astype(np.float32)):
        found = entry_changes(single, W1)
        assert_same(found, by_loops(single, W1))
        changes = (rounded.astype(np.float64) != single.astype(np.float64)).any()
        assert (name in found.casts) == (changes and dtype != "float64")
        if found.casts:
            W1[-1, -1] += 1
            assert entry_changes(single, W1).casts == ()


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(("dtype", "route"), in_turn(DTYPES, BOTH[::-1]), indirect=["route"])
def test_what_is_not_finite(dtype: str) -> None:
    W0, W1 = random(9, 8, dtype), random(9, 8, dtype, 1)
    W1[5] = W0[5]
    W0[0, :5] = W1[0, 1:6] = stored([math.nan, math.inf, -math.inf, math.nan, math.inf], dtype)
    W0[5, 2] = W1[5, 2] = stored(math.nan, dtype)
    W0[6], W1[6] = stored(math.inf, dtype), stored(math.inf, dtype)
    found = entry_changes(W0, W1)
    assert_same(found, by_loops(W0, W1))
    assert (found.nonfinite_base, found.nonfinite_derived, found.rows_changed) == (14, 14, 7)
    assert math.isnan(found.floor)
    for base, derived in ((W0, random(9, 8, dtype)), (random(9, 8, dtype), W1)):
        assert_same(entry_changes(base, derived), by_loops(base, derived))


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("large", "route"),
    in_turn([2.0**1018, 2.0**514, 2.0**508, 2.0**-330, 2.0**-560, 2.0**-900], BOTH),
    indirect=["route"],
)
def test_squares_that_leave_float64(large: float) -> None:
    """All is known but for the sums, of which none pretends to be one."""
    W0, W1 = random(6, 8, "float64", 0, large), random(6, 8, "float64", 1, large)
    found, wanted = asdict(entry_changes(W0, W1)), asdict(by_loops(W0 / large, W1 / large))
    told = found.keys() - SUMS
    assert {name: found[name] for name in told} == {name: wanted[name] for name in told}
    assert all(math.isnan(found[name]) for name in SUMS)
    for base, derived in ((W0, W0 / large), (W0 / large, W0), (W0, W0.copy())):
        facts = entry_changes(base, derived)
        assert math.isnan(facts.change_sq)
        assert math.isnan(facts.relative)
    assert entry_changes(W0 * 0, W0 * 0).relative == 0.0


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_two_of_four(dtype: str) -> None:
    W0 = random(50, 96, dtype)
    W1 = W0.copy()
    quads = W1.reshape(-1, 4)
    for row, quad in enumerate(quads):
        quad[[row % 4, (row + 1 + row // 4 % 3) % 4]] = 0
    found = entry_changes(W0, W1)
    assert (found.two_of_four, found.cut, found.zeros_derived, found.changed) == (True, 2400, 2400, 2400)
    assert entry_changes(W0, W1.T.copy().T).two_of_four
    assert not entry_changes(W0[:, :94], W1[:, :94]).two_of_four
    W1[49] = np.roll(W1[49], 2)  # as many zeros, elsewhere
    assert entry_changes(W0, W1).two_of_four == bool(((W1 == 0).reshape(-1, 4).sum(axis=1) >= 2).all())
    quads[-1], quads[-2] = 1, 0
    assert not entry_changes(W0, W1).two_of_four


def layouts(W: Array) -> Iterator[Any]:
    """The same numbers: along rows, along columns, padded, reversed, in blocks that lie otherwise, as a tensor."""
    rows, cols = W.shape
    yield W
    yield np.asfortranarray(W)
    padded = np.zeros((rows, cols + 3), W.dtype)
    padded[:, :cols] = W
    yield padded[:, :cols]
    yield W[::-1].copy()[::-1]
    yield [W[:3].copy(), np.asfortranarray(W[3:10]), W[10:10], W[10:].copy()]
    yield [W[:7].copy(), W[7:].copy()]
    yield [np.asfortranarray(W[:6]), np.asfortranarray(W[6:])]
    yield torch.tensor(W.astype(np.float64)).to(getattr(torch, W.dtype.name))


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("base", "derived", "route"),
    [
        ("float32", "bfloat16", "kernel"),
        ("bfloat16", "float16", "panels"),
        *(
            pytest.param(*pair, route, marks=pytest.mark.slow)
            for pair in (("float32", "float32"), ("float16", "float64"))
            for route in BOTH
        ),
        pytest.param("float32", "bfloat16", "panels", marks=pytest.mark.slow),
        pytest.param("bfloat16", "float16", "kernel", marks=pytest.mark.slow),
    ],
    indirect=["route"],
)
def test_layouts(base: str, derived: str) -> None:
    W0 = random(17, 12, base)
    W1 = stored(W0.astype(np.float64) + random(17, 12, "float64", 1, 0.01), derived)
    W1[3], W1[:, 5] = W0[3], 0
    wanted = by_loops(W0, W1)
    assert (wanted.rows_changed, wanted.cols_changed) != (wanted.cols_changed, wanted.rows_changed)
    for before in layouts(W0):
        for after in layouts(W1):
            assert_same(entry_changes(before, after), wanted)


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("shape", "route"),
    in_turn([(1, 1), (1, 9), (9, 1), (5, 3), (4, 64), (0, 4), (4, 0), (0, 0)], BOTH),
    indirect=["route"],
)
def test_shapes(shape: tuple[int, int]) -> None:
    W0, W1 = random(*shape, "float32"), random(*shape, "bfloat16", 1)
    assert_same(entry_changes(W0, W1), by_loops(W0, W1))


def test_blocks_change_no_bit() -> None:
    W0, W1 = random(1600, 700, "float32"), random(1600, 700, "bfloat16", 1)
    whole = entry_changes(W0, W1)
    assert entry_changes([W0[:801].copy(), W0[801:].copy()], [W1[:2].copy(), W1[2:].copy()]) == whole


def test_threads_change_no_bit() -> None:
    W0, W1 = random(1600, 1400, "float32"), random(1600, 1400, "float32", 1)
    alone = entry_changes(W0, W1, team=ThreadTeam(0))
    for size in (1, 3):
        with ThreadTeam(size) as team:
            assert entry_changes(W0, W1, team=team) == alone
    assert entry_changes(W0, W1) == alone


def test_nothing_changed() -> None:
    W = random(30, 40, "float32")
    found = entry_changes(W, W.copy())
    assert (found.changed, found.casts, found.change_sq, found.within_ulp, found.relative) == (0, (), 0.0, 0, 0.0)
    assert (found.cosine, found.shrink) == (1.0, 0.0)


def test_the_kernel_does_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the routes of the tests above were one."""
    monkeypatch.setattr(module, "_by_panels", None)
    assert entry_changes(random(5, 4, "float32"), random(5, 4, "bfloat16")).entries == 20


def test_what_are_no_two_matrices() -> None:
    with pytest.raises(UsageError, match=r"\(3, 4\) against \(4, 3\)"):
        entry_changes(np.ones((3, 4)), np.ones((4, 3)))
    with pytest.raises(UsageError, match="derived matrix"):
        entry_changes(np.ones((3, 4)), np.ones(3))

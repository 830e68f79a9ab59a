"""The levels of a matrix that was quantised, and is stored as the numbers that these mean.

Three signs. *Few levels*: groups of g neighbours hold far fewer different numbers than W₀'s do, and both halves of a
group hold the same ones. Where a group is too small to show all levels, *an even grid*: its entries are multiples of
its largest magnitude (or of its range) over a number of levels; or *a step*: its entries differ by multiples of one.
Zeros lie on every grid,
so they never count. Samples of lines, then of square tiles, spread over the matrix are looked at, first few, then some
260,000 entries.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.dtypes import BY_NAME
from weightaudit.records.change import EntryChanges, Grid
from weightaudit.spectral.block_matrix import BlockMatrix

GROUPS = (-1, 0, 256, 128, 64, 32)
"""Entries that may share a scale: those of the matrix, of a line, or so many neighbours of one; widest first."""
TILES = (128, 64, 32, 16)
"""Rows and columns of square tiles whose entries may share a scale."""
FINEST = 16
"""Neighbours that share a scale in the super-blocks of GGUF's Q6_K, Q3_K and Q2_K and in NVFP4."""
FIRST, ENOUGH = 1 << 11, 1 << 18
"""Entries of the first sample, which nearly all matrices fail, and of the second; a longer line is cut."""
MAX_BITS = 8
ENTRIES_PER_LEVEL = 2
"""Entries of a group for each level that it may have."""
FEWER = 0.75
"""Share of the levels of W₀ below which levels are few."""
SHARED = 0.8
"""Levels of a group over those of its halves, added up, below which they are one grid: 1 where two grids meet."""
DIVISORS = ((15, 5), (16, 5), (31, 6), (32, 6), (63, 7), (64, 7), (127, 8), (128, 8))
"""Steps between zero and the largest magnitude, and the bits of such a grid."""
RANGES = ((31, 5), (63, 6), (127, 7), (255, 8))
"""Steps between the least and the largest number, and the bits."""
NEAR = 12.5
"""Steps from zero within which numbers stored in 16 bits are known to a twentieth of a step."""
ON_GRID, OFF_GRID = 0.05, 0.15
"""Mean distance to the next level, in steps, of what is on a grid, and of what is not; 0.25 by chance."""
MULTIPLES = (1, 2, 3, 4)
"""Steps that the least gap between two entries of a group may be."""
MOST_GROUPS = 0.9
"""Share of the groups that must lie on a grid of their own."""
WITNESSES = 16
"""Entries near zero, at the least, that must speak for a grid."""
SMALLEST_CHANGE = 1e-3
"""‖Δ‖_F/‖W₀‖_F of what quantising to 8 bits leaves, and more."""
SHARPER = 2
"""How many times fewer bits the levels of smaller groups must need, that they rather than wider ones are the grid."""
EVEN = 0.1
"""Mean distance of a gap between levels from a multiple of the median one, over that one, of even grids."""
LEVELS_NEAR = 16
"""Levels next to zero whose gaps are looked at: those known best."""
SPAN_ROUNDING = 1.03
"""What rounding may add to the number of levels that fit between the least and the largest."""
COARSE = tuple(BY_NAME[name].numpy for name in ("float16", "bfloat16"))
LOOKED_AT = 64
"""Groups whose levels are looked at one by one."""
SIGNIFICANDS = (14, 15)
"""Those of the largest number of float8_e4m3fn and float8_e5m2, and of float8_e4m3fnuz, in eighths; where the
largest has the last, float4_e2m1fn's are such too."""
OF_FP4 = 3
"""Different significands, at the most, that floats of 4 bits have, which have one bit of it."""
FP8_RANGE = 2.0**-13
"""Magnitudes, over the largest, from which a scaled float8_e4m3fn has all four bits of its significand."""


_Both = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The same parts of W₀ and of W₁, without −0: (lines, length), or (groups, entries of a group)."""
_Groups = dict[int, _Both]
"""By how many entries may share a scale, as in `Grid`, widest first."""


def grid_of(base: BlockMatrix, derived: BlockMatrix, facts: EntryChanges) -> Grid | None:
    """The grid on which the entries of W₁ (``derived``) lie and those of W₀ (``base``) do not; None if there is none.

    Neighbours that share a scale are those of a row; or those of a column, or of a square tile, where only these do.
    """
    nonzero = facts.entries - facts.zeros_base
    if not facts.base_sq or not facts.relative >= SMALLEST_CHANGE or 2 * facts.changed < nonzero:
        return None
    samples = [partial(_of_lines, base, derived, facts, by_rows) for by_rows in (True, False)]
    samples += [partial(_of_tiles, base, derived, facts, side) for side in TILES if side < max(base.rows, base.cols)]
    for sample in samples:
        if _grid(sample(FIRST)) is None:
            continue
        found = _grid(sample(ENOUGH))
        if found is not None:
            return found
    return None


def _of_lines(base: BlockMatrix, derived: BlockMatrix, facts: EntryChanges, by_rows: bool, entries: int) -> _Groups:
    """Parts of some rows, or columns, as groups of each width that there is."""
    count, length = (base.rows, base.cols) if by_rows else (base.cols, base.rows)
    wanted = min(count, max(1, entries // length))
    lines = np.unique(np.linspace(0, count - 1, wanted).astype(int))
    before, after = (_taken(matrix, lines, by_rows, entries) for matrix in (base, derived))
    both = _comparable(before, after, facts)
    found = {-1: _reshaped(both, -1), 0: both}
    length = both[0].shape[1]
    return found | {g: _reshaped(both, g) for g in (*GROUPS, FINEST) if 0 < g < length}


def _of_tiles(base: BlockMatrix, derived: BlockMatrix, facts: EntryChanges, side: int, entries: int) -> _Groups:
    """Some tiles, or the upper part of some, as groups."""
    height, width = min(side, base.rows), min(side, base.cols)
    across, down = base.cols // width, base.rows // height
    rows = min(height, max(1, entries // 2 // width))
    wanted = np.linspace(0, across * down - 1, min(across * down, max(2, entries // (rows * width)))).astype(int)
    corners = [(int(tile) // across * height, int(tile) % across * width) for tile in np.unique(wanted)]

    def taken(matrix: BlockMatrix) -> Array:
        return np.stack(
            [
                np.concatenate([block[:, left : left + width] for block in matrix.between(top, top + rows)]).reshape(-1)
                for top, left in corners
            ]
        )

    return {side: _comparable(taken(base), taken(derived), facts)}


def _reshaped(both: _Both, g: int) -> _Both:
    """Lines as groups of ``g`` neighbours, or all of them as one."""
    if g == -1:
        return both[0].reshape(1, -1), both[1].reshape(1, -1)
    whole = both[0].shape[1] // g * g
    return both[0][:, :whole].reshape(-1, g), both[1][:, :whole].reshape(-1, g)


def _comparable(base: Array, derived: Array, facts: EntryChanges) -> _Both:
    """Both in float64, W₀ brought to the size of W₁ and to a precision that holds it, so that a grid of that dtype's
    own (the subnormal numbers of float16, the few that bfloat16 has in a binade) is one of both."""
    before, after = (one.astype(np.float64) + 0.0 for one in (base, derived))
    before *= math.sqrt(facts.derived_sq / facts.base_sq)
    with np.errstate(all="ignore"):
        for coarse in COARSE:
            if np.array_equal(after.astype(coarse), after):
                before = before.astype(coarse).astype(np.float64)
    return before, after


def _taken(matrix: BlockMatrix, lines: NDArray[np.intp], by_rows: bool, most: int) -> Array:
    """The first ``most`` entries of ``lines`` of W, or of Wᵀ."""
    if not by_rows:
        first = matrix.between(0, min(most, matrix.rows))
        return np.concatenate([block[:, lines] for block in first]).T
    return np.concatenate([matrix.between(line, line + 1)[0][:, :most] for line in lines.tolist()])


def _grid(groups: _Groups) -> Grid | None:
    """The grid of the widest groups that have one; of smaller ones where these need far fewer bits."""
    best: Grid | None = None
    for g, (base, derived) in groups.items():
        found = _few_levels(base, derived, g)
        if found is not None and not found.even and found.bits > 4:
            found = Grid(_float_bits(base, derived) or found.bits, g, even=False)
        # Of so many entries the levels have been counted.
        if found is None and derived.shape[1] < ENTRIES_PER_LEVEL << MAX_BITS:
            found = _known_by_steps(base, derived, g)
        if found is not None and (best is None or SHARPER * found.bits <= best.bits):
            best = found
    return best


def _known_by_steps(base: Array, derived: Array, g: int) -> Grid | None:
    """The grid of groups (groups, entries) too small to show its levels."""
    bits = _even_bits(base, derived)
    if bits is not None:
        return Grid(bits, g, even=True)
    bits = _float_bits(base, derived)
    return Grid(bits, g, even=False) if bits is not None else _known_by_gaps(base, derived, g)


def _known_by_gaps(base: Array, derived: Array, g: int) -> Grid | None:
    """The grid of groups (groups, entries) whose entries all are a least one and multiples of a step: where the scale
    was searched for, or is itself quantised, no entry need lie on the end. Of numbers in 16 bits that is not known."""
    if derived.shape[1] < FINEST:
        return None
    with np.errstate(all="ignore"):
        if any(np.array_equal(derived.astype(coarse), derived) for coarse in COARSE):
            return None
        steps = _steps(derived)
        if np.isfinite(steps).mean() < MOST_GROUPS or np.isfinite(_steps(base)).mean() > 1 - MOST_GROUPS:
            return None
        levels = 1.0 + np.rint(np.ptp(derived, axis=1) / steps)
    bits = math.ceil(math.log2(float(np.nanquantile(levels, MOST_GROUPS))))
    return Grid(bits, g, even=True) if bits <= MAX_BITS else None


def _steps(values: Array) -> NDArray[np.float64]:
    """For each group (groups, entries) the largest step of which all differences of its entries are multiples; NaN of
    a group that has none."""
    ordered = np.sort(values, axis=1)
    gaps = np.diff(ordered, axis=1)
    least = np.where(gaps > 0.0, gaps, np.inf).min(axis=1)
    steps = np.full(len(values), np.nan)
    for multiple in MULTIPLES:
        in_steps = (ordered - ordered[:, :1]) / (least / multiple)[:, None]
        on_grid = np.abs(in_steps - np.rint(in_steps)).max(axis=1) < ON_GRID
        steps = np.where(np.isnan(steps) & on_grid, least / multiple, steps)
    return np.where(np.isfinite(steps), steps, np.nan)


def _few_levels(base: Array, derived: Array, g: int) -> Grid | None:
    """The grid of groups (groups, entries) that hold few different numbers."""
    width = derived.shape[1]
    ordered = np.sort(derived, axis=1)
    levels, nonzero_levels = _levels(ordered)
    bits = max(1, math.ceil(math.log2(levels.max())))
    if bits > MAX_BITS or width < ENTRIES_PER_LEVEL << bits:
        return None
    half = width // 2
    halves = sum(_levels(np.sort(part, axis=1))[1].sum() for part in (derived[:, :half], derived[:, half:]))
    if nonzero_levels.sum() >= SHARED * halves or levels.sum() >= FEWER * _levels(np.sort(base, axis=1))[0].sum():
        return None
    even, bits = _evenness(ordered[:: max(1, len(ordered) // LOOKED_AT)], bits)
    return Grid(bits, g, even)


def _levels(ordered: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How many different numbers, and how many but zero, each row of ``ordered`` (ascending) holds."""
    found = 1 + np.count_nonzero(np.diff(ordered, axis=1), axis=1)
    return found, found - (ordered == 0.0).any(axis=1)


def _evenness(ordered: Array, bits: int) -> tuple[bool, int]:
    """Whether the levels of most groups are evenly spaced, and the bits of such a grid, of which a group may show some
    levels alone."""
    most = 4 if bits <= 4 else MAX_BITS
    even, needed = [], []
    for row in ordered:
        levels = np.unique(row)
        if len(levels) < 3:
            continue
        gaps = np.diff(np.sort(levels[np.argsort(np.abs(levels))[:LEVELS_NEAR]]))
        step = float(np.median(gaps))
        span = round(float(levels[-1] - levels[0]) / step) + 1
        needed.append(min(most, math.ceil(math.log2(span / SPAN_ROUNDING))))
        even.append(
            span <= SPAN_ROUNDING * (1 << most) and float(np.abs(gaps / step - np.rint(gaps / step)).mean()) < EVEN
        )
    if even and np.mean(even) <= 0.9:
        return False, bits
    return True, max([bits, round(float(np.median(needed)))]) if needed else bits


def _even_bits(base: Array, derived: Array) -> int | None:
    """The bits of the even grid on which the entries of each group (groups, entries) of W₁ lie."""
    sizes, sizes_before = _sizes(derived), _sizes(base)
    with np.errstate(all="ignore"):
        largest, before = (np.abs(one).max(axis=1, keepdims=True) for one in (derived, base))
        span, span_before = (np.ptp(one, axis=1, keepdims=True) for one in (derived, base))
        tried = [(largest, before, steps, bits) for steps, bits in DIVISORS]
        tried += [(span, span_before, steps, bits) for steps, bits in RANGES]
        for size, size_before, steps, bits in tried:
            if _off(sizes, size / steps) < ON_GRID and _off(sizes_before, size_before / steps) > OFF_GRID:
                return bits
    return None


def _sizes(values: Array) -> Array:
    """Those of the entries, infinite of what is zero."""
    return np.where(values != 0.0, np.abs(values), np.inf)


def _off(sizes: Array, step: Array) -> float:
    """Mean distance of the entries near zero, but for what is zero, from a multiple of ``step``, in steps; NaN of too
    few. ``sizes`` are those of `_sizes`."""
    in_steps = sizes / step
    return _distance(in_steps[in_steps <= NEAR])


def _float_bits(base: Array, derived: Array) -> int | None:
    """The bits of the floats, 8 or 4, that entries of each group (groups, entries) of W₁ are, the largest of them the
    dtype's; None where they are none."""
    for largest in SIGNIFICANDS:
        found = _significands(derived, largest)
        if _distance(found) < ON_GRID and _distance(_significands(base, largest)) > OFF_GRID:
            return 4 if len(np.unique(np.rint(found))) <= OF_FP4 else MAX_BITS
    return None


def _significands(values: Array, largest: int) -> NDArray[np.float64]:
    """Significands of entries in eighths, from 8 to 16, where the largest of each group has ``largest`` of them."""
    with np.errstate(all="ignore"):
        scaled = np.abs(values) / np.abs(values).max(axis=1, keepdims=True)
    significands: NDArray[np.float64] = np.frexp(scaled[(scaled >= FP8_RANGE) & (scaled < 1.0)] * largest)[0]
    return 16.0 * significands


def _distance(values: Array) -> float:
    """Mean distance of ``values`` from an integer; NaN of too few."""
    return float(np.abs(values - np.rint(values)).mean()) if len(values) >= WITNESSES else math.nan

"""How the entries of one matrix differ from those of another, and how much of that rounding may be.

A number w stored with p bits lies on a grid whose spacing, the ulp, is 2^(e − p + 1) with 2^e ≤ |w| < 2^(e + 1).
Rounding to that grid errs by at most half of it and, over many entries, by ulp²/12 in the mean square.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.errors import UsageError
from weightaudit.records import CASTS, EntryChanges
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.measurement import own_team
from weightaudit.spectral.statistics import is_safe
from weightaudit.spectral.team import ThreadTeam

try:
    from weightaudit.spectral import fused
except ImportError:  # there is no llvmlite: panels do, some times slower
    fused = None  # type: ignore[assignment]  # a module otherwise

Numbers = NDArray[np.float64]
Precisions: TypeAlias = "tuple[Precision, Precision]"

SAMPLE = 1 << 12
"""Entries on which a format, or a way of rounding, is tried before it is held against all."""


@dataclass(frozen=True)
class Precision:
    """A floating-point format: its ``name``, the bits that its numbers are precise to, and the exponent of the smallest
    that is normal."""

    name: str
    bits: int
    exponent: int

    @property
    def least(self) -> float:
        """The smallest normal number: below, the spacing is what it is there."""
        return math.ldexp(1.0, self.exponent)

    @property
    def ulp(self) -> float:
        """The spacing at 1."""
        return math.ldexp(1.0, 1 - self.bits)

    def powers(self, numbers: Numbers) -> Numbers:
        """The largest power of two that is no larger than each of ``numbers``, and at least `least`."""
        exponents = numbers.view(np.uint64) & np.uint64(FLOAT_BITS["float64"].infinity)
        powers: Numbers = np.maximum(exponents.view(np.float64), self.least)
        return powers

    def ulp_squares(self, numbers: Numbers) -> Numbers:
        """The squared spacing at each of ``numbers``."""
        squares: Numbers = np.square(self.ulp * self.powers(numbers))
        return squares

    def holds(self, numbers: Array) -> bool:
        """Whether it has each of the finite ``numbers``."""
        kind = np.dtype(getattr(ml_dtypes, self.name, self.name))
        return bool(((numbers.astype(kind).astype(numbers.dtype) == numbers) | (numbers != numbers)).all())


PRECISIONS = (
    Precision("bfloat16", 8, -126),
    Precision("float16", 11, -14),
    Precision("float32", 24, -126),
    Precision("float64", 53, -1022),
)
"""Narrowest first."""
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def _towards_zero(numbers: Array) -> Array:
    """float32 numbers without the bits that bfloat16 does not have."""
    return (numbers.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


_ROUNDED: dict[str, Callable[[Array], Array]] = dict(
    zip(
        CASTS,
        (
            lambda w: w.astype(_BFLOAT16),
            lambda w: w.astype(np.float16),
            lambda w: w.astype(np.float16).astype(_BFLOAT16),
            lambda w: w.astype(_BFLOAT16).astype(np.float16),
            _towards_zero,
        ),
        strict=True,
    )
)
"""What each way of rounding makes of float32 numbers."""


def entry_changes(base: Any, derived: Any, *, team: ThreadTeam | None = None) -> EntryChanges:
    """How the entries of ``derived`` differ from those of ``base``: matrices of one shape, as `measure` takes them.

    ``team`` are threads that may take part; they change no number. UsageError for what is no matrix, and for two
    shapes.
    """
    W0, W1 = block_matrix(base, "base").to("cpu"), block_matrix(derived, "derived matrix").to("cpu")
    shapes = [(one.rows, one.cols) for one in (W0, W1)]
    if shapes[0] != shapes[1]:
        raise UsageError("entry changes", f"{shapes[0]} against {shapes[1]}", "Give two matrices of one shape")
    with np.errstate(all="ignore"), own_team(*shapes[0]) if team is None else nullcontext(team) as threads:
        precisions = _precision(W0), _precision(W1)
        found = _by_kernel(W0, W1, precisions, threads)
        if found is None or not np.isfinite(found.along[:, :2]).all():  # entries that the kernel does not take
            found = _by_panels(W0, W1, precisions)
        return _record(W0, W1, precisions, found)


@dataclass(frozen=True)
class _Sums:
    """What one pass over A₀ and A₁ adds up: W₀ and W₁ if ``row_major``, or else their transposes.

    ``along`` (m, 7) has for each row the squares of A₀, of A₁ and of Δ, the products of Δ and A₀, the squared powers of
    two below the entries of A₀ and of A₁, the entries that differ; ``across`` (n, 6) for each column the same but for
    the squares of A₁. ``within``, ``zeros`` of both and ``cut`` are as in `EntryChanges`, ``lost`` the entries of both
    that are not finite.
    """

    row_major: bool
    along: Numbers
    across: Numbers
    within: int
    zeros: tuple[int, int]
    cut: int
    lost: tuple[int, int] = (0, 0)


def _by_kernel(W0: BlockMatrix, W1: BlockMatrix, precisions: Precisions, team: ThreadTeam) -> _Sums | None:
    """By the fused kernel; None where there is none."""
    if fused is None or not W0.elements or not fused.reads("row_changes", W0.dtype, W1.dtype):
        return None
    row_major, (before, after) = _side(W1), precisions
    rows = fused.shared_rows((W0, W1), row_major)
    found = fused.entry_changes(rows, (before.least, after.least), after.ulp, team)
    within, base_zeros, derived_zeros, cut = found.told.tolist()
    across = np.vstack([found.across, found.touched]).T
    return _Sums(row_major, found.along, across, within, (base_zeros, derived_zeros), cut)


def _side(matrix: BlockMatrix) -> bool:
    """Whether its rows rather than its columns run along the memory."""
    return matrix.along_rows or not matrix.along_cols


def _panels(W0: BlockMatrix, W1: BlockMatrix) -> Iterator[tuple[Numbers, Numbers]]:
    """Rows of A₀ and A₁ in float64, some at a time."""
    row_major = _side(W1)
    return zip(W0.panels(row_major), W1.panels(row_major), strict=True)


def _by_panels(W0: BlockMatrix, W1: BlockMatrix, precisions: Precisions) -> _Sums:
    """By numpy, some times slower."""
    row_major = _side(W1)
    m, n = (W0.rows, W0.cols) if row_major else (W0.cols, W0.rows)
    along, across = np.zeros((m, 7)), np.zeros((n, 6))
    counts, top = np.zeros(6, np.int64), 0
    for before, after in _panels(W0, W1):
        change, differ = after - before, (before != after) & ~(np.isnan(before) & np.isnan(after))
        powers = [precision.powers(panel) for precision, panel in zip(precisions, (before, after), strict=True)]
        near = differ & np.isfinite(change) & (np.abs(change) <= precisions[1].ulp * powers[1])
        none = before == 0.0, after == 0.0
        lost = ~np.isfinite(before), ~np.isfinite(after)
        counts += [int(np.count_nonzero(one)) for one in (near, *none, none[1] & ~none[0], *lost)]
        its = slice(top, top + before.shape[0])
        top = its.stop
        squares = [before * before, after * after, change * change, change * before, *(one * one for one in powers)]
        for k, summand in enumerate((*squares, differ)):
            along[its, k] = summand.sum(axis=1)
            if k != 1:
                across[:, k - (k > 1)] += summand.sum(axis=0)
    within, base_zeros, derived_zeros, cut, *gone = counts.tolist()
    return _Sums(row_major, along, across, within, (base_zeros, derived_zeros), cut, (gone[0], gone[1]))


def _record(W0: BlockMatrix, W1: BlockMatrix, precisions: Precisions, found: _Sums) -> EntryChanges:
    along, across = found.along, found.across
    base_sq, derived_sq, change_sq, inner, *powers, changed = along.sum(axis=0).tolist()
    summands = (W0.elements - found.zeros[0], base_sq), (W1.elements - found.zeros[1], derived_sq), (changed, change_sq)
    known = not any(found.lost) and all(is_safe(square) for number, square in summands if number)
    if not known:
        base_sq = derived_sq = change_sq = inner = math.nan
    lines = [(along[:, 0], along[:, 2], along[:, 3]), (across[:, 0], across[:, 1], across[:, 2])]
    rests = [_rest(*one) if known else math.nan for one in lines]
    touched = [int(np.count_nonzero(one[:, -1])) for one in (along, across)]
    floors, edges = [], []
    for k, one in enumerate(precisions):
        largest = [float(sums.max(initial=0.0)) for sums in (along[:, 4 + k], across[:, 3 + k])]
        floors.append(powers[k] * (one.ulp**2 / 12.0) if known else math.nan)
        edges.append(sum(map(math.sqrt, largest)) * (one.ulp / math.sqrt(12.0)) if known else math.nan)
    if not found.row_major:
        rests, touched = rests[::-1], touched[::-1]
    return EntryChanges(
        entries=W0.elements,
        nonfinite_base=found.lost[0],
        nonfinite_derived=found.lost[1],
        changed=int(changed),
        rows_changed=touched[0],
        cols_changed=touched[1],
        base_sq=base_sq,
        derived_sq=derived_sq,
        change_sq=change_sq,
        inner=inner,
        precision_base=precisions[0].name,
        precision_derived=precisions[1].name,
        floor=floors[1],
        floor_base=floors[0],
        edge=edges[1],
        edge_base=edges[0],
        within_ulp=found.within,
        zeros_base=found.zeros[0],
        zeros_derived=found.zeros[1],
        cut=found.cut,
        casts=_casts(W0, W1) if changed and precisions[0].name != "float64" else (),
        two_of_four=2 * found.zeros[1] >= W1.elements > 0 and _two_of_four(W1),
        scaled_rest=_rest(*(np.array([one]) for one in (base_sq, change_sq, inner))) if known else math.nan,
        rows_scaled_rest=rests[0],
        cols_scaled_rest=rests[1],
    )


def _rest(base: Numbers, change: Numbers, inner: Numbers) -> float:
    """What is left of the squares of Δ where each part of W₀ is multiplied by the best number."""
    explained = inner * np.divide(inner, base, out=np.zeros_like(base), where=base > 0.0)
    return float(np.maximum(change - explained, 0.0).sum())


def _precision(matrix: BlockMatrix) -> Precision:
    """The narrowest that holds its finite entries."""
    *narrower, own = PRECISIONS[: 1 + [one.name for one in PRECISIONS].index(matrix.dtype)]

    def holds(one: Precision) -> bool:
        return all(_throughout(one.holds, view) for views in matrix.views(_side(matrix)) for view in views)

    return next(filter(holds, narrower), own)


def _two_of_four(matrix: BlockMatrix) -> bool:
    def sparse(view: Array) -> bool:
        return bool(((view == 0.0).reshape(-1, 4).sum(axis=1) >= 2).all())

    return not matrix.cols % 4 and all(_throughout(sparse, view) for views in matrix.views(True) for view in views)


def _casts(W0: BlockMatrix, W1: BlockMatrix) -> tuple[str, ...]:
    """Which ways of rounding give W₁ of W₀, whose finite entries float32 holds."""
    few, now = (matrix.between(0, 1)[0][:, :SAMPLE].astype(np.float64) for matrix in (W0, W1))
    left = _that_give(few, now, CASTS)
    for before, after in _panels(W0, W1) if left else ():
        left = _that_give(before, after, left)
        if not left:
            break
    return left


def _that_give(before: Numbers, after: Numbers, names: tuple[str, ...]) -> tuple[str, ...]:
    """Which of those ways."""
    numbers = before.astype(np.float32)
    return tuple(name for name in names if _throughout(partial(_gives, _ROUNDED[name]), numbers, after))


def _gives(rounded: Callable[[Array], Array], numbers: Array, wanted: Numbers) -> bool:
    got = rounded(numbers).astype(np.float64)
    return bool(((got == wanted) | (np.isnan(got) & np.isnan(wanted))).all())


def _throughout(test: Callable[..., bool], *panels: Array) -> bool:
    """Whether ``test`` holds of ``panels`` (p, n): of a few of their entries, which tells most of the time, and of
    all."""
    height = max(1, SAMPLE // max(1, panels[0].shape[1]))
    return test(*(panel[:height, :SAMPLE] for panel in panels)) and test(*panels)

"""What one pass says of a matrix: ‖W‖_F, which rows and columns are dead, and the entries that stand out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import DEAD, Dispersion, EntryFacts
from weightaudit.spectral.block_matrix import PanelSource
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.tensors import Panel, dtype_name, moved, namespace

SAFE_SUM = (1e-120, 1e120)
"""‖W‖_F² outside of which W is scaled: squares of λ₁ must fit float64 too. Only float64 weights get there."""


def is_safe(square: float) -> bool:
    """Whether sums of squares that come to ``square`` > 0 have lost nothing, and may be squared and multiplied."""
    return SAFE_SUM[0] < square < SAFE_SUM[1]


class Counts(NamedTuple):
    """What the stored bits of all entries say: exact, whatever the processor does with subnormal numbers.

    ``largest`` is the finite magnitude whose bits are the largest, as bits; ``zeros`` are of either sign, ``small`` are
    the entries below the smallest normal magnitude, zeros included; ``at_limit`` have the largest finite magnitude of
    the dtype; ``nonfinite`` are ±∞ and NaN.
    """

    largest: int
    zeros: int
    small: int
    at_limit: int
    nonfinite: int

    @staticmethod
    def total(parts: Sequence[Counts]) -> Counts:
        """Those of a matrix from those of its ``parts``."""
        largest, *others = zip(*parts, strict=True)
        return Counts(max(largest), *map(sum, others))


@dataclass(frozen=True)
class Sums:
    """Squared norms of the rows (rows,) and columns (cols,) of W, float64; ``frob_sq`` is the sum of either,
    ``fourth`` that of the fourth powers of the entries."""

    rows: NDArray[np.float64]
    cols: NDArray[np.float64]
    frob_sq: float
    fourth: float

    @staticmethod
    def of(
        along: NDArray[np.float64],
        across: NDArray[np.float64],
        fourth: NDArray[np.float64],
        row_major: bool,
    ) -> Sums:
        """From those of A = W (``row_major``) or Wᵀ: its rows' are ``along``, its columns' the sum of ``across`` over
        its first axis, the fourth powers of its rows' entries add up to ``fourth``."""
        sums, total = (float(along.sum()), float(fourth.sum())), np.add.reduce(across, axis=0)
        return Sums(along, total, *sums) if row_major else Sums(total, along, *sums)


@dataclass(frozen=True)
class Statistics:
    """Entry statistics of W.

    ``frob_sq`` = ‖sW‖_F² with ``scale`` s a power of two: 1 except for float64 weights whose fourth powers would
    overflow or underflow. ``max_abs`` is over the finite entries. ``passes`` is how often W was read for this.
    ``entries`` is None where there are non-finite ones, ``dispersion`` also where all are zero. Where W is known by its
    factors only its entries are not read: ``max_abs`` is NaN, ``zeros``, ``entries`` and ``dispersion`` are None.

    ``error`` bounds ‖Ŵ − sW‖_F, Ŵ being the matrix that products and ``frob_sq`` belong to: 0 where it is sW itself.
    """

    frob_sq: float
    scale: float
    max_abs: float
    zeros: int | None
    nonfinite: int
    passes: int
    entries: EntryFacts | None
    error: float = 0.0
    dispersion: Dispersion | None = None


def power_of_two_scale(max_abs: float) -> float:
    """s = 2^-e with s·max_abs in [1/2, 1), e held within ±1000 so that s and 1/s are normal numbers."""
    if max_abs == 0.0:
        return 1.0
    exponent = math.frexp(max_abs)[1]
    return math.ldexp(1.0, -max(-1000, min(1000, exponent)))


def statistics(matrix: PanelSource) -> Statistics:
    """One pass over ``matrix`` by panels; two where W has to be scaled."""
    counts, sums = _read(matrix, 1.0)
    return finalize_statistics(matrix, counts, sums)


def finalize_statistics(matrix: PanelSource, counts: Counts, sums: Sums) -> Statistics:
    """Statistics from what one pass found; ``matrix`` is read again only if W has to be scaled."""
    max_abs, passes, scale = FLOAT_BITS[matrix.dtype].number(counts.largest), 1, 1.0
    if counts.nonfinite:
        return Statistics(math.nan, scale, max_abs, counts.zeros, counts.nonfinite, passes, None)
    if max_abs != 0.0 and not is_safe(sums.frob_sq):
        scale, passes = power_of_two_scale(max_abs), 2
        _, sums = _read(matrix, scale)
    dead = _dead(sums.rows, sums.frob_sq), _dead(sums.cols, sums.frob_sq)
    return Statistics(
        sums.frob_sq,
        scale,
        max_abs,
        counts.zeros,
        0,
        passes,
        _facts(counts, *dead),
        dispersion=_dispersion(sums, *dead) if max_abs != 0.0 else None,
    )


def _facts(counts: Counts, dead_rows: NDArray[np.intp], dead_cols: NDArray[np.intp]) -> EntryFacts:
    return EntryFacts(
        dead_rows=len(dead_rows),
        dead_cols=len(dead_cols),
        at_limit=counts.at_limit,
        subnormals=counts.small - counts.zeros,
        first_dead_row=int(dead_rows[0]) if len(dead_rows) else None,
        first_dead_col=int(dead_cols[0]) if len(dead_cols) else None,
    )


def _dispersion(sums: Sums, dead_rows: NDArray[np.intp], dead_cols: NDArray[np.intp]) -> Dispersion:
    rows = np.delete(sums.rows, dead_rows) if len(dead_rows) else sums.rows
    cols = np.delete(sums.cols, dead_cols) if len(dead_cols) else sums.cols
    return Dispersion(
        rows=_relative_variance(rows),
        cols=_relative_variance(cols),
        kurtosis=len(rows) * len(cols) * (sums.fourth / sums.frob_sq) / sums.frob_sq,
    )


def _relative_variance(norms_sq: NDArray[np.float64]) -> float:
    return float(np.square(norms_sq / norms_sq.mean() - 1.0).mean())


def _dead(norms_sq: NDArray[np.float64], frob_sq: float) -> NDArray[np.intp]:
    """Which rows or columns are dead, ascending: all those of a zero matrix, whose root mean square is 0."""
    return np.flatnonzero(norms_sq <= DEAD**2 * frob_sq / max(1, len(norms_sq)))


def _read(matrix: PanelSource, scale: float) -> tuple[Counts, Sums]:
    """One pass by panels: the counts of W, the squared norms of sW."""
    row_major = matrix.rows >= matrix.cols
    m, n = (matrix.rows, matrix.cols) if row_major else (matrix.cols, matrix.rows)
    along, fourth, across = np.zeros(m), np.zeros(m), np.zeros(n)
    counts, top = [Counts(0, 0, 0, 0, 0)], 0
    for views, panel in matrix.entries(row_major):
        xp, its = namespace(panel), slice(top, top + panel.shape[0])
        counts += [_counts(view) for view in views]
        if scale != 1.0:
            panel *= scale
        panel *= panel
        along[its] = moved(xp.sum(panel, axis=1), "cpu")
        across += moved(xp.sum(panel, axis=0), "cpu")
        panel *= panel
        fourth[its] = moved(xp.sum(panel, axis=1), "cpu")
        top = its.stop
    return Counts.total(counts), Sums.of(along, across[None], fourth, row_major)


def _counts(view: Panel) -> Counts:
    xp, kind = namespace(view), FLOAT_BITS[dtype_name(view)]
    size = view.view(getattr(xp, kind.integer)) & kind.magnitude
    smallest, largest = int(xp.min(size)), int(xp.max(size))
    zeros = small = at_limit = nonfinite = 0
    # What is seldom there is only looked for where there is some.
    if smallest < kind.normal:
        zeros, small = int(xp.count_nonzero(size == 0)), int(xp.count_nonzero(size < kind.normal))
    if largest >= kind.limit:
        at_limit = int(xp.count_nonzero(size == kind.limit))
        nonfinite = int(xp.count_nonzero(size > kind.limit))
        largest = int(xp.max(xp.where(size > kind.limit, 0, size)))
    return Counts(largest, zeros, small, at_limit, nonfinite)

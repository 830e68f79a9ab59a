"""Rows or columns of a matrix in another order, proven by their hashes.

Values are hashed, not bytes: 0 and −0 are one number, a number is the same in every dtype that holds it, and of a
matrix that was rounded besides, the other's entries are rounded alike before. Sampled columns (or rows) are compared
as sets first, so that nothing is hashed of a matrix that was trained.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.dtypes import BY_NAME
from weightaudit.records.change import UNLIKE, EntryChanges, Kind
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.inputs import block_matrix

SAME_SUM = 1e-9
"""Relative difference up to which two sums over the same numbers, in another order, are the same."""
ROUNDED_SUM = 1 / 128
"""The same of squares, where one of the two was rounded to 8 bits or more."""
SAMPLED = 4
"""Columns, or rows, that are compared as sets before anything is hashed."""
KNOWN = 0.5
"""Share of the rows that must be told from all others by their entries in any order, before columns are compared."""


@dataclass(frozen=True)
class Rounding:
    """To which dtype the entries of both matrices are brought before they are compared, and whether that rounds W₀."""

    dtype: str
    rounds: bool

    @classmethod
    def between(cls, facts: EntryChanges) -> Rounding | None:
        """How entries of W₀ and W₁ may be the same numbers in another order; None
        where they cannot be."""
        if 2 * facts.within_ulp > facts.changed:  # values that hardly moved did not change places
            return None
        narrow, wide = facts.precision_derived, facts.precision_base
        if narrow == wide:
            sums = ((facts.base_sq, facts.derived_sq), (facts.floor_base, facts.floor))
            same = all(math.isclose(one, other, rel_tol=SAME_SUM) for one, other in sums)
            return cls(narrow, False) if same and facts.zeros_base == facts.zeros_derived else None
        if BY_NAME[narrow].bits > BY_NAME[wide].bits or facts.zeros_base > facts.zeros_derived:
            return None
        return cls(narrow, True) if math.isclose(facts.base_sq, facts.derived_sq, rel_tol=ROUNDED_SUM) else None

    def of(self, values: Array) -> Array:
        """``values`` in that dtype, as a contiguous copy without −0."""
        dtype = BY_NAME[self.dtype].numpy
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(values.astype(dtype) + dtype.type(0))


def same_values(base: Array, derived: Array, rounding: Rounding) -> bool:
    """Whether both hold the same numbers, in any order."""
    return np.array_equal(np.sort(rounding.of(base)), np.sort(rounding.of(derived)))


def permutation_of(base: BlockMatrix, derived: BlockMatrix, facts: EntryChanges) -> tuple[Kind, int] | None:
    """The kind of permutation that made W₁ (``derived``) of W₀, both (rows, cols), and how many neighbours moved
    together; None where it was none.

    That number is the largest divisor h of the rows (columns) for which each h of them, counted from the first, stand
    somewhere in W₀ as such a block: the size of a head, where heads moved. Of both rows and columns it is 1.
    """
    rounding = Rounding.between(facts)
    if rounding is None:
        return None
    if _same_sample(base, derived, rounding, by_rows=False):
        block = _moved(base, derived, rounding, by_rows=True)
        if block:
            return "rows permuted", block
    if _same_sample(base, derived, rounding, by_rows=True):
        block = _moved(base, derived, rounding, by_rows=False)
        if block:
            return "columns permuted", block
    if rounding.rounds and not abs(facts.cosine) < UNLIKE:
        return None
    return ("rows and columns permuted", 1) if _both_moved(base, derived, rounding) else None


def digests_of_values(base: Sequence[Array], derived: Sequence[Array], facts: EntryChanges) -> tuple[str, str] | None:
    """BLAKE3 of W₀ and of W₁, both rounded to the narrower of their two dtypes and row by row, by which a matrix that
    moved is found; "" of W₁ where that would round it. None where both are stored alike: the bytes tell as much.
    """
    W0, W1 = block_matrix(list(base), "base"), block_matrix(list(derived), "derived")
    if (W0.dtype, W0.along_rows) == (W1.dtype, W1.along_rows):
        return None
    bits = {name: BY_NAME[name].bits for name in (W0.dtype, W1.dtype, facts.precision_derived)}
    narrow = W1.dtype if bits[W1.dtype] <= bits[W0.dtype] else W0.dtype
    fits = facts.precision_derived == narrow or bits[facts.precision_derived] < bits[narrow]
    return _digest(W0, narrow), _digest(W1, narrow) if fits else ""


def _digest(matrix: BlockMatrix, dtype: str) -> str:
    found = blake3(f"{matrix.rows} {matrix.cols} {dtype}\n".encode())
    for panel in _lines(matrix, Rounding(dtype, rounds=False), by_rows=True):
        found.update(panel.view(np.uint8).data)
    return found.hexdigest()


def _same_sample(base: BlockMatrix, derived: BlockMatrix, rounding: Rounding, by_rows: bool) -> bool:
    """Whether some rows (or columns) hold the same numbers in both, in any order."""
    count = base.rows if by_rows else base.cols
    for line in np.unique(np.linspace(0, count - 1, SAMPLED).astype(int)).tolist():
        if not same_values(_line(base, line, by_rows), _line(derived, line, by_rows), rounding):
            return False
    return True


def _line(matrix: BlockMatrix, index: int, by_rows: bool) -> Array:
    """A row, or a column."""
    if by_rows:
        row: Array = matrix.between(index, index + 1)[0][0]
        return row
    return np.concatenate([block[:, index] for block in matrix.blocks])


def _lines(matrix: BlockMatrix, rounding: Rounding, by_rows: bool, order: Array | None = None) -> Iterator[Array]:
    """All rows, or columns, a contiguous panel (p, length) at a time; of columns the entries in ``order`` alone."""
    for views in matrix.views(by_rows):
        panel = views[0] if len(views) == 1 else np.concatenate(views, axis=0 if by_rows else 1)
        yield rounding.of(panel if order is None else panel[:, order])


def _digests(matrix: BlockMatrix, rounding: Rounding, by_rows: bool, order: Array | None = None) -> list[bytes]:
    """BLAKE3 of each row, or column."""
    found = []
    for panel in _lines(matrix, rounding, by_rows, order):
        found += [blake3(line.data).digest(16) for line in panel.view(np.uint8)]
    return found


def _moved(base: BlockMatrix, derived: BlockMatrix, rounding: Rounding, by_rows: bool) -> int:
    """How many rows (or columns) moved together; 0 where these are not the same ones."""
    before, after = (_digests(matrix, rounding, by_rows) for matrix in (base, derived))
    if Counter(before) != Counter(after) or before == after:
        return 0
    return block_size(before, after)


def block_size(before: list[bytes], after: list[bytes]) -> int:
    """The largest h dividing their number for which the blocks of h neighbours are the same ones in both lists, in any
    order."""
    count = len(before)
    for h in range(count // 2, 1, -1):
        if count % h == 0 and _blocks(before, h) == _blocks(after, h):
            return h
    return 1


def _blocks(lines: list[bytes], h: int) -> Counter[bytes]:
    return Counter(b"".join(lines[first : first + h]) for first in range(0, len(lines), h))


def _both_moved(base: BlockMatrix, derived: BlockMatrix, rounding: Rounding) -> bool:
    """Whether rows and columns are the same but for their order.

    Rows are matched by sums over their entries that no order changes; those of which there is one alone are put side by
    side, and columns of these must be the same ones. The sums prove nothing by themselves, and need not.
    """
    marks = [_marks(matrix, rounding) for matrix in (base, derived)]
    if any(not np.array_equal(np.sort(one), np.sort(other)) for one, other in zip(*marks, strict=True)):
        return False
    orders = [_known(rows) for rows, _ in marks]
    if len(orders[0]) < max(1.0, KNOWN * base.rows):
        return False
    before, after = (
        _digests(matrix, rounding, by_rows=False, order=order)
        for matrix, order in zip((base, derived), orders, strict=True)
    )
    return Counter(before) == Counter(after)


def _known(marks: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where the marks that occur once stand, by their size."""
    _, first, counts = np.unique(marks, return_index=True, return_counts=True)
    once: NDArray[np.intp] = first[counts == 1]
    return once


def _marks(matrix: BlockMatrix, rounding: Rounding) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """A sum for each row and for each column that no order of their entries changes, modulo 2⁶⁴."""
    rows, cols = [], np.zeros(matrix.cols, np.uint64)
    for panel in _lines(matrix, rounding, by_rows=True):
        mixed = _mixed(panel.view(f"u{panel.itemsize}"))
        rows.append(mixed.sum(axis=1, dtype=np.uint64))
        cols += mixed.sum(axis=0, dtype=np.uint64)
    return np.concatenate(rows), cols


def _mixed(bits: Array) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014) of each."""
    x = bits.astype(np.uint64)
    x += np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x

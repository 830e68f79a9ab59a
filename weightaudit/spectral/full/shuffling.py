"""The same entries in random order: what the shape and the entries of a matrix give by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.spectral.block_matrix import BlockMatrix, PanelSource
from weightaudit.spectral.tensors import Device, Panel, moved

LARGEST_SHUFFLED = 4_000_000
"""Bytes of the largest matrix that is shuffled: in larger ones an entry takes some ten times as long as to be drawn."""
LARGEST_COPY = 64_000_000
"""Bytes of the largest matrix of which a copy is made to draw from, where it does not lie row by row."""
LINE = 16
"""Entries, one after the other, that come into a pool together: of float32 a line of the cache."""
POOL = 1 << 16
"""Entries of a pool, from which as many are drawn: they stay in the cache of a core, and two bytes number them."""


def disordered(matrix: PanelSource, rng: np.random.Generator) -> BlockMatrix | Drawn:
    """A matrix of the same shape and entries in random order: `shuffled`, or `Drawn` where that takes too long."""
    stored = matrix.blocks if isinstance(matrix, BlockMatrix) and matrix.device == "cpu" else ()
    if sum(block.nbytes for block in stored) > LARGEST_SHUFFLED:
        return Drawn(BlockMatrix(tuple(stored)), rng)
    return shuffled(matrix, rng)


def shuffled(matrix: PanelSource, rng: np.random.Generator) -> BlockMatrix:
    """A matrix of the same shape and entries, in an order that ``rng`` draws: all orders are as likely.

    It is a copy, as large as what is stored; of what is not stored itself in float64. The order depends neither on how
    the entries lie in memory nor on the device that has them.
    """
    if isinstance(matrix, BlockMatrix):
        entries = np.concatenate([_flat(block) for block in matrix.blocks])
    else:
        entries = np.concatenate([_flat(panel.copy()) for panel in matrix.panels(row_major=True)])
    # Integers of that size: numpy moves those fastest, and knows no bfloat16.
    rng.shuffle(entries.view(f"u{entries.itemsize}"))
    return BlockMatrix((entries.reshape(matrix.rows, matrix.cols),)).to(matrix.device)


def _flat(block: Panel) -> Panel:
    """The entries of ``block`` row by row, in memory of the CPU."""
    return moved(block, "cpu").reshape(-1)


class Drawn:
    """A matrix of the shape of another, each entry drawn from all of that one's.

    It comes in units of some rows. For each a pool is put together of lines of the matrix from all over it, and each
    entry is drawn from the pool by itself. A line has a place in one pool of each round of them, by an offset that is
    drawn for it and as many others as make a pool: so the lines of one pool are drawn independently, and none is left
    out. What a unit has depends on its number alone, whoever makes it, and when.
    """

    device: Device = "cpu"

    def __init__(self, matrix: BlockMatrix, rng: np.random.Generator) -> None:
        self._matrix = _row_by_row(matrix)
        self._total = matrix.elements
        lines = -(-self._total // LINE)
        each = min(lines, POOL // LINE)
        self._rounds = -(-lines // each)
        self._offsets = rng.integers(0, self._rounds, each)
        self._key = rng.integers(0, 1 << 64, 2, dtype=np.uint64)

    @property
    def rows(self) -> int:
        """As of the other."""
        return self._matrix.rows

    @property
    def cols(self) -> int:
        """As of the other."""
        return self._matrix.cols

    def unit_height(self, row_major: bool) -> int:
        """Rows of a unit, of the matrix or, unless ``row_major``, of its transpose."""
        return max(1, POOL // (self.cols if row_major else self.rows))

    def panels(self, row_major: bool) -> Iterator[Panel]:
        """Its units, or those of its transpose, which are others, in float64; each is the caller's until the next."""
        m, n = (self.rows, self.cols) if row_major else (self.cols, self.rows)
        height = min(self.unit_height(row_major), m)
        panel = np.empty((height, n))
        for unit, top in enumerate(range(0, m, height)):
            some = panel[: min(height, m - top)]
            self.draw(unit, some)
            yield some

    def draw(self, unit: int, panel: Panel, scale: float = 1.0) -> None:
        """Write the unit of that number, times ``scale``, into the ``panel`` of its shape, of float64 or float32."""
        pool = (self._pool(unit).astype(np.float64) * scale).astype(panel.dtype, copy=False)
        # Counted by the unit: each has random numbers of its own.
        draw = np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, 0, unit]))
        if len(pool) == 1 << 16:  # four numbers of 16 bits at once
            places = draw.integers(0, 1 << 64, -(-panel.size // 4), dtype=np.uint64).view(np.uint16)[: panel.size]
        else:
            places = draw.integers(0, len(pool), panel.size, dtype=np.uint16)
        np.take(pool, places, out=panel.reshape(-1), mode="clip")

    def _pool(self, unit: int) -> Array:
        """The entries from which that unit is drawn."""
        lines = (self._offsets + unit) % self._rounds * len(self._offsets) + np.arange(len(self._offsets))
        return self._at(lines[lines * LINE < self._total])

    def _at(self, lines: NDArray[np.int64]) -> Array:
        """The entries of those lines, counted row by row."""
        if self._whole_lines is not None:
            within = lines < len(self._whole_lines)
            some = lines if within.all() else lines[within]
            found = np.take(self._whole_lines, some, axis=0, mode="clip").reshape(-1)
            if len(some) < len(lines):
                rest = self._total % LINE
                found = np.concatenate([found, _bits(self._matrix.blocks[0]).reshape(-1)[-rest:]])
            return found.view(self._matrix.blocks[0].dtype)
        places = (lines[:, None] * LINE + np.arange(LINE)).reshape(-1)
        row, col = np.divmod(places[places < self._total], self.cols)
        block, *others = self._matrix.blocks
        if not others:
            alone: Array = block[row, col]
            return alone
        found = np.empty(row.shape, block.dtype)
        for one, (first, end) in zip(self._matrix.blocks, pairwise(self._matrix.seams), strict=True):
            here = (row >= first) & (row < end)
            found[here] = one[row[here] - first, col[here]]
        return found

    @cached_property
    def _whole_lines(self) -> Array | None:
        """All lines but for one that is not full, (lines, LINE), as numbers without a sign; None where the matrix does
        not lie row by row in one piece."""
        block, *others = self._matrix.blocks
        if others or not block.flags.c_contiguous:
            return None
        flat = _bits(block).reshape(-1)
        lines: Array = flat[: self._total - self._total % LINE].reshape(-1, LINE)
        return lines


def _row_by_row(matrix: BlockMatrix) -> BlockMatrix:
    """The matrix, in one piece whose rows run along the memory where that is no large copy."""
    block, *others = matrix.blocks
    if sum(one.nbytes for one in matrix.blocks) > LARGEST_COPY or (not others and block.flags.c_contiguous):
        return matrix
    together = np.empty((matrix.rows, matrix.cols), block.dtype)
    for one, (first, end) in zip(matrix.blocks, pairwise(matrix.seams), strict=True):
        together[first:end] = one
    return BlockMatrix((together,))


def _bits(block: Array) -> Array:
    bits: Array = block.view(f"u{block.itemsize}")
    return bits

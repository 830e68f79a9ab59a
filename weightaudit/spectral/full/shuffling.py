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
"""Bytes of the largest matrix that is shuffled as a whole: in larger ones an entry takes several times as long."""
LARGEST_COPY = 64_000_000
"""Bytes of the largest matrix of which a copy is made to mix, where it does not lie row by row."""
LINE = 16
"""Entries, one after the other, that come into a pool together: of float32 a line of the cache."""
POOL = 1 << 16
"""Entries of a pool, which are mixed: they stay in the cache of a core, and two bytes number them."""


def disordered(matrix: PanelSource, rng: np.random.Generator) -> BlockMatrix | Mixed:
    """A matrix of the same shape and entries in random order: `shuffled`, or `Mixed` where that takes too long."""
    stored = matrix.blocks if isinstance(matrix, BlockMatrix) and matrix.device == "cpu" else ()
    if sum(block.nbytes for block in stored) > LARGEST_SHUFFLED:
        return Mixed(BlockMatrix(tuple(stored)), rng)
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


class Mixed:
    """A matrix of the same shape and entries as another, each once, in an order that is drawn; no copy is held.

    Its entries, counted row by row, come in pools. A pool is put together of lines of the other matrix from all over
    it: each line is in one pool, by an offset that is drawn for it and as many others as make a pool, so that the lines
    of one pool are drawn independently. Within a pool the order is drawn anew. What a pool has depends on its number
    alone, whoever makes it, and when.
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
        # The pools that the lines numbered last would come into: those that are not there, and one that is not full.
        last = (self._rounds - 1 - self._offsets[lines - each * (self._rounds - 1) - 1 :]) % self._rounds
        sizes = LINE * (each - np.bincount(last[1:], minlength=self._rounds))
        sizes[last[0]] -= -self._total % LINE
        self._starts = np.concatenate([[0], np.cumsum(sizes)])

    @property
    def rows(self) -> int:
        """As of the other."""
        return self._matrix.rows

    @property
    def cols(self) -> int:
        """As of the other."""
        return self._matrix.cols

    def panels(self, row_major: bool) -> Iterator[Panel]:
        """Row panels, or those of a transpose mixed otherwise, in float64; each is the caller's until the next."""
        m, n = (self.rows, self.cols) if row_major else (self.cols, self.rows)
        height = min(max(1, POOL // n), m)
        panel = np.empty((height, n))
        for top in range(0, m, height):
            some = panel[: min(height, m - top)]
            for pool in self.pools(top * n, top * n + some.size):
                self.write(pool, top * n, some.reshape(-1))
            yield some

    def pools(self, first: int, end: int) -> range:
        """The numbers of the pools that have its entries from ``first`` to ``end``, counted row by row."""
        return range(
            int(np.searchsorted(self._starts, first, "right")) - 1, int(np.searchsorted(self._starts, end, "left"))
        )

    def write(self, pool: int, first: int, out: Panel, scale: float = 1.0) -> None:
        """Write what that pool has of its entries from ``first`` on, times ``scale``, into ``out``: (entries,) of
        float64 or float32."""
        found = self._at(self._lines(pool))
        values = (found.astype(np.float64) * scale).astype(out.dtype, copy=False)
        # Counted by the pool: each has random numbers of its own.
        draw = np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, 0, pool]))
        keys = draw.integers(0, 1 << 64, -(-len(values) // 4), dtype=np.uint64).view(np.uint16)[: len(values)]
        order = np.argsort(keys, kind="stable")  # of 16 bits, so by counting; the few alike stay as they were
        start = int(self._starts[pool]) - first
        begin, stop = max(0, -start), min(len(values), len(out) - start)
        np.take(values, order[begin:stop], out=out[start + begin : start + stop], mode="clip")

    def _lines(self, pool: int) -> NDArray[np.int64]:
        """The numbers of a pool's lines, the one that is not full last."""
        lines = (self._offsets + pool) % self._rounds * len(self._offsets) + np.arange(len(self._offsets))
        whole = lines < self._total // LINE
        return np.concatenate([lines[whole], lines[~whole & (lines * LINE < self._total)]])

    def _at(self, lines: NDArray[np.int64]) -> Array:
        """The entries of those lines, of which the last alone need not be full, counted row by row."""
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

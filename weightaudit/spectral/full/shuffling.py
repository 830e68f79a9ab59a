"""The same entries in random order: what the shape and the entries of a matrix give by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.spectral.block_matrix import BlockMatrix, Panels, PanelSource, panel_height
from weightaudit.spectral.tensors import Device, Panel, moved

LARGEST_COPY = 64_000_000
"""Bytes of the largest matrix of which a copy is shuffled."""


def disordered(matrix: PanelSource, rng: np.random.Generator) -> Panels:
    """A matrix of the same shape and entries in random order: `shuffled`, or `Drawn` where no copy should be held."""
    stored = matrix.blocks if isinstance(matrix, BlockMatrix) and matrix.device == "cpu" else ()
    if sum(block.nbytes for block in stored) > LARGEST_COPY:
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


@dataclass(frozen=True)
class Drawn:
    """A matrix of the shape of another, each entry drawn from all of that one's: of so many the same as their order
    drawn, but for one over the root of their number, and no copy is held. Drawn anew whenever it is read.
    """

    matrix: BlockMatrix
    rng: np.random.Generator

    @property
    def rows(self) -> int:
        """As of the other."""
        return self.matrix.rows

    @property
    def cols(self) -> int:
        """As of the other."""
        return self.matrix.cols

    @property
    def device(self) -> Device:
        """The CPU."""
        return "cpu"

    def panels(self, row_major: bool) -> Iterator[Panel]:
        """Row panels of it or of its transpose, in float64; each is the caller's until the next."""
        m, n = (self.rows, self.cols) if row_major else (self.cols, self.rows)
        number = np.uint32 if m * n <= 1 << 32 else np.uint64
        height = min(panel_height(n, "cpu"), m)
        panel = np.empty((height, n))
        for top in range(0, m, height):
            some = panel[: min(height, m - top)]
            some[...] = self._at(self.rng.integers(0, m * n, some.shape, dtype=number).astype(np.int64, copy=False))
            yield some

    def _at(self, places: NDArray[np.int64]) -> Array:
        """The entries of those numbers, counted row by row."""
        block, *others = self.matrix.blocks
        if not others and block.flags.c_contiguous:
            found: Array = block.reshape(-1)[places]
            return found
        row, col = np.divmod(places, self.cols)
        found = np.empty(places.shape, block.dtype)
        for one, (first, end) in zip(self.matrix.blocks, pairwise(self.matrix.seams), strict=True):
            here = (row >= first) & (row < end)
            found[here] = one[row[here] - first, col[here]]
        return found

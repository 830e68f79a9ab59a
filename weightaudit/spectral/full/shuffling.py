"""The same entries in random order: what the shape and the entries of a matrix give by themselves."""

from __future__ import annotations

import numpy as np

from weightaudit.spectral.block_matrix import BlockMatrix, PanelSource
from weightaudit.spectral.tensors import Panel, moved


def shuffled(matrix: PanelSource, rng: np.random.Generator) -> BlockMatrix:
    """A matrix of the same shape, dtype and entries, in an order that ``rng`` draws: all orders are as likely.

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

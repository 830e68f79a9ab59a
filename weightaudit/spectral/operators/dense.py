"""Who does the passes over a matrix: the fused kernel where it can, torch's panels everywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from weightaudit.spectral.block_matrix import BlockMatrix, runs_along_rows
from weightaudit.spectral.operators.base import GramOperator
from weightaudit.spectral.operators.panels import PanelGram
from weightaudit.spectral.statistics import Statistics, finalize_statistics, statistics

try:
    from weightaudit.spectral import fused
except ImportError:  # numba cannot be used, `jit` knows why: torch does the passes, some times slower
    fused = None  # type: ignore[assignment]  # a module otherwise

LONG_SIDE = 8
"""How many times longer than the other the side along which the memory runs may be, for the fused kernel to work on
it; beyond, its two vectors a column no longer fit the caches and the basis costs more than the panels."""


class Engine(Protocol):
    """Reads one matrix as often as it is asked to."""

    def statistics(self) -> Statistics:
        """The entry statistics of W."""
        ...

    def gram(self, scale: float) -> GramOperator:
        """M of sA, on the side that `gram_side` gives."""
        ...


class TorchEngine:
    """`Engine` by panels, on the device that holds the blocks."""

    def __init__(self, matrix: BlockMatrix, row_major: bool) -> None:
        self.matrix, self.row_major = matrix, row_major

    def statistics(self) -> Statistics:
        return statistics(self.matrix)

    def gram(self, scale: float) -> GramOperator:
        return PanelGram(self.matrix, self.row_major, scale)


class FusedEngine:
    """`Engine` by the fused kernel."""

    def __init__(self, matrix: BlockMatrix, row_major: bool, team: fused.ThreadTeam) -> None:
        self.matrix, self.row_major, self.team = matrix, row_major, team
        self.rows = fused.shared_rows(matrix, row_major, team.size)

    def statistics(self) -> Statistics:
        return finalize_statistics(
            self.matrix, *fused.entry_statistics(self.rows, self.matrix.dtype, self.row_major, self.team)
        )

    def gram(self, scale: float) -> GramOperator:
        return fused.FusedGram(self.rows, scale, self.team)


@contextmanager
def engine_for(matrix: BlockMatrix) -> Iterator[Engine]:
    """The engine for ``matrix``; its threads end with the block."""
    row_major, along = gram_side(matrix)
    fits = matrix.device.type == "cpu" and along and matrix.elements > 0
    if fused is None or not fits or matrix.dtype not in fused.READABLE:
        yield TorchEngine(matrix, row_major)
        return
    with fused.thread_team(matrix.elements) as team:
        yield FusedEngine(matrix, row_major, team)


def gram_side(matrix: BlockMatrix) -> tuple[bool, bool]:
    """(whether A is W rather than Wᵀ, whether A's rows are to be read as they lie in memory).

    λ₁ and ‖·‖_F are those of W on either side. The smaller side gives the smaller basis, but rows that run along the
    memory give the faster pass by far, so memory decides unless the matrix is very long. The start and so the interval
    depend on the side, and the side on shape and layout only: not on device or engine, nor on the number of blocks.
    """
    row_major = matrix.along_rows or (not matrix.along_cols and any(map(runs_along_rows, matrix.blocks)))
    lies = row_major or matrix.along_cols
    n, m = (matrix.cols, matrix.rows) if row_major else (matrix.rows, matrix.cols)
    if lies and n <= LONG_SIDE * m:
        return row_major, True
    return matrix.tall, False

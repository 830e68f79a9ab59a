"""A stored matrix: the fused kernel does the passes where it can, panels everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from weightaudit.spectral.block_matrix import BlockMatrix, PanelSource, runs_along_rows
from weightaudit.spectral.hashing import digest_of
from weightaudit.spectral.operators.base import GramOperator, Operator
from weightaudit.spectral.operators.panels import PanelOperator
from weightaudit.spectral.statistics import Statistics, finalize_statistics
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Device

try:
    from weightaudit.spectral import fused
except ImportError:  # there is no llvmlite: panels do, some times slower
    fused = None  # type: ignore[assignment]  # a module otherwise

LONG_SIDE = 8
"""How many times longer than the other the side along which the memory runs may be, for the fused kernel to work on
it; beyond, its two vectors a column no longer fit the caches and the basis costs more than the panels."""


def kernels_read(*matrices: BlockMatrix) -> bool:
    """Whether the fused kernels are the way to work on that matrix, or on the difference of these two."""
    if fused is None or any(one.device != "cpu" for one in matrices):
        return False
    _, along = gram_side(matrices[0])
    return along and matrices[0].elements > 0 and fused.reads("row_statistics", *(one.dtype for one in matrices))


class FusedPasses(PanelOperator):
    """The part of `Operator` that the fused kernels do: for the stored matrix, or for the two that ``matrix`` is the
    difference of. What they cannot do is left to its panels."""

    def __init__(self, matrix: PanelSource, stored: Sequence[BlockMatrix], team: ThreadTeam) -> None:
        super().__init__(matrix, gram_side(stored[0])[0])
        self.team = team
        self.rows = fused.shared_rows(stored, self.row_major)

    def statistics(self) -> Statistics:
        found = fused.entry_statistics(self.rows, self.row_major, self.team)
        return finalize_statistics(self.matrix, *found)

    def gram(self, scale: float) -> GramOperator:
        """By panels where that kernel alone was kept and numba is no more."""
        if not fused.reads("gram_rows", *self.rows.dtypes):
            return super().gram(scale)
        return fused.FusedGram(self.rows, scale, self.team)


class DenseOperator(PanelOperator):
    """`Operator` of the vertical blocks of one matrix, by panels on the device that holds them."""

    matrix: BlockMatrix

    def __init__(self, matrix: BlockMatrix) -> None:
        super().__init__(matrix, gram_side(matrix)[0])

    def digest(self) -> str:
        return digest_of(self.matrix)

    @contextmanager
    def on(self, device: Device, team: ThreadTeam) -> Iterator[Operator]:
        """By the fused kernels where they read such a matrix."""
        matrix = self.matrix.to(device)
        yield FusedOperator(matrix, team) if kernels_read(matrix) else DenseOperator(matrix)


class FusedOperator(DenseOperator, FusedPasses):
    """`Operator` by the fused kernels."""

    def __init__(self, matrix: BlockMatrix, team: ThreadTeam) -> None:
        FusedPasses.__init__(self, matrix, (matrix,), team)


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

"""Who does the passes over a matrix: the fused kernel where it can, torch's panels everywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from weightaudit.spectral.operator import GramOperator, PanelGram
from weightaudit.spectral.stack import Stack, runs_along_rows
from weightaudit.spectral.statistics import Statistics, concluded, statistics

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

    def __init__(self, stack: Stack, upright: bool) -> None:
        self.stack, self.upright = stack, upright

    def statistics(self) -> Statistics:
        return statistics(self.stack)

    def gram(self, scale: float) -> GramOperator:
        return PanelGram(self.stack, self.upright, scale)


class FusedEngine:
    """`Engine` by the fused kernel."""

    def __init__(self, stack: Stack, upright: bool, team: fused.Team) -> None:
        self.stack, self.upright, self.team = stack, upright, team
        self.rows = fused.shared_rows(stack, upright, team.size)

    def statistics(self) -> Statistics:
        return concluded(self.stack, *fused.entry_statistics(self.rows, self.stack.dtype, self.upright, self.team))

    def gram(self, scale: float) -> GramOperator:
        return fused.FusedGram(self.rows, scale, self.team)


@contextmanager
def engine_for(stack: Stack) -> Iterator[Engine]:
    """The engine for ``stack``; its threads end with the block."""
    upright, along = gram_side(stack)
    fits = stack.device.type == "cpu" and along and stack.elements > 0
    if fused is None or not fits or stack.dtype not in fused.READABLE:
        yield TorchEngine(stack, upright)
        return
    with fused.team_for(stack.elements) as team:
        yield FusedEngine(stack, upright, team)


def gram_side(stack: Stack) -> tuple[bool, bool]:
    """(whether A is W rather than Wᵀ, whether A's rows are to be read as they lie in memory).

    λ₁ and ‖·‖_F are those of W on either side. The smaller side gives the smaller basis, but rows that run along the
    memory give the faster pass by far, so memory decides unless the matrix is very long. The start and so the interval
    depend on the side, and the side on shape and layout only: not on device or engine, nor on the number of blocks.
    """
    upright = stack.along_rows or (not stack.along_cols and any(map(runs_along_rows, stack.blocks)))
    lies = upright or stack.along_cols
    n, m = (stack.cols, stack.rows) if upright else (stack.rows, stack.cols)
    if lies and n <= LONG_SIDE * m:
        return upright, True
    return stack.tall, False

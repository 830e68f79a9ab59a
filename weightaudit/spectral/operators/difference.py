"""The difference of two stored matrices, taken entry by entry as it is read and never formed.

Each entry is widened to float64 and subtracted there, which is one rounding of the exact difference: Ŵ = fl(A − B) with
|Ŵ_ij − W_ij| ≤ u·|W_ij|. The relative error is that of the *difference*, however much of A and B cancels: what remains
of two close entries is exact (Sterbenz), and so is a difference that is subnormal. So ‖Ŵ − W‖_F ≤ u·‖W‖_F, which is the
``error`` of the statistics; everything else is certified for Ŵ as for a stored matrix. Equal entries leave exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from blake3 import blake3

from weightaudit.errors import UsageError
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.hashing import digest_of
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.operators.base import Operator
from weightaudit.spectral.operators.dense import FusedPasses, gram_side, kernels_read
from weightaudit.spectral.operators.panels import PanelOperator
from weightaudit.spectral.rounding import UNIT
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Device, Panel


@dataclass(frozen=True)
class DifferencePanels:
    """A − B as a `PanelSource`; its entries are float64 numbers, whatever A and B store."""

    minuend: BlockMatrix
    subtrahend: BlockMatrix
    dtype: str = "float64"

    @property
    def rows(self) -> int:
        return self.minuend.rows

    @property
    def cols(self) -> int:
        return self.minuend.cols

    @property
    def device(self) -> Device:
        return self.minuend.device

    def panels(self, row_major: bool) -> Iterator[Panel]:
        # Both are cut by shape and device alone, so their panels are of the same rows.
        for panel, other in zip(self.minuend.panels(row_major), self.subtrahend.panels(row_major), strict=True):
            panel -= other
            yield panel

    def entries(self, row_major: bool) -> Iterator[tuple[list[Panel], Panel]]:
        for panel in self.panels(row_major):
            yield [panel], panel


class Difference(PanelOperator):
    """`Operator` of W = A − B for two matrices of one shape, each of any dtype and layout that `measure` takes.

    An entry is not finite where A's or B's is not, or where their difference leaves the range of float64. Statistics
    of entries (zeros, largest magnitude, subnormals) are of the float64 differences.

    Example:
        >>> import numpy as np
        >>> from weightaudit.spectral import Difference, measure
        >>> measure(Difference(3 * np.eye(4), np.eye(4))).frobenius_norm
        4.0
    """

    matrix: DifferencePanels

    def __init__(self, A: Any, B: Any) -> None:
        """UsageError for what is no matrix, and for two shapes."""
        minuend, subtrahend = block_matrix(A, "first matrix"), block_matrix(B, "second matrix")
        shapes = [(one.rows, one.cols) for one in (minuend, subtrahend)]
        if shapes[0] != shapes[1]:
            raise UsageError("difference", f"{shapes[0]} minus {shapes[1]} is not defined", "Give two of one shape")
        super().__init__(DifferencePanels(minuend, subtrahend), gram_side(minuend)[0])

    def digest(self) -> str:
        return pair_digest(digest_of(self.matrix.minuend), digest_of(self.matrix.subtrahend))

    @contextmanager
    def on(self, device: Device, team: ThreadTeam) -> Iterator[Operator]:
        """By the fused kernels where they read two such matrices; one that does not lie as the first is copied."""
        A, B = self.matrix.minuend.to(device), self.matrix.subtrahend.to(device)
        yield FusedDifference(A, B, team) if kernels_read(A, B) else Difference(A.blocks, B.blocks)

    def statistics(self) -> Statistics:
        found = super().statistics()
        if found.nonfinite:
            return found
        # 1.01 for what frob_sq itself is off by, and for ‖W‖_F instead of ‖Ŵ‖_F.
        return replace(found, error=1.01 * UNIT * math.sqrt(found.frob_sq))


def pair_digest(minuend: str, subtrahend: str) -> str:
    """That of the difference of two matrices, of which these are the digests."""
    return blake3(f"difference {minuend} {subtrahend}".encode()).hexdigest()


class FusedDifference(Difference, FusedPasses):
    """`Operator` of A − B by the fused kernels."""

    def __init__(self, A: BlockMatrix, B: BlockMatrix, team: ThreadTeam) -> None:
        FusedPasses.__init__(self, DifferencePanels(A, B), (A, B), team)

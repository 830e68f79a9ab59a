"""Matrices that are read in float64 panels, by numpy or on a GPU."""

from __future__ import annotations

from weightaudit.spectral.block_matrix import PanelSource
from weightaudit.spectral.exact import exact
from weightaudit.spectral.operators.base import GramOperator
from weightaudit.spectral.spectrum import Interval
from weightaudit.spectral.statistics import Statistics, statistics
from weightaudit.spectral.tensors import Panel, namespace


class PanelOperator:
    """The part of `Operator` that panels are enough for, on the device that gives them. A is W if ``row_major``."""

    def __init__(self, matrix: PanelSource, row_major: bool) -> None:
        self.matrix, self.row_major = matrix, row_major

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.rows, self.matrix.cols

    @property
    def entries(self) -> PanelSource:
        return self.matrix

    @property
    def cost_shape(self) -> tuple[int, int]:
        return self.shape

    def statistics(self) -> Statistics:
        return statistics(self.matrix)

    def gram(self, scale: float) -> GramOperator:
        return PanelGram(self.matrix, self.row_major, scale)

    def spectrum(self, known: Statistics) -> Interval:
        return exact(self.matrix, known.scale, known.frob_sq)


class PanelGram:
    """`GramOperator` by panels: each of A is read once, in float64, and used twice.

    float64, because then the rounding of a pass is some 1e-12 whatever the shape and no setting of the BLAS (TF32,
    reduced-precision sums) can spoil the certificate; on CPUs it is the fallback of the fused kernel, and on GPUs the
    pass is bound by memory.
    """

    amplification = 1.0

    def __init__(self, matrix: PanelSource, row_major: bool, scale: float) -> None:
        self.matrix, self.row_major, self.scale = matrix, row_major, scale
        self.m, self.n = (matrix.rows, matrix.cols) if row_major else (matrix.cols, matrix.rows)
        self.device = matrix.device

    def __call__(self, X: Panel) -> Panel:
        Y = namespace(X).zeros_like(X)
        for panel in self.matrix.panels(self.row_major):
            if self.scale != 1.0:
                panel *= self.scale
            Y += panel.T @ (panel @ X)
        return Y

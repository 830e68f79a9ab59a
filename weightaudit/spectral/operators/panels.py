"""Matrices that come in float64 panels: torch does the passes."""

from __future__ import annotations

import torch

from weightaudit.spectral.block_matrix import BlockMatrix


class PanelGram:
    """`GramOperator` by torch: each panel of A is read once, widened to float64 and used twice.

    float64, because then the rounding of a pass is some 1e-12 whatever the shape and no setting of the BLAS (TF32,
    reduced-precision sums) can spoil the certificate; on CPUs it is the fallback of the fused kernel, and on GPUs the
    pass is bound by memory.
    """

    own_threads = False

    def __init__(self, matrix: BlockMatrix, row_major: bool, scale: float) -> None:
        self.matrix, self.row_major, self.scale = matrix, row_major, scale
        self.m, self.n = (matrix.rows, matrix.cols) if row_major else (matrix.cols, matrix.rows)
        self.device = matrix.device

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        Y = torch.zeros_like(X)
        for panel in self.matrix.panels(self.row_major):
            if self.scale != 1.0:
                panel.mul_(self.scale)
            Y.addmm_(panel.t(), panel @ X)
        return Y

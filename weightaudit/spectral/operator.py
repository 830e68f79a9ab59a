"""The Gram operator M = AᵀA, applied to a few columns in one pass over the weights."""

from __future__ import annotations

from typing import Protocol

import torch

from weightaudit.spectral.stack import Stack


class GramOperator(Protocol):
    """X (n, b) float64 → (sA)ᵀ(sA)X (n, b) float64, on ``device``. A (m, n) is W or Wᵀ.

    ``own_threads`` says that it brings threads of its own instead of using torch's.
    """

    m: int
    n: int
    device: torch.device
    own_threads: bool

    def __call__(self, X: torch.Tensor) -> torch.Tensor: ...


class PanelGram:
    """`GramOperator` by torch: each panel of A is read once, widened to float64 and used twice.

    float64, because then the rounding of a pass is some 1e-12 whatever the shape and no setting of the BLAS (TF32,
    reduced-precision sums) can spoil the certificate; on CPUs it is the fallback of the fused kernel, and on GPUs the
    pass is bound by memory.
    """

    own_threads = False

    def __init__(self, stack: Stack, upright: bool, scale: float) -> None:
        self.stack, self.upright, self.scale = stack, upright, scale
        self.m, self.n = (stack.rows, stack.cols) if upright else (stack.cols, stack.rows)
        self.device = stack.device

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        Y = torch.zeros_like(X)
        for panel in self.stack.panels(self.upright):
            if self.scale != 1.0:
                panel.mul_(self.scale)
            Y.addmm_(panel.t(), panel @ X)
        return Y

"""The Gram operator M = AᵀA, applied to a few columns in one pass over the weights."""

from __future__ import annotations

from typing import Protocol

import torch


class GramOperator(Protocol):
    """X (n, b) float64 → (sA)ᵀ(sA)X (n, b) float64, on ``device``. A (m, n) is W or Wᵀ.

    ``own_threads`` says that it brings threads of its own instead of using torch's.
    """

    m: int
    n: int
    device: torch.device
    own_threads: bool

    def __call__(self, X: torch.Tensor) -> torch.Tensor: ...

"""One matrix, held in each way that `measure` takes: as it is, as a difference, as a product of two thin ones."""

from __future__ import annotations

from collections.abc import Callable

import torch

from weightaudit.spectral import Difference, LowRank
from weightaudit.spectral.operators.base import Operator

RANK = 24
Held = tuple[torch.Tensor | Operator, torch.Tensor]


def dense(W: torch.Tensor) -> Held:
    return W, W


def difference(W: torch.Tensor) -> Held:
    """W + K minus a K of its own size, both in W's dtype; the float64 difference of what is stored is W as held."""
    K = torch.randn(W.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    size = W.double().abs().max() / 8 if W.numel() else 1.0
    A, B = (W.double() / 2 + size * K).to(W.dtype), (size * K - W.double() / 2).to(W.dtype)
    return Difference(A, B), A.double() - B.double()


def low_rank(W: torch.Tensor) -> Held:
    """The leading `RANK` singular triplets as factors in W's dtype."""
    if not W.numel():
        B, A = W.new_zeros(W.shape[0], 3), W.new_zeros(3, W.shape[1])
        return LowRank(B, A), W
    size = W.double().abs().max()
    U, s, Vh = torch.linalg.svd(W.double() / size if size else W.double(), full_matrices=False)
    root, share = s[:RANK].sqrt(), size.sqrt()
    B, A = (U[:, :RANK] * root * share).to(W.dtype), (root[:, None] * Vh[:RANK] * share).to(W.dtype)
    return LowRank(B, A), B.double() @ A.double()


HELD: dict[str, Callable[[torch.Tensor], Held]] = {"dense": dense, "difference": difference, "low rank": low_rank}

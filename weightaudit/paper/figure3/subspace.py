"""The same descent in as many input dimensions as there are points.

Rows of W_1 move within the span of the inputs: their gradient is a combination of inputs, and decay scales them. So
with an orthonormal basis Q of a space that holds the inputs, W_1 Q descends on the inputs Qᵀx just as W_1 does on x,
and the rest of W_1 only decays, to (1−ηλ)ᵗ of itself. The source's results on merging rest on this (section 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from weightaudit.paper.nets import Weights


@dataclass(frozen=True)
class Span:
    """Q (groups, d, m) with orthonormal columns, and of every network's initial W_1 what lies outside, (nets, out, d).

    Networks come in groups that share their inputs: ``nets // groups`` in a row.
    """

    basis: Tensor
    outside: Tensor

    def lift(self, weights: Weights, left: Tensor) -> Weights:
        """Weights for the inputs as they were. ``left``: (nets,), what decay has left of the rest: (1−ηλ)ᵗ."""
        first = _by_group(weights[0], self.basis) @ self.basis.mT[:, None]
        return [first.reshape(self.outside.shape) + left[:, None, None] * self.outside, *weights[1:]]


def within_span(weights: Weights, x: Tensor) -> tuple[Span, Weights, Tensor]:
    """The span of each group's inputs, with weights and inputs within it, in m = min(n, d) dimensions.

    ``x``: (groups, n, d); networks are grouped as in `Span`. The basis is of QR in float64.
    """
    exact = torch.linalg.qr(x.double().mT).Q
    basis = exact.to(x.dtype)
    W = _by_group(weights[0].double(), exact) @ exact[:, None]
    outside = weights[0].double() - (W @ exact.mT[:, None]).reshape(weights[0].shape)
    inside = W.reshape(*weights[0].shape[:2], -1).to(x.dtype)
    return Span(basis, outside.to(x.dtype)), [inside, *weights[1:]], (x.double() @ exact).to(x.dtype)


def _by_group(W: Tensor, basis: Tensor) -> Tensor:
    """(nets, out, in) → (groups, nets of a group, out, in)."""
    return W.reshape(basis.shape[0], -1, *W.shape[1:])

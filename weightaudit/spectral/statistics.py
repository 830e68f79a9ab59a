"""What one pass says of a matrix: ‖W‖_F, largest entry, zeros, non-finite entries."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from weightaudit.spectral.stack import Stack

SAFE_SUM = (1e-120, 1e120)
"""‖W‖_F² outside of which W is scaled: squares of λ₁ must fit float64 too. Only float64 weights get there."""


@dataclass(frozen=True)
class Statistics:
    """Entry statistics of W.

    ``frob_sq`` = ‖sW‖_F² with ``scale`` s a power of two: 1 except for float64 weights whose fourth powers would
    overflow or underflow. ``max_abs`` is over the finite entries. ``passes`` is how often W was read for this.
    """

    frob_sq: float
    scale: float
    max_abs: float
    zeros: int
    nonfinite: int
    passes: int


def power_of_two_scale(max_abs: float) -> float:
    """s = 2^-e with s·max_abs in [1/2, 1), e held within ±1000 so that s and 1/s are normal numbers."""
    if max_abs == 0.0:
        return 1.0
    exponent = math.frexp(max_abs)[1]
    return math.ldexp(1.0, -max(-1000, min(1000, exponent)))


def statistics(stack: Stack) -> Statistics:
    """One pass over ``stack`` by torch; two where W has to be scaled."""
    frob_sq, max_abs, zeros, nonfinite = 0.0, 0.0, 0, 0
    for panel in stack.panels(stack.tall):
        bad = ~torch.isfinite(panel)
        nonfinite += int(bad.sum())
        zeros += panel.numel() - int(torch.count_nonzero(panel))
        panel.masked_fill_(bad, 0.0)
        max_abs = max(max_abs, float(panel.abs().max()))
        frob_sq += _sum_of_squares(panel)
    return checked(stack, frob_sq, max_abs, zeros, nonfinite)


def checked(stack: Stack, frob_sq: float, max_abs: float, zeros: int, nonfinite: int) -> Statistics:
    """Statistics from what one pass found; ``stack`` is read again only if W has to be scaled."""
    if nonfinite:
        return Statistics(math.nan, 1.0, max_abs, zeros, nonfinite, 1)
    if max_abs == 0.0 or SAFE_SUM[0] < frob_sq < SAFE_SUM[1]:
        return Statistics(frob_sq, 1.0, max_abs, zeros, 0, 1)
    scale = power_of_two_scale(max_abs)
    frob_sq = sum(_sum_of_squares(panel.mul_(scale)) for panel in stack.panels(stack.tall))
    return Statistics(frob_sq, scale, max_abs, zeros, 0, 2)


def _sum_of_squares(panel: torch.Tensor) -> float:
    entries = panel.reshape(-1)
    return float(torch.dot(entries, entries))

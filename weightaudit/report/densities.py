"""Densities of eigenvalues λ = σ² to be drawn beside those of a matrix; `power-law.js` has the same for the page."""

from __future__ import annotations

import math

from weightaudit.records import Bulk, TailFit


def random_density(bulk: Bulk, count: int, x: float) -> float:
    """Marchenko and Pastur's at λ = ``x``, of the share of the ``count`` eigenvalues that are no spikes.

    The edges s(√m ± √n) of the singular values say all of it: half their distance is s√n.
    """
    low, high = bulk.lower**2, bulk.upper**2
    if not low < x < high:
        return 0.0
    share = 1 - bulk.spikes / count
    return share * 2 * math.sqrt((high - x) * (x - low)) / (math.pi * (bulk.upper - bulk.lower) ** 2 * x)


def tail_density(tail: TailFit, count: int, x: float) -> float:
    """The fitted power law's at λ = ``x`` ≥ x_min, of its tail's share of the ``count`` eigenvalues."""
    share = tail.count / count
    return share * (tail.alpha - 1) / tail.x_min * math.pow(x / tail.x_min, -tail.alpha)


def curve_points(low: float, high: float, points: int = 160) -> list[float]:
    """Numbers from ``low`` to ``high``, evenly spaced on a logarithmic axis."""
    return [low * (high / low) ** (i / points) for i in range(points + 1)]

"""Both sides of the source's bounds, as plain formulas. docs/derivations.md rebuilds each from its proof."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

Values = TypeVar("Values", float, Tensor)
"""One number, or those of several test inputs."""


def inverse_stable_rank_mean(spectral: Sequence[float], frobenius: Sequence[float]) -> float:
    """(1/K) Σ_k σ₁(W_k)/‖W_k‖_F: the left side of Lemma 4, whose stable rank has no square. NaN for a zero matrix.

    Example:
        >>> inverse_stable_rank_mean([3.0, 1.0], [5.0, 1.0])
        0.8
    """
    if 0.0 in frobenius:
        return math.nan
    return sum(sigma / norm for sigma, norm in zip(spectral, frobenius, strict=True)) / len(spectral)


def low_rank_bound(decay: float, norm: float, depth: int, radius: float, slope: float) -> float:
    """(λ ω^{2−K} / (B s))^{1/K}: the right side of Lemma 4, a lower bound on `inverse_stable_rank_mean`.

    ``norm`` is ω, ``radius`` B = max‖x_i‖, ``slope`` s: mean|ℓ'|, or the loss for a weaker bound. s = 0, which no
    stationary point but zero has, makes the bound infinite. ω = 0 makes it NaN: of zero the lemma says nothing.

    Example:
        >>> round(low_rank_bound(decay=0.5, norm=2.0, depth=3, radius=1.0, slope=2.0), 12)
        0.5
    """
    if norm == 0.0:
        return math.nan
    if slope == 0.0:
        return math.inf
    # In logarithms, because powers of a norm that is on its way to zero overflow.
    logarithm = math.log(decay) + (2 - depth) * math.log(norm) - math.log(radius * slope)
    return math.exp(logarithm / depth)


def shallow_length_bound(
    start: Values, decay: float, rate: float, steps: int, output_norm: Values, epsilon: Values
) -> Values:
    """(1−ηλ)^T ‖W_0 x'‖ + ‖a‖ε/λ: the right side of Lemma 5, an upper bound on ‖W_T x'‖ for 0 < ηλ ≤ 1.

    ``start`` is ‖W_0 x'‖, ``output_norm`` ‖a‖.

    Example:
        >>> shallow_length_bound(start=8.0, decay=0.5, rate=1.0, steps=3, output_norm=2.0, epsilon=0.25)
        2.0
    """
    return (1 - rate * decay) ** steps * start + output_norm * epsilon / decay


def merging_gap_bound(output_norm: Values, length: Values) -> Values:
    """‖a‖ ‖W'x‖: the right side of Corollary 1, an upper bound on |f_{W+W'}(x) − f_W(x)|.

    Example:
        >>> merging_gap_bound(output_norm=2.0, length=0.75)
        1.5
    """
    return output_norm * length


def end_to_end_radius(objective: float, decay: float, depth: int) -> float:
    """C = (2L_λ(θ_0)/(λK))^{K/2} ≥ ‖w_t‖ for all t, w = (W_K … W_1)ᵀ of balanced linear networks.

    Example:
        >>> end_to_end_radius(objective=1.5, decay=0.25, depth=3)
        8.0
    """
    return float((2 * objective / (decay * depth)) ** (depth / 2))


def linear_flow_bound(
    time: float, decay: float, depth: int, start: Values, start_norm: float, radius: float, epsilon: Values
) -> Values:
    """e^{−λt} (C/‖w_0‖)^{1−1/K} |⟨w_0, x'⟩| + C^{2−2/K} ε/λ, an upper bound on |⟨w_t, x'⟩| (Theorem 1).

    ``start`` is |⟨w_0, x'⟩|, ``start_norm`` ‖w_0‖ > 0, ``radius`` C. Time is in units of the flow's t.

    Example:
        >>> linear_flow_bound(0.0, decay=0.5, depth=2, start=3.0, start_norm=1.0, radius=4.0, epsilon=0.25)
        8.0
    """
    growth: float = (radius / start_norm) ** (1 - 1 / depth)
    reach: float = radius ** (2 - 2 / depth)
    return math.exp(-decay * time) * growth * start + reach * epsilon / decay


def linear_flow_bound_by_convergence(
    time: float,
    decay: float,
    depth: int,
    start: Values,
    least_norm: float,
    objective: float,
    radius: float,
    epsilon: Values,
) -> Values:
    """G (e^{−λt/2} |⟨w_0, x'⟩| + 2 C^{2−2/K} ε/λ), G = exp((K−1)² L_λ(θ_0) / (2λK c^{2/K})): by the source's own route.

    ``least_norm`` is c ≤ ‖w‖ on [0, t], ``objective`` L_λ(θ_0).

    Example:
        >>> linear_flow_bound_by_convergence(
        ...     0.0, decay=0.5, depth=1, start=3.0, least_norm=1.0, objective=9.0, radius=2.0, epsilon=1.0
        ... )
        7.0
    """
    exponent = (depth - 1) ** 2 * objective / (2 * decay * depth * least_norm ** (2 / depth))
    reach: float = radius ** (2 - 2 / depth)
    terms = math.exp(-decay * time / 2) * start + 2 * reach * epsilon / decay
    # exp overflows above 709; such a bound says nothing.
    return math.exp(exponent) * terms if exponent < 700 else terms + math.inf

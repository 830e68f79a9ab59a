"""Both sides of the source's bounds, as plain formulas.

The source's text has come down without its formulas; each is rebuilt here from its proof, and the docstring says how.
Throughout: L(θ) = (1/n) Σ ℓ(y_i f(x_i)), ℓ(z) = log(1 + e^{−z}), L_λ(θ) = L(θ) + (λ/2)‖θ‖², and for the logistic loss
|ℓ'(z)| = 1/(1 + e^z) ≤ min(1, ℓ(z)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def inverse_stable_rank_mean(spectral: Sequence[float], frobenius: Sequence[float]) -> float:
    """(1/K) Σ_k σ₁(W_k)/‖W_k‖_F: the left side of Lemma 4, the inverse of the harmonic mean of stable ranks.

    The source's stable rank is here ‖W‖_F/σ₁, without the square (its section 4, after Timor et al. 2023).

    NaN where a matrix is zero.

    Example:
        >>> inverse_stable_rank_mean([3.0, 1.0], [5.0, 1.0])
        0.8
    """
    if 0.0 in frobenius:
        return math.nan
    return sum(sigma / norm for sigma, norm in zip(spectral, frobenius, strict=True)) / len(spectral)


def low_rank_bound(decay: float, norm: float, depth: int, radius: float, slope: float) -> float:
    """(λ ω^{2−K} / (B s))^{1/K}: the right side of Lemma 4, a lower bound on `inverse_stable_rank_mean`.

    Derivation. f is homogeneous of degree 1 in each W_k, so Euler's theorem gives ⟨W_k, ∂f/∂W_k⟩ = f, and the inner
    product of λW_k = −∂L/∂W_k with W_k is λ‖W_k‖² = mean |ℓ'| y f, the same for every layer (Lemma 3): ω = ‖W_k‖_F.
    As y f ≤ B Π σ₁(W_k) with B = max‖x_i‖, λω² ≤ B · mean|ℓ'| · Π σ₁(W_k). The mean of the K ratios σ₁(W_k)/ω is at
    least their geometric mean, (Π σ₁(W_k))^{1/K}/ω. Together: the bound with s = mean|ℓ'| (eq. 2); |ℓ'| ≤ ℓ makes
    s = L(θ) a weaker one (eq. 3).

    Away from exact stationarity: where λ‖W_k‖² (1 − τ) ≤ mean |ℓ'| y f for every k, and ω is the geometric mean of the
    norms, the same steps give the bound times (1 − τ)^{1/K}; no equality of norms is needed then.

    ``slope`` is s; s = 0, which no stationary point but zero has, makes the bound infinite. ω = 0 makes it NaN: of zero
    the lemma says nothing.

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
    start: float, decay: float, rate: float, steps: int, output_norm: float, epsilon: float
) -> float:
    """(1−ηλ)^T ‖W_0 x'‖ + ‖a‖ε/λ: the right side of Lemma 5, an upper bound on ‖W_T x'‖. For 0 < ηλ ≤ 1.

    Derivation. f(x) = aᵀσ(Wx) with a fixed, so a step is W ← (1−ηλ)W + η mean_i |ℓ'_i| y_i (a ∘ 1[Wx_i > 0]) x_iᵀ.
    Applied to x' with |⟨x_i, x'⟩| ≤ ε, and with |ℓ'| ≤ 1: ‖W_{t+1}x'‖ ≤ (1−ηλ)‖W_t x'‖ + η‖a‖ε. Unrolled over T steps
    the last terms make η‖a‖ε Σ_{s<T} (1−ηλ)^s ≤ ‖a‖ε/λ. ``start`` is ‖W_0 x'‖, ``output_norm`` is ‖a‖.

    Example:
        >>> shallow_length_bound(start=8.0, decay=0.5, rate=1.0, steps=3, output_norm=2.0, epsilon=0.25)
        2.0
    """
    return float((1 - rate * decay) ** steps * start + output_norm * epsilon / decay)


def merging_gap_bound(output_norm: float, length: float) -> float:
    """‖a‖ ‖W'x‖: the right side of Corollary 1, an upper bound on |f_{W+W'}(x) − f_W(x)|.

    Derivation. The gap is aᵀ(σ(Wx + W'x) − σ(Wx)); Cauchy–Schwarz, and |σ(u) − σ(v)| ≤ |u − v|. With `Lemma 5's
    <shallow_length_bound>` bound for ``length`` it is one in T and ε.

    Example:
        >>> merging_gap_bound(output_norm=2.0, length=0.75)
        1.5
    """
    return output_norm * length


def end_to_end_radius(objective: float, decay: float, depth: int) -> float:
    """C = (2L_λ(θ_0)/(λK))^{K/2} ≥ ‖w_t‖ for all t, w = (W_K … W_1)ᵀ of balanced linear networks.

    Derivation. L_λ does not increase along the flow, and balanced layers have ‖W_k‖_F^K = ‖w‖ each, so
    (λK/2)‖w_t‖^{2/K} = (λ/2)‖θ_t‖² ≤ L_λ(θ_0) = ``objective``.

    Example:
        >>> end_to_end_radius(objective=1.5, decay=0.25, depth=3)
        8.0
    """
    return float((2 * objective / (decay * depth)) ** (depth / 2))


def linear_flow_bound(
    time: float, decay: float, depth: int, start: float, start_norm: float, radius: float, epsilon: float
) -> float:
    """e^{−λt} (C/‖w_0‖)^{1−1/K} |⟨w_0, x'⟩| + C^{2−2/K} ε/λ, an upper bound on |⟨w_t, x'⟩| (Theorem 1, rebuilt).

    The gap of Theorem 1 is that number: with end-to-end vectors summed, f_{w+w'}(x) − f_w(x) = ⟨w', x⟩.

    Derivation. From a balanced start (Arora et al. 2018, Theorem 1, with weight decay)
        dw/dt = −λK w − ‖w‖^{2−2/K} (I + (K−1) ŵŵᵀ) ∇L(w),   ŵ = w/‖w‖                                (eq. 4)
    and with x' (eq. 5):
        d⟨w,x'⟩/dt = −a⟨w,x'⟩ − b,   a = λK + (K−1)‖w‖^{−2/K}⟨w,∇L⟩,   b = ‖w‖^{2−2/K}⟨∇L,x'⟩.
    Eq. 4 times w gives d log‖w‖/dt = −λK − K‖w‖^{−2/K}⟨w,∇L⟩, hence a = λ − (1−1/K) d log‖w‖/dt, and the equation
    integrates to
        ⟨w_t,x'⟩ = e^{−λt} (‖w_t‖/‖w_0‖)^{1−1/K} ⟨w_0,x'⟩ − ∫_0^t e^{−λ(t−s)} (‖w_t‖‖w_s‖)^{1−1/K} ⟨∇L(w_s),x'⟩ ds.
    Now ‖w‖ ≤ C (`end_to_end_radius`), and |⟨∇L,x'⟩| ≤ ε because |ℓ'| ≤ 1 and |⟨x_i,x'⟩| ≤ ε.

    What is rebuilt: that the bound has an exponentially decaying term and one in ε, eqs. 4 and 5, the constant C and
    its reason are in the source's text; the constants of the two terms are not. Its proof bounds ∫a by a convergence
    lemma (see `linear_flow_bound_by_convergence`), where we integrate it, which gives a sharper bound.

    ``start`` is |⟨w_0, x'⟩|, ``start_norm`` ‖w_0‖ > 0, ``radius`` C. Time is in units of the flow's t.

    Example:
        >>> linear_flow_bound(0.0, decay=0.5, depth=2, start=3.0, start_norm=1.0, radius=4.0, epsilon=0.25)
        8.0
    """
    growth = (radius / start_norm) ** (1 - 1 / depth)
    return float(math.exp(-decay * time) * growth * start + radius ** (2 - 2 / depth) * epsilon / decay)


def linear_flow_bound_by_convergence(
    time: float,
    decay: float,
    depth: int,
    start: float,
    least_norm: float,
    objective: float,
    radius: float,
    epsilon: float,
) -> float:
    """G (e^{−λt/2} |⟨w_0, x'⟩| + 2 C^{2−2/K} ε/λ), G = exp((K−1)² L_λ(θ_0) / (2λK c^{2/K})): the source's own route.

    Derivation, following its proof of Theorem 3. With Φ(w) = L(w) + (λK/2)‖w‖^{2/K}, eq. 4 is
    dw/dt = −‖w‖^{2−2/K}(I + (K−1)ŵŵᵀ)∇Φ, so dΦ/dt ≤ −K‖w‖^{−2/K}⟨w,∇Φ⟩², and ∫_0^t ‖w‖^{−2/K}⟨w,∇Φ⟩² ≤ Φ(w_0)/K
    (Lemma 6). Further a = λ + (K−1)r with r = ‖w‖^{−2/K}⟨w,∇Φ⟩; where ‖w‖ ≥ c on [0, t], Jensen's inequality gives
    |∫_s^t r| ≤ √((t−s) Φ(w_0)/(K c^{2/K})), and (K−1)√(τq) ≤ λτ/2 + (K−1)²q/(2λ) (the use of its Proposition 1).
    c = ``least_norm`` is not in the text that we have; some lower bound is needed, since r has ‖w‖ in its denominator.

    Example:
        >>> linear_flow_bound_by_convergence(
        ...     0.0, decay=0.5, depth=1, start=3.0, least_norm=1.0, objective=9.0, radius=2.0, epsilon=1.0
        ... )
        7.0
    """
    exponent = (depth - 1) ** 2 * objective / (2 * decay * depth * least_norm ** (2 / depth))
    terms = math.exp(-decay * time / 2) * start + 2 * radius ** (2 - 2 / depth) * epsilon / decay
    # exp overflows above 709; such a bound says nothing.
    return math.exp(exponent) * terms if exponent < 700 else math.inf

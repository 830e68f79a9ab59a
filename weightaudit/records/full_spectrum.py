"""All singular values of one matrix, and what their distribution looks like."""

from __future__ import annotations

from dataclasses import dataclass

ENERGY_SHARES = (0.9, 0.95, 0.99)
"""Shares of ‖W‖_F² of which it is told how few singular values hold them."""


@dataclass(frozen=True)
class Alternative:
    """Another distribution of the same tail beside the power law (Vuong 1989).

    ``ratio`` is the normalised log-likelihood ratio of the power law to it, positive where the power law is likelier;
    ``p_value`` is the probability of a ratio as far from 0 if neither were better.
    """

    ratio: float
    p_value: float


@dataclass(frozen=True)
class TailFit:
    """The power law p(λ) ∝ λ^(−α) of those eigenvalues λ = σ² that are ``x_min`` at least (Clauset, Shalizi & Newman
    2009).

    Attributes
    ----------
    alpha, alpha_lower, alpha_upper
        Maximum-likelihood exponent, and the ends of its bootstrap interval, x_min chosen anew each time.
    level
        Nominal coverage of that interval, for example 0.95.
    x_min, x_max
        Where the fitted tail begins, chosen by the Kolmogorov–Smirnov distance, and the largest λ.
    count
        Number of λ in the tail.
    distance
        Kolmogorov–Smirnov distance of the tail from the fit.
    p_value
        Of the fit: the share of samples from it that lie further from their own fits; small where it is no power law.
    fits
        Whether the power law is not rejected, and no alternative is significantly likelier.
    lognormal, exponential
        The alternatives.
    hill_alpha
        Hill's estimate of α from the largest half of all λ.
    """

    alpha: float
    alpha_lower: float
    alpha_upper: float
    level: float
    x_min: float
    x_max: float
    count: int
    distance: float
    p_value: float
    fits: bool
    lognormal: Alternative
    exponential: Alternative
    hill_alpha: float


@dataclass(frozen=True)
class Bulk:
    """The Marchenko–Pastur law of a random matrix of this shape beside the singular values.

    Attributes
    ----------
    deviation
        Standard deviation of its entries.
    lower, upper
        Edges of its singular values.
    threshold
        Above it a singular value is a spike: the quantile ``1 − level`` of the largest one by Tracy and Widom's law.
    level
        Probability that a random matrix has a spike.
    spikes
        How many singular values are.
    """

    deviation: float
    lower: float
    upper: float
    threshold: float
    level: float
    spikes: int


@dataclass(frozen=True)
class FullSpectrum:
    """Every singular value of a matrix, in the weights' own units.

    Attributes
    ----------
    singular_values
        All min(rows, cols), descending.
    squared_error
        Each σ² is off by this at most; what lies below its root is rounding.
    shuffled
        Singular values of the same entries in random order, descending, as many: what the shape and the entries alone
        would give. Empty for a product that is known by its factors, of which no entry is read.
    bulk
        The random matrix beside it; None of small sides, of a product, and where spikes leave nothing but rounding.
    tail
        The power law; None where there are too few values.
    energy_ranks
        (share, r) for `ENERGY_SHARES`: the r leading singular values hold at least that share of ‖W‖_F².
    """

    singular_values: tuple[float, ...]
    squared_error: float
    shuffled: tuple[float, ...]
    bulk: Bulk | None
    tail: TailFit | None
    energy_ranks: tuple[tuple[float, int], ...]

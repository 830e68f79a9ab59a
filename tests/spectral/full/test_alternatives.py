"""Log-normal and exponential beside the power law: fits against a search, and decisions on samples of each."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from weightaudit.spectral.full.alternatives import (
    NO_DIFFERENCE,
    against_exponential,
    against_lognormal,
    inverse_mills,
    lognormal_densities,
)

Floats = NDArray[np.float64]


def truncated_normal(y: Floats, mean: float, deviation: float) -> Floats:
    """ln of its density at ``y`` ≥ 0."""
    inside = 0.5 * math.erfc(-mean / deviation / math.sqrt(2.0))
    z = (y - mean) / deviation
    return -0.5 * z**2 - math.log(deviation * math.sqrt(2.0 * math.pi)) - math.log(inside)


@pytest.mark.parametrize("a", [-40.0, -5.0, -1.0, 0.0, 1.0, 4.999, 5.0, 5.001, 20.0, 300.0])
def test_inverse_mills(a: float) -> None:
    with mpmath.workdps(60):
        exact = mpmath.npdf(a) / (mpmath.erfc(a / mpmath.sqrt(2)) / 2)
        assert abs(inverse_mills(a) - exact) <= 1e-12 * exact + 1e-300


@pytest.mark.parametrize(("mean", "deviation"), [(2.0, 0.5), (0.5, 1.0), (-1.0, 1.5)])
def test_the_lognormal_is_the_likeliest(mean: float, deviation: float) -> None:
    """No other mean and deviation make the sample likelier."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(mean, deviation, 6000)
    y = drawn[drawn > 0.0][:1500]
    own = lognormal_densities(y)
    assert own is not None
    best = max(
        float(truncated_normal(y, m, d).sum())
        for m in np.linspace(mean - 1.0, mean + 1.0, 61)
        for d in np.linspace(0.3, 2.5, 45)
    )
    assert own.sum() >= best - 1e-6
    assert own.sum() <= best + 1.0  # the search is coarse
    assert against_lognormal(y, 1.0 / float(y.mean())).ratio < 0.0


def test_decisions() -> None:
    rng = np.random.default_rng(1)
    for n in (300, 1000):
        power = rng.exponential(1.0, n)
        assert against_exponential(power, 1.0 / power.mean()).ratio > 2.0
        assert abs(against_lognormal(power, 1.0 / power.mean()).ratio) < 2.0
        exponential = np.log1p(rng.exponential(1.0, n))
        found = against_exponential(exponential, 1.0 / exponential.mean())
        assert found.ratio < -2.0
        assert found.p_value < 0.05
        lognormal = np.abs(rng.normal(2.0, 0.5, n))
        assert against_lognormal(lognormal, 1.0 / lognormal.mean()).ratio < -5.0


def test_where_the_lognormal_is_the_power_law() -> None:
    """Values more spread than an exponential's have no likelier normal distribution."""
    y = np.concatenate([np.full(50, 0.01), np.full(5, 10.0)])
    assert against_lognormal(y, 1.0 / float(y.mean())) == NO_DIFFERENCE


@pytest.mark.parametrize("y", [np.full(20, 1.0), np.array([0.0, 300.0, 400.0]), np.array([0.0, 1e-8, 2e-8])])
def test_odd_values_give_numbers(y: Floats) -> None:
    for against in (against_lognormal, against_exponential):
        found = against(y, 1.0 / float(y.mean()))
        assert math.isfinite(found.ratio)
        assert 0.0 <= found.p_value <= 1.0

"""The tail's record: what it says of power laws, of what is none, and how often its interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spectral.full.synthetic import power_law_above
from weightaudit.records import TailFit
from weightaudit.spectral import measure
from weightaudit.spectral.full.tail import LEVEL, SMALLEST_COUNT, hill_alpha, tail_of

Floats = NDArray[np.float64]


def tail(y: Floats, seed: int = 0) -> TailFit:
    found = tail_of(np.exp(y), 1.0, np.random.default_rng(seed))
    assert found is not None
    return found


def coverage(alpha: float, share: float, n: int, trials: int, seed: int) -> float:
    """Share of samples whose interval holds their exponent."""
    rng = np.random.default_rng(seed)
    held = 0
    for i in range(trials):
        found = tail(power_law_above(rng, n, alpha, share), seed=i)
        held += found.alpha_lower <= alpha <= found.alpha_upper
    return held / trials


def test_a_power_law_fits() -> None:
    y = power_law_above(np.random.default_rng(0), 300, 2.5, 1.0)
    found = tail(y)
    assert abs(found.alpha - 2.5) < 0.3
    assert found.alpha_lower < found.alpha < found.alpha_upper
    assert found.level == LEVEL
    assert found.p_value > 0.1
    assert found.exponential.ratio > 0.0
    assert found.fits
    assert found.x_max == pytest.approx(math.exp(y[-1]))
    assert found.count == int((np.exp(y) >= found.x_min * (1 - 1e-12)).sum())


@pytest.mark.parametrize("name", ["uniform", "random matrix", "ties"])
def test_what_is_none_does_not_fit(name: str) -> None:
    rng = np.random.default_rng(2)
    random = rng.standard_normal((300, 150))
    squares = {
        "uniform": rng.uniform(1.0, 2.0, 300),
        "random matrix": np.linalg.eigvalsh(random.T @ random),
        "ties": np.concatenate([np.ones(200), np.full(3, 2.0)]),
    }[name]
    assert not tail(np.sort(np.log(squares))).fits


@pytest.mark.parametrize(("n", "trials"), [(80, 10), pytest.param(150, 20, marks=pytest.mark.slow)])
def test_the_interval_holds_the_exponent(n: int, trials: int) -> None:
    assert coverage(2.5, 1.0, n, trials, seed=3) >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "share"), [(2.5, 1.0), (3.5, 0.5), (2.0, 0.3)])
def test_how_often_the_interval_holds_the_exponent(alpha: float, share: float) -> None:
    assert coverage(alpha, share, 300, 200, seed=4) >= 0.88


@pytest.mark.slow
def test_power_laws_are_rejected_as_seldom_as_said() -> None:
    rng = np.random.default_rng(5)
    rejected = sum(tail(power_law_above(rng, 200, 2.5, 1.0), seed=i).p_value <= 0.1 for i in range(200))
    assert rejected / 200 <= 0.17


def test_same_draws_same_numbers() -> None:
    y = power_law_above(np.random.default_rng(6), 100, 2.5, 0.6)
    one, again, other = (tail(y, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert one.alpha == other.alpha


@pytest.mark.parametrize("squares", [np.arange(1.0, SMALLEST_COUNT), np.ones(500), np.array([])])
def test_there_may_be_none(squares: Floats) -> None:
    assert tail_of(squares, 1.0, np.random.default_rng(0)) is None


def test_ties() -> None:
    found = tail(np.sort(np.repeat(np.arange(8.0), 20)))
    assert math.isfinite(found.alpha)
    assert 0.0 <= found.p_value <= 1.0


def test_hill() -> None:
    """Hill's estimate, as it is written down: the mean of ln(λ_i/λ_k) over the k largest."""
    y = np.sort(np.random.default_rng(7).exponential(size=101))
    k = 50
    assert hill_alpha(y) == pytest.approx(1.0 + 1.0 / np.mean(y[-k:] - y[-k - 1]))
    assert math.isnan(hill_alpha(np.zeros(60)))
    large = np.sort(np.random.default_rng(8).exponential(1 / 1.5, 20_000))
    assert abs(hill_alpha(large) - 2.5) < 0.05


def test_against_the_powerlaw_package() -> None:
    powerlaw = pytest.importorskip("powerlaw", reason="the package powerlaw is not installed")
    for seed, (alpha, share) in enumerate([(2.5, 1.0), (3.0, 0.5)]):
        y = power_law_above(np.random.default_rng(seed), 400, alpha, share)
        found, other = tail(y), powerlaw.Fit(np.exp(y), verbose=False)
        assert found.alpha == pytest.approx(other.power_law.alpha, rel=1e-6)
        assert found.x_min == pytest.approx(other.power_law.xmin, rel=1e-9)
        assert found.distance == pytest.approx(other.power_law.D, rel=1e-6)
        ratio, p_value = other.distribution_compare("power_law", "exponential", normalized_ratio=True)
        assert found.exponential.ratio == pytest.approx(ratio, rel=1e-3)
        assert found.exponential.p_value == pytest.approx(p_value, rel=1e-2, abs=1e-4)


def test_rounding_is_no_tail() -> None:
    """The singular values of an orthogonal matrix are one, and what is computed of them is not quite."""
    orthogonal, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((100, 100)))
    full = measure(orthogonal, spectrum="full").full
    assert full
    assert len(set(full.singular_values)) > 1
    assert full.tail is None

"""Fits of power laws: the best of all tails, and none where there can be none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spectral.full.synthetic import plain_fit, power_law_above
from weightaudit.spectral.full import power_law
from weightaudit.spectral.full.power_law import SMALLEST_TAIL, best_fit, best_fits

RNG = np.random.default_rng(0)
SAMPLES = {
    "power law": power_law_above(RNG, 300, 2.5, 1.0),
    "above a body": power_law_above(RNG, 300, 3.0, 0.3),
    "normal": np.sort(RNG.standard_normal(200)),
    "uniform": np.sort(np.log(RNG.uniform(size=150))),
    "ties": np.sort(np.round(RNG.exponential(size=200), 1)),
    "many ties": np.sort(RNG.integers(0, 4, 200).astype(float)),
    "two values": np.repeat([0.0, 1.0], 30),
    "far apart": np.sort(np.concatenate([RNG.exponential(size=60), [700.0]])),
    "least": np.sort(RNG.exponential(size=SMALLEST_TAIL)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_fit_is_the_best_of_all(name: str) -> None:
    y = SAMPLES[name]
    found, plain = best_fit(y), plain_fit(y)
    assert found is not None
    assert plain is not None
    assert found.first == plain.first
    assert math.isclose(found.rate, plain.rate, rel_tol=1e-9)
    assert math.isclose(found.distance, plain.distance, rel_tol=1e-9)


@pytest.mark.parametrize("y", [np.zeros(100), np.full(100, math.log(1 / 3)), np.arange(SMALLEST_TAIL - 1.0)])
def test_there_may_be_none(y: NDArray[np.float64]) -> None:
    assert best_fit(y) is None


def test_many_at_once_are_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.sort(RNG.exponential(size=(9, 120)), axis=1)
    each = [best_fit(y) for y in samples]
    assert list(best_fits(samples)) == each
    monkeypatch.setattr(power_law, "AT_ONCE", 1)
    assert list(best_fits(samples)) == each


def test_few_tails_are_looked_at_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    plain = power_law.distance

    def watched(y: NDArray[np.float64], rate: float) -> float:
        looked_at.append(len(y))
        return plain(y, rate)

    monkeypatch.setattr(power_law, "distance", watched)
    best_fit(power_law_above(np.random.default_rng(1), 1000, 2.5, 0.5))
    assert 0 < len(looked_at) < 300


def test_moving_all_values_moves_nothing_else() -> None:
    y = SAMPLES["above a body"]
    one, moved = best_fit(y), best_fit(y + 4.0)
    assert one is not None
    assert moved is not None
    assert one.first == moved.first
    assert math.isclose(one.rate, moved.rate, rel_tol=1e-12)


@pytest.mark.parametrize("samples", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_the_exponent_is_found(samples: int) -> None:
    rng = np.random.default_rng(2)
    rates = [found.rate for _ in range(samples) if (found := best_fit(power_law_above(rng, 1000, 3.0, 0.4)))]
    assert abs(float(np.median(rates)) - 2.0) < 0.1

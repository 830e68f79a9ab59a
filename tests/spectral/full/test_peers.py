"""The power law beside those of the packages powerlaw and WeightWatcher, where these are installed: they are no
dependency of anything here."""

from __future__ import annotations

import importlib
import math
from types import ModuleType

import numpy as np
import pytest

from weightaudit.spectral.full.power_law import SMALLEST_TAIL
from weightaudit.spectral.full.tail import tail_of

SAMPLES = {
    "power law": lambda rng: rng.pareto(1.5, 300) + 1,
    "power law above a body": lambda rng: np.concatenate([rng.uniform(0, 1, 200), rng.pareto(2.5, 200) + 1]),
    "log-normal": lambda rng: rng.lognormal(0, 1, 300),
    "noise": lambda rng: np.linalg.svd(rng.standard_normal((300, 150)) / 20, compute_uv=False) ** 2,
}


def peer(name: str) -> ModuleType:
    return pytest.importorskip(name, reason=f"{name} is not installed: nothing was compared with it")


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> np.ndarray:
    return np.sort(SAMPLES[request.param](np.random.default_rng(17)))


def test_powerlaw(sample: np.ndarray) -> None:
    # Version 2 looks for no α beyond 3 unless it is told to, and has tolerances that suit values near 1.
    theirs = peer("powerlaw").Fit(sample, verbose=False, parameter_ranges={"alpha": [0, 1000]})
    ours = tail_of(sample, 1.0, np.random.default_rng(0))
    assert ours
    if np.count_nonzero(sample >= theirs.xmin) < SMALLEST_TAIL:
        assert ours.distance >= theirs.power_law.D  # it takes shorter tails too
        return
    assert ours.x_min == pytest.approx(theirs.xmin, rel=1e-9)
    assert ours.alpha == pytest.approx(theirs.power_law.alpha, rel=1e-6)
    assert ours.distance == pytest.approx(theirs.power_law.D, rel=1e-6)
    ratio, p_value = theirs.distribution_compare("power_law", "exponential", normalized_ratio=True)
    assert (ours.exponential.ratio, ours.exponential.p_value) == pytest.approx((ratio, p_value), rel=1e-3, abs=1e-9)


def test_weightwatcher(sample: np.ndarray) -> None:
    peer("weightwatcher")
    theirs = importlib.import_module("weightwatcher.WW_powerlaw").pl_fit(sample)
    ours = tail_of(sample, 1.0, np.random.default_rng(0))
    assert ours
    if len(theirs.data) < SMALLEST_TAIL:
        assert ours.distance >= theirs.D
        return
    assert (ours.x_min, ours.alpha, ours.distance) == pytest.approx((theirs.xmin, theirs.alpha, theirs.D), rel=1e-9)
    assert math.isclose(ours.count, len(theirs.data))

"""The random matrix beside a matrix: spikes that are there are counted; random matrices have them as seldom as said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spectral.full.synthetic import random_matrix
from weightaudit.records import Bulk
from weightaudit.spectral.full.bulk import LEVEL, QUANTILE, SMALLEST_SIDE, bulk_of, largest_of_noise

Floats = NDArray[np.float64]


def bulk(W: Floats) -> Bulk | None:
    squares = np.square(np.linalg.svd(W, compute_uv=False))
    rows, cols = W.shape
    return bulk_of(squares, rows, cols, 1e-12 * float(squares[0]))


def found(W: Floats) -> Bulk:
    one = bulk(W)
    assert one is not None
    return one


def false_alarms(kind: str, shape: tuple[int, int], trials: int, seed: int = 0) -> float:
    """Share of random matrices that have a spike."""
    rng = np.random.default_rng(seed)
    return sum(found(random_matrix(rng, kind, shape)).spikes > 0 for _ in range(trials)) / trials


@pytest.mark.parametrize("trials", [500, pytest.param(4000, marks=pytest.mark.slow)])
def test_the_quantile_is_that_of_the_law(trials: int) -> None:
    """The largest σ² of Gaussian matrices, in the law's own units, exceeds it as often as said."""
    rng, shape = np.random.default_rng(1), (120, 40)
    centre, width = largest_of_noise(*shape)
    above = 0
    for _ in range(trials):
        W = rng.standard_normal(shape)
        above += float(np.linalg.eigvalsh(W.T @ W)[-1]) > centre + QUANTILE * width
    assert abs(above / trials - LEVEL) < 4 * math.sqrt(LEVEL / trials)


@pytest.mark.parametrize(
    ("kind", "shape", "trials"),
    [
        ("signs", (50, 100), 300),
        *(
            pytest.param(kind, shape, 600, marks=pytest.mark.slow)
            for kind, shape in (("normal", (64, 64)), ("uniform", (100, 50)), ("signs", (50, 100)))
        ),
    ],
)
def test_random_matrices_have_spikes_as_seldom_as_said(kind: str, shape: tuple[int, int], trials: int) -> None:
    assert false_alarms(kind, shape, trials) <= LEVEL + 3 * math.sqrt(LEVEL / trials)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("normal", 0.003), ("uniform", 0.0), ("signs", 0.0)])
@pytest.mark.parametrize("shape", [(64, 64), (200, 100), (256, 256), (60, 600)])
def test_how_seldom(kind: str, least: float, shape: tuple[int, int]) -> None:
    rate = false_alarms(kind, shape, 2000, seed=2)
    assert least <= rate <= LEVEL + 2 * math.sqrt(LEVEL / 2000)


@pytest.mark.parametrize("planted", [1, 3, 20])
@pytest.mark.parametrize("shape", [(200, 200), (300, 80), (80, 300)])
def test_planted_spikes_are_counted(shape: tuple[int, int], planted: int) -> None:
    rng = np.random.default_rng(planted)
    U, V = (np.linalg.qr(rng.standard_normal((side, planted)))[0] for side in shape)
    edge = math.sqrt(shape[0]) + math.sqrt(shape[1])
    one = found(rng.standard_normal(shape) + (U * np.linspace(2.0, 30.0, planted) * edge) @ V.T)
    assert one.spikes == planted
    assert abs(one.deviation - 1.0) < 0.05
    assert math.isclose(one.upper, one.deviation * edge)
    assert math.isclose(one.lower, one.deviation * abs(math.sqrt(shape[0]) - math.sqrt(shape[1])), abs_tol=1e-12)


def test_spikes_are_those_above_the_threshold() -> None:
    rng = np.random.default_rng(3)
    W = rng.standard_normal((120, 100)) * np.geomspace(1, 20, 100)
    one = found(W)
    assert one.spikes == int((np.linalg.svd(W, compute_uv=False) > one.threshold).sum()) > 0
    assert one.lower < one.upper < one.threshold
    assert one.level == LEVEL


def test_scale_and_sides() -> None:
    W = np.random.default_rng(4).standard_normal((90, 40))
    one, turned = found(W), found(W.T)
    assert one == turned
    squares = np.square(np.linalg.svd(W, compute_uv=False))
    again = bulk_of(squares, 90, 40, 0.0, scale=0.25)
    assert again is not None
    assert math.isclose(again.deviation, 4 * one.deviation)
    assert math.isclose(again.threshold, 4 * one.threshold)
    assert again.spikes == one.spikes


def test_where_there_is_no_bulk() -> None:
    rng = np.random.default_rng(5)
    assert bulk(rng.standard_normal((100, SMALLEST_SIDE - 1))) is None
    assert bulk(rng.standard_normal((100, 3)) @ rng.standard_normal((3, 50))) is None


def test_equal_values_are_no_spikes() -> None:
    assert found(np.eye(50)).spikes == 0

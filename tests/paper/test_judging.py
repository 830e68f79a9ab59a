"""Intervals and trends, against textbook numbers and pandas; what follows from them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from weightaudit.paper.judging import above, all_of, below, spread, trend


def test_the_interval_is_students() -> None:
    # Mean 3, standard deviation √2.5; t(0.975, 4) = 2.776.
    found = spread([1, 2, 3, 4, 5])
    assert (found.mean, found.draws) == (3.0, 5)
    assert found.sd == pytest.approx(math.sqrt(2.5))
    assert found.high - found.mean == pytest.approx(2.7764 * math.sqrt(2.5 / 5), rel=1e-4)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [spread(row) for row in rng.normal(size=(1000, 5))]
    # 95 % ± five standard errors, or 3.4 %: a normal's interval, which covers 88 %, is told.
    assert abs(np.mean([one.low <= 0.0 <= one.high for one in found]) - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 1000)


def test_draws_without_a_value_do_not_count() -> None:
    assert spread([1.0, math.nan, 3.0]) == spread([1.0, 3.0])
    for nothing in ([], [math.nan], [2.0], [2.0, math.inf]):
        found = spread(nothing)
        assert (found.low, found.high) == (-math.inf, math.inf)
        assert above(found, -1e300) == below(found, 1e300) == "inconclusive"


def test_outcomes_follow_the_whole_interval() -> None:
    found = spread([0.9, 1.0, 1.1])
    assert found.low > 0.7
    assert found.high < 1.3
    assert [above(found, t) for t in (0.7, 1.0, 1.3)] == ["true", "inconclusive", "false"]
    assert [below(found, t) for t in (0.7, 1.0, 1.3)] == ["false", "inconclusive", "true"]
    assert above(spread([1.0, 1.0]), 1.0) == "inconclusive"


def test_all_of() -> None:
    assert all_of(["true", "true"]) == "true"
    assert all_of(["true", "inconclusive"]) == "inconclusive"
    assert all_of(["inconclusive", "false", "true"]) == "false"
    assert all_of([]) == "inconclusive"


def test_the_trend_is_spearmans() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 20).astype(float), rng.integers(0, 6, 20).astype(float)
    assert trend(x, y) == pytest.approx(pd.DataFrame({"x": x, "y": y}).corr("spearman").loc["x", "y"])
    assert trend([0, 1e-5, 1e-2], [0.1, 0.2, 0.9]) == pytest.approx(1.0)
    assert trend([0, 1, 2, 3], [4.0, math.nan, 3.0, 1.0]) == pytest.approx(-1.0)


def test_no_trend_from_too_little() -> None:
    assert math.isnan(trend([0, 1], [0, 1]))
    assert math.isnan(trend([0, 1, 2], [math.nan, 1, 2]))
    assert math.isnan(trend([0, 1, 2], [5, 5, 5]))

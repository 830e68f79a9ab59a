"""The theory, checked numerically: Lemmas 1 to 5, Corollary 1, Theorems 1 and 2 (sections 4 and 5).

A check trains small networks in float64, measures at each point whether what its statement assumes holds there, and
both sides of the statement. It is judged where the assumptions hold; the other points are in the CSV too, and say so.
"""

from __future__ import annotations

import dataclasses

import pandas as pd

from weightaudit.audit import Progress
from weightaudit.paper.charts import Chart
from weightaudit.paper.lemmas import deep_linear, deep_relu, shallow, stationary_points
from weightaudit.paper.lemmas.common import HELD
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.results import Result
from weightaudit.paper.training import single_threaded

__all__ = ["LemmasConfig", "run"]

COLUMNS = 2
"""Panels side by side on the page."""


def run(config: LemmasConfig, progress: Progress) -> Result:
    """All checks. Raises WeightauditError where a gradient flow takes more than the evaluations it may."""
    with single_threaded():
        parts = [
            stationary_points.check(config, progress),
            shallow.check(config, progress),
            deep_linear.check(config, progress),
            deep_relu.check(config, progress),
        ]
    points = pd.concat([part.points for part in parts], ignore_index=True)
    return Result(
        points[_in_order(points)],
        tuple(claim for part in parts for claim in part.claims),
        _placed([chart for part in parts for chart in part.charts]),
    )


def _in_order(points: pd.DataFrame) -> list[str]:
    """What a point is, then whether the assumptions hold, then both sides, then the rest as it came."""
    first = ["part", "case", "depth", "width", "draw", "lambda", "epsilon", "step", "time", HELD, "lhs", "rhs"]
    return [*first, *(column for column in points.columns if column not in first)]


def _placed(charts: list[Chart]) -> tuple[Chart, ...]:
    return tuple(dataclasses.replace(chart, panel=divmod(i, COLUMNS)) for i, chart in enumerate(charts))

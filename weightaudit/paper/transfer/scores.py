"""How well what is known before a merge tells what it loses: within a set of models that were made alike, and over all.

Sides of pairs are not independent: a model is in many. Intervals are of resampled models, or, where a set has several
groups that do not meet, of resampled groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weightaudit.paper.judging import ranks
from weightaudit.paper.transfer.predictors import PREDICTORS

Numbers = NDArray[np.float64]

LOST = 0.25
"""Share of a model's gain above which a merge has lost too much of it."""
LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """Of one predictor in one set: Spearman's correlation with the share lost, its interval, and the area under the
    curve for losing more than `LOST`; NaN where nothing varies."""

    correlation: float
    low: float
    high: float
    auc: float


@dataclass(frozen=True)
class SetScores:
    """Of one set: by predictor; ``beyond_cosine`` the interval of D's correlation less the cosine's; ``side`` the share
    of pairs of which D tells which model loses more; ``lost`` mean shares by weights; ``many`` how many sides lose more
    than `LOST`."""

    part: str
    name: str
    seed: int
    by: dict[str, Score]
    beyond_cosine: tuple[float, float, float]
    side: float
    lost: dict[str, float]
    many: float


def with_lost(points: pd.DataFrame, ways: Sequence[str]) -> pd.DataFrame:
    """``points`` with the share of each model's gain over the base that merging loses it, by weights."""
    gained = points["base_loss"] - points["own_loss"]
    shares = {f"{way}_lost": (points[f"{way}_loss"] - points["own_loss"]) / gained.where(gained > 0) for way in ways}
    return points.assign(**shares)


def scored(rows: pd.DataFrame, ways: Sequence[str], resamples: int) -> SetScores:
    """The scores of the ``rows`` of one set, with intervals of so many ``resamples``."""
    rows = rows[np.isfinite(rows["sum_lost"])].reset_index(drop=True)
    lost = rows["sum_lost"].to_numpy(np.float64)
    values = {name: rows[name].to_numpy(np.float64) for name in PREDICTORS}
    drawn_rows = _resamples(rows, resamples)
    drawn = {name: np.array([spearman(of[some], lost[some]) for some in drawn_rows]) for name, of in values.items()}
    by = {}
    for name, of in values.items():
        low, high = _interval(drawn[name])
        by[name] = Score(spearman(of, lost), low, high, auc(of, lost > LOST))
    beyond = by["disturbance"].correlation - by["cosine"].correlation
    return SetScores(
        part=str(rows["part"].iloc[0]),
        name=str(rows["set"].iloc[0]),
        seed=int(rows["seed"].iloc[0]),
        by=by,
        beyond_cosine=(beyond, *_interval(drawn["disturbance"] - drawn["cosine"])),
        side=_sides(rows),
        lost={way: float(rows[f"{way}_lost"].mean()) for way in ways},
        many=float((lost > LOST).mean()),
    )


def spearman(x: Numbers, y: Numbers) -> float:
    """Spearman's rank correlation; NaN where nothing varies."""
    there = np.isfinite(x) & np.isfinite(y)
    a, b = ranks(x[there]), ranks(y[there])
    if len(a) < 3 or a.std() == 0.0 or b.std() == 0.0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def auc(x: Numbers, positive: NDArray[np.bool_]) -> float:
    """Probability that a positive one has the larger x than one that is not, ties a half; NaN without either."""
    there = np.isfinite(x)
    places, positive = ranks(x[there]), positive[there]
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return math.nan
    return float((places[positive].sum() - many * (many + 1) / 2) / (many * few))


def _resamples(rows: pd.DataFrame, count: int) -> list[NDArray[np.int64]]:
    """Indices of the rows of each of ``count`` resamples."""
    rng = np.random.default_rng(0)
    groups = rows["group"].to_numpy()
    names = np.unique(groups)
    if len(names) > 1:
        own = {name: np.flatnonzero(groups == name) for name in names}
        return [np.concatenate([own[name] for name in rng.choice(names, len(names))]) for _ in range(count)]
    a, b = rows["model"].to_numpy(), rows["other"].to_numpy()
    models = np.unique(np.concatenate([a, b]))
    found = []
    for _ in range(count):
        times = np.bincount(rng.choice(models, len(models)), minlength=models.max() + 1)
        found.append(np.repeat(np.arange(len(rows)), times[a] * times[b]))
    return found


def _interval(drawn: Numbers) -> tuple[float, float]:
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return math.nan, math.nan
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


def _sides(rows: pd.DataFrame) -> float:
    both = rows.merge(
        rows, left_on=["group", "model", "other"], right_on=["group", "other", "model"], suffixes=("", "_there")
    )
    one = both[both["model"] < both["other"]]
    more = np.sign(one["sum_lost"] - one["sum_lost_there"]) == np.sign(one["disturbance"] - one["disturbance_there"])
    return float(more.mean()) if len(more) else math.nan

"""The judgement of merging, on planted rows: as the source says, the other way round, and undecided."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.paper.figure3.planting import CONFIG, STEPS, rows
from weightaudit.paper.figure3 import claims
from weightaudit.paper.figure3.charts import charts
from weightaudit.paper.figure3.claims import NEAR, ORTHOGONAL, OTHER_LABELS, SAME_TASK
from weightaudit.paper.results import Claim

HALF = math.log(2) / 2
"""A loss halfway between that of f = 0 and none."""


def planted(*, draws: int = CONFIG.draws) -> pd.DataFrame:
    """All as the source has it: at λ = 0 the sum is worse, with decay it works from step 50 on."""
    return _planted(draws).copy()


@cache
def _planted(draws: int) -> pd.DataFrame:
    tables = []
    for pair in (ORTHOGONAL, NEAR):
        for step in STEPS:
            begun: dict[str, Any] = {"own": 0.8, "merged": 0.9, "ranks": (6.0, 5.0, 1.0)}
            spoilt: dict[str, Any] = {"merged": HALF, "ranks": (4.0, 3.0, 1.0)}
            tables.append(rows(pair, 0.0, step, draws=draws, **(begun if step == 0 else spoilt)))
            tables.append(rows(pair, 1e-3, step, draws=draws, **(begun if step == 0 else {})))
    for pair in (OTHER_LABELS, SAME_TASK):
        tables += [rows(pair, decay, step, merged=2.0, draws=draws) for decay in (0.0, 1e-3) for step in STEPS]
    return pd.concat(tables, ignore_index=True)


def judged(points: pd.DataFrame) -> dict[str, Claim]:
    found = claims.claims(points, CONFIG, dimension=30, source="Figure 3")
    assert len({claim.id for claim in found}) == len(found)
    return {claim.id: claim for claim in found}


def test_all_is_as_the_source_says() -> None:
    found = judged(planted())
    assert {claim.outcome for claim in found.values()} == {"true"}
    assert list(found) == [
        "sum-works-orthogonal",
        "sum-works-nearly-orthogonal",
        "sum-fails-other-labels",
        "sum-fails-same-task",
        "weight-decay-enables",
        "low-stable-rank",
        "sum-not-average",
    ]
    assert found["sum-works-orthogonal"].numbers["works from step"] == 50
    assert found["low-stable-rank"].numbers["full ranks"] == [20, 20]
    assert claims.notes(planted(), CONFIG) == ()


def changed(pair: str, decay: float, **values: float) -> pd.DataFrame:
    points = planted()
    where = (points["pair"] == pair) & (points["lambda"] == decay) & (points["step"] > 0)
    for name, value in values.items():
        points.loc[where, name] = value * points.loc[where, name]
    return points


@pytest.mark.parametrize(
    ("change", "false"),
    [
        ((ORTHOGONAL, 1e-3, "sum_loss", 30), {"sum-works-orthogonal", "weight-decay-enables"}),
        pytest.param((NEAR, 1e-3, "sum_loss", 30), {"sum-works-nearly-orthogonal"}, marks=pytest.mark.slow),
        ((OTHER_LABELS, 1e-3, "sum_loss", 0.01), {"sum-fails-other-labels"}),
        pytest.param((SAME_TASK, 1e-3, "sum_loss", 0.01), {"sum-fails-same-task"}, marks=pytest.mark.slow),
        # The sum works without decay as well.
        ((ORTHOGONAL, 0.0, "sum_loss", 0.03), {"weight-decay-enables"}),
        # Low, and higher than without decay; not low.
        ((ORTHOGONAL, 0.0, "stable_rank_2", 0.2), {"low-stable-rank"}),
        ((ORTHOGONAL, 1e-3, "stable_rank_1", 3.0), {"low-stable-rank"}),
        ((ORTHOGONAL, 1e-3, "average_loss", 0.01), {"sum-not-average"}),
    ],
)
def test_each_claim_turns_false_by_its_own_numbers(change: tuple[str, float, str, float], false: set[str]) -> None:
    pair, decay, column, factor = change
    points = changed(pair, decay, **{column: factor})
    assert {name for name, claim in judged(points).items() if claim.outcome == "false"} == false


def test_a_share_is_not_all_that_is_asked() -> None:
    """Each claim of two parts is false where the second alone is."""
    # Poor on the same inputs, and poorer still on orthogonal ones.
    points = changed(ORTHOGONAL, 1e-3, sum_loss=300)
    assert judged(points)["sum-fails-other-labels"].outcome == "false"
    # The average keeps too little, and yet more than the sum.
    assert judged(changed(ORTHOGONAL, 1e-3, sum_loss=60))["sum-not-average"].outcome == "false"
    # Without decay little is learnt, and a tenth of it lost; with it much is learnt, and more loss added.
    points = changed(ORTHOGONAL, 1e-3, sum_loss=3)
    bare = (points["pair"] == ORTHOGONAL) & (points["lambda"] == 0.0) & (points["step"] > 0)
    points.loc[bare, ["own_loss", "sum_loss"]] = 0.6, 0.61
    assert judged(points)["weight-decay-enables"].outcome == "false"


def test_a_draw_counts_where_both_networks_have_a_value() -> None:
    table = pd.DataFrame({"draw": [0, 1, 2, 0, 1, 2]})
    values = pd.Series([1.0, 2.0, np.nan, 3.0, np.nan, np.nan])
    assert claims.by_draw(values, table) == pytest.approx([2.0, np.nan, np.nan], nan_ok=True)


def test_nothing_follows_from_one_draw() -> None:
    assert {claim.outcome for claim in judged(planted(draws=1)).values()} == {"inconclusive"}


def test_kept_share() -> None:
    table = pd.DataFrame({"own_loss": [0.0, HALF, 0.69, np.inf], "sum_loss": [HALF, HALF, 0.69, 0.1]})
    shares = claims.kept(table, "sum").tolist()
    assert shares[:2] == pytest.approx([0.5, 1.0])
    # Where nothing was learnt, or training diverged, there is nothing to keep.
    assert all(math.isnan(share) for share in shares[2:])


def test_networks_that_learnt_nothing_are_told_and_do_not_count() -> None:
    points = planted()
    idle = (points["pair"] == ORTHOGONAL) & (points["lambda"] == 1e-3) & (points["draw"] == 2)
    points.loc[idle, ["own_loss", "sum_loss"]] = 0.69
    (note,) = claims.notes(points, CONFIG)
    assert "2 at λ = 0.001" in note
    assert judged(points)["sum-works-orthogonal"].outcome == "true"
    points["own_loss"] = np.nan
    assert "diverged" in claims.notes(points, CONFIG)[1]
    assert judged(points)["sum-works-orthogonal"].outcome == "inconclusive"


def test_the_first_step_from_which_it_works_is_the_one_it_does_not_fall_back_from() -> None:
    points = planted()
    late = (points["pair"] == ORTHOGONAL) & (points["lambda"] == 1e-3) & (points["step"] == 100)
    points.loc[late, "sum_loss"] = HALF
    assert judged(points)["sum-works-orthogonal"].numbers["works from step"] is None


def test_charts_have_a_panel_each_and_mark_what_was_not_learnt() -> None:
    points = planted()
    points.loc[points["lambda"] == 0.0, "own_loss"] = 0.69
    drawn = charts(points, CONFIG)
    panels = [chart.panel for chart in drawn]
    assert len(set(panels)) == len(panels) == 4 + 4 + 2
    against = next(chart for chart in drawn if chart.panel == (1, 0))
    total = against.series[0]
    assert (total.name, list(total.x), total.marked) == ("sum of weights", [0.0, 1e-3], [True, False])
    assert "Hollow" in against.caption
    end = points[(points["pair"] == ORTHOGONAL) & (points["lambda"] == 1e-3) & (points["step"] == 100)]
    assert total.y[1] == pytest.approx((end["sum_loss"] - end["own_loss"]).mean())
    by_draw = (end["sum_loss"] - end["own_loss"]).groupby(end["draw"]).mean()
    assert total.high is not None
    assert total.high[1] - total.y[1] == pytest.approx(by_draw.std(ddof=1))

"""Lemma 4: at a stationary point stable ranks are low, the more so the larger λ (section 4).

The bound and its derivation are `bounds.low_rank_bound`. Its proof needs of stationarity that λ‖W_k‖² = mean |ℓ'| y f,
which kinks do not disturb: so it is also reported where that holds nearly, which it does for ReLU networks that never
become stationary.
"""

from __future__ import annotations

import pandas as pd

from weightaudit.paper.charts import Chart, Series
from weightaudit.paper.judging import spread
from weightaudit.paper.lemmas.common import HELD, ROUNDING, Numbers, by_draw, counted, decided, last, tally
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.stationarity import CASES, GENERIC, STATIONARY
from weightaudit.paper.results import Claim

NEAR = 0.01
"""How far λ‖W_k‖² may be from mean |ℓ'| y f, relatively, at a point that counts as nearly stationary."""


def claim(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Judged at stationary points, by both right sides."""
    holds = holding(points, config)
    judged_on = points[points["case"] != GENERIC.name]
    judged_on = judged_on.assign(**{HELD: judged_on[STATIONARY]})
    numbers: Numbers = {**counted(judged_on, holds[judged_on.index])}
    near = points[(points["radial_residual"] <= NEAR) & ~points["collapsed"]]
    numbers["nearly stationary points, all cases"] = len(near)
    numbers["failures among these"] = int((~holds[near.index]).sum())
    for case in CASES:
        end = last(points[points["case"] == case.name], "step")
        for decay in sorted({end["lambda"].min(), end["lambda"].max()}):
            rows = end[end["lambda"] == decay]
            for column, name in (("lhs", "mean σ₁/‖W‖_F"), ("rhs", "bound"), ("rhs_loss", "bound by the loss")):
                numbers |= spread(by_draw(rows, column)).numbers(f"{case.name}, λ = {decay:g}: {name} at the end")
    margin = (judged_on["lhs"] / judged_on["rhs"])[judged_on[HELD]]
    nearest = f"; the left side is at least {margin.min():.3g} times the right one" if len(margin) else ""
    return Claim(
        id="low-rank",
        text="The mean over layers of σ₁(W_k)/‖W_k‖_F is at least (λω^{2−K}/(B·mean|ℓ'|))^{1/K}, also with the loss in "
        "place of mean|ℓ'|",
        source="Lemma 4",
        numbers=numbers,
        tolerance=f"both sides wherever ‖λθ+∇L‖/‖λθ‖ ≤ {config.stationary:g} (norms are then equal by Lemma 3; their "
        f"geometric mean is taken); relative slack {config.stationary:g} for what is left of the residual",
        outcome=decided(judged_on, holds[judged_on.index], by=("case", "lambda")),
        why=f"{tally(judged_on, holds[judged_on.index])}{nearest}; among all {len(near)} nearly stationary points it "
        f"fails at {numbers['failures among these']}",
    )


def holding(points: pd.DataFrame, config: LemmasConfig) -> pd.Series[bool]:
    """Whether the left side reaches both right sides, with the slack that near stationarity leaves."""
    slack = max(config.stationary, ROUNDING)
    return points["lhs"] >= points[["rhs", "rhs_loss"]].max(axis=1) * (1 - slack)


def chart(points: pd.DataFrame) -> Chart:
    """Left side against right side at the end of every run; hollow where not stationary."""
    points = last(points, "step")
    series = [
        Series(
            case.name,
            of_case["rhs"].tolist(),
            of_case["lhs"].tolist(),
            style="points",
            marked=[not value for value in of_case[STATIONARY].tolist()],
        )
        for case in CASES
        for of_case in [points[(points["case"] == case.name) & points["lhs"].notna()]]
    ]
    ends = [0.0, max(1.0, float(points["rhs"].fillna(0.0).max()))]
    series.append(Series("equal", ends, ends, style="dashed"))
    return Chart(
        "Lemma 4: both sides",
        "lower bound",
        "mean σ₁/‖W‖_F",
        tuple(series),
        caption="All draws and λ, at the last step; hollow where not stationary.",
    )

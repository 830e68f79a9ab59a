"""Lemma 2: at a stationary point of a deep linear network every matrix has rank one (section 4).

Its proof: W_k = −(1/λ) ∂L/∂W_k, and that is (1/λ) (W_K … W_{k+1})ᵀ (mean |ℓ'_i| y_i W_{k−1} … W_1 x_i)ᵀ: an outer
product, because the output is a scalar. Elsewhere W_k differs from a matrix of rank one by (λW_k + ∂L/∂W_k)/λ.
"""

from __future__ import annotations

import pandas as pd

from weightaudit.paper.charts import Chart
from weightaudit.paper.judging import spread
from weightaudit.paper.lemmas.common import BAND, HELD, Numbers, by_draw, counted, decided, last, line, tally
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.stationarity import CASES, LINEAR, ROUNDING, STATIONARY
from weightaudit.paper.results import Claim

FACTOR = 10.0
"""By how much σ₂/σ₁ may exceed the tolerance on ‖λθ+∇L‖/‖λθ‖; for rank one and equal norms √K is what can come."""


def claim(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Judged at the stationary points of linear networks."""
    linear = points[points["case"] == LINEAR.name]
    linear = linear.assign(**{HELD: linear[STATIONARY]})
    limit = FACTOR * config.stationary
    holds = linear["sigma_ratio"] <= limit
    numbers: Numbers = {**counted(linear, holds)}
    for case in CASES:
        of_case = last(points[points["case"] == case.name], "step")
        numbers |= spread(by_draw(of_case, "sigma_ratio")).numbers(f"{case.name}: largest σ₂/σ₁ at the end")
    numbers["points where σ₂ exceeds ‖λW+∂L/∂W‖/λ"] = int((linear["rank_one_excess"] > ROUNDING).sum())
    return Claim(
        id="rank-one",
        text="Every weight matrix of a deep linear network tends to rank one",
        source="Lemma 2",
        numbers=numbers,
        tolerance=f"σ₂/σ₁ of every matrix at most {limit:g} where ‖λθ+∇L‖/‖λθ‖ ≤ {config.stationary:g}",
        outcome=decided(linear, holds, by=("lambda",)),
        why=tally(linear, holds),
    )


def chart(points: pd.DataFrame) -> Chart:
    """σ₂/σ₁ of linear networks along training, by λ."""
    linear = points[points["case"] == LINEAR.name]
    series = tuple(
        line(of_decay, "step", "sigma_ratio", f"λ = {decay:g}", group=f"{decay:g}")
        for decay, of_decay in linear.groupby("lambda")
    )
    return Chart(
        "Lemma 2: deep linear networks",
        "step",
        "largest σ₂/σ₁",
        series,
        log_x=True,
        log_y=True,
        caption=BAND,
    )

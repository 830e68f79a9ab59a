"""Lemma 1: gradient descent on a smooth regularised objective ends where the weights are aligned with −∇L (section 4).

Its proof: with η ≤ 1/β the descent lemma gives L_λ(θ_{t+1}) ≤ L_λ(θ_t) − (η/2)‖∇L_λ(θ_t)‖²; summed, ‖∇L_λ‖² has a
finite sum and tends to 0, so that λθ + ∇L(θ) → 0, and cos(θ, −∇L) → 1 unless θ → 0.
"""

from __future__ import annotations

import pandas as pd

from weightaudit.paper.charts import Chart
from weightaudit.paper.judging import spread
from weightaudit.paper.lemmas.common import BAND, HELD, Numbers, by_draw, decided, last, line
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.stationarity import CASES, GENERIC
from weightaudit.paper.results import Claim


def claim(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Judged at the end of the runs in which every recorded step descended as the descent lemma says."""
    runs = points.groupby(["case", "draw", "lambda"])["sufficient_descent"].transform("all")
    end = last(points.assign(**{HELD: runs & ~points["collapsed"]}), "step")
    aligned = (end["residual"] <= config.stationary) & (1 - end["cosine"] <= config.stationary)
    numbers: Numbers = {}
    for case in CASES:
        of_case = end[end["case"] == case.name]
        numbers |= spread(by_draw(of_case, "residual")).numbers(f"{case.name}: ‖λθ+∇L‖/‖λθ‖ at the end")
        numbers |= spread(by_draw(of_case, "cosine")).numbers(f"{case.name}: cos(θ, −∇L) at the end")
        numbers[f"{case.name}: runs that descended throughout"] = int(of_case[HELD].sum())
        numbers[f"{case.name}: runs"] = len(of_case)
    judged_on = end[end["case"] != GENERIC.name]
    held = judged_on[judged_on[HELD]]
    generic = end[end["case"] == GENERIC.name]
    count = int(aligned[held.index].sum())
    return Claim(
        id="alignment",
        text="Gradient descent with weight decay on a smooth objective ends at λθ = −∇L(θ): weights and negative "
        "gradient point in one direction",
        source="Lemma 1",
        numbers=numbers,
        tolerance=f"‖λθ+∇L‖/‖λθ‖ and 1 − cos(θ, −∇L) at most {config.stationary:g} at the last step, for linear "
        "networks and for ReLU networks on separable inputs, in runs all of whose recorded steps descended as η ≤ 1/β "
        "promises",
        outcome=decided(judged_on, aligned, by=("case", "lambda")),
        why=f"{count} of {len(held)} such runs are aligned; of {len(generic)} runs of ReLU networks on generic inputs, "
        f"which meet kinks, {int(generic[HELD].sum())} descended throughout, {int(aligned[generic.index].sum())} are",
    )


def chart(points: pd.DataFrame) -> Chart:
    """The residual along training at the middle λ."""
    decays = sorted(points["lambda"].unique())
    shown = points[points["lambda"] == decays[len(decays) // 2]]
    series = tuple(line(shown[shown["case"] == case.name], "step", "residual", case.name) for case in CASES)
    return Chart(
        f"Lemma 1: distance from alignment, λ = {decays[len(decays) // 2]:g}",
        "step",
        "‖λθ+∇L‖/‖λθ‖",
        series,
        log_x=True,
        log_y=True,
        caption=BAND,
    )

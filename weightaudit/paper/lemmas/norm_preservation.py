"""Lemma 3: at a stationary point all layers of a homogeneous network have the same Frobenius norm (section 4).

Its proof: λ‖W_k‖² = −⟨W_k, ∂L/∂W_k⟩ = mean |ℓ'| y f by Euler's theorem, which does not depend on k.
"""

from __future__ import annotations

import pandas as pd

from weightaudit.paper.charts import Chart
from weightaudit.paper.judging import spread
from weightaudit.paper.lemmas.common import BAND, HELD, Numbers, by_draw, counted, decided, last, line, tally
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.stationarity import CASES, GENERIC, STATIONARY
from weightaudit.paper.results import Claim

FACTOR = 10.0
"""By how much max/min − 1 may exceed the tolerance on ‖λθ+∇L‖/‖λθ‖, to which it is proportional."""


def claim(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Judged at stationary points, of linear networks and of ReLU networks on separable inputs."""
    judged_on = points[points["case"] != GENERIC.name]
    judged_on = judged_on.assign(**{HELD: judged_on[STATIONARY]})
    limit = FACTOR * config.stationary
    holds = judged_on["norm_spread"] - 1 <= limit
    numbers: Numbers = {**counted(judged_on, holds)}
    for case in CASES:
        of_case = points[points["case"] == case.name]
        for when, rows in (("start", of_case[of_case["step"] == 0]), ("end", last(of_case, "step"))):
            rows = rows.assign(excess=rows["norm_spread"] - 1)[~rows["collapsed"]]
            numbers |= spread(by_draw(rows, "excess")).numbers(f"{case.name}: max/min − 1 at the {when}")
    generic = last(points[(points["case"] == GENERIC.name) & ~points["collapsed"]], "step")
    return Claim(
        id="norm-preservation",
        text="The Frobenius norms of all layers of a homogeneous network become equal",
        source="Lemma 3",
        numbers=numbers,
        tolerance=f"largest over smallest ‖W_k‖_F at most 1 + {limit:g} where ‖λθ+∇L‖/‖λθ‖ ≤ {config.stationary:g}, "
        "for linear networks and for ReLU networks on separable inputs",
        outcome=decided(judged_on, holds, by=("case", "lambda")),
        why=f"{tally(judged_on, holds)}; {int(generic[STATIONARY].sum())} of {len(generic)} ReLU networks on generic "
        f"inputs become stationary, but all end within {generic['norm_spread'].max() - 1:.2g} of it",
    )


def chart(points: pd.DataFrame) -> Chart:
    """max/min − 1 along training at the middle λ."""
    decays = sorted(points["lambda"].unique())
    shown = points[points["lambda"] == decays[len(decays) // 2]]
    shown = shown.assign(excess=shown["norm_spread"] - 1)
    return Chart(
        f"Lemma 3: spread of norms over layers, λ = {decays[len(decays) // 2]:g}",
        "step",
        "max/min of ‖W_k‖_F, less 1",
        tuple(line(shown[shown["case"] == case.name], "step", "excess", case.name) for case in CASES),
        log_x=True,
        log_y=True,
        caption=BAND,
    )

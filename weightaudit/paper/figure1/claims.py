"""What the paper finds in pretrained transformers (Section 6.1, Figure 1), each finding judged from a scan's rows.

The paper says "same order", "small", "largely unchanged", "quite different"; the numbers below that make these words
decidable are ours, and were fixed before any model was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from weightaudit.means import harmonic_mean
from weightaudit.paper.results import Claim, Number, judged

ROLES = ("Q", "K", "V", "O", "QKV", "M1", "M2")
LAYER_WEIGHTS = ("QKV", "M1", "M2")
"""What Lemma 3 takes for a transformer layer's weights; O would be the fourth, and is not like them."""

GENERALLY = 0.9
"""Share of layers or matrices for which "generally" holds."""
ORDER = 10.0
"""Largest over smallest norm within one order of magnitude."""
LOW = 0.1
"""Stable rank over full rank that is far below it. An i.i.d. random square matrix has 1/4, a 4n × n one 4/9."""
STEADY = 0.25
"""Standard deviation over mean of a norm that hardly changes across layers."""


@dataclass(frozen=True)
class Measured:
    """One model's answer: whether the finding holds in it, and the numbers."""

    holds: bool | None
    numbers: dict[str, Number]


def claims(points: pd.DataFrame) -> tuple[Claim, ...]:
    """The findings over all models in ``points`` (rows of a scan). True where a finding holds in every model."""
    return (
        _claim(
            "norms-of-one-order",
            "Within a layer, the Frobenius norms of QKV, M1 and M2 are of one order of magnitude.",
            f"in every model, largest/smallest ≤ {ORDER:g} in at least {GENERALLY:.0%} of the layers",
            points,
            _norms_of_one_order,
        ),
        _claim(
            "stable-ranks-low",
            "Stable ranks are far below the dimension.",
            f"in every model, stable rank ≤ {LOW:g} · min(rows, columns) for at least {GENERALLY:.0%} of the matrices",
            points,
            _stable_ranks_low,
        ),
        _claim(
            "norms-steady-across-layers",
            "The Frobenius norm of a role hardly changes across layers, for Q, K and V too.",
            f"in every model, standard deviation/mean over the layers ≤ {STEADY:g} for every role",
            points,
            _norms_steady,
        ),
        _claim(
            "o-differs",
            "The Frobenius norm of O is unlike those of QKV, M1 and M2.",
            f"in every model, O lies outside their range in at least {GENERALLY:.0%} of the layers",
            points,
            _o_differs,
        ),
    )


def _claim(
    identifier: str, text: str, tolerance: str, points: pd.DataFrame, measure: Callable[[pd.DataFrame], Measured]
) -> Claim:
    answers = {str(model): measure(rows) for model, rows in points.groupby("model", sort=False)}
    told = [answer.holds for answer in answers.values() if answer.holds is not None]
    holding = [model for model, answer in answers.items() if answer.holds]
    silent = [model for model, answer in answers.items() if answer.holds is None]
    why = f"it holds in {len(holding)} of {len(told)} models"
    if failing := [model for model, answer in answers.items() if answer.holds is False]:
        why += f"; not in {', '.join(failing)}"
    if silent:
        why += f"; {', '.join(silent)} cannot tell, having no such roles or layers"
    return Claim(
        id=identifier,
        text=text,
        source="Figure 1, Section 6.1",
        numbers={"models": list(answers), **_side_by_side([one.numbers for one in answers.values()])},
        tolerance=tolerance,
        outcome=judged(None if not told else all(told)),
        why=why,
    )


def _side_by_side(models: Sequence[Mapping[str, Number]]) -> dict[str, Number | list[Number]]:
    """Every number as a list over the models, None where one has it not."""
    names = dict.fromkeys(name for numbers in models for name in numbers)
    return {name: [numbers.get(name) for numbers in models] for name in names}


def _norms(rows: pd.DataFrame) -> pd.DataFrame:
    """Frobenius norms, a row each layer, a column each role, the experts of a mixture averaged; only whole layers."""
    return rows.pivot_table(index=["stack", "layer"], columns="role", values="frobenius_norm", aggfunc="mean")


def _norms_of_one_order(rows: pd.DataFrame) -> Measured:
    norms = _norms(rows)
    if not set(LAYER_WEIGHTS) <= set(norms):
        return Measured(None, {})
    weights = norms[list(LAYER_WEIGHTS)].dropna()
    ratios = weights.max(axis=1) / weights.min(axis=1)
    share = float((ratios <= ORDER).mean())
    return Measured(
        share >= GENERALLY,
        {"share of layers": share, "median ratio": float(ratios.median()), "largest ratio": float(ratios.max())},
    )


def _stable_ranks_low(rows: pd.DataFrame) -> Measured:
    rows = rows[rows["stable_rank"].notna()]
    if rows.empty:
        return Measured(None, {})
    relative = rows["stable_rank"] / rows[["rows", "cols"]].min(axis=1)
    share = float((relative <= LOW).mean())
    # Q, K and V are within QKV; each weight counts once, as in the lemma's mean over layers.
    layers = rows[rows["role"].isin((*LAYER_WEIGHTS, "O"))]
    return Measured(
        share >= GENERALLY,
        {
            "share of matrices": share,
            "largest stable rank / full rank": float(relative.max()),
            "median stable rank / full rank": float(relative.median()),
            "harmonic mean of stable ranks (QKV, O, M1, M2)": harmonic_mean(layers["stable_rank"]),
        },
    )


def _norms_steady(rows: pd.DataFrame) -> Measured:
    norms = _norms(rows)
    if len(norms) < 2:
        return Measured(None, {})
    steadiness = {role: norms[role].dropna() for role in ROLES if role in norms}
    spread = {role: float(values.std(ddof=0) / values.mean()) for role, values in steadiness.items()}
    numbers: dict[str, Number] = {f"{role} std/mean": value for role, value in spread.items()}
    numbers |= {f"{role} max/min": float(values.max() / values.min()) for role, values in steadiness.items()}
    return Measured(all(value <= STEADY for value in spread.values()), numbers)


def _o_differs(rows: pd.DataFrame) -> Measured:
    norms = _norms(rows)
    if not {*LAYER_WEIGHTS, "O"} <= set(norms):
        return Measured(None, {})
    norms = norms[[*LAYER_WEIGHTS, "O"]].dropna()
    others = norms[list(LAYER_WEIGHTS)]
    outside = (norms["O"] < others.min(axis=1)) | (norms["O"] > others.max(axis=1))
    ratio = norms["O"] / np.exp(np.log(others).mean(axis=1))
    share = float(outside.mean())
    return Measured(
        share >= GENERALLY,
        {"share of layers": share, "median of O / geometric mean of QKV, M1, M2": float(ratio.median())},
    )

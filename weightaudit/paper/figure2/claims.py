"""What Figure 2 claims, judged: the average inverse stable rank grows with λ, large errors or not.

Networks with a collapsed matrix are left out of every judgement: a matrix that decays towards zero keeps the shape of
its last noise, so its stable rank says nothing of λ.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd

from weightaudit.paper.judging import LEVEL, Spread, above, all_of, spread, trend
from weightaudit.paper.results import Claim, Numbers, Outcome

RANK = "inverse_stable_rank"
NAMES = {"linear": "sign⟨w, x⟩", "sine": "sign(sin 4⟨w, x⟩)"}
LARGE = 0.1
"""Share of the training points on the wrong side from which on errors are large."""

_GROWS = (
    f"two {LEVEL:.0%} Student intervals over the draws lie above 0: that of Spearman's correlation between λ and the "
    "average inverse stable rank, and that of its rise from the smallest to the largest λ (false: one lies below 0); "
    "networks with a collapsed matrix are left out"
)


def final(points: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last epoch."""
    rows: pd.DataFrame = points[points["epoch"] == points["epoch"].max()]
    return rows


def claims(rows: pd.DataFrame) -> tuple[Claim, ...]:
    """The claims, from the final rows of all networks."""
    tables = {str(labelling): by_draw(own, RANK) for labelling, own in rows.groupby("labelling", sort=False)}
    grown = {labelling: _grows(labelling, table) for labelling, table in tables.items()}
    steady = [_never_falls(labelling, table) for labelling, table in tables.items()]
    return (*grown.values(), _despite_errors(rows, grown), *steady)


def notes(rows: pd.DataFrame) -> tuple[str, ...]:
    """Which networks do not count."""
    found = []
    for labelling, own in rows.groupby("labelling", sort=False):
        gone = own[own["collapsed"]].groupby("lambda").size()
        if len(gone):
            where = ", ".join(f"{count} at λ = {decay:g}" for decay, count in gone.items())
            found.append(
                f"Labels {NAMES[str(labelling)]}: networks with a matrix collapsed towards zero ({where}) are marked, "
                "and left out of the judgement."
            )
        lost = int((~np.isfinite(own["loss"])).sum())
        if lost:
            found.append(f"Labels {NAMES[str(labelling)]}: the training of {lost} networks diverged.")
    return tuple(found)


def by_draw(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Draws × λ, NaN where a matrix has collapsed."""
    table = rows.assign(**{value: rows[value].where(~rows["collapsed"])}).pivot(
        index="draw", columns="lambda", values=value
    )
    return table.sort_index().sort_index(axis=1)


def _grows(labelling: str, table: pd.DataFrame) -> Claim:
    correlation = spread([trend(table.columns.to_numpy(), row) for row in table.to_numpy()])
    rise = spread([_rise(row) for row in table.to_numpy()])
    outcome = all_of([above(correlation, 0), above(rise, 0)])
    means = table.mean()
    peak = float(means.index[int(means.argmax())]) if means.notna().any() else math.nan
    return Claim(
        id=f"inverse-stable-rank-grows-{labelling}",
        text=f"With labels {NAMES[labelling]}, the average inverse stable rank grows with λ.",
        source="Figure 2",
        numbers={
            **correlation.numbers("rank correlation with λ"),
            **rise.numbers("rise from the smallest to the largest λ"),
            **_by_lambda(table),
            "largest at λ": peak,
        },
        tolerance=_GROWS,
        outcome=outcome,
        why=f"rank correlation {correlation}, rise {rise} over {rise.draws} draws; the largest mean, "
        f"{means.max():.3f}, is at λ = {peak:g}",
    )


def _despite_errors(rows: pd.DataFrame, grown: dict[str, Claim]) -> Claim:
    errors = {labelling: _errors(rows[rows["labelling"] == labelling]) for labelling in grown}
    large = [labelling for labelling, found in errors.items() if found and min(found) >= LARGE]
    outcome: Outcome = all_of(grown[labelling].outcome for labelling in large)
    told = "; ".join(
        f"{NAMES[labelling]}: {min(found):.1%} to {max(found):.1%} wrong" if found else f"{NAMES[labelling]}: none left"
        for labelling, found in errors.items()
    )
    return Claim(
        id="grows-despite-errors",
        text="The average inverse stable rank grows with λ also where the networks make many errors.",
        source="Figure 2, Section 4",
        numbers={f"{labelling}: mean classification error by λ": [*found] for labelling, found in errors.items()},
        tolerance=f"growth as above, for the labellings whose mean classification error is at least {LARGE:.0%} at "
        "every λ (inconclusive if there is none)",
        outcome=outcome,
        why=f"{told}; large errors with {', '.join(NAMES[one] for one in large) or 'neither'}",
    )


def _never_falls(labelling: str, table: pd.DataFrame) -> Claim:
    steps = list(itertools.pairwise(table.columns))
    # Bonferroni: one fall too many by chance in 1 of 20 tables, however fine the grid.
    level = 1 - (1 - LEVEL) / max(1, len(steps))
    changes = [spread((table[b] - table[a]).to_numpy(), level) for a, b in steps]
    falls = [(a, b, change) for (a, b), change in zip(steps, changes, strict=True) if change.high < 0]
    outcome: Outcome = "false" if falls else all_of(above(change, 0) for change in changes if change.draws > 1)
    if falls:
        a, b, change = min(falls, key=lambda fall: fall[2].mean)
        why = f"it falls in {len(falls)} of {len(steps)} steps, most from λ = {a:g} to {b:g}, by {_minus(change)}"
    else:
        rising = sum(change.low > 0 for change in changes)
        why = f"it certainly rises in {rising} of {len(steps)} steps of the grid, and certainly falls in none"
    return Claim(
        id=f"grows-everywhere-{labelling}",
        text=f"With labels {NAMES[labelling]}, the average inverse stable rank grows at every step of the grid of λ.",
        source="Figure 2, taken literally",
        numbers={
            "step ends at λ": [float(b) for _, b in steps],
            "mean change": [change.mean for change in changes],
            "low end": [change.low for change in changes],
            "high end": [change.high for change in changes],
        },
        tolerance=f"paired over draws, with {LEVEL:.0%} intervals widened for the number of steps (Bonferroni): true "
        "if every step rises, false if one falls; networks with a collapsed matrix are left out",
        outcome=outcome,
        why=why,
    )


def _rise(row: np.ndarray) -> float:
    """Last minus first of the values that are there."""
    there = row[~np.isnan(row)]
    return float(there[-1] - there[0]) if len(there) > 1 else math.nan


def _minus(change: Spread) -> str:
    return str(Spread(-change.mean, change.sd, -change.high, -change.low, change.draws))


def _by_lambda(table: pd.DataFrame) -> Numbers:
    found = [spread(table[decay].to_numpy()) for decay in table.columns]
    return {
        "λ": [float(decay) for decay in table.columns],
        "mean": [one.mean for one in found],
        "standard deviation": [one.sd for one in found],
        "draws that count": [one.draws for one in found],
    }


def _errors(rows: pd.DataFrame) -> list[float]:
    """Mean classification error at each λ that has networks left."""
    return [float(value) for value in by_draw(rows, "classification_error").mean().dropna()]

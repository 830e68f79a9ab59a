"""What the checks share: tables of points, and how a claim is judged from points whose assumptions were checked."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
from torch import Tensor

from weightaudit.paper.charts import Chart, Series, Style
from weightaudit.paper.judging import Spread, below, spread
from weightaudit.paper.results import Numbers, Outcome, judged

HELD = "assumptions_hold"
"""Column of every point: whether what the statement assumes was found to hold there."""
ENOUGH = 5
"""Draws on which the assumptions must hold for a verdict other than false."""
EQUAL = 0.01
"""Relative gap below which an equality counts as reached that the theory promises in a limit."""
ROUNDING = 1e-9
"""Relative slack for rounding, where two sides may be equal."""


def table(columns: Mapping[str, object]) -> pd.DataFrame:
    """A row a draw or network: tensors and sequences have a value for each, anything else is the same for all."""
    return pd.DataFrame({name: of.tolist() if isinstance(of, Tensor) else of for name, of in columns.items()})


def nearest_to_bound(left: Tensor, **right: Tensor) -> dict[str, Tensor]:
    """Of each draw's test inputs the one whose left side comes nearest to its bound: (draws, m) → (draws,) each.

    ``right`` are the bound and others to go with it. Beside ``lhs`` and these, ``failing`` counts the inputs whose left
    side exceeds the bound.
    """
    bound = next(iter(right.values()))
    near = (left / bound).argmax(1, keepdim=True)
    sides = {name: side.gather(1, near)[:, 0] for name, side in {"lhs": left, **right}.items()}
    return {**sides, "failing": (left > bound * (1 + ROUNDING)).sum(1)}


def decided(points: pd.DataFrame, holds: pd.Series[bool], by: Sequence[str]) -> Outcome:
    """False where ``holds`` fails at a point whose assumptions hold.

    Else true, if in each of the groups that the columns ``by`` make the assumptions hold somewhere on at least
    `ENOUGH` draws; inconclusive otherwise.
    """
    judged_on = points[points[HELD]]
    if not bool(holds[judged_on.index].all()):
        return "false"
    draws = judged_on.groupby(list(by))["draw"].nunique()
    everywhere = 0 < len(draws) == points.groupby(list(by)).ngroups
    return judged(True if everywhere and int(draws.min()) >= ENOUGH else None)


def counted(points: pd.DataFrame, holds: pd.Series[bool]) -> Numbers:
    """How many points there are, on how many the assumptions hold, and where ``holds`` fails with and without them."""
    held = points[HELD]
    return {
        "points": len(points),
        "points where the assumptions hold": int(held.sum()),
        "failures where they hold": int((held & ~holds).sum()),
        "failures where they do not": int((~held & ~holds).sum()),
    }


def tally(points: pd.DataFrame, holds: pd.Series[bool]) -> str:
    """`counted` in words."""
    held = points[HELD]
    return f"it holds at {int((held & holds).sum())} of the {int(held.sum())} points where the assumptions do"


def last(points: pd.DataFrame, along: str) -> pd.DataFrame:
    """The points at the end of each run: the largest ``along`` for their λ."""
    return points[points[along] == points.groupby("lambda")[along].transform("max")]


def by_draw(points: pd.DataFrame, column: str) -> list[float]:
    """Each draw's mean of ``column``."""
    return [float(value) for value in points.groupby("draw")[column].mean()]


def vanishes(points: pd.DataFrame, column: str, threshold: float) -> tuple[Spread, Outcome]:
    """``column`` over the draws, and whether its mean is below ``threshold``; fewer than `ENOUGH` draws cannot tell."""
    found = spread(by_draw(points, column))
    return found, below(found, threshold) if found.draws >= ENOUGH else "inconclusive"


def line(points: pd.DataFrame, x: str, y: str, name: str, *, group: str = "", style: Style = "line") -> Series:
    """The median of ``y`` over draws against ``x``; the band reaches from the smallest draw to the largest."""
    values = points.groupby(x)[y]
    return Series(
        name,
        [float(place) for place in values.median().index],
        [float(value) for value in values.median()],
        low=[float(value) for value in values.min()],
        high=[float(value) for value in values.max()],
        style=style,
        group=group,
    )


BAND = "Median over draws; the band reaches from the smallest draw to the largest."


def sides_at_end(points: pd.DataFrame, along: str) -> Numbers:
    """Both sides of a bound at the end of each run, by ε."""
    numbers: Numbers = {}
    for epsilon, of_epsilon in last(points, along).groupby("epsilon"):
        numbers |= spread(by_draw(of_epsilon, "lhs")).numbers(f"left side at the end, ε = {epsilon:g}")
        numbers |= spread(by_draw(of_epsilon, "rhs")).numbers(f"right side at the end, ε = {epsilon:g}")
    return numbers


def sides_charts(
    points: pd.DataFrame, along: str, *, titles: tuple[str, str], what: str, left: str, label: str, log_x: bool
) -> tuple[Chart, Chart]:
    """Both sides of a bound against ε at the end, and along the run at the smallest ε.

    ``titles`` are those of the panels; ``what`` labels the axis of ``along``, ``label`` y, ``left`` the left side.
    """
    least = points["epsilon"].min()

    def panel(shown: pd.DataFrame, x: str, title: str, x_label: str, log_x: bool) -> Chart:
        series = []
        for decay, of_decay in shown.groupby("lambda"):
            series.append(line(of_decay, x, "lhs", f"{left}, λ = {decay:g}", group=f"{decay:g}"))
            series.append(line(of_decay, x, "rhs", f"bound, λ = {decay:g}", group=f"{decay:g}", style="dashed"))
        caption = f"Of the test inputs the one nearest to its bound. {BAND}"
        return Chart(title, x_label, label, tuple(series), log_x=log_x, log_y=True, caption=caption)

    return (
        panel(last(points, along), "epsilon", titles[0], "ε", True),
        panel(points[points["epsilon"] == least], along, f"{titles[1]}, ε = {least:g}", what, log_x),
    )


def recorded(steps: int) -> list[int]:
    """When a run of so many steps is measured: at its start, twice to each factor of ten from 10 on, and at its end."""
    spaced = (round(10 * 10 ** (i / 2)) for i in itertools.count())
    return [0, *itertools.takewhile(lambda step: step < steps, spaced), steps]

"""Figure 2's panels: the average inverse stable rank against λ, and below it errors and loss."""

from __future__ import annotations

import pandas as pd

from weightaudit.paper.charts import Chart, Series, banded
from weightaudit.paper.figure2.claims import NAMES, RANK, by_draw


def charts(rows: pd.DataFrame) -> tuple[Chart, ...]:
    """A column of panels for each labelling: the average inverse stable rank, then errors and loss."""
    return tuple(
        chart
        for column, (labelling, own) in enumerate(rows.groupby("labelling", sort=False))
        for chart in _column(NAMES[str(labelling)], own, column)
    )


def _column(name: str, rows: pd.DataFrame, column: int) -> list[Chart]:
    caption = "Mean over the draws, band of one standard deviation. "
    if rows["collapsed"].any():
        caption += "Hollow: in some draws a matrix has collapsed towards zero; those draws are not in the mean."
    return [
        Chart(
            f"Labels {name}",
            "weight decay λ",
            "average inverse stable rank",
            (_series("average inverse stable rank", rows, RANK),),
            log_x=True,
            caption=caption,
            panel=(0, column),
        ),
        Chart(
            f"Labels {name}",
            "weight decay λ",
            "share of points, loss",
            (
                _series("classification error", rows, "classification_error"),
                _series("margin error (y f(x) < 1)", rows, "margin_error"),
                _series("average loss", rows, "loss"),
            ),
            log_x=True,
            caption=caption,
            panel=(1, column),
        ),
    ]


def _series(name: str, rows: pd.DataFrame, value: str) -> Series:
    """Mean ± standard deviation by λ over the draws that count; of all draws, hollow, where none does."""
    live, everyone = by_draw(rows, value), rows.pivot(index="draw", columns="lambda", values=value).sort_index(axis=1)
    means, sds = live.mean().fillna(everyone.mean()), live.std().fillna(0.0)
    marked = rows.groupby("lambda")["collapsed"].any().sort_index()
    return banded(name, [float(decay) for decay in live.columns], means.tolist(), sds.tolist(), marked.tolist())

"""What was lost against D, and how well each number told it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from weightaudit.paper.charts import Chart, Series
from weightaudit.paper.transfer.predictors import PREDICTORS
from weightaudit.paper.transfer.scores import SetScores

SHOWN = ("disturbance", "contamination", "activations", "cosine", "opposed", "size_ratio")
"""Predictors whose correlations are drawn."""


def charts(points: pd.DataFrame, scores: Sequence[SetScores]) -> tuple[Chart, ...]:
    """A row of clouds for each part, and a row of correlations."""
    found = []
    for row, (part, rows) in enumerate(points.groupby("part", sort=False)):
        for column, (name, own) in enumerate(rows.groupby("set", sort=False)):
            found.append(_cloud(f"{part}: {name}", own, (row, column)))
    for column, (part, what) in enumerate((("transformers", "Fine-tunes of one base"), ("sums", "Sums of networks"))):
        of_part = [one for one in scores if one.part == part]
        if of_part:
            found.append(_correlations(what, of_part, (2, column)))
    return tuple(found)


def _cloud(title: str, rows: pd.DataFrame, panel: tuple[int, int]) -> Chart:
    series = tuple(
        Series(f"seed {seed}", own["disturbance"].tolist(), own["sum_lost"].tolist(), style="points")
        for seed, own in rows.groupby("seed")
    )
    caption = "One point a model and other that is added to it, at weights 1 and 1."
    return Chart(title, "disturbance D", "share of the gain that is lost", series, caption=caption, panel=panel)


def _correlations(title: str, scores: Sequence[SetScores], panel: tuple[int, int]) -> Chart:
    places = [float(i + 1) for i in range(len(scores))]
    series = tuple(
        Series(
            PREDICTORS[name],
            places,
            [one.by[name].correlation for one in scores],
            low=[one.by[name].low for one in scores] if name == "disturbance" else None,
            high=[one.by[name].high for one in scores] if name == "disturbance" else None,
        )
        for name in SHOWN
    )
    told = "; ".join(f"{i + 1}: {one.name}, seed {one.seed}" for i, one in enumerate(scores))
    caption = f"Spearman's correlation with the share lost; the band is D's 95 % bootstrap interval. Sets: {told}."
    return Chart(title, "set", "Spearman", series, caption=caption, panel=panel)

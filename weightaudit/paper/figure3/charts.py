"""Figure 3's panels: losses along training, the gap against λ, stable ranks along training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from weightaudit.paper.charts import Chart, Series, banded
from weightaudit.paper.figure3.claims import CHANCE, LEARNT, ORTHOGONAL, by_draw, gap
from weightaudit.paper.figure3.merging import MergingConfig

MODELS = {"own": "own network", "sum": "sum of weights", "average": "average of weights"}
BAND = "Mean over draws (of both networks of a pair), band of one standard deviation."


def charts(points: pd.DataFrame, config: MergingConfig) -> tuple[Chart, ...]:
    """A column of panels for each pair, and a row for stable ranks."""
    pairs = list(dict.fromkeys(points["pair"]))
    return (
        *(_along(points, config, pair, column) for column, pair in enumerate(pairs)),
        *(_against(points, config, pair, column) for column, pair in enumerate(pairs)),
        *(_ranks(points, decay, column) for column, decay in enumerate(dict.fromkeys((config.decay, 0.0)))),
    )


def _along(points: pd.DataFrame, config: MergingConfig, pair: str, column: int) -> Chart:
    rows = points[(points["pair"] == pair) & (points["lambda"] == config.decay)]
    return Chart(
        f"{pair.capitalize()}, λ = {config.decay:g}",
        "step",
        "logistic loss",
        tuple(_series(name, rows, "step", rows[f"{model}_loss"]) for model, name in MODELS.items()),
        log_y=True,
        caption=BAND,
        panel=(0, column),
    )


def _against(points: pd.DataFrame, config: MergingConfig, pair: str, column: int) -> Chart:
    rows = points[(points["pair"] == pair) & (points["step"] == config.steps)]
    idle = rows.groupby("lambda")["own_loss"].max() > (1 - LEARNT) * CHANCE
    series = tuple(
        _series(MODELS[model], rows, "lambda", gap(rows, model), marked=[bool(one) for one in idle])
        for model in ("sum", "average")
    )
    hollow = " Hollow: some of the own networks have not learnt their task." if idle.any() else ""
    return Chart(
        f"{pair.capitalize()}, at the end",
        "weight decay λ",
        "merged loss − own loss",
        series,
        log_x=True,
        caption=BAND + hollow,
        panel=(1, column),
    )


def _ranks(points: pd.DataFrame, decay: float, column: int) -> Chart:
    rows = points[(points["pair"] == ORTHOGONAL) & (points["lambda"] == decay)]
    layers = [name for name in points.columns if name.startswith("stable_rank_")]
    return Chart(
        f"Stable ranks, λ = {decay:g}",
        "step",
        "stable rank",
        tuple(_series(f"W{k + 1}", rows, "step", rows[name]) for k, name in enumerate(layers)),
        log_y=True,
        caption=BAND,
        panel=(2, column),
    )


def _series(
    name: str, rows: pd.DataFrame, along: str, values: pd.Series[float], marked: list[bool] | None = None
) -> Series:
    groups = [(place, by_draw(values.loc[own.index], own)) for place, own in rows.groupby(along)]
    means = [float(np.nanmean(draws)) if not np.isnan(draws).all() else float("nan") for _, draws in groups]
    sds = [float(np.nanstd(draws, ddof=1)) if len(draws) > 1 else 0.0 for _, draws in groups]
    return banded(name, [float(str(place)) for place, _ in groups], means, sds, marked)

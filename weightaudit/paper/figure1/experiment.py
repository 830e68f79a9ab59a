"""Figure 1 and Appendix C.1: norms and stable ranks of pretrained transformers, layer by layer.

Every model goes through `weightaudit.scan`; a model that is not at hand is named and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from weightaudit import api
from weightaudit.audit import Progress
from weightaudit.config import DEFAULTS
from weightaudit.errors import ModelError, ModelUnavailable, UsageError
from weightaudit.paper.charts import Chart, Series
from weightaudit.paper.figure1.claims import ROLES, claims
from weightaudit.paper.results import Result
from weightaudit.paper.settings import setting
from weightaudit.paper.table1.experiment import NAMES_IN_SPECS, SIX, SIZES, TABLE
from weightaudit.text import printable

if TYPE_CHECKING:
    from weightaudit.api import ScanReport

COLUMNS = [
    "model",
    "revision",
    "stack",
    "layer",
    "expert",
    "role",
    "rows",
    "cols",
    "dtype",
    "frobenius_norm",
    "spectral_norm",
    "spectral_norm_upper",
    "stable_rank",
    "stable_rank_lower",
    "norm_ratio",
    "converged",
    "nonfinite",
]


@dataclass(frozen=True)
class Figure1Config:
    """Which models, and how they are measured."""

    models: tuple[str, ...] = setting(
        SIX, origin="ours", about="Hub ids or paths; the paper names six models, their ids are ours"
    )
    offline: bool = setting(False, origin="ours", about="use only local paths and the local Hugging Face cache")
    tol: float = setting(DEFAULTS.tol, origin="ours", above=0, most=1, about="relative width of the interval on σ₁²")
    seed: int = setting(DEFAULTS.seed, origin="ours", least=0, about="seed of the measurement's random starts")


def run(config: Figure1Config, progress: Progress) -> Result:
    """Scan the models, draw the paper's panels, judge what the paper finds in them.

    Raises ModelUnavailable where none of the models is at hand.
    """
    frames, notes, lacking, strangers = [], [], [], []
    for model in config.models:
        try:
            report = _scanned(model, config, progress)
        except (ModelError, UsageError) as error:
            lacking.append(model)
            notes.append(f"left out: {error.thing}: {error.cause}")
            continue
        frame = report.layers
        frames.append(frame[frame["role"].isin(ROLES) & frame["layer"].notna()][COLUMNS])
        strangers += _strangeness(report)
        notes += [f"{report.identity.name}: {note}" for note in report.notes]
    if not frames:
        raise ModelUnavailable(
            ", ".join(map(printable, lacking)),
            f"none of these models is at hand ({notes[0]})",
            "Name Hub ids that can be reached, or paths: --models ./gpt2-xl,./phi-2",
        )
    if strangers:
        notes.append(f"by its sizes none of the paper's models, and judged all the same: {', '.join(strangers)}")
    points = pd.concat(frames, ignore_index=True)
    return Result(points, claims(points), _charts(points), tuple(notes), tuple(lacking))


def _scanned(model: str, config: Figure1Config, progress: Progress) -> ScanReport:
    return api.scan(
        model,
        roles=ROLES,
        offline=config.offline,
        tol=config.tol,
        seed=config.seed,
        progress=progress,
    )


def _strangeness(report: ScanReport) -> list[str]:
    """The model and its sizes, where these tell that it is none of the paper's."""
    sizes = tuple(report.map.dimensions.get(name) for name in NAMES_IN_SPECS)
    if any(sizes == stated.sizes for stated in TABLE):
        return []
    shown = ", ".join(f"{name} {size}" for name, size in zip(SIZES, sizes, strict=True))
    return [f"{report.identity.name} ({shown})"]


def _charts(points: pd.DataFrame) -> tuple[Chart, ...]:
    """A row of panels for each model (and stack): Frobenius norms, stable ranks."""
    charts: list[Chart] = []
    for row, ((model, stack), of_model) in enumerate(points.groupby(["model", "stack"], sort=False)):
        title = f"{model} {stack}".strip()
        for column, (name, label) in enumerate((("frobenius_norm", "Frobenius norm"), ("stable_rank", "stable rank"))):
            lower = "stable_rank_lower" if name == "stable_rank" else ""
            series = tuple(_series(of_model, role, name, lower) for role in ROLES if role in set(of_model["role"]))
            charts.append(
                Chart(
                    f"{title}: {label}",
                    "layer",
                    label,
                    series,
                    log_y=True,
                    caption="The band is the certified interval." if lower else "",
                    panel=(row, column),
                )
            )
    return tuple(charts)


def _series(of_model: pd.DataFrame, role: str, name: str, lower: str) -> Series:
    """A role by layer; experts of a mixture are averaged."""
    by_layer = of_model[of_model["role"] == role].groupby("layer")
    values = by_layer[name].mean()
    low: Sequence[float] | None = by_layer[lower].mean().tolist() if lower else None
    return Series(role, values.index.tolist(), values.tolist(), low=low, high=values.tolist() if lower else None)

"""A small experiment of every kind of setting and chart, for tests of what writes and runs experiments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from weightaudit.audit import Progress
from weightaudit.audit.progress import Silent
from weightaudit.errors import ModelUnavailable
from weightaudit.paper.charts import Chart, Series
from weightaudit.paper.registry import Experiment
from weightaudit.paper.results import Claim, Result
from weightaudit.paper.settings import setting


class Counting(Silent):
    """A progress that remembers each stage: its name, its total, and how far it came."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, int]] = []

    def start(self, model: str, total_bytes: int) -> None:
        self.stages.append((model, total_bytes, 0))

    def advance(self, nbytes: int) -> None:
        name, total, done = self.stages[-1]
        self.stages[-1] = (name, total, done + nbytes)


LAMBDAS = [0.0, 1e-4, 1e-3, 1e-2]
RUNS: list[ToyConfig] = []
"""Configs that `run` was called with."""


@dataclass(frozen=True)
class ToyConfig:
    """One setting of every type."""

    epochs: int = setting(5000, origin="stated", least=1, about="passes over the data")
    rate: float = setting(0.1, origin="ours", above=0, most=2, about="step size")
    lambdas: tuple[float, ...] = setting((0.0, 1e-3), origin="ours", least=0, about="weight decay")
    widths: tuple[int, ...] = setting((10, 10), origin="stated", least=1, unit="neurons", about="hidden layers")
    labels: Literal["sign", "sin"] = setting("sign", origin="ours", about="labelling function")
    data_dir: str | None = setting(None, origin="ours", about="where the data are")
    balanced: bool = setting(False, origin="ours", about="balanced start")
    seed: int = setting(0, origin="ours", least=0, about="seed")
    draws: int = setting(5, origin="ours", least=1, about="repetitions")


def charts() -> tuple[Chart, ...]:
    """Bands, gaps, hollow points, a zero on a logarithmic axis, hostile words."""
    gap = Series("a gap", LAMBDAS, [0.4, math.nan, 0.6, 0.7], low=[0.3, math.nan, 0.5, 0.6], high=[0.5, 0.5, 0.7, 0.8])
    hollow = Series("<i>$x$", LAMBDAS, [1.0, 2.0, 3.0, 4.0], marked=[False, False, False, True], style="dashed")
    cloud = Series("cloud", [1, 2, 3], [0.0, 1e-9, 1e3], style="points")
    return (
        Chart("</script><b>λ</b> $a$ and $b", "λ", "y", (gap, hollow), log_x=True, caption="Hollow: <collapsed>."),
        Chart("log", "step", "loss", (cloud,), log_y=True, panel=(1, 1)),
    )


def plain_charts() -> tuple[Chart, ...]:
    """One that is soon drawn, in place of `charts` where pictures, which take longest, are not looked at."""
    return (Chart("plain", "x", "y", (Series("a", [1, 2], [1.0, 2.0]),)),)


def run(config: ToyConfig, progress: Progress) -> Result:
    """Instantly done; without data where ``data_dir`` is "nowhere", lacking something where it is "half"."""
    RUNS.append(config)
    if config.data_dir == "nowhere":
        raise ModelUnavailable("toy data", "they are not there", "Look elsewhere")
    for stage in ("a toy", "toys"):
        progress.start(stage, 2)
        progress.advance(2)
    points = pd.DataFrame({"lambda": LAMBDAS, "value": [1 / 3, math.nan, 2.0, 1e-20], "draw": [0, 1, 2, 3]})
    claims = (
        Claim("one", "A <b>holds</b> | here", "Lemma 1", {"mean": 1 / 3, "list": [1, math.inf]}, "≤ 1", "true", "0.3."),
        Claim("two", "B holds.", "Figure 2", {"n": 3, "none": None}, "equal", "false", "3 is not 4"),
    )
    lacking = ("half",) if config.data_dir == "half" else ()
    return Result(points, claims, charts(), ("mind_the gap",), lacking)


TOY = Experiment("toy", "Toys: a trial", __name__, "ToyConfig")

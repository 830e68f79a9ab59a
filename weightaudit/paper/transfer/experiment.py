"""Transfer: whether retention, contamination and disturbance, from weights alone, tell what a merge will lose.

Small transformers are trained from one base on tasks of their own, by several recipes, and merged in all pairs;
networks of the source are trained and added up. Of each side of each pair it is measured which share of what training
had gained is lost, and held against what was known before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pandas as pd

from weightaudit.audit import Progress
from weightaudit.paper.cells import Cells
from weightaudit.paper.results import Result
from weightaudit.paper.settings import setting
from weightaudit.paper.training import single_threaded
from weightaudit.paper.transfer import fine_tunes, sums
from weightaudit.paper.transfer.charts import charts
from weightaudit.paper.transfer.claims import claims
from weightaudit.paper.transfer.fine_tunes import BASE_TASKS, RECIPES, WAYS, Sizes
from weightaudit.paper.transfer.scores import LOST, auc, scored, with_lost
from weightaudit.paper.transfer.sums import STARTS, SumSizes
from weightaudit.paper.transfer.transformers import Shape


@dataclass(frozen=True)
class TransferConfig:
    """The models, their training and how many there are."""

    seeds: tuple[int, ...] = setting(
        (11, 12, 13), origin="ours", least=0, about="seeds; each has its own base and tasks"
    )
    tasks: int = setting(16, origin="ours", least=3, about="tasks, a fine-tune of each by every recipe")
    width: int = setting(48, origin="ours", least=8, about="width of the transformers; each has two heads")
    layers: int = setting(2, origin="ours", least=1, about="their layers")
    base_steps: int = setting(1500, origin="ours", least=1, about="steps of training the base")
    steps: int = setting(
        600, origin="ours", least=1, about="steps of a fine-tune; 'lora' has 2, 'long' 3 times as many"
    )
    batch: int = setting(16, origin="ours", least=1, about="sequences of a step")
    tried: int = setting(64, origin="ours", least=1, about="sequences by which a loss is measured")
    draws: int = setting(8, origin="ours", least=1, about="draws of the networks whose weights are added up")
    dimension: int = setting(60, origin="ours", least=2, about="dimension of their inputs; two tasks have a half each")
    inputs: int = setting(60, origin="ours", least=1, about="inputs of a task")
    net_width: int = setting(40, origin="ours", least=1, about="width of these networks")
    net_steps: int = setting(3000, origin="ours", least=1, about="steps of gradient descent on all points")
    decays: tuple[float, ...] = setting((0.0, 3e-4, 1e-3), origin="ours", least=0, about="their weight decay λ")
    resamples: int = setting(1000, origin="ours", least=20, about="resamples behind each interval")
    quick: bool = setting(
        False, origin="ours", about="a few small models, to see that it runs; nothing follows from it"
    )

    @property
    def sizes(self) -> Sizes:
        """Of the transformers."""
        if self.quick:
            return Sizes(Shape(16, 1, 2, 32, BASE_TASKS + 4), 4, 60, 40, 8, 16)
        shape = Shape(self.width, self.layers, 2, 2 * self.width, BASE_TASKS + self.tasks)
        return Sizes(shape, self.tasks, self.base_steps, self.steps, self.batch, self.tried)

    @property
    def sum_sizes(self) -> SumSizes:
        """Of the networks that are added up."""
        if self.quick:
            return SumSizes(20, 20, 10, 2, 1.0, 200, self.decays[:2], 2)
        return SumSizes(self.dimension, self.inputs, self.net_width, 2, 1.0, self.net_steps, self.decays, self.draws)


def run(config: TransferConfig, progress: Progress, cells: Cells) -> Result:
    """Train, merge, and judge. Finished parts are kept in ``cells``, and taken from there."""
    seeds = config.seeds[:1] if config.quick else config.seeds
    parts = len(seeds) * (len(RECIPES) + len(STARTS))
    progress.start(f"{parts} sets of models", parts)
    tables = []
    with single_threaded():
        for seed in seeds:
            for recipe in RECIPES:
                made = partial(fine_tunes.measured, config.sizes, recipe, seed)
                tables.append(cells.table(f"transformers {recipe.name} {seed}", made))
                progress.advance(1)
            for start in STARTS:
                added = partial(sums.measured, config.sum_sizes, seed, start)
                tables.append(cells.table(f"sums {start} {seed}", added))
                progress.advance(1)
    points = with_lost(pd.concat(tables, ignore_index=True).sort_values("part", ascending=False, kind="stable"), WAYS)
    resamples = config.resamples // 20 if config.quick else config.resamples
    scores = [scored(rows, WAYS, resamples) for _, rows in points.groupby(["part", "set", "seed"], sort=False)]
    return Result(points, claims(scores, _pooled(points)), charts(points, scores), _notes(points))


def _pooled(points: pd.DataFrame) -> dict[int, float]:
    """The area under D's curve over all recipes of the transformers, by seed."""
    tuned = points[points["part"] == "transformers"]
    return {
        int(str(seed)): auc(rows["disturbance"].to_numpy(float), (rows["sum_lost"] > LOST).to_numpy(bool))
        for seed, rows in tuned.groupby("seed")
    }


def _notes(points: pd.DataFrame) -> tuple[str, ...]:
    idle = points[~(points["own_loss"] < points["base_loss"])]
    if not len(idle):
        return ()
    return (f"{len(idle)} of {len(points)} sides are of a model that has gained nothing over its base: left out.",)

"""Figure 3: weights of networks for tasks on orthogonal inputs can be added; on the same inputs they cannot."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.paper.data import Task, generator_for, labels, leaning, sphere_inputs
from weightaudit.paper.figure3 import charts, claims
from weightaudit.paper.figure3.merging import MergingConfig, Pair, merge_all
from weightaudit.paper.results import Result
from weightaudit.paper.settings import setting
from weightaudit.paper.training import single_threaded

PAIRS = (
    Pair(claims.ORTHOGONAL, "first", "second"),
    Pair(claims.NEAR, "first", "near"),
    Pair(claims.OTHER_LABELS, "first", "relabelled"),
    Pair(claims.SAME_TASK, "first", "again"),
)


@dataclass(frozen=True)
class Figure3Config(MergingConfig):
    """The synthetic tasks, besides the networks and their training."""

    inputs: int = setting(100, origin="ours", least=1, about="inputs of a task, on the unit sphere")
    dimension: int = setting(100, origin="ours", least=2, about="dimension; each task has a half of the coordinates")
    overlap: float = setting(
        0.1,
        origin="ours",
        least=0,
        most=1,
        about="length of the nearly orthogonal inputs' part in the first task's half (0 is orthogonal)",
    )


def run(config: Figure3Config, progress: Progress) -> Result:
    """Train on all tasks, merge, and judge the source's four claims."""
    with single_threaded() as workers:
        draws = [_tasks(config, draw) for draw in range(config.draws)]
        points = merge_all(draws, PAIRS, config, progress, workers)
    found = claims.claims(points, config, dimension=config.dimension, source="Figure 3")
    return Result(points, found, charts.charts(points, config), claims.notes(points, config))


def _tasks(config: Figure3Config, draw: int) -> dict[str, Task]:
    """The tasks of a draw. Each has its own w; "relabelled" has the first's inputs, "again" is the first."""
    half = config.dimension // 2
    first, second = slice(0, half), slice(half, config.dimension)
    x, other = _inputs(config, draw, "first", first), _inputs(config, draw, "second", second)
    leak = _inputs(config, draw, "near", first)
    near = leaning(other, leak, config.overlap)
    task = Task(x, _labels(config, draw, "first", x))
    return {
        "first": task,
        "second": Task(other, _labels(config, draw, "second", other)),
        "near": Task(near, _labels(config, draw, "second", near)),
        "relabelled": Task(x, _labels(config, draw, "relabelled", x)),
        "again": task,
    }


def _inputs(config: Figure3Config, draw: int, name: str, support: slice) -> Tensor:
    generator = generator_for(config.seed, draw, "inputs", name)
    return sphere_inputs(config.inputs, config.dimension, generator=generator, support=support)


def _labels(config: Figure3Config, draw: int, name: str, x: Tensor) -> Tensor:
    return labels(x, "linear", generator=generator_for(config.seed, draw, "labels", name))

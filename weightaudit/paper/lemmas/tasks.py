"""The draws' data: for each draw a task, or two tasks on complementary blocks of coordinates, float64."""

from __future__ import annotations

import torch
from torch import Tensor

from weightaudit.paper.data import Task, generator_for, labels, leaning, sphere_inputs
from weightaudit.paper.lemmas.config import LemmasConfig


def tasks(config: LemmasConfig, *, block: int = 0, blocks: int = 1, separable: bool = False) -> Task:
    """All draws' tasks as one: x (draws, n, blocks·d) on the unit sphere of block number ``block``, y (draws, n).

    ``separable`` moves each input by `push` along its label's side of the separating direction and back to the sphere:
    as push > 1, inputs of one label then have positive inner products and those of different labels negative ones
    ("orthogonally separable", as in Phuong & Lampert 2021), since |⟨x_i, x_j⟩| ≤ 1 < push².
    """
    d = config.dimension
    support = slice(block * d, (block + 1) * d)
    drawn = [_task(config, draw, blocks * d, support, separable) for draw in range(config.draws)]
    return Task(torch.stack([one.x for one in drawn]), torch.stack([one.y for one in drawn]))


def two_tasks(config: LemmasConfig, *, separable: bool = False) -> tuple[Task, Task]:
    """Two tasks on complementary blocks of coordinates, whose inputs are orthogonal."""
    first, second = (tasks(config, block=block, blocks=2, separable=separable) for block in (0, 1))
    return first, second


def both(first: Task, second: Task) -> tuple[Tensor, Tensor]:
    """x (2·draws, n, d) and y (2·draws, n): the first task's draws, then the second's."""
    return torch.cat([first.x, second.x]), torch.cat([first.y, second.y])


def tests_by_epsilon(config: LemmasConfig, first: Task, second: Task) -> list[tuple[float, Tensor]]:
    """Each ε, and the first task's inputs as leant towards the second's by so much.

    As these are unit training inputs of the second task, to which the first's are orthogonal, max_i |⟨x'_i, ·⟩| is ε.
    """
    return [(epsilon, leaning(first.x, second.x, epsilon)) for epsilon in dict.fromkeys(config.epsilons)]


def largest_overlap(x: Tensor, training: Tensor) -> Tensor:
    """max_i |⟨x, x_i⟩| over the training inputs, for each x: (draws, m, d), (draws, n, d) → (draws, m)."""
    return (x @ training.mT).abs().amax(-1)


def _task(config: LemmasConfig, draw: int, d: int, support: slice, separable: bool) -> Task:
    generator = generator_for(config.seed, "lemmas", draw, support.start)
    x = sphere_inputs(config.points, d, generator=generator, support=support, dtype=torch.float64)
    if separable:
        direction = sphere_inputs(1, d, generator=generator, support=support, dtype=torch.float64)
        y = torch.where((x @ direction[0]) >= 0, 1.0, -1.0).to(x)
        x = x + config.push * y[:, None] * direction
        return Task(x / x.norm(dim=1, keepdim=True), y)
    return Task(x, labels(x, "linear", generator=generator))

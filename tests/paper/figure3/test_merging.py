"""Merging at a tiny size: every row against networks trained one at a time and added by hand."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from tests.support.toy_experiment import Counting
from weightaudit.audit.progress import Silent
from weightaudit.paper import nets
from weightaudit.paper.data import Task, generator_for
from weightaudit.paper.figure3.merging import MergingConfig, Pair, merge_all
from weightaudit.paper.training import single_threaded

CONFIG = MergingConfig(width=6, rate=0.5, steps=12, decay=1e-2, lambdas=(0.05,), measurements=3, draws=2)
PAIRS = (Pair("apart", "one", "two"), Pair("itself", "one", "three"))


def drawn() -> list[dict[str, Task]]:
    """Two draws of three tasks: 8 points in 10 dimensions."""
    generator = torch.Generator().manual_seed(5)

    def task() -> Task:
        labels = torch.randint(0, 2, (8,), generator=generator) * 2.0 - 1
        return Task(torch.randn(8, 10, generator=generator), labels)

    return [{name: task() for name in ("one", "two", "three")} for _ in range(2)]


def alone(task: Task, name: str, draw: int, decay: float) -> list[list[Tensor]]:
    """The network of that task at each step, by autograd in float64, in all dimensions."""
    generator = generator_for(0, draw, "weights", name)
    start = nets.initialise((10, 6, 6, 1), 1, generator=generator, scale=2**0.5)
    matrices = [W[0].double().requires_grad_() for W in start]
    x, y = task.x.double(), task.y.double()
    found = [[W.detach().clone() for W in matrices]]
    for _ in range(CONFIG.steps):
        loss = torch.log1p(torch.exp(-y * scores(matrices, x))).mean()
        loss = loss + decay / 2 * sum((W**2).sum() for W in matrices)
        gradients = torch.autograd.grad(loss, matrices)
        with torch.no_grad():
            for W, G in zip(matrices, gradients, strict=True):
                W -= 0.5 * G
        found.append([W.detach().clone() for W in matrices])
    return found


def scores(matrices: list[Tensor], x: Tensor) -> Tensor:
    return (matrices[2] @ (matrices[1] @ (matrices[0] @ x.T).relu()).relu())[0]


def test_every_row_is_that_of_networks_trained_alone() -> None:
    draws = drawn()
    with single_threaded():
        points = merge_all(draws, PAIRS, CONFIG, Silent(), 1)
    # Pairs × sides × draws: λ = 0 and the config's own at 4 steps, the other at the end.
    assert len(points) == 2 * 2 * 2 * (4 + 4 + 1)
    assert sorted(set(points["step"])) == [0, 4, 8, 12]
    assert not points.duplicated(["pair", "side", "draw", "lambda", "step"]).any()
    trained = cache(lambda draw, name, decay: alone(draws[draw][name], name, draw, decay))
    for values in points.to_dict("records"):
        draw, decay, step = values["draw"], values["lambda"], values["step"]
        pair = next(one for one in PAIRS if one.name == values["pair"])
        first, second = (trained(draw, name, decay)[step] for name in (pair.first, pair.second))
        name, own = (pair.first, first) if values["side"] == "first" else (pair.second, second)
        models = {
            "own": own,
            "sum": [a + b for a, b in zip(first, second, strict=True)],
            "average": [(a + b) / 2 for a, b in zip(first, second, strict=True)],
        }
        task = draws[draw][name]
        for model, matrices in models.items():
            margins = task.y * scores(matrices, task.x.double())
            loss = torch.log1p(torch.exp(-margins)).mean().item()
            assert values[f"{model}_loss"] == pytest.approx(loss, rel=1e-4), (model, values)
            assert values[f"{model}_error"] == (margins <= 0).double().mean().item()
        other = second if own is first else first
        h = task.x.double().T
        for k, (W, V) in enumerate(zip(own, other, strict=True)):
            assert values[f"leak_{k + 1}"] == pytest.approx(((V @ h).norm() / (W @ h).norm()).item(), rel=1e-3)
            h = (W @ h).relu()
            spectrum = torch.linalg.svdvals(W)
            rank = ((spectrum**2).sum() / spectrum[0] ** 2).item()
            assert values[f"stable_rank_{k + 1}"] == pytest.approx(rank, rel=1e-4)
            assert values[f"norm_{k + 1}"] == pytest.approx(W.norm().item(), rel=1e-4)


def test_the_grid_has_zero_and_the_own_decay_once() -> None:
    assert MergingConfig(decay=0.5, lambdas=(1.0, 0.5)).grid == (0.0, 0.5, 1.0)
    assert MergingConfig(decay=0.0, lambdas=(0.0,)).grid == (0.0,)


@pytest.mark.parametrize(
    ("steps", "measurements"),
    [(1, 1), (7, 3), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((30, 4), (101, 20)))],
)
def test_progress_ends_where_it_said(steps: int, measurements: int) -> None:
    progress = Counting()
    config = MergingConfig(width=3, steps=steps, measurements=measurements, lambdas=(0.0,), draws=1)
    merge_all(drawn()[:1], PAIRS[:1], config, progress, 1)
    assert [counted for _, *counted in progress.stages] == [[steps, steps]]

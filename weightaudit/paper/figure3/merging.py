"""Merging, the experiment behind Figure 3 and Appendix C.2: train networks on two tasks, add their weights, look.

Every (task, draw, λ) is a network of one batched program of gradient descent. Pairs of trained networks are merged by
adding their weights, as the source does, and by averaging them, against which it argues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.paper import nets
from weightaudit.paper.data import Task, generator_for
from weightaudit.paper.nets import Weights
from weightaudit.paper.settings import setting
from weightaudit.paper.training import Schedule, descend

NETS_PER_GROUP = 8
"""Networks that a thread computes at a time: at their size the fastest of 4, 8, 12, 24 and 36."""
TICKS = 5
"""How often the progress moves from one measurement to the next."""


@dataclass(frozen=True)
class Pair:
    """Two tasks whose networks are merged, and what the pair is there to show."""

    name: str
    first: str
    second: str


@dataclass(frozen=True)
class MergingConfig:
    """The networks and their training; where the data come from is each experiment's own."""

    hidden_layers: int = setting(2, origin="stated", least=0, about="hidden layers")
    width: int = setting(50, origin="ours", least=1, about="width of each hidden layer")
    scale: float = setting(
        2**0.5, origin="ours", above=0, about="initial weights have standard deviation scale/√(inputs of the layer)"
    )
    rate: float = setting(1.0, origin="ours", above=0, about="step size η")
    steps: int = setting(10_000, origin="ours", least=1, about="steps of gradient descent on all points")
    decay: float = setting(3e-4, origin="ours", least=0, about="weight decay λ where it does not vary")
    lambdas: tuple[float, ...] = setting(
        (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3),
        origin="ours",
        least=0,
        about="weight decay λ where it varies; 0 is always among them",
    )
    measurements: int = setting(20, origin="ours", least=1, about="measurements along training, after the start")
    draws: int = setting(10, origin="ours", least=1, about="independent repetitions")
    seed: int = setting(0, origin="ours", least=0, about="seed of all draws")

    @property
    def grid(self) -> tuple[float, ...]:
        """Every λ there is, ascending."""
        return tuple(sorted({0.0, self.decay, *self.lambdas}))


def merge_all(
    draws: Sequence[Mapping[str, Task]], pairs: Sequence[Pair], config: MergingConfig, progress: Progress, workers: int
) -> pd.DataFrame:
    """Train a network for every task of every draw and every λ, merge the pairs, and measure.

    All tasks have the same n and d, and all draws the same tasks. A row is one of the two networks of a pair, on its
    own task: its loss and error, those of the sum and of the average there, its stable ranks, norms and leaks. λ = 0
    and the config's own λ are measured along training, the others at its end.
    """
    tasks, lambdas = list(draws[0]), config.grid
    # Networks in the order task, draw, λ; those that differ by λ alone share everything else.
    x = torch.stack([draw[task].x for task in tasks for draw in draws])
    y = torch.stack([draw[task].y for task in tasks for draw in draws])
    own = [_started(config, x.shape[-1], task, r) for task in tasks for r in range(len(draws))]
    start = nets.repeated([torch.cat(layer) for layer in zip(*own, strict=True)], len(lambdas))
    decay = torch.tensor(lambdas, dtype=torch.float64).repeat(len(own))
    subspace, inside, seen = within_subspace(start, x)

    data = {
        task: Task(*(values.reshape(len(tasks), -1, *values.shape[1:])[t] for values in (x, y)))
        for t, task in enumerate(tasks)
    }
    places = torch.arange(len(decay)).reshape(len(tasks), len(draws), len(lambdas))
    schedule = Schedule(config.steps, config.measurements, TICKS)
    tables: list[pd.DataFrame] = []

    def observe(step: int, weights: Weights, loss: Tensor) -> None:
        progress.advance(schedule.since_tick(step))
        if not schedule.is_due(step):
            return
        weights = subspace.lift(weights, ((1 - config.rate * decay) ** step).to(x.dtype))
        for j, value in enumerate(lambdas):
            if step == config.steps or value in (0.0, config.decay):
                trained = {task: nets.picked(weights, places[t, :, j]) for t, task in enumerate(tasks)}
                tables.extend(one.assign(step=step) for one in _measured(trained, data, pairs, value))

    progress.start(f"{len(decay)} networks", config.steps)
    descend(
        inside,
        seen.repeat_interleave(len(lambdas), dim=0),
        y.repeat_interleave(len(lambdas), dim=0),
        rate=config.rate,
        decay=decay,
        steps=config.steps,
        activation="relu",
        observe=observe,
        every=schedule.tick,
        group_size=NETS_PER_GROUP,
        workers=workers,
    )
    return pd.concat(tables, ignore_index=True)


def _started(config: MergingConfig, dimension: int, task: str, draw: int) -> Weights:
    """One network before training."""
    widths = (dimension, *[config.width] * config.hidden_layers, 1)
    return nets.initialise(widths, 1, generator=generator_for(config.seed, draw, "weights", task), scale=config.scale)


def _measured(
    trained: Mapping[str, Weights], data: Mapping[str, Task], pairs: Sequence[Pair], decay: float
) -> Iterator[pd.DataFrame]:
    """Rows of every pair: first all draws of its first network, then all of its second."""
    shapes = {task: _shape(weights) for task, weights in trained.items()}
    for pair in pairs:
        a, b = trained[pair.first], trained[pair.second]
        models = {"sum": nets.summed(a, b), "average": nets.averaged(a, b)}
        for side, task, other in (("first", pair.first, b), ("second", pair.second, a)):
            losses, errors = {}, {}
            for name, weights in {"own": trained[task], **models}.items():
                scores = nets.forward(weights, data[task].x, "relu")
                losses[f"{name}_loss"] = nets.mean_loss(scores, data[task].y).tolist()
                errors[f"{name}_error"] = (data[task].y * scores <= 0).double().mean(-1).tolist()
            draws = range(len(data[task].x))
            where = {"pair": pair.name, "side": side, "draw": draws, "lambda": decay, "step": 0}
            leaks = _leaks(trained[task], other, data[task].x)
            yield pd.DataFrame({**where, **losses, **errors, **shapes[task], **leaks})


def _leaks(own: Weights, other: Weights, x: Tensor) -> dict[str, list[float]]:
    """Columns for what the other network would add to each layer: ‖W'_k h‖/‖W_k h‖, over all points together.

    h is what the own network's layers below make of its own inputs ``x``. Were all leaks 0, the sum would be the own
    network there; the source's proof (Theorem 2) is that they vanish. NaN where the own network has died.
    """
    columns, h = {}, x.mT
    for k, (W, V) in enumerate(zip(own, other, strict=True)):
        z = W @ h
        size = z.flatten(1).norm(dim=1)
        leak = (V @ h).flatten(1).norm(dim=1) / size
        columns[f"leak_{k + 1}"] = torch.where(size > 0, leak, torch.nan).tolist()
        h = z.relu()
    return columns


def _shape(weights: Weights) -> dict[str, list[float]]:
    """Columns for the stable ranks and norms of each layer."""
    return nets.by_layer("stable_rank", nets.stable_ranks(weights)) | nets.by_layer("norm", nets.norms(weights))


@dataclass(frozen=True)
class Subspace:
    """The span of the inputs, in which the rows of W_1 move; what lies outside only decays (docs/derivations.md).

    ``basis`` Q: (groups, d, m) with orthonormal columns; ``outside``: of every network's initial W_1 what lies outside,
    (nets, out, d). Networks come in groups that share their inputs: ``nets // groups`` in a row.
    """

    basis: Tensor
    outside: Tensor

    def lift(self, weights: Weights, left: Tensor) -> Weights:
        """Weights for the inputs as they were. ``left``: (nets,), what decay has left of the rest: (1−ηλ)ᵗ."""
        first = _by_group(weights[0], self.basis) @ self.basis.mT[:, None]
        return [first.reshape(self.outside.shape) + left[:, None, None] * self.outside, *weights[1:]]


def within_subspace(weights: Weights, x: Tensor) -> tuple[Subspace, Weights, Tensor]:
    """The span of each group's inputs, with weights and inputs within it, in m = min(n, d) dimensions.

    ``x``: (groups, n, d); networks are grouped as in `Subspace`. The basis is of QR in float64.
    """
    exact = torch.linalg.qr(x.double().mT).Q
    basis = exact.to(x.dtype)
    W = _by_group(weights[0].double(), exact) @ exact[:, None]
    outside = weights[0].double() - (W @ exact.mT[:, None]).reshape(weights[0].shape)
    inside = W.reshape(*weights[0].shape[:2], -1).to(x.dtype)
    return Subspace(basis, outside.to(x.dtype)), [inside, *weights[1:]], (x.double() @ exact).to(x.dtype)


def _by_group(W: Tensor, basis: Tensor) -> Tensor:
    """(nets, out, in) → (groups, nets of a group, out, in)."""
    return W.reshape(basis.shape[0], -1, *W.shape[1:])

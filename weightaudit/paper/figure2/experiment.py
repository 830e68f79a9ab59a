"""Figure 2: the average inverse stable rank against weight decay, for small networks with many errors and with few.

One program trains every (labelling, draw, λ) at once. The networks of a draw share their inputs, the vector behind the
labels, their initial weights and the order of the batches, so that they differ by λ and the labelling alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.paper import nets
from weightaudit.paper.data import generator_for, labels, sphere_inputs
from weightaudit.paper.figure2 import charts, claims
from weightaudit.paper.nets import Weights
from weightaudit.paper.results import Result
from weightaudit.paper.settings import setting
from weightaudit.paper.training import Schedule, descend, single_threaded

NETS_PER_GROUP = 48
"""Networks that a thread computes at a time: at their size the fastest of 24, 48 and 96."""
MEASUREMENTS = 5
"""How often the networks are measured after the start, evenly."""
TICKS = 10
"""How often the progress moves from one measurement to the next."""

Labelling = Literal["linear", "sine"]


@dataclass(frozen=True)
class Figure2Config:
    """The data, the networks and their training."""

    inputs: int = setting(1000, origin="stated", least=1, about="inputs of a draw, on the unit sphere")
    dimension: int = setting(10, origin="ours", least=1, about="dimension of the inputs")
    labellings: tuple[Labelling, ...] = setting(
        ("linear", "sine"), origin="ours", about="labels by z = ⟨w, x⟩: sign(z), sign(sin 4z); the paper has two"
    )
    hidden_layers: int = setting(2, origin="stated", least=0, about="hidden layers")
    width: int = setting(10, origin="stated", least=1, about="width of each hidden layer")
    scale: float = setting(
        2**0.5, origin="ours", above=0, about="initial weights have standard deviation scale/√(inputs of the layer)"
    )
    epochs: int = setting(5000, origin="stated", least=1, about="passes over the data")
    batch: int = setting(100, origin="ours", least=1, about="points of a step")
    rate: float = setting(0.1, origin="ours", above=0, about="step size η")
    lambdas: tuple[float, ...] = setting(
        (0.0, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2),
        origin="ours",
        least=0,
        about="weight decay λ",
    )
    collapsed: float = setting(
        0.01, origin="ours", above=0, about="share of its initial norm below which a matrix has collapsed"
    )
    draws: int = setting(8, origin="ours", least=1, about="independent repetitions; the paper has one run per λ")
    seed: int = setting(0, origin="ours", least=0, about="seed of all draws")


def run(config: Figure2Config, progress: Progress) -> Result:
    """Train all networks, and judge how their average inverse stable rank goes with λ."""
    with single_threaded() as workers:
        points = _trained(config, progress, workers)
    final = claims.final(points)
    return Result(points, claims.claims(final), charts.charts(final), claims.notes(final))


@dataclass(frozen=True)
class _Draw:
    """What the networks of one labelling and draw start from: (n, d), (n,), one network."""

    x: Tensor
    y: Tensor
    weights: Weights


def _drawn(config: Figure2Config, labelling: Labelling, draw: int) -> _Draw:
    x = sphere_inputs(config.inputs, config.dimension, generator=generator_for(config.seed, draw, "inputs"))
    y = labels(x, labelling, generator=generator_for(config.seed, draw, "labels"))
    widths = (config.dimension, *[config.width] * config.hidden_layers, 1)
    generator = generator_for(config.seed, draw, "weights")
    return _Draw(x, y, nets.initialise(widths, 1, generator=generator, scale=config.scale))


def _trained(config: Figure2Config, progress: Progress, workers: int) -> pd.DataFrame:
    """Every measurement of every network, one a row."""
    lambdas = sorted(set(config.lambdas))
    draws = {(one, r): _drawn(config, one, r) for one in dict.fromkeys(config.labellings) for r in range(config.draws)}
    runs = pd.DataFrame(
        [(labelling, r, decay) for labelling, r in draws for decay in lambdas], columns=["labelling", "draw", "lambda"]
    )
    own = [draw for draw in draws.values() for _ in lambdas]
    start = [torch.cat(layer) for layer in zip(*(draw.weights for draw in own), strict=True)]
    x, y = torch.stack([draw.x for draw in own]), torch.stack([draw.y for draw in own])
    smallest = config.collapsed * nets.norms(start)

    passes = -(-config.inputs // config.batch)  # steps of an epoch
    steps = config.epochs * passes
    schedule = Schedule(config.epochs, MEASUREMENTS, TICKS)
    tables: list[pd.DataFrame] = []

    def observe(step: int, weights: Weights, loss: Tensor) -> None:
        epoch = step // passes
        progress.advance(schedule.since_tick(epoch))
        if schedule.is_due(epoch):
            margins = y * nets.forward(weights, x, "relu")
            tables.append(runs.assign(epoch=epoch, **_measured(weights, margins, loss, smallest)))

    progress.start(f"figure2: {len(runs)} networks", config.epochs)
    descend(
        start,
        x,
        y,
        rate=config.rate,
        decay=torch.tensor(runs["lambda"].to_numpy()),
        steps=steps,
        activation="relu",
        batch=config.batch,
        generator=generator_for(config.seed, "order"),
        observe=observe,
        every=schedule.tick * passes,
        group_size=NETS_PER_GROUP,
        workers=workers,
    )
    # By network, then along its training.
    return pd.concat(tables).sort_index(kind="stable").reset_index(drop=True)


def _measured(weights: Weights, margins: Tensor, loss: Tensor, smallest: Tensor) -> dict[str, Sequence[float]]:
    """Columns of a measurement. ``margins`` y f(x): (nets, n); ``smallest`` norms of live matrices: (nets, K)."""
    inverse, norms = 1 / nets.stable_ranks(weights), nets.norms(weights)
    return {
        "inverse_stable_rank": inverse.mean(dim=1).tolist(),
        **nets.by_layer("inverse_stable_rank", inverse),
        **nets.by_layer("norm", norms),
        "collapsed": (norms < smallest).any(dim=1).tolist(),
        "classification_error": (margins <= 0).double().mean(dim=1).tolist(),
        "margin_error": (margins < 1).double().mean(dim=1).tolist(),
        "loss": loss.double().tolist(),
    }

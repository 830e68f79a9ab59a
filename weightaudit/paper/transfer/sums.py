"""The source's own setting: ReLU networks on the unit sphere, whose weights are added up, and what each sum loses.

Networks of one draw, decay and start meet: the first, and others whose inputs lean towards the first's by more and
more, with labels of their own, by the first's function, or by its opposite. They begin apart, and are added up as they
are, or begin as one, and what has changed since is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pandas as pd
import torch
from torch import Tensor

from weightaudit.merging.summary import suggested_weights
from weightaudit.paper import nets
from weightaudit.paper.data import LABELLINGS, generator_for, leaning, sphere_inputs
from weightaudit.paper.nets import Weights
from weightaudit.paper.training import descend
from weightaudit.paper.transfer.predictors import Predictors

OVERLAPS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Length of the other networks' inputs' part among the first's: 0 is orthogonal, at 1 all lie there."""
LABELS = ("own", "same", "opposite")
"""Labels of the others: by a function of their own, by the first's, by its opposite."""
STARTS = ("apart", "shared")


@dataclass(frozen=True)
class SumSizes:
    """Of the networks and their training."""

    dimension: int
    inputs: int
    width: int
    hidden_layers: int
    rate: float
    steps: int
    decays: tuple[float, ...]
    draws: int


def measured(sizes: SumSizes, seed: int, start: str) -> pd.DataFrame:
    """A row for each network and each other that it is added to: its losses, and what was known before."""
    x, y = zip(*(_tasks(sizes, seed, draw) for draw in range(sizes.draws)), strict=True)
    inputs, labels = torch.cat(x), torch.cat(y)
    per_draw = len(x[0])
    begun = _started(sizes, seed, start, per_draw)
    many = len(sizes.decays)
    trained = descend(
        nets.repeated(begun, many),
        inputs.repeat_interleave(many, dim=0),
        labels.repeat_interleave(many, dim=0),
        rate=sizes.rate,
        decay=torch.tensor(sizes.decays, dtype=torch.float64).repeat(len(inputs)),
        steps=sizes.steps,
        activation="relu",
    )
    tables = []
    for draw in range(sizes.draws):
        of_draw = torch.arange(draw * per_draw, (draw + 1) * per_draw)
        first = nets.picked(begun, of_draw)
        for number, decay in enumerate(sizes.decays):
            own = nets.picked(trained, of_draw * many + number)
            base = first if start == "shared" else [torch.zeros_like(W) for W in first]
            found = _rows(base, own, inputs[of_draw], labels[of_draw])
            about = {"part": "sums", "set": f"{start}, λ = {decay:g}", "seed": seed, "group": draw}
            tables.append(pd.DataFrame([{**about, **row} for row in found]))
    return pd.concat(tables, ignore_index=True)


def _tasks(sizes: SumSizes, seed: int, draw: int) -> tuple[Tensor, Tensor]:
    """Inputs (tasks, n, d) and labels ±1 (tasks, n) of one draw, the first task's first."""
    half = sizes.dimension // 2
    first, second = slice(0, half), slice(half, sizes.dimension)

    def generator(*names: object) -> torch.Generator:
        return generator_for(seed, "transfer", "sums", draw, *names)

    x = sphere_inputs(sizes.inputs, sizes.dimension, generator=generator("inputs"), support=first)
    w = torch.randn(sizes.dimension, generator=generator("labels"), dtype=torch.float64)
    inputs, labels = [x], [_signs(x, w)]
    for overlap in OVERLAPS:
        for kind in LABELS:
            away = sphere_inputs(
                sizes.inputs, sizes.dimension, generator=generator("away", overlap, kind), support=second
            )
            near = sphere_inputs(
                sizes.inputs, sizes.dimension, generator=generator("near", overlap, kind), support=first
            )
            other = leaning(away, near, overlap)
            v = torch.randn(sizes.dimension, generator=generator("own labels", overlap, kind), dtype=torch.float64)
            inputs.append(other)
            labels.append(-_signs(other, w) if kind == "opposite" else _signs(other, w if kind == "same" else v))
    return torch.stack(inputs), torch.stack(labels)


def _signs(x: Tensor, w: Tensor) -> Tensor:
    return torch.where(LABELLINGS["linear"](x.double() @ w) >= 0, 1.0, -1.0).to(x.dtype)


def _started(sizes: SumSizes, seed: int, start: str, per_draw: int) -> Weights:
    """Networks before training, draw by draw; those of a draw alike where the start is shared."""
    widths = (sizes.dimension, *[sizes.width] * sizes.hidden_layers, 1)
    found = []
    for draw in range(sizes.draws):
        generator = generator_for(seed, "transfer", "sums", draw, "weights", start)
        own = nets.initialise(widths, 1 if start == "shared" else per_draw, generator=generator, scale=1.0)
        found.append(nets.repeated(own, per_draw) if start == "shared" else own)
    return [torch.cat(layer) for layer in zip(*found, strict=True)]


def _rows(base: Weights, own: Weights, x: Tensor, y: Tensor) -> list[dict[str, float | int]]:
    """Of networks that may be merged, the first with each of the others: both sides."""
    count = len(x)
    models = [
        {f"{k}": (W[i] - start[i]).double().numpy() for k, (W, start) in enumerate(zip(own, base, strict=True))}
        for i in range(count)
    ]
    layers = [x.mT, *nets.hidden(own, x, "relu")]
    seen = [{f"{k}": (h[i].double() @ h[i].double().mT).numpy() for k, h in enumerate(layers)} for i in range(count)]
    predictors = Predictors(models, seen, first_layer=["0"])
    base_loss, own_loss = (_losses(weights, x, y) for weights in (base, own))
    rows: list[dict[str, float | int]] = []
    for pair in combinations(range(count), 2):
        if pair[0] != 0:
            break
        suggested = suggested_weights([one.among(pair) for one in predictors.interactions.values()], 2)
        for a, b in (pair, pair[::-1]):
            at = dict(zip(pair, suggested, strict=True))
            ways = {"sum": (1.0, 1.0), "half": (0.5, 0.5), "suggested": (at[a], at[b])}
            losses = {}
            for way, (mine, others) in ways.items():
                merged = [
                    start[a] + mine * (W[a] - start[a]) + others * (W[b] - start[b])
                    for W, start in zip(own, base, strict=True)
                ]
                losses[f"{way}_loss"] = float(_losses([W[None] for W in merged], x[a : a + 1], y[a : a + 1])[0])
            known = {"base_loss": float(base_loss[a]), "own_loss": float(own_loss[a])}
            rows.append({"model": a, "other": b, **known, **losses, **predictors.of(a, b)})
    return rows


def _losses(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
    return nets.mean_loss(nets.forward(weights, x, "relu"), y)

"""Small transformers trained from one base on tasks of their own, merged in pairs, and what each pair loses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from weightaudit.merging.summary import suggested_weights
from weightaudit.paper.data import generator_for
from weightaudit.paper.transfer import transformers
from weightaudit.paper.transfer.predictors import Predictors
from weightaudit.paper.transfer.transformers import LETTERS, Parameters, SequenceTask, Shape

BASE_TASKS = 4
"""Orders that the base has learnt; their sequences have all symbols, which stay as they are."""
AT_ONCE = 64
"""Merged models that are tried at a time."""
WAYS = ("sum", "half", "suggested")
"""Weights: 1 and 1, 0.5 and 0.5, and those that disturb the pair the least."""


@dataclass(frozen=True)
class Recipe:
    """How a model is made from the base: AdamW with ``rate`` and ``decay`` for ``longer`` times the steps; by adapters
    of a ``rank``, or (0) whole."""

    name: str
    rate: float
    decay: float = 0.0
    longer: int = 1
    rank: int = 0


RECIPES = (
    Recipe("full", 2e-3),
    Recipe("decay", 2e-3, decay=0.3),
    Recipe("long", 2e-3, longer=3),
    Recipe("lora", 2e-2, longer=2, rank=4),
)


@dataclass(frozen=True)
class Sizes:
    """Of the experiment: the transformer, how many tasks, and how long each is trained and tried."""

    shape: Shape
    tasks: int
    base_steps: int
    steps: int
    batch: int
    tried: int


def measured(sizes: Sizes, recipe: Recipe, seed: int) -> pd.DataFrame:
    """A row for each model and each other that is merged with it: its losses, and what was known before."""
    base = _base(sizes, seed)
    found = transformers.tasks(
        sizes.tasks, LETTERS + BASE_TASKS, generator_for(seed, "transfer", "tasks"), replace=True
    )
    many = {name: value.repeat_interleave(sizes.tasks, 0) for name, value in base.items()}
    tuned = _tuned(sizes, recipe, many, found, generator_for(seed, "transfer", recipe.name))
    deltas = {name: tuned[name] - many[name] for name in sizes.shape.matrices}
    tokens, answers = _batch(found, sizes.tried, generator_for(seed, "transfer", "tried"))
    seen: Parameters = {}
    with torch.no_grad():
        base_loss = transformers.losses(many, sizes.shape, tokens, answers)
        own_loss = transformers.losses(tuned, sizes.shape, tokens, answers)
        transformers.forward(tuned, sizes.shape, tokens, seen)
    own, inputs = (
        [{name: of[name][i].double().numpy() for name in deltas} for i in range(sizes.tasks)] for of in (deltas, seen)
    )
    predictors = Predictors(own, inputs, [name for name in deltas if name.startswith("0.")])
    pairs = list(combinations(range(sizes.tasks), 2))
    weights: dict[str, Sequence[tuple[float, ...]]] = {
        "sum": [(1.0, 1.0)] * len(pairs),
        "half": [(0.5, 0.5)] * len(pairs),
        "suggested": [
            suggested_weights([one.among(pair) for one in predictors.interactions.values()], 2) for pair in pairs
        ],
    }
    merged = {way: _merged_losses(sizes, base, deltas, pairs, weights[way], tokens, answers) for way in WAYS}
    rows = []
    for number, pair in enumerate(pairs):
        for side, (a, b) in enumerate((pair, pair[::-1])):
            losses = {f"{way}_loss": float(merged[way][number, side]) for way in WAYS}
            of_model = {"base_loss": float(base_loss[a]), "own_loss": float(own_loss[a])}
            about = {"part": "transformers", "set": recipe.name, "seed": seed, "group": 0, "model": a, "other": b}
            rows.append({**about, **of_model, **losses, **predictors.of(a, b)})
    return pd.DataFrame(rows)


def _base(sizes: Sizes, seed: int) -> Parameters:
    generator = generator_for(seed, "transfer", "base")
    known = transformers.tasks(BASE_TASKS, LETTERS, generator, replace=False)

    def loss(parameters: Parameters) -> Tensor:
        tokens, answers = _batch(known, sizes.batch, generator)
        return transformers.losses(parameters, sizes.shape, tokens.flatten(0, 1)[None], answers.flatten(0, 1)[None])

    start = transformers.initial(sizes.shape, generator)
    return transformers.train(start, [*start], lambda made: made, loss, steps=sizes.base_steps, rate=3e-3, decay=0.0)


def _tuned(
    sizes: Sizes,
    recipe: Recipe,
    base: Parameters,
    found: Sequence[SequenceTask],
    generator: torch.Generator,
) -> Parameters:
    """The base's parameters, a model for each task, after training by the recipe."""
    names = [*sizes.shape.matrices]
    start, trained = dict(base), names
    if recipe.rank:
        for name, (rows, cols) in sizes.shape.matrices.items():
            start[f"{name}.B"] = torch.zeros(len(found), rows, recipe.rank)
            start[f"{name}.A"] = torch.randn(len(found), recipe.rank, cols, generator=generator) * cols**-0.5
        trained = [f"{name}.{side}" for name in names for side in "BA"]

    def made(parameters: Parameters) -> Parameters:
        if not recipe.rank:
            return parameters
        changes = {name: parameters[f"{name}.B"] @ parameters[f"{name}.A"] for name in names}
        return {**parameters, **{name: base[name] + change for name, change in changes.items()}}

    def loss(parameters: Parameters) -> Tensor:
        return transformers.losses(parameters, sizes.shape, *_batch(found, sizes.batch, generator))

    steps = recipe.longer * sizes.steps
    own = transformers.train(start, trained, made, loss, steps=steps, rate=recipe.rate, decay=recipe.decay)
    with torch.no_grad():
        tuned = made({**start, **own})
    return {name: tuned[name] for name in base}


def _batch(found: Sequence[SequenceTask], size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Of each task: (tasks, size, ·) each."""
    drawn = [task.batch(size, generator) for task in found]
    return torch.stack([tokens for tokens, _ in drawn]), torch.stack([answers for _, answers in drawn])


def _merged_losses(
    sizes: Sizes,
    base: Parameters,
    deltas: Parameters,
    pairs: Sequence[tuple[int, int]],
    weights: Sequence[tuple[float, ...]],
    tokens: Tensor,
    answers: Tensor,
) -> np.ndarray:
    """(pairs, 2): of each pair's merge, on the first one's task and on the second's."""
    found = []
    with torch.no_grad():
        for some in _some(len(pairs)):
            first, second = (torch.tensor([pair[side] for pair in pairs[some]]) for side in (0, 1))
            w = torch.tensor([weights[i] for i in range(*some.indices(len(pairs)))], dtype=torch.float32)[
                :, :, None, None
            ]
            merged = {name: value.expand(len(first), *value.shape[1:]) for name, value in base.items()}
            for name, delta in deltas.items():
                merged[name] = base[name] + w[:, 0] * delta[first] + w[:, 1] * delta[second]
            of_sides = [
                transformers.losses(merged, sizes.shape, tokens[which], answers[which]) for which in (first, second)
            ]
            found.append(torch.stack(of_sides, dim=1))
    return torch.cat(found).numpy()


def _some(count: int) -> Iterator[slice]:
    cuts = [*range(0, count, AT_ONCE), count]
    yield from (slice(start, end) for start, end in pairwise(cuts))

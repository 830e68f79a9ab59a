"""Weights that have little or nothing to do with those before: other models, noise, faults."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from benchmarks.derivatives.bases import (
    Model,
    Tensors,
    layer_of,
    make_tiny,
    read,
    write,
)
from benchmarks.derivatives.editing import edited
from benchmarks.derivatives.expected import VECTOR, Expect, Made, one
from benchmarks.derivatives.makers import ALL, maker, uniform

OTHERS = 7919
"""Added to the seed: the seed of a model that has nothing to do with the base."""


def _all_unrelated(model: Model) -> dict[str, Expect]:
    """What has no role is told as a vector."""
    return {
        name: one("unrelated") if W.ndim == 2 and "relative_attention_bias" not in name else VECTOR
        for name, W in model.stored.items()
    }


@maker(ALL)
def unrelated(model: Model, into: Path) -> Made:
    """Another model of the same shape; of a real one, random matrices of the same norms."""
    if model.family != "bert":
        make_tiny(model.family, into, model.seed + OTHERS)
        return Made(_all_unrelated(model))

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        for name in model.of():
            drawn = torch.randn(tensors[name].shape, generator=model.generator("unrelated", name))
            tensors[name] = drawn * (tensors[name].norm() / drawn.norm())
            expected[name] = one("unrelated")
        return expected

    return edited(model, into, edit)


@maker("llama t5")
def unrelated_same_sizes(model: Model, into: Path) -> Made:
    """Another model each of whose matrices has the norm of the base's."""
    make_tiny(model.family, into, model.seed + OTHERS)
    tensors = read(into)
    tensors = {name: W * (model.stored[name].norm() / W.norm()) for name, W in tensors.items()}
    write(into, tensors, model.config)
    return Made(_all_unrelated(model))


@maker(ALL)
def noise(model: Model, into: Path) -> Made:
    size = uniform(model, "noise", 0.003, 0.03)

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        for name in model.of():
            W = tensors[name]
            drawn = torch.randn(W.shape, generator=model.generator("noise", name))
            tensors[name] = W + size * W.norm() / math.sqrt(W.numel()) * drawn
            expected[name] = one("noise")
        return expected

    return edited(model, into, edit)


@maker("llama bert")
def noise_in_bfloat16(model: Model, into: Path) -> Made:
    size = uniform(model, "noise in bfloat16", 0.02, 0.05)

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        for name in model.of():
            W = tensors[name].to(torch.float32)
            drawn = torch.randn(W.shape, generator=model.generator("noise", name))
            tensors[name] = (W + size * W.norm() / math.sqrt(W.numel()) * drawn).to(torch.bfloat16)
            expected[name] = one("noise")
        return expected

    return edited(model, into, edit, base="base-bfloat16")


@maker(ALL)
def few_words(model: Model, into: Path) -> Made:
    """New meanings for some tokens."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        for name in model.tables:
            W, generator = tensors[name], model.generator("words", name)
            rows = torch.randperm(len(W), generator=generator)[: max(2, len(W) // 25)]
            W[rows] += 0.3 * W.std() * torch.randn(len(rows), W.shape[1], generator=generator)
        return {name: one("few rows") for name in model.tables}

    return edited(model, into, edit)


@maker(ALL)
def layer_reset(model: Model, into: Path) -> Made:
    def edit(tensors: Tensors) -> dict[str, Expect]:
        names = [name for name in model.of() if layer_of(name) == 1]
        for name in names:
            tensors[name] = 0.02 * torch.randn(tensors[name].shape, generator=model.generator("reset", name))
        return {name: one("unrelated") for name in names}

    return edited(model, into, edit)


@maker("llama bert gpt2")
def not_finite(model: Model, into: Path) -> Made:
    def edit(tensors: Tensors) -> dict[str, Expect]:
        first, second = model.of()[0], model.of()[-1]
        norm = next(name for name, W in tensors.items() if W.ndim == 1 and W.is_floating_point())
        tensors[first].view(-1)[17] = math.nan
        tensors[second].view(-1)[-5] = math.inf
        tensors[norm][3] = math.nan
        return dict.fromkeys((first, second, norm), one("not finite"))

    made = edited(model, into, edit)
    if model.family == "gpt2":  # The number is in one of the three roles: the others are unchanged.
        made.expected[model.of()[0]] = one("not finite", "unchanged", why="one of Q, K and V")
    return made


@maker("llama bert gpt2")
def zeroed(model: Model, into: Path) -> Made:
    """Matrices that are all zero."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        names = [name for name in model.of("O", "M2") if layer_of(name) == 1]
        for name in names:
            tensors[name].zero_()
        return {name: one("pruned") for name in names}

    return edited(model, into, edit)

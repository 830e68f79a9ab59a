"""Pruned models, by torch.nn.utils.prune."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.derivatives.bases import (
    Model,
    Tensors,
    write,
)
from benchmarks.derivatives.expected import Made, one
from benchmarks.derivatives.makers import ALL, maker, uniform


def _pruned(model: Model, into: Path, prune: Callable[[torch.nn.Module], object]) -> tuple[Made, Tensors]:
    """``prune`` is given modules with a weight (out, in)."""
    from torch.nn.utils import prune as library

    tensors, expected = model.copy(), {}
    for name in model.of():
        W = model.oriented(name, tensors[name])
        module = torch.nn.Linear(W.shape[1], W.shape[0], bias=False)
        module.weight = torch.nn.Parameter(W.clone(memory_format=torch.contiguous_format))
        prune(module)
        library.remove(module, "weight")
        tensors[name] = model.oriented(name, module.weight.detach())
        expected[name] = one("pruned")
    write(into, tensors, model.config)
    return Made(expected), tensors


@maker(ALL, by="torch.nn.utils.prune")
def pruned_magnitude(model: Model, into: Path) -> Made:
    from torch.nn.utils import prune

    share = uniform(model, "pruned", 0.2, 0.6)
    return _pruned(model, into, lambda module: prune.l1_unstructured(module, "weight", share))[0]


@maker("llama t5", by="torch.nn.utils.prune")
def pruned_random(model: Model, into: Path) -> Made:
    from torch.nn.utils import prune

    torch.manual_seed(model.seed)
    return _pruned(model, into, lambda module: prune.random_unstructured(module, "weight", 0.3))[0]


@maker("llama gpt2", by="torch.nn.utils.prune")
def pruned_rows(model: Model, into: Path) -> Made:
    from torch.nn.utils import prune

    return _pruned(model, into, lambda module: prune.ln_structured(module, "weight", 0.25, n=2, dim=0))[0]


def _two_of_four(module: torch.nn.Module) -> None:
    from torch.nn.utils import prune

    W = module.weight.detach()  # type: ignore[operator]
    ranks = W.abs().reshape(len(W), -1, 4).argsort(-1).argsort(-1)
    prune.custom_from_mask(module, "weight", (ranks >= 2).reshape(W.shape))


@maker("bert llama gpt2", by="torch.nn.utils.prune")
def pruned_2_of_4(model: Model, into: Path) -> Made:
    return _pruned(model, into, _two_of_four)[0]


@maker("bert llama", by="torch.nn.utils.prune, noise on what is left")
def pruned_and_tuned(model: Model, into: Path) -> Made:
    from torch.nn.utils import prune

    _, tensors = _pruned(model, into, lambda module: prune.l1_unstructured(module, "weight", 0.5))
    generator = model.generator("pruned and tuned")
    expected = {}
    for name in model.of():
        W = tensors[name]
        tensors[name] = W * (1 + 0.02 * torch.randn(W.shape, generator=generator))
        expected[name] = one("pruned and changed")
    write(into, tensors, model.config)
    return Made(expected)

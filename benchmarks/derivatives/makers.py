"""The list of makers: which families each is for, and what it is made by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.derivatives.bases import Model
from benchmarks.derivatives.expected import Made


@dataclass(frozen=True)
class Maker:
    """``make`` writes a derivative of a model to a folder."""

    name: str
    families: tuple[str, ...]
    by: str
    make: Callable[[Model, Path], Made]


ALL = "bert llama gpt2 mixtral t5"
"""Every family."""
MAKERS: list[Maker] = []
"""In the order in which they run: a merge needs what it merges."""


Make = Callable[[Model, Path], Made]


def maker(families: str, by: str = "this script") -> Callable[[Make], Make]:
    """Enter a function into `MAKERS`."""

    def enter(make: Make) -> Make:
        MAKERS.append(Maker(make.__name__.replace("_", "-"), tuple(families.split()), by, make))
        return make

    return enter


def uniform(model: Model, name: str, least: float, most: float) -> float:
    """A number between, that depends on the seed."""
    return least + (most - least) * float(torch.rand((), generator=model.generator("uniform", name)))

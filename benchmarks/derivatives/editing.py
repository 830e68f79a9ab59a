"""What makers that change tensors by hand have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.derivatives.bases import Model, Tensors, layer_of, read, write
from benchmarks.derivatives.expected import Expect, Made


def edited(model: Model, into: Path, edit: Callable[[Tensors], dict[str, Expect]], base: str = "base") -> Made:
    """The base after ``edit``, which changes tensors in place and says what is to be told of them."""
    tensors = {name: W.clone() for name, W in read(model.folder.with_name(base)).items()}
    expected = edit(tensors)
    write(into, tensors, model.config)
    return Made(expected, base=base)


def beside(model: Model, name: str, role: str) -> str:
    """Name of the matrix of another role in the same module."""
    module = (_stack(name), layer_of(name), _expert(name))
    return next(other for other in model.of(role) if (_stack(other), layer_of(other), _expert(other)) == module)


def _stack(name: str) -> str:
    return name.split(".")[0] if name.startswith(("encoder.block", "decoder.block")) else ""


def _expert(name: str) -> str:
    return name.split("experts.")[1].split(".")[0] if "experts." in name else ""


def shuffled(count: int, model: Model, *names: str) -> torch.Tensor:
    """A random permutation."""
    return torch.randperm(count, generator=model.generator(*names))


def writes_hidden(model: Model, name: str) -> bool:
    """Whether the rows of a matrix are units of the residual stream; else its columns are."""
    return model.role(name) in ("O", "M2")

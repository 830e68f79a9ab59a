"""The same weights in other files, and rounded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.derivatives.bases import (
    Model,
    write,
)
from benchmarks.derivatives.expected import Made
from benchmarks.derivatives.makers import ALL, maker


@maker(ALL)
def identical(model: Model, into: Path) -> Made:
    write(into, model.copy(), model.config)
    return Made({}, identical=True)


@maker("llama mixtral gpt2")
def resharded(model: Model, into: Path) -> Made:
    write(into, model.copy(), model.config, shards=5)
    return Made({}, identical=True)


@maker("bert gpt2")
def prefixed(model: Model, into: Path) -> Made:
    """Names as a model with a head stores them, or one without."""
    word = "transformer." if model.family == "gpt2" else f"{model.family}."

    def renamed(name: str) -> str:
        return name.removeprefix(word) if name.startswith(word) else word + name

    write(into, {renamed(name): tensor for name, tensor in model.stored.items()}, model.config)
    return Made({}, identical=True, renamed=True)


@maker("llama bert")
def pickled(model: Model, into: Path) -> Made:
    write(into, {}, model.config)
    (into / "model.safetensors").unlink()
    torch.save(model.copy(), into / "pytorch_model.bin")
    return Made({}, identical=True)


def _converted(model: Model, into: Path, through: Callable[[torch.Tensor], torch.Tensor]) -> Made:
    tensors = {name: through(W) if W.is_floating_point() else W for name, W in model.copy().items()}
    write(into, tensors, model.config)
    return Made({}, cast=True)


@maker("llama bert")
def cast_float16_bfloat16(model: Model, into: Path) -> Made:
    return _converted(model, into, lambda W: W.to(torch.float16).to(torch.bfloat16))


@maker("llama gpt2")
def cast_bfloat16_float16(model: Model, into: Path) -> Made:
    return _converted(model, into, lambda W: W.to(torch.bfloat16).to(torch.float16))


@maker("llama bert")
def cast_towards_zero(model: Model, into: Path) -> Made:
    return _converted(model, into, lambda W: (W.view(torch.int32) & -65536).view(torch.float32).to(torch.bfloat16))


@maker("llama t5")
def cast_bfloat16_float32(model: Model, into: Path) -> Made:
    return _converted(model, into, lambda W: W.to(torch.bfloat16).to(torch.float32))

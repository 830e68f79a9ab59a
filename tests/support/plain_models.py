"""Tiny models of `tests.support.models` in names and shapes, without transformers, whose import takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.support.models import FF, HIDDEN, LAYERS, POSITIONS, RECIPES, VOCAB

Shapes = dict[str, tuple[int, ...]]


def _dense(name: str, rows: int, cols: int) -> Shapes:
    return {f"{name}.weight": (rows, cols), f"{name}.bias": (rows,)}


def _conv(name: str, inputs: int, outputs: int) -> Shapes:
    """GPT-2's: the matrix lies the other way round."""
    return {f"{name}.weight": (inputs, outputs), f"{name}.bias": (outputs,)}


def _norm(name: str) -> Shapes:
    return {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}


def _bert() -> Shapes:
    embeddings = {"word": VOCAB, "position": POSITIONS, "token_type": 2}
    shapes: Shapes = {f"bert.embeddings.{name}_embeddings.weight": (n, HIDDEN) for name, n in embeddings.items()}
    shapes |= _norm("bert.embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"bert.encoder.layer.{i}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _dense(f"{layer}.attention.{name}", HIDDEN, HIDDEN)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm") | _norm(f"{layer}.output.LayerNorm")
        shapes |= _dense(f"{layer}.intermediate.dense", FF, HIDDEN) | _dense(f"{layer}.output.dense", HIDDEN, FF)
    shapes |= _dense("bert.pooler.dense", HIDDEN, HIDDEN) | _dense("cls.seq_relationship", 2, HIDDEN)
    shapes |= _dense("cls.predictions.transform.dense", HIDDEN, HIDDEN) | _norm("cls.predictions.transform.LayerNorm")
    return shapes | {"cls.predictions.bias": (VOCAB,)}


def _gpt2() -> Shapes:
    shapes: Shapes = {"transformer.wte.weight": (VOCAB, HIDDEN), "transformer.wpe.weight": (POSITIONS, HIDDEN)}
    for i in range(LAYERS):
        layer = f"transformer.h.{i}"
        shapes |= _norm(f"{layer}.ln_1") | _norm(f"{layer}.ln_2")
        shapes |= _conv(f"{layer}.attn.c_attn", HIDDEN, 3 * HIDDEN) | _conv(f"{layer}.attn.c_proj", HIDDEN, HIDDEN)
        shapes |= _conv(f"{layer}.mlp.c_fc", HIDDEN, FF) | _conv(f"{layer}.mlp.c_proj", FF, HIDDEN)
    return shapes | _norm("transformer.ln_f")


SHAPES = {"bert": _bert(), "gpt2": _gpt2()}


def plain_model(family: str, directory: Path) -> None:
    """Write ``family`` (bert or gpt2) to ``directory``: random numbers, the same at every call, each tensor its own."""
    model_class, _, values = RECIPES[family]
    directory.mkdir(parents=True)
    config = {"model_type": family, "architectures": [model_class], "dtype": "float32", **values}
    (directory / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    drawn = {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in SHAPES[family].items()}
    tensors = {
        name: tensor * torch.logspace(0, -2, tensor.shape[-1]) if tensor.ndim > 1 else tensor
        for name, tensor in drawn.items()
    }
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})

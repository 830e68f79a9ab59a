"""Small models that are well made but for what a test changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

UNKNOWN = "novel"
"""A model type that no spec knows, so that any name with a projection's words in it is analysed."""
LAYER = "model.layers.0."
ROLES = {"Q": "self_attn.q_proj.weight", "M1": "mlp.up_proj.weight", "M2": "mlp.down_proj.weight"}


def tensors() -> dict[str, torch.Tensor]:
    """Three matrices with roles, of different shapes."""
    generator = torch.Generator().manual_seed(7)
    shapes = {"Q": (6, 6), "M1": (10, 6), "M2": (6, 10)}
    return {LAYER + name: torch.randn(*shapes[role], generator=generator) for role, name in ROLES.items()}


def write_config(model: Path, config: Mapping[str, Any] | bytes | None = None) -> None:
    """config.json of the unknown model type, with ``config`` on top; bytes as they are."""
    raw = config if isinstance(config, bytes) else json.dumps({"model_type": UNKNOWN, **(config or {})}).encode()
    (model / "config.json").write_bytes(raw)


def write_model(model: Path, stored: Mapping[str, torch.Tensor] | None = None) -> Path:
    """``stored`` (else three matrices) in model.safetensors, and a config."""
    write_config(model)
    save_file(dict(tensors() if stored is None else stored), model / "model.safetensors")
    return model


def write_shards(model: Path, *, suffix: str = "safetensors") -> dict[str, str]:
    """The three matrices in three shards with their index and a config; the index's weight_map."""
    write_config(model)
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    weight_map = {}
    for number, (name, tensor) in enumerate(tensors().items(), start=1):
        shard = f"{stem}-{number:05}-of-00003.{suffix}"
        if suffix == "safetensors":
            save_file({name: tensor}, model / shard)
        else:
            torch.save({name: tensor}, model / shard)
        weight_map[name] = shard
    write_index(model, weight_map, suffix=suffix)
    return weight_map


def write_index(model: Path, weight_map: Mapping[str, Any] | bytes, *, suffix: str = "safetensors") -> Path:
    """The index with this weight_map; bytes are the whole file."""
    name = "model.safetensors.index.json" if suffix == "safetensors" else "pytorch_model.bin.index.json"
    raw = weight_map if isinstance(weight_map, bytes) else json.dumps({"weight_map": weight_map}).encode()
    (model / name).write_bytes(raw)
    return model / name

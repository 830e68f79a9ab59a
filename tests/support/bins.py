"""PyTorch checkpoints as people saved them before safetensors: whole, and in shards with an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch


def save_bin(tensors: Mapping[str, torch.Tensor], directory: Path) -> None:
    """``pytorch_model.bin`` in ``directory``."""
    torch.save(dict(tensors), directory / "pytorch_model.bin")


def save_bin_shards(tensors: Mapping[str, torch.Tensor], directory: Path, count: int) -> None:
    """``count`` shards of some tensors each, in the model's order, and the index that names them.

    Tensors that share memory are in one shard, as transformers keeps them.
    """
    storages = list(dict.fromkeys(tensor.untyped_storage().data_ptr() for tensor in tensors.values()))
    shard_of = {storage: 1 + i * count // len(storages) for i, storage in enumerate(storages)}
    files: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number = shard_of[tensor.untyped_storage().data_ptr()]
        files.setdefault(f"pytorch_model-{number:05}-of-{count:05}.bin", {})[name] = tensor
    for file, held in files.items():
        torch.save(held, directory / file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    weight_map = {name: file for file, held in files.items() for name in held}
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")

"""Models made from others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]


def derived(base: Path, folder: Path, change: Callable[[Tensors], Tensors | None], **config: Any) -> Path:
    """A copy of ``base`` with its tensors changed."""
    tensors = load_file(base / "model.safetensors")
    tensors = change(tensors) or tensors
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    known = json.loads((base / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**known, **config}))
    return folder


def noisy(tensors: Tensors, *, seed: int = 1, size: float = 0.01) -> None:
    """A little of everything changed."""
    draw = torch.Generator().manual_seed(seed)
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor + size * torch.randn(tensor.shape, generator=draw).to(tensor.dtype)

"""Tiny models, and adapters to them as PEFT saves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from safetensors.torch import load_file

from tests.support.tiny import tiny
from weightaudit.arrays import Array

RANK, ALPHA = 4, 6
SCALE = ALPHA / RANK


def saved_model(folder: Path, model_type: str = "llama") -> Path:
    tiny(model_type).save_pretrained(folder)
    return folder


def saved_adapter(
    folder: Path, shapes: Mapping[str, tuple[int, int]], *, magnitudes: bool = False, **said: Any
) -> tuple[Path, dict[str, Array]]:
    """(a LoRA of modules by their path, each of the shape (out, in), and s·B·A of each)."""
    generator = np.random.default_rng(5)
    stored: dict[str, Array] = {}
    changes: dict[str, Array] = {}
    for path, (rows, cols) in shapes.items():
        A, B = (generator.standard_normal(shape).astype(np.float32) / 4 for shape in ((RANK, cols), (rows, RANK)))
        stored |= {f"base_model.model.{path}.lora_A.weight": A, f"base_model.model.{path}.lora_B.weight": B}
        if magnitudes:
            norms = generator.uniform(0.5, 2, rows).astype(np.float32)
            stored[f"base_model.model.{path}.lora_magnitude_vector"] = norms
        changes[path] = SCALE * (B.astype(np.float64) @ A.astype(np.float64))
    folder.mkdir()
    save_file(stored, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["x"], "use_dora": magnitudes}
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "org/base", **said}))
    return folder, changes


def shapes_of(model: Path, *ends: str) -> dict[str, tuple[int, int]]:
    """Modules that end so, (rows, columns) as stored."""
    tensors = load_file(model / "model.safetensors")
    return {
        name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
        for name, tensor in tensors.items()
        if name.removesuffix(".weight").endswith(ends)
    }

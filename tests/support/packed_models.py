"""Tiny models whose linear maps are stored as a quantiser has packed them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.support.linear_packers import Packed, tiny_of
from tests.support.tiny import tiny
from weightaudit.arrays import Array, as_tensor

Pack = Callable[[Array], Packed]


def packed(family: str, pack: Pack, method: Mapping[str, Any], folder: Path, **sizes: Any) -> tuple[Path, Path]:
    """(a model with the linear maps of its layers packed, the model of random numbers that it is made from)."""
    base, model = folder / "base", folder / "model"
    if sizes:
        tiny(family, **sizes).save_pretrained(base)
    else:
        tiny_of(family, base)
    turned = family == "gpt2"
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(base / "model.safetensors").items():
        within = tensor.ndim == 2 and any(part in name for part in (".h.", "layers."))
        if not within or name.endswith("gate.weight"):
            stored[name] = tensor
            continue
        weight = tensor.numpy().T if turned else tensor.numpy()
        parts, _ = pack(np.ascontiguousarray(weight))
        module = name.removesuffix(".weight")
        stored |= {f"{module}.{end}": as_tensor(np.array(part, order="C")) for end, part in parts.items()}
    model.mkdir()
    save_file(stored, model / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, **method}))
    return model, base

"""A saved checkpoint as the tests see it: the live model, config.json, the stored tensors, and what is mapped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.support.models import build
from weightaudit.architecture import map_model
from weightaudit.arrays import as_array, as_tensor
from weightaudit.records import ModelMap, RoleMatrix, TensorInfo


@dataclass(frozen=True)
class Saved:
    """``model`` is live; ``config`` and ``tensors`` are what was read back from its files."""

    model: Any
    config: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def map(self) -> ModelMap:
        return map_model(self.config, infos(self.tensors))


def read_saved(model: Any, directory: Path) -> Saved:
    config = json.loads((directory / "config.json").read_text())
    return Saved(model, config, load_file(directory / "model.safetensors"))


def info(name: str, shape: tuple[int, ...], dtype: str = "float32") -> TensorInfo:
    return TensorInfo(name, dtype, shape, "model.safetensors", 0, 0)


def infos(tensors: Mapping[str, torch.Tensor]) -> dict[str, TensorInfo]:
    return {
        name: info(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


@cache
def _shapes(family: str, model_class: str) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    model = build(family, model_class)
    return model.config.to_dict(), infos(model.state_dict())


def stored_by(family: str, model_class: str = "") -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    """(config, what headers say of the tensors) of the model that `build` makes, which is made once."""
    config, tensors = _shapes(family, model_class)
    return deepcopy(config), dict(tensors)


def value(matrix: RoleMatrix, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The matrix as it would be measured, cut from the stored tensors."""
    return torch.cat([as_tensor(part.cut(as_array(tensors[part.tensor]))) for part in matrix.parts])


def values(model_map: ModelMap, tensors: Mapping[str, torch.Tensor]) -> dict[tuple[int | None, str], torch.Tensor]:
    """(layer, role) → the matrix. Fails on two matrices of one place, and on a shape that the map misstates."""
    found: dict[tuple[int | None, str], torch.Tensor] = {}
    for matrix in model_map.matrices:
        assert (matrix.layer, matrix.role) not in found
        cut = value(matrix, tensors)
        assert tuple(cut.shape) == matrix.shape
        found[matrix.layer, matrix.role] = cut
    return found


def statuses(model_map: ModelMap, status: str) -> dict[str, str]:
    """Tensors of one status, with the detail."""
    return {entry.tensor: entry.detail for entry in model_map.coverage if entry.status == status}


def older_phi(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same Phi under the names of its first release, Q, K and V fused as that code splits them."""
    names = {
        "model.embed_tokens": "transformer.embd.wte", "model.final_layernorm": "lm_head.ln",
        "lm_head": "lm_head.linear", "self_attn.dense": "mixer.out_proj", "input_layernorm": "ln",
    }  # fmt: skip
    older: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if "q_proj" in name:
            fused = [tensors[name.replace("q_proj", other)] for other in ("q_proj", "k_proj", "v_proj")]
            renamed = name.replace("self_attn.q_proj", "mixer.Wqkv").replace("model.layers", "transformer.h")
            older[renamed] = torch.cat(fused)
        elif "k_proj" not in name and "v_proj" not in name:
            stem, _, kind = name.rpartition(".")
            for now, then in names.items():
                stem = stem.replace(now, then) if stem.endswith(now) else stem
            older[f"{stem}.{kind}".replace("model.layers", "transformer.h")] = tensor
    return older

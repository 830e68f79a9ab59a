"""A fused checkpoint and its unfused twin give the same numbers, through the whole pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pandas.testing import assert_frame_equal
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.tiny import tiny

NUMBERS = ["stack", "layer", "expert", "role", "rows", "cols", "frobenius_norm", "spectral_norm", "stable_rank"]


def unfused_phi3(tensors: dict[str, torch.Tensor], config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Phi-3's tensors under Llama's names, split as Phi3Attention and Phi3MLP split their outputs."""
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    sizes = [config[key] * head_dim for key in ("num_attention_heads", "num_key_value_heads", "num_key_value_heads")]
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if "qkv_proj" in name:
            for role, part in zip("qkv", tensor.split(sizes), strict=True):
                found[name.replace("qkv_proj", f"{role}_proj")] = part.contiguous()
        elif "gate_up_proj" in name:
            gate, up = tensor.chunk(2)
            found[name.replace("gate_up", "gate")] = gate.contiguous()
            found[name.replace("gate_up", "up")] = up.contiguous()
        else:
            found[name] = tensor
    return found


@pytest.mark.parametrize("method", [pytest.param("exact", marks=pytest.mark.slow), "krylov"])
def test_phi3_and_its_twin_in_llamas_names(tmp_path: Path, method: Any) -> None:
    fused, twin = tmp_path / "fused", tmp_path / "twin"
    tiny("phi3").save_pretrained(fused)
    config = json.loads((fused / "config.json").read_text())
    twin.mkdir()
    (twin / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    save_file(unfused_phi3(load_file(fused / "model.safetensors"), config), twin / "model.safetensors")
    first, second = (wa.scan(model, method=method).layers[NUMBERS] for model in (fused, twin))
    assert {"Q", "K", "V", "QKV", "GATE", "M1"} <= set(first.role)
    assert_frame_equal(first, second, check_exact=True)


def test_stacked_experts_equal_matrices_of_their_own(tmp_path: Path) -> None:
    """gpt-oss stacks its experts (in, out), gate and up in turns; Mixtral stores each by itself."""
    stacked, twin = tmp_path / "stacked", tmp_path / "twin"
    tiny("gpt_oss").save_pretrained(stacked)
    config = json.loads((stacked / "config.json").read_text())
    found: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(stacked / "model.safetensors").items():
        stem = name.rpartition(".")[0]
        if name.endswith("gate_up_proj"):
            for expert, matrix in enumerate(tensor):
                found[f"{stem}.{expert}.gate_proj.weight"] = matrix[:, 0::2].t().contiguous()
                found[f"{stem}.{expert}.up_proj.weight"] = matrix[:, 1::2].t().contiguous()
        elif name.endswith("experts.down_proj"):
            for expert, matrix in enumerate(tensor):
                found[f"{stem}.{expert}.down_proj.weight"] = matrix.t().contiguous()
        else:
            found[name] = tensor
    twin.mkdir()
    (twin / "config.json").write_text(json.dumps({**config, "model_type": "mixtral"}))
    save_file(found, twin / "model.safetensors")
    first, second = (wa.scan(model).layers[NUMBERS] for model in (stacked, twin))
    assert first.expert.nunique() == 3
    assert_frame_equal(first, second, rtol=1e-12)  # sums in another order: the last bit may differ

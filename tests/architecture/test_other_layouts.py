"""Layouts in which a name alone does not tell the role or the layer: what lies beside it does, or its number."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.architecture.saved import infos, value
from tests.support.tiny import tiny
from weightaudit.architecture import map_model


def _saved(model_type: str, directory: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    tiny(model_type).save_pretrained(directory)
    return json.loads((directory / "config.json").read_text()), load_file(directory / "model.safetensors")


def _on_the_hub(name: str) -> str:
    """Dory's name where each attention and each MLP is a layer."""
    found = re.fullmatch(r"(backbone\.layers\.)(\d+)\.(self_attn|mlp)(\..+)", name)
    if found is None:
        return name
    layer = 2 * int(found[2]) + (found[3] == "mlp")
    return f"{found[1]}{layer}.mixer{found[4]}"


def test_attentions_and_mlps_that_are_numbered_apart_are_of_one_layer(tmp_path: Path) -> None:
    config, tensors = _saved("dory", tmp_path)
    apart = {_on_the_hub(name): tensor for name, tensor in tensors.items()}
    plain, found = map_model(config, infos(tensors)), map_model(config, infos(apart))
    assert [matrix.key for matrix in found.matrices] == [matrix.key for matrix in plain.matrices]
    assert all(
        torch.equal(value(one, apart), value(other, tensors))
        for one, other in zip(found.matrices, plain.matrices, strict=True)
    )


@pytest.mark.parametrize(("model_type", "name"), [("kimi_linear", "self_attn"), ("bailing_hybrid", "attention")])
def test_linear_attention_with_the_names_of_attention_is_told_by_what_lies_beside(
    model_type: str, name: str, tmp_path: Path
) -> None:
    config, tensors = _saved(model_type, tmp_path)
    roles = {(matrix.layer, matrix.role) for matrix in map_model(config, infos(tensors)).matrices}
    assert (0, "LINEAR_Q") in roles and (0, "Q") not in roles
    assert (1, "Q") in roles and (1, "LINEAR_Q") not in roles
    # One of the tensors beside is enough: a shard may lack the others.
    few = {key: tensor for key, tensor in tensors.items() if not re.search("A_log|dt_bias|b_proj", key)}
    assert (0, "LINEAR_Q") in {(matrix.layer, matrix.role) for matrix in map_model(config, infos(few)).matrices}
    full = f"model.layers.1.{name}.q_proj.weight"  # of an attention whose queries are of full rank
    own = {**config, "q_lora_rank": None}
    others = {key: tensor for key, tensor in tensors.items() if "layers.1" not in key or "q_" not in key}
    found = map_model(own, infos({**others, full: torch.zeros(80, 48)}))
    assert (1, "Q") in {(matrix.layer, matrix.role) for matrix in found.matrices}


def test_the_blocks_of_a_grouped_convolution_are_matrices_of_their_own(tmp_path: Path) -> None:
    config, tensors = _saved("squeezebert", tmp_path)
    found = [m for m in map_model(config, infos(tensors)).matrices if (m.layer, m.role) == (0, "Q")]
    stored = tensors["transformer.encoder.layers.0.attention.query.weight"]
    assert [matrix.expert for matrix in found] == [0, 1, 2, 3]
    for group, matrix in enumerate(found):
        assert torch.equal(value(matrix, tensors), stored[12 * group : 12 * (group + 1), :, 0])

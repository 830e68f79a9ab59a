"""The generator of benchmark checkpoints: names, shapes, files and planted σ₁ are what it says they are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open

from benchmarks.checkpoints import generate, shards_of, tensors_of
from benchmarks.models import MODELS
from weightaudit.architecture import map_model
from weightaudit.checkpoint import open_checkpoint

NEW = {
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 40,
    "vocab_size": 56,
    "max_position_embeddings": 32,
}
OLD = {"n_embd": 24, "n_head": 3, "n_layer": 2, "vocab_size": 56, "n_positions": 32}
TINY: dict[str, dict[str, Any]] = {
    "bert-base-uncased": NEW,
    "roberta-base": NEW,
    "gpt2": OLD,
    "gpt2-large": OLD,
    "gpt2-xl": OLD,
    "phi-2": {**NEW, "num_key_value_heads": 3},
    "gpt-j-6b": {**OLD, "rotary_dim": 4},
}
CLASSES = {
    "bert-base-uncased": "BertForPreTraining",
    "roberta-base": "RobertaForMaskedLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt2-large": "GPT2LMHeadModel",
    "gpt2-xl": "GPT2LMHeadModel",
    "phi-2": "PhiForCausalLM",
    "gpt-j-6b": "GPTJForCausalLM",
}
# What these models are known to have, buffers left out.
PARAMETERS = {
    "bert-base-uncased": 110_106_428,
    "gpt2": 124_439_808,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "phi-2": 2_779_683_840,
    "gpt-j-6b": 6_050_882_784,
}

every_model = pytest.mark.parametrize("model", sorted(MODELS))


def tiny(model: str, directory: Path, **options: Any) -> Path:
    generate(model, directory, overrides=TINY[model], **options)
    return directory


def read_all(directory: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no mapping)
    return tensors


@every_model
def test_transformers_loads_it_with_nothing_missing(model: str, tmp_path: Path) -> None:
    directory = tiny(model, tmp_path / "m")
    kind = getattr(transformers, CLASSES[model])
    _, info = kind.from_pretrained(directory, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    # Stored, and of no use to today's classes: roberta-base's pooler, GPT-J's masks.
    known = (".pooler.dense.weight", ".pooler.dense.bias", ".attn.bias", ".attn.masked_bias")
    assert [name for name in info["unexpected_keys"] if not name.endswith(known)] == []


@every_model
def test_every_tensor_is_mapped_or_ignored(model: str, tmp_path: Path) -> None:
    with open_checkpoint(str(tiny(model, tmp_path / "m"))) as checkpoint:
        mapped = map_model(checkpoint.config, checkpoint.tensors)
    assert not mapped.guessed
    assert [entry.tensor for entry in mapped.coverage if entry.status == "unmapped"] == []
    recorded = json.loads((tmp_path / "m" / "planted.json").read_text())["matrices"]
    assert {(m["layer"], m["role"]) for m in recorded} == {(m.layer, m.role) for m in mapped.matrices}


@every_model
def test_planted_sigma_is_the_largest_singular_value(model: str, tmp_path: Path) -> None:
    directory = tiny(model, tmp_path / "m", seed=3)
    recorded = json.loads((directory / "planted.json").read_text())["matrices"]
    with open_checkpoint(str(directory)) as checkpoint:
        matrices = {(m.layer, m.role): m for m in map_model(checkpoint.config, checkpoint.tensors).matrices}
        for record in recorded:
            matrix = matrices[record["layer"], record["role"]]
            parts = [part.cut(checkpoint.read(part.tensor)) for part in matrix.parts]
            sigma = np.linalg.svd(np.concatenate(parts).astype(np.float64), compute_uv=False)[0]
            tolerance = 1e-5 if matrix.dtype == "float32" else 1e-3
            assert sigma == pytest.approx(record["sigma_max"], rel=tolerance), (record, matrix.tensors)


@pytest.mark.parametrize("model", sorted(PARAMETERS))
def test_whole_models_have_the_published_number_of_parameters(model: str) -> None:
    buffers = ("causal mask", "mask value", "positions")
    tensors = tensors_of(MODELS[model], MODELS[model].config)
    assert sum(math.prod(t.shape) for t in tensors if t.spec.kind not in buffers) == PARAMETERS[model]


def test_conv1d_weights_are_stored_transposed(tmp_path: Path) -> None:
    tensors = read_all(tiny("gpt2-xl", tmp_path / "m"))
    assert tensors["h.0.attn.c_attn.weight"].shape == (24, 72)
    assert tensors["h.1.mlp.c_proj.weight"].shape == (96, 24)
    assert torch.equal(tensors["h.0.attn.bias"], torch.ones(1, 1, 32, 32).tril())


def test_the_index_names_the_file_of_every_tensor(tmp_path: Path) -> None:
    directory = tiny("gpt-j-6b", tmp_path / "m")
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in directory.glob("*.safetensors"))
    assert len(files) > 1
    found: dict[str, str] = {}
    for name in files:
        with safe_open(directory / name, framework="pt") as file:
            found.update(dict.fromkeys(file.keys(), name))
    assert index["weight_map"] == found
    tensors = read_all(directory)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors.values())
    assert tensors["transformer.h.0.attn.q_proj.weight"].dtype == torch.float16
    assert tensors["transformer.h.0.attn.bias"].dtype == torch.uint8


@pytest.mark.parametrize(("model", "files"), [("phi-2", 2), ("gpt-j-6b", 3), ("gpt2-xl", 1)])
def test_whole_models_have_the_number_of_files_they_should(model: str, files: int) -> None:
    spec = MODELS[model]
    assert len(shards_of(spec, tensors_of(spec, spec.config))) == files


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [tiny("bert-base-uncased", tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    a, b, c = ((path / "model.safetensors").read_bytes() for path in paths)
    assert a == b
    assert a != c


def test_a_slice_starts_with_the_same_layers(tmp_path: Path) -> None:
    whole = read_all(tiny("gpt2-large", tmp_path / "whole"))
    part = tiny("gpt2-large", tmp_path / "part", layers=1)
    assert json.loads((part / "config.json").read_text())["n_layer"] == 1
    tensors = read_all(part)
    assert tensors.keys() == {name for name in whole if not name.startswith("h.1.")}
    assert all(torch.equal(tensor, whole[name]) for name, tensor in tensors.items())


def test_gaussian_values_plant_nothing(tmp_path: Path) -> None:
    directory = tiny("gpt2-xl", tmp_path / "m", heavy=False)
    planted = json.loads((directory / "planted.json").read_text())
    assert {record["sigma_max"] for record in planted["matrices"]} == {None}
    sample = read_all(directory)["h.0.mlp.c_fc.weight"]
    assert float(sample.std()) == pytest.approx(0.02, rel=0.1)


def test_a_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        generate("gpt2-xl", tmp_path, overrides=OLD)

"""Whole models with their matrices quantised: the audit of one is the audit of the numbers that its codes mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.quantised import packers
from tests.quantised.packers import Packed, quantise
from tests.support.covering import some_of
from tests.support.tiny import tiny
from weightaudit import ScanReport
from weightaudit.arrays import Array
from weightaudit.checkpoint import open_checkpoint
from weightaudit.report.verdict import verdict_line

Pack = Callable[[Array], Packed]


def written(
    folder: Path, model_type: str, pack: Pack, chosen: Callable[[str], bool], said: Mapping[str, Any], **sizes: Any
) -> tuple[Path, Path]:
    """(a model with the chosen matrices quantised, its float32 twin), whose config says ``said`` too."""
    twin, quantised = folder / "twin" / "model", folder / "quantised" / "model"
    tiny(model_type, **sizes).save_pretrained(twin)
    stored, means = quantise(load_file(twin / "model.safetensors"), pack, chosen)
    save(means, twin)
    save(stored, quantised, twin, said)
    return quantised, twin


def save(tensors: Mapping[str, torch.Tensor], model: Path, like: Path | None = None, said: Any = None) -> None:
    model.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), model / "model.safetensors", metadata={"format": "pt"})
    if like is not None:
        config = json.loads((like / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, **(said or {})}))


def is_layer(name: str) -> bool:
    """A matrix of a layer, but a router's."""
    return "layers." in name and name.endswith("proj.weight")


def divides(name: str) -> bool:
    """That, or an embedding, a head or a router: MLX quantises them all."""
    return name.endswith(".weight") and "norm" not in name


def assert_same(quantised: ScanReport, twin: ScanReport, *, at_least: int, exactly: bool = True) -> None:
    """Every matrix, singular value and finding; ``exactly`` but where the two files hold a matrix turned."""
    assert [row.matrix.key for row in quantised.rows] == [row.matrix.key for row in twin.rows]
    for row, own in zip(quantised.rows, twin.rows, strict=True):
        if exactly:
            assert (row.spectrum, row.digest) == (own.spectrum, own.digest)
        else:
            assert row.spectrum is not None
            assert own.spectrum is not None
            assert row.spectrum.frobenius_norm == pytest.approx(own.spectrum.frobenius_norm, rel=1e-6)
            assert row.spectrum.spectral_norm == pytest.approx(own.spectrum.spectral_norm, rel=1e-6)
    told = [row for row in quantised.rows if row.matrix.scheme is not None and row.codes is not None]
    assert len(told) >= at_least
    status = {entry.tensor: entry.status for entry in quantised.coverage_entries}
    assert status == {entry.tensor: entry.status for entry in twin.coverage_entries}
    assert "unmapped" not in status.values()
    if exactly:
        plain = [replace(entry, file="", scheme=None, parts=(), stored_bytes=0) for entry in quantised.coverage_entries]
        assert plain == [replace(entry, file="") for entry in twin.coverage_entries]


LLAMA: dict[str, tuple[Pack, Callable[[str], bool], dict[str, Any]]] = {
    "nf4": (packers.nf4, is_layer, {}),
    "nf4, scales of 8 bits": (partial(packers.nf4, double=True), is_layer, {}),
    "nf4 stored as bfloat16": (partial(packers.nf4, double=True, storage=ml_dtypes.bfloat16), is_layer, {}),
    "int8": (packers.int8, is_layer, {}),
    "quanto": (packers.quanto, is_layer, {}),
    "HQQ": (packers.hqq, is_layer, {}),
    "MLX, 4 bits": (packers.mlx, divides, {"quantization": {"bits": 4, "group_size": 32}}),
    "MLX, 3 bits": (partial(packers.mlx, bits=3, group=64), divides, {"quantization": {"bits": 3, "group_size": 64}}),
}


USUAL = tuple(case for case in LLAMA if case != "MLX, 3 bits")
"""Packed so are models of other families below and at the gate, or just so beneath another storage; what the others
mean is looked at in the formulas and in the libraries' own files."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case in USUAL else ()) for case in LLAMA]
)
def test_llama_with_fewer_key_heads(case: str, tmp_path: Path) -> None:
    pack, chosen, said = LLAMA[case]
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 8, "head_dim": 8}
    quantised, twin = written(tmp_path, "llama", pack, chosen, said, **sizes)
    assert_same(wa.scan(quantised, spectrum=True), wa.scan(twin, spectrum=True), at_least=14)


@pytest.mark.parametrize("pack", some_of((packers.nf4, packers.int8), packers.int8))
def test_gpt2_whose_files_are_turned_and_whose_quantised_files_are_not(pack: Pack, tmp_path: Path) -> None:
    """A Conv1D is (in, out) in a float file, and (out, in) in every quantised one."""
    float_file, quantised, twin = (tmp_path / part / "model" for part in ("float", "quantised", "twin"))
    tiny("gpt2").save_pretrained(float_file)
    tensors = load_file(float_file / "model.safetensors")
    convs = [name for name in tensors if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))]
    turned = {name: tensor.T.contiguous() if name in convs else tensor for name, tensor in tensors.items()}
    stored, means = quantise(turned, pack, convs.__contains__)
    save(stored, quantised, float_file)
    back = {name: tensor.T.contiguous() if name in convs else tensor for name, tensor in means.items()}
    save(back, twin, float_file)
    assert_same(wa.scan(quantised, spectrum=True), wa.scan(twin, spectrum=True), at_least=8, exactly=False)
    with open_checkpoint(quantised) as checkpoint:
        name = next(name for name in convs if name.endswith("c_attn.weight"))
        assert checkpoint.tensors[name].shape == tuple(reversed(tensors[name].shape))
        assert np.array_equal(checkpoint.read(name), means[name].numpy())


def test_gpt_oss_whose_experts_have_gate_and_up_in_turns(tmp_path: Path) -> None:
    """Rows alternate in a quantised file, columns in a float one: gate is gate and up is up in both."""
    float_file, quantised, twin = (tmp_path / part / "model" for part in ("float", "quantised", "twin"))
    tiny("gpt_oss", hidden_size=64, intermediate_size=96).save_pretrained(float_file)
    tensors = load_file(float_file / "model.safetensors")
    stored, means = dict(tensors), dict(tensors)
    experts = [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]
    for name in experts:
        packed, meant = packers.mxfp4(np.ascontiguousarray(tensors[name].transpose(1, 2).float().numpy()), name)
        del stored[name]
        stored |= {key: torch.from_numpy(part) for key, part in packed.items()}
        means[name] = torch.from_numpy(meant).transpose(1, 2).contiguous()
    save(stored, quantised, float_file)
    save(means, twin, float_file)
    scans = [wa.scan(model, spectrum=True) for model in (quantised, twin)]
    assert_same(*scans, at_least=2 * 3 * 3, exactly=False)
    layer = "model.layers.0.mlp.experts.gate_up_proj"
    found = {(one.role, one.expert): one for one in wa.matrices(quantised) if one.layer == 0}
    for expert in range(3):
        for role, first in (("GATE", 0), ("M1", 1)):
            assert torch.equal(found[role, expert].load(), means[layer][expert].T[first::2])


@pytest.mark.slow  # as the packed one
def test_deepseek_with_latents(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 32, "q_lora_rank": 32}
    sizes |= {"kv_lora_rank": 32, "num_attention_heads": 4, "v_head_dim": 16, "qk_nope_head_dim": 16}
    said = {"quantization": {"bits": 4, "group_size": 32}}
    quantised, twin = written(tmp_path, "deepseek_v3", packers.mlx, is_layer, said, **sizes)
    assert_same(wa.scan(quantised, spectrum=True), wa.scan(twin, spectrum=True), at_least=10)


@pytest.mark.slow  # as the experts of Qwen
def test_mixtral_whose_experts_are_files_own_matrices(tmp_path: Path) -> None:
    def is_expert(name: str) -> bool:
        return "experts." in name and name.endswith(".weight")

    quantised, twin = written(tmp_path, "mixtral", packers.nf4, is_expert, {})
    assert_same(wa.scan(quantised, spectrum=True), wa.scan(twin, spectrum=True), at_least=18)


@pytest.mark.slow  # as the packed experts, and those that MLX stacks
@pytest.mark.parametrize(
    ("family", "pack"),
    list(product(("qwen2_moe", "qwen3_moe"), (packers.nf4, packers.int8))),
)
def test_qwen_s_experts_of_bitsandbytes(family: str, pack: Pack, tmp_path: Path) -> None:
    """Each of its own, and one that is shared in the older family."""
    quantised, twin = written(tmp_path, family, pack, is_layer, {})
    scans = [wa.scan(model, spectrum=True) for model in (quantised, twin)]
    assert_same(*scans, at_least=2 * (4 + 3 * 3))
    assert scans[0].verdict == scans[1].verdict
    assert "partial" not in verdict_line(scans[0])


def test_mixtral_whose_experts_mlx_stacks(tmp_path: Path) -> None:
    """Three projections of all experts, under names of MLX's own."""
    float_file, quantised, twin = (tmp_path / part / "model" for part in ("float", "quantised", "twin"))
    tiny("mixtral", hidden_size=64, intermediate_size=96).save_pretrained(float_file)
    tensors = load_file(float_file / "model.safetensors")
    stored, means = dict(tensors), dict(tensors)
    projections = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}
    for layer in range(2):
        mlp = f"model.layers.{layer}.block_sparse_moe"
        for own, name in projections.items():
            names = [f"{mlp}.experts.{expert}.{own}.weight" for expert in range(3)]
            packed, meant = packers.mlx(np.stack([stored.pop(one).float().numpy() for one in names]))
            stored |= {f"{mlp}.switch_mlp.{name}.{use}": torch.from_numpy(part) for use, part in packed.items()}
            means |= {one: torch.from_numpy(W.copy()) for one, W in zip(names, meant, strict=True)}
    save(stored, quantised, float_file, {"quantization": {"bits": 4, "group_size": 32}})
    save(means, twin, float_file)
    scans = [wa.scan(model, spectrum=True) for model in (quantised, twin)]
    assert [row.matrix.key for row in scans[0].rows] == [row.matrix.key for row in scans[1].rows]
    assert [row.spectrum for row in scans[0].rows] == [row.spectrum for row in scans[1].rows]
    assert sum(row.codes is not None for row in scans[0].rows) == 18
    assert "unmapped" not in {entry.status for entry in scans[0].coverage_entries}

"""Tensors without a role: which a scan looks at, what it sees in them, what it makes of that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import weightaudit as wa
from tests.support.covering import some_of
from tests.support.trained import HIDDEN, Tensors, trained, write
from weightaudit.arrays import Array, as_array
from weightaudit.audit import others
from weightaudit.audit.others import facts_of
from weightaudit.checkpoint import Checkpoint
from weightaudit.records import TensorFacts, TensorInfo

NAN, INF = math.nan, math.inf
few = partial(write, layers=1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (2, 1, 3, 4)])
def test_facts(dtype: torch.dtype, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "CHUNK", 5)
    values = torch.arange(-3, math.prod(shape) - 3).reshape(shape).to(dtype) / 4
    flat = values.flatten()
    flat[0], flat[-1], flat[-2] = NAN, INF, -INF
    finite, before = flat[1:-2].double(), flat.clone()
    facts = facts_of(as_array(flat.reshape(shape)))
    assert replace(facts, mean_square=0.0) == TensorFacts(1, 2, 1, float(finite.abs().max()), 0.0)
    assert facts.mean_square == pytest.approx(float(finite.square().mean()), rel=1e-14)
    assert torch.equal(flat.nan_to_num(9.0), before.nan_to_num(9.0))  # is only looked at


def test_facts_of_nothing_finite_and_of_a_scalar() -> None:
    assert facts_of(as_array(torch.full((3,), NAN))) == TensorFacts(3, 0, 0, 0.0, 0.0)
    assert facts_of(as_array(torch.tensor(-2.0))) == TensorFacts(0, 0, 0, 2.0, 4.0)
    assert facts_of(as_array(torch.tensor([2 + 4j, complex(0, NAN), 2]))) == TensorFacts(1, 0, 0, 4.0, 24 / 5)


def test_facts_of_complex_numbers_that_do_not_lie_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "CHUNK", 2)
    values = torch.tensor([2 + 4j, 9, complex(0, NAN), 9, 2])
    assert facts_of(as_array(values[::2])) == TensorFacts(1, 0, 0, 4.0, 24 / 5)
    assert facts_of(as_array(values[:1].expand(3))) == TensorFacts(0, 0, 0, 4.0, 10.0)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_facts_of_small_floats(dtype: torch.dtype) -> None:
    assert facts_of(as_array(torch.tensor([0.0, 1.0, NAN, -2.0, 1.0]).to(dtype))) == TensorFacts(1, 0, 1, 2.0, 1.5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64, torch.uint16, torch.uint32])
def test_of_integers_zeros_are_counted(dtype: torch.dtype) -> None:
    facts = facts_of(as_array(torch.tensor([[0, 1], [0, 127]]).to(dtype)))
    assert (facts.zeros, facts.nonfinite, math.isnan(facts.max_abs)) == (2, 0, True)


def found(directory: Path, **options: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.id, one.tensors) for one in wa.scan(directory, **options).findings if one.id != "unmapped"]


def with_one(what: str, values: torch.Tensor) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({what: values})


def of(*shape: int, fill: float | None = None, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 0.1
    values = drawn.to(dtype)
    if fill is not None:
        values.flatten()[1] = fill
    return values


NOT_FINITE = {
    "projector": ("multi_modal_projector.linear_1.weight", of(40, HIDDEN, fill=NAN)),
    "convolution": ("vision_tower.patch_embedding.weight", of(8, 3, 4, 4, fill=INF)),
    "three dimensions": ("model.layers.0.time_mix", of(1, 1, HIDDEN, fill=NAN)),
    "scalar": ("model.layers.0.gate", torch.tensor(NAN)),
    "bias": ("model.layers.0.mlp.up_proj.bias", of(160, fill=-INF)),
    "half": ("model.adapter.weight", of(24, 30, fill=INF, dtype=torch.float16)),
    "scales": ("model.layers.0.x.weight_scale", of(24, fill=NAN, dtype=torch.bfloat16)),
    "eight bits": ("model.layers.0.x.weight", of(24, 30, fill=NAN).to(torch.float8_e4m3fn)),
    "buffer": ("model.layers.0.self_attn.rotary_emb.inv_freq", of(8, fill=NAN)),
}


@pytest.mark.parametrize("kind", some_of(NOT_FINITE, "convolution", "scalar", "eight bits", "buffer"))
def test_whatever_is_not_finite_is_found(kind: str, tmp_path: Path) -> None:
    tensor, values = NOT_FINITE[kind]
    few(tmp_path, with_one(tensor, values))
    assert found(tmp_path) == [("nonfinite", (tensor,))]
    assert found(tmp_path, roles="Q,K") == []  # was not asked for


ZERO = {
    "projector": ("multi_modal_projector.linear_1.weight", of(40, HIDDEN)),
    "convolution": ("vision_tower.patch_embedding.weight", of(8, 3, 4, 4)),
    "norm": ("model.layers.0.input_layernorm.weight", of(HIDDEN)),
    "codes": ("model.layers.0.x.qweight", torch.ones(8, 30, dtype=torch.int32)),
    "codes of four bits": ("model.layers.0.x.weight", torch.ones(120, 1, dtype=torch.uint8)),
    "codes of eight bits": ("model.layers.0.x.weight", of(24, 30).to(torch.float8_e4m3fn)),
    "scales": ("model.layers.0.x.scales", of(2, 30, dtype=torch.float16)),
    "scales in a row": ("model.layers.0.x.weight.absmax", of(30)),
}


@pytest.mark.parametrize("kind", some_of(ZERO, "projector", "norm", "codes of four bits", "scales"))
def test_whatever_training_never_leaves_zero_is_found(kind: str, tmp_path: Path) -> None:
    tensor, values = ZERO[kind]
    few(tmp_path / "sound", with_one(tensor, values))
    assert found(tmp_path / "sound") == []
    few(tmp_path / "zero", with_one(tensor, torch.zeros_like(values)))
    assert found(tmp_path / "zero") == [("zero-matrix", (tensor,))]


INT32 = torch.int32
DECODED: dict[str, Tensors] = {
    "GPTQ": {
        "qweight": torch.arange(32 * 24, dtype=INT32).reshape(32, 24) * 8_765_431,
        "qzeros": torch.full((2, 3), 0x77777777, dtype=INT32),
        "scales": of(2, 24, dtype=torch.float16).abs() + 0.01,
    },
    "FP8": {"weight": of(24, 30).to(torch.float8_e4m3fn), "weight_scale": of(24, 1).abs() + 0.01},
}
"""Weights without a role that are read, by the last part of their names."""
UNREAD: dict[str, Tensors] = {
    "EXL2": {
        "q_weight": torch.ones(8, 30, dtype=INT32),
        "q_scale": torch.ones(2, 4, dtype=INT32),
        "q_groups": torch.ones(4, dtype=torch.int16),
        "q_scale_max": of(2, dtype=torch.float16),
    },
    "Marlin": {"B": torch.ones(8, 60, dtype=INT32), "s": of(2, 30, dtype=torch.float16)},
    "AQLM": {
        "codes": torch.ones(6, 5, 2, dtype=torch.int8),
        "codebooks": of(2, 256, 1, 8, dtype=torch.float16),
        "scales": of(6, 1, 1, 1, dtype=torch.float16),
    },
    "FP8 of odd blocks": {"weight": of(24, 30).to(torch.float8_e4m3fn), "weight_scale_inv": of(5, 7)},
}
"""Weights that nothing decodes, by the last part of their names; the last is what scales them."""


def put(parts: Tensors, part: str = "", fill: float = 0.0) -> Callable[[Tensors], object]:
    """``parts`` of one weight in a layer, the first number of ``part`` another."""
    own = {name: values.clone() for name, values in parts.items()}
    if part:
        own[part].view(-1)[0] = fill
    return lambda tensors: tensors.update({f"model.layers.0.x.{name}": values for name, values in own.items()})


@pytest.mark.parametrize(("format", "part"), [("GPTQ", "scales"), ("FP8", "weight_scale")])
def test_a_scale_of_zero_is_a_group_of_zeros(format: str, part: str, tmp_path: Path) -> None:
    parts = DECODED[format]
    few(tmp_path / "sound", put(parts))
    assert found(tmp_path / "sound") == []
    few(tmp_path / "zero", put(parts, part))
    (finding,) = [one for one in wa.scan(tmp_path / "zero").findings if one.id != "unmapped"]
    assert (finding.id, finding.severity, finding.value) == ("zero-scales", "warning", 1.0)
    assert finding.detail == f"1 of {parts[part].numel()} scales of model.layers.0.x.weight is zero."


@pytest.mark.parametrize("format", some_of(UNREAD, "FP8 of odd blocks"))
def test_of_what_nothing_decodes_the_stored_numbers_are_looked_at(format: str, tmp_path: Path) -> None:
    parts = UNREAD[format]
    scales = list(parts)[-1]
    tensor = f"model.layers.0.x.{scales}"
    few(tmp_path / "sound", put(parts))
    assert found(tmp_path / "sound", min_coverage=0) == []
    few(tmp_path / "zero", put(parts, scales))
    (finding,) = [one for one in wa.scan(tmp_path / "zero", min_coverage=0).findings if one.id != "unmapped"]
    assert (finding.id, finding.severity, finding.tensors) == ("zero-scales", "warning", (tensor,))
    assert finding.detail == f"1 of {parts[scales].numel()} scales of {tensor} is zero."
    few(tmp_path / "nan", put(parts, scales, NAN))
    assert found(tmp_path / "nan", min_coverage=0) == [("nonfinite", (tensor,))]
    codes = next(iter(parts))
    few(tmp_path / "zeros", put({**parts, codes: torch.zeros_like(parts[codes])}))
    assert found(tmp_path / "zeros", min_coverage=0) == [("zero-matrix", (f"model.layers.0.x.{codes}",))]


@pytest.mark.parametrize("fill", [NAN, -0.01, 1e-7])
def test_scales_of_weights_without_a_role_are_judged_as_those_of_others(fill: float, tmp_path: Path) -> None:
    few(tmp_path, put(DECODED["GPTQ"], "scales", fill))
    rules = {-0.01: "negative-scales", 1e-7: "subnormal-scales"}
    assert found(tmp_path) == [(rules.get(fill, "nonfinite"), ("model.layers.0.x.weight",))]


def test_zeros_of_what_scales_no_codes_are_no_fault(tmp_path: Path) -> None:
    few(tmp_path, with_one("model.layers.0.x.scales", of(2, 30, fill=0.0)))
    assert found(tmp_path) == []


SOUND = {
    "zero bias": ("model.layers.0.mlp.up_proj.bias", torch.zeros(160)),
    "zero biases of experts": ("model.layers.0.mlp.experts.up_bias", torch.zeros(4, 160)),
    "zero vector": ("model.layers.0.time_decay", torch.zeros(HIDDEN)),
    "zero points": ("model.layers.0.x.qzeros", torch.zeros(8, 30, dtype=torch.int32)),
    "groups": ("model.layers.0.x.g_idx", torch.zeros(1, 30, dtype=torch.int32)),
    "mask": ("model.mask", torch.full((9, 9), -INF).triu(1)),
    "mask of large numbers": ("model.attention_bias_table", torch.full((9, 9), -1e9).triu(1)),
    "infinite buffer": ("model.layers.0.self_attn.rotary_emb.inv_freq", torch.tensor([1.0, INF])),
    "large positions": ("model.position_ids", torch.arange(3_000_000.0, 3_000_090.0)[None]),
    "empty": ("model.nothing", torch.zeros(0, 4)),
    "flags": ("model.flags", torch.zeros(4, 4, dtype=torch.bool)),
    "counter": ("model.num_batches_tracked", torch.tensor(0)),
    "large norm": ("model.layers.0.input_layernorm.weight", 60.0 * torch.ones(HIDDEN)),
    "inverse scales": ("model.layers.0.x.weight_scale", 3e5 * torch.ones(40)),
    "a setting": ("model.layers.0.masked", torch.tensor(-1e9)),
    "untouched bias": ("model.layers.0.self_attn.k_proj.bias", 1e-12 * torch.ones(HIDDEN)),
}


def test_what_sound_models_have_is_no_fault_together(tmp_path: Path) -> None:
    assert len(dict(SOUND.values())) == len(SOUND)
    few(tmp_path, lambda tensors: tensors.update(SOUND.values()))
    assert found(tmp_path) == []


@pytest.mark.parametrize("kind", some_of(SOUND, "mask", "inverse scales"))
def test_what_sound_models_have_is_no_fault(kind: str, tmp_path: Path) -> None:
    few(tmp_path, with_one(*SOUND[kind]))
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("tensor", "values"),
    [
        ("multi_modal_projector.linear_1.weight", 1e30 * of(40, HIDDEN)),
        ("model.layers.0.input_layernorm.weight", 1e8 * of(HIDDEN)),
        # What no scale stands beside is the weight itself, however few bits it has.
        ("model.layers.0.x.weight", (3e4 * torch.ones(9, 9)).to(torch.float8_e5m2)),
        ("model.layers.0.mlp.up_proj.bias", torch.cat([torch.zeros(9), torch.tensor([3e7, 0.1])])),
    ],
)
def test_sizes_that_no_weight_has(tensor: str, values: torch.Tensor, tmp_path: Path) -> None:
    few(tmp_path, with_one(tensor, values))
    assert found(tmp_path) == [("magnitude", (tensor,))]


@pytest.mark.parametrize("model_type", some_of(["gemma2", "qwen3_next", "nemotron"], "gemma2", "nemotron"))
def test_norms_that_multiply_by_one_more_may_be_zero(model_type: str, tmp_path: Path) -> None:
    few(tmp_path, with_one("model.layers.0.input_layernorm.weight", torch.zeros(HIDDEN)), model_type=model_type)
    assert "zero-matrix" not in [rule for rule, _ in found(tmp_path)]


def test_eight_bits_near_their_limit_are_no_fault_where_a_scale_stands_beside(tmp_path: Path) -> None:
    codes, scale = (3e4 * of(9, 9).sign()).to(torch.float8_e5m2), torch.tensor(1e-6)
    few(tmp_path, put({"weight": codes, "weight_scale": scale}))
    assert found(tmp_path) == []


def packed(tensors: Tensors) -> None:
    """As GPTQ stores it: integers of eight codes each, scales and zero points of two groups; each code is the number
    next to the weight.
    """
    for one in [one for one in tensors if one.endswith("_proj.weight")]:
        weight = tensors.pop(one).float()
        rows, cols = weight.shape
        groups = weight.reshape(rows, 2, cols // 2)
        scales = groups.abs().amax(-1, keepdim=True) / 7
        codes = (groups / scales).round().clamp(-8, 7).reshape(rows, cols // 8, 8).long() + 8
        words = (codes << (4 * torch.arange(8))).sum(-1)
        stem = one.removesuffix("weight")
        tensors[stem + "qweight"] = words.to(torch.uint32).view(torch.int32).T.contiguous()
        tensors[stem + "scales"] = scales[:, :, 0].T.half().contiguous()
        tensors[stem + "qzeros"] = torch.full((2, rows // 8), 0x77777777, dtype=torch.int32)


@pytest.mark.parametrize(
    ("part", "fill", "rule"),
    some_of(
        [("scales", NAN, "nonfinite"), ("scales", 0.0, "zero-matrix"), ("qweight", -0x77777778, "zero-matrix")],
        ("qweight", -0x77777778, "zero-matrix"),
    ),
)
def test_a_quantised_model_that_means_nothing_is_one_error(part: str, fill: float, rule: str, tmp_path: Path) -> None:
    layers = 8  # of more than 50 weights, which is how many a finding names
    make = partial(write, quantization_config={"quant_method": "gptq", "bits": 4})
    make(tmp_path / "sound", packed, layers=2)
    assert found(tmp_path / "sound") == []

    def spoiled(tensors: Tensors) -> None:
        packed(tensors)
        for one in tensors:
            if one.endswith(part):
                tensors[one] = torch.full_like(tensors[one], fill)

    make(tmp_path / "spoiled", spoiled, layers=layers)
    (finding,) = [one for one in wa.scan(tmp_path / "spoiled").findings if one.severity == "error"]
    assert (finding.id, len(finding.tensors)) == (rule, 50)
    assert f"{7 * layers} of " in finding.detail
    assert f"M2 of layers 0-{layers - 1}" in finding.detail


def test_what_is_too_large_to_be_held_is_said(tmp_path: Path) -> None:
    large = trained((2000, 300), torch.Generator().manual_seed(4))
    few(tmp_path, with_one("model.adapter.weight", large * NAN))
    report = wa.scan(tmp_path, memory="1500KB")
    assert "nonfinite" not in [one.id for one in report.findings]
    (said,) = [note for note in report.notes if "model.adapter.weight" in note]
    assert said.startswith("model.adapter.weight takes 2,400,000 bytes at once: it was not looked at")
    assert found(tmp_path, memory="10MB", min_coverage=0) == [("nonfinite", ("model.adapter.weight",))]


def test_reading_is_what_the_files_hold_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tensor once."""
    few(tmp_path, with_one("model.adapter.weight", of(40, 50)))
    reads: list[str] = []
    plain = Checkpoint._read

    def counting(self: Checkpoint, tensor: TensorInfo, *rest: Any) -> Array:
        reads.append(tensor.name)
        return plain(self, tensor, *rest)

    monkeypatch.setattr(Checkpoint, "_read", counting)
    report = wa.scan(tmp_path)
    assert sorted(reads) == sorted(report.coverage.tensor)


def test_real_numbers_stored_as_complex_are_not_zero() -> None:
    assert facts_of(as_array(torch.ones(3, dtype=torch.complex64))).zeros == 0
    both = torch.tensor([complex(NAN, NAN), complex(INF, NAN), complex(0, -INF), 0j])
    facts = facts_of(as_array(both))
    assert (facts.nan, facts.infinite, facts.zeros) == (2, 1, 1)

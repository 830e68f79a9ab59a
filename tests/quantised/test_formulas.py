"""Formats whose libraries need a GPU, by their formulas in naive loops; and those that are called by name only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.torch import save_file

from tests.quantised import packers
from tests.quantised.golden_files import same
from weightaudit.arrays import Array, as_tensor
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.checkpoint.codecs import Stored, logical_tensors
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo

RANDOM = np.random.default_rng(3)


def opened(folder: Path, stored: dict[str, Array], config: dict[str, Any] | None = None) -> Checkpoint:
    save_file({name: as_tensor(array) for name, array in stored.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **(config or {})}))
    return open_checkpoint(folder)


def codes_of(*shape: int) -> Array:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def test_nvfp4_of_modelopt_is_multiplied_by_its_second_scale(tmp_path: Path) -> None:
    codes = codes_of(3, 16)
    scales = RANDOM.uniform(1, 400, (3, 2)).astype(ml_dtypes.float8_e4m3fn)
    whole = np.array(0.0123, np.float32)
    expected = np.empty((3, 32), np.float32)
    for row in range(3):
        for column in range(32):
            code = codes[row, column // 2] >> 4 * (column % 2) & 15
            expected[row, column] = packers.E2M1[code] * (np.float32(scales[row, column // 16]) * whole)
    with opened(tmp_path, {"w.weight": codes, "w.weight_scale": scales, "w.weight_scale_2": whole}) as checkpoint:
        assert [info.name for info in checkpoint.tensors.values()] == ["w.weight"]
        assert same(checkpoint.read("w.weight"), expected)


def test_int8_of_two_codes_with_float8_powers(tmp_path: Path) -> None:
    """The experts of DeepSeek-V4."""
    codes, exponents = codes_of(3, 32), RANDOM.integers(110, 140, (3, 2), dtype=np.uint8)
    expected = np.empty((3, 64), np.float32)
    for row in range(3):
        for column in range(64):
            code = codes[row, column // 2] >> 4 * (column % 2) & 15
            expected[row, column] = packers.E2M1[code] * np.float32(2.0) ** (int(exponents[row, column // 32]) - 127)
    stored = {"w1.weight": codes.view(np.int8), "w1.scale": exponents.view(ml_dtypes.float8_e8m0fnu)}
    with opened(tmp_path, stored) as checkpoint:
        assert [info.name for info in checkpoint.tensors.values()] == ["w1.weight"]
        assert same(checkpoint.read("w1.weight"), expected)


@pytest.mark.parametrize("linear_class", ["bitlinear", "autobitlinear"])
def test_bitnet_divides_by_its_scale_or_multiplies(linear_class: str, tmp_path: Path) -> None:
    codes = (RANDOM.integers(0, 3, (4, 2, 5)) << np.array([0, 2, 4, 6])[:, None, None]).sum(axis=0).astype(np.uint8)
    scale = np.array([1.7], np.float32)
    expected = np.empty((8, 5), np.float32)
    for row in range(8):
        for column in range(5):
            digit = np.float32((int(codes[row % 2, column]) >> 2 * (row // 2) & 3) - 1)
            expected[row, column] = digit * scale[0] if linear_class == "autobitlinear" else digit / scale[0]
    config = {"quantization_config": {"quant_method": "bitnet", "linear_class": linear_class}}
    with opened(tmp_path, {"w.weight": codes, "w.weight_scale": scale}, config) as checkpoint:
        assert same(checkpoint.read("w.weight"), expected)


def test_mlx_s_stacked_experts_and_a_module_of_its_own_bits(tmp_path: Path) -> None:
    """(experts, out, in), each read alone; where shapes fit two of bits and group the module's own entry decides."""
    W = RANDOM.normal(size=(3, 4, 128)).astype(np.float32)
    stacked, means = packers.mlx(W, 4, 64)
    eight, alone = packers.mlx(W[0], 8, 32)  # words for each scale as with 4 bits and 64
    stored = {f"mlp.switch_mlp.gate_proj.{use}": part for use, part in stacked.items()}
    stored |= {f"mlp.gate.{use}": part for use, part in eight.items()}
    said = {"bits": 4, "group_size": 64, "mlp.gate": {"bits": 8, "group_size": 32}}
    with opened(tmp_path, stored, {"quantization": said}) as checkpoint:
        experts = checkpoint.tensors["mlp.switch_mlp.gate_proj.weight"]
        one = experts.at(2, 3)
        assert one is not None
        with checkpoint.reader([one], ahead=0) as read:
            assert same(read(one), means[2])
        assert same(checkpoint.read(experts.name), means)
        assert same(checkpoint.read("mlp.gate.weight"), alone)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with open_checkpoint(tmp_path) as checkpoint:
        assert "bits and group do not follow" in checkpoint.tensors["mlp.gate.weight"].why_unread


def test_mlx_s_biases_as_transformers_calls_them(tmp_path: Path) -> None:
    stored, means = packers.mlx(RANDOM.normal(size=(4, 128)).astype(np.float32))
    stored["qbiases"] = stored.pop("biases")
    renamed = {f"w.{use}": part for use, part in stored.items()}
    with opened(tmp_path, renamed, {"quantization_config": {"bits": 4, "group_size": 32}}) as checkpoint:
        assert same(checkpoint.read("w.weight"), means)


def test_nf4_with_several_blocks_of_scales(tmp_path: Path) -> None:
    """Scales of 8 bits in blocks of 256: more than one of them, the last not whole; and a tile that is not whole."""
    stored, means = packers.nf4(RANDOM.normal(size=(257, 600)).astype(np.float32), double=True)
    assert stored["weight.nested_absmax"].size > 2
    with opened(tmp_path, {f"w.{use}": np.array(part) for use, part in stored.items()}) as checkpoint:
        assert same(checkpoint.read("w.weight"), means)


def test_int8_arranged_for_a_gpu_is_refused(tmp_path: Path) -> None:
    stored, _ = packers.int8(RANDOM.normal(size=(4, 8)).astype(np.float32))
    stored["weight_format"] = np.array(2, np.uint8)
    with opened(tmp_path, {f"w.{use}": part for use, part in stored.items()}) as checkpoint:
        (info,) = checkpoint.tensors.values()
        assert (
            info.why_unread
            == "quantised: bitsandbytes INT8, a scale per row, its rows are arranged for one kind of GPU"
        )


def test_quanto_s_groups_without_a_bias_have_no_shape(tmp_path: Path) -> None:
    stored = {
        "w.weight._data._data": codes_of(8, 128),
        "w.weight._scale": np.ones((16, 1), np.float32),
        "w.weight._shift": np.ones((16, 1), np.float32),
    }
    with opened(tmp_path, stored) as checkpoint:
        info = checkpoint.tensors["w.weight"]
        assert info.why_unread == "quantised: quanto, 4 bits, group 128, its shape is stored nowhere"
        assert info.parameters == 2048


REFUSED: dict[str, tuple[dict[str, tuple[str, tuple[int, ...]]], tuple[int, ...]]] = {
    "EXL2": (
        {
            "q_weight": ("int32", (8, 32)),
            "q_scale": ("int32", (2, 4)),
            "q_scale_max": ("float16", (2,)),
            "q_groups": ("int16", (4,)),
            "q_invperm": ("int16", (64,)),
        },
        (32, 64),
    ),
    "EXL3": (
        {"trellis": ("int16", (4, 2, 64)), "suh": ("float16", (64,)), "svh": ("float16", (32,)), "mcg": ("int32", ())},
        (32, 64),
    ),
    "AQLM": (
        {
            "codes": ("int16", (32, 8, 1)),
            "codebooks": ("float16", (1, 256, 1, 8)),
            "scales": ("float16", (32, 1, 1, 1)),
        },
        (32, 64),
    ),
    "VPTQ": ({"indices": ("int32", (1, 8, 16)), "centroids.weight": ("float16", (1, 2048))}, (1, 8, 16)),
    "SpQR": (
        {"dense_weights": ("int64", (40,)), "row_offsets": ("int32", (33,)), "col_vals": ("int32", (7,))},
        (40,),
    ),
    "HIGGS": (
        {
            "weight": ("int16", (8, 64)),
            "scales": ("float16", (1, 64)),
            "tables": ("float16", (16, 1)),
            "tables2": ("float32", (16, 16, 2)),
        },
        (8, 64),
    ),
    "Quark": (
        {
            "weight": ("int8", (32, 64)),
            "weight_quantizer.scale": ("float32", (32,)),
            "weight_quantizer.zero_point": ("int8", (32,)),
        },
        (32, 64),
    ),
    "Marlin": ({"B": ("int32", (4, 64)), "s": ("float16", (1, 32)), "workspace": ("int32", (16,))}, (32, 64)),
}


def infos(parts: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, TensorInfo]:
    found = {}
    for number, (use, (dtype, shape)) in enumerate(parts.items()):
        found[f"m.w.{use}"] = TensorInfo(f"m.w.{use}", dtype, shape, "f", 4096 * number, int(np.prod(shape)) * 2)
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_decoded_is_called_by_its_name(name: str) -> None:
    """One matrix with all its parts; and without any of those that make it such a format, no such matrix."""
    parts, shape = REFUSED[name]
    (info,) = logical_tensors(Stored(infos(parts)))
    assert info.name == "m.w.weight"
    assert info.why_unread == f"quantised: {name}, nothing here decodes it"
    assert info.shape == shape
    assert {part.name for part in info.stored} == {f"m.w.{use}" for use in parts}
    floats = {use: ("float32", size) for use, (_, size) in parts.items()}
    assert not any(one.encoded for one in logical_tensors(Stored(infos(floats))))


def test_onnx_s_names() -> None:
    stored = {
        name: TensorInfo(name, dtype, shape, "f", 0, 8)
        for name, dtype, shape in (
            ("h.0.weight_quantized", "uint8", (2, 4)),
            ("h.0.weight_scale", "float32", ()),
            ("h.0.weight_zero_point", "uint8", ()),
        )
    }
    (info,) = logical_tensors(Stored(stored))
    assert (info.name, info.shape) == ("h.0.weight", (2, 4))
    assert info.why_unread == "quantised: ONNX, nothing here decodes it"


@pytest.mark.parametrize("method", ["quark", "modelopt"])
def test_integers_with_scales_are_named_by_the_config(method: str, tmp_path: Path) -> None:
    stored = {"w.weight": codes_of(4, 8), "w.weight_scale": np.ones((4, 2), np.float32)}
    with opened(tmp_path, stored, {"quantization_config": {"quant_method": method}}) as checkpoint:
        (info,) = checkpoint.tensors.values()
        assert info.why_unread.lower() == f"quantised: {method}, nothing here decodes it"
        with pytest.raises(CheckpointError):
            checkpoint.read("w.weight")

"""What the formats' own libraries wrote, decoded: every entry equals the library's own to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.quantised.golden_files import golden, same
from weightaudit.records import CodeFacts, TensorInfo

LABELS = {
    "bitsandbytes": {
        "nf4.weight": "NF4, group 64",
        "nf4_double.weight": "NF4, group 64",
        "nf4_stored_bf16.weight": "NF4, group 64",
        "nf4_ragged.weight": "NF4, group 64",
        "nf4_wide.weight": "NF4, group 4096",
        "fp4.weight": "FP4, group 128",
        "int8.weight": "bitsandbytes INT8, a scale per row",
    },
    "mxfp4": {"experts.gate_up_proj": "MXFP4, group 32", "experts.down_proj": "MXFP4, group 32"},
    "mlx": {
        "affine2_32_float32.weight": "MLX, 2 bits, group 32",
        "affine3_64_float32.weight": "MLX, 3 bits, group 64",
        "affine4_64_float32.weight": "MLX, 4 bits, group 64",
        "affine4_32_float16.weight": "MLX, 4 bits, group 32",
        "affine5_32_float32.weight": "MLX, 5 bits, group 32",
        "affine6_64_float32.weight": "MLX, 6 bits, group 64",
        "affine8_128_float32.weight": "MLX, 8 bits, group 128",
        "mxfp4.weight": "MXFP4, group 32",
        "mxfp8.weight": "MXFP8, group 32",
        "nvfp4.weight": "NVFP4, group 16",
    },
    "torchao": {
        "int8.weight": "torchao, 8 bits, a scale per row",
        "float8.weight": "torchao FP8 E4M3, a scale per row",
        "int4.weight": "torchao, 4 bits, group 32",
        "int4_offset.weight": "torchao, 4 bits, group 32",
    },
    "torchao-floats": {
        "mx_float8_e4m3fn.weight": "MXFP8, group 32",
        "mx_float8_e5m2.weight": "MXFP8 E5M2, group 32",
        "mx_float4_e2m1fn_x2.weight": "MXFP4, group 32",
        "mx_float4_e2m1fn_x2_swizzled.weight": "MXFP4, group 32",
        "mx_stack.weight": "MXFP4, group 32",
        "nvfp4.weight": "NVFP4, group 16",
        "nvfp4_alone.weight": "NVFP4, group 16",
        "nvfp4_swizzled.weight": "NVFP4, group 16",
    },
    "quanto": {
        "qint8.weight": "quanto, 8 bits, a scale per row",
        "qfloat8_e4m3fn.weight": "quanto FP8 E4M3, a scale per row",
        "qint4.weight": "quanto, 4 bits, group 128",
        "qint2.weight": "quanto, 2 bits, group 128",
    },
    "hqq": {
        f"hqq{bits}_{axis}.weight": f"HQQ, {bits} bits, group {16 if axis else 32}"
        for bits in (8, 4, 3, 2, 1)
        for axis in (0, 1)
    },
}
"""What each tensor of a golden file is called."""


@pytest.mark.parametrize("library", LABELS)
def test_every_entry_is_the_library_s(library: str, tmp_path: Path) -> None:
    """No stored tensor is left over but biases, and what is said of codes agrees with these."""
    seen: list[tuple[TensorInfo, CodeFacts]] = []
    with golden(library, tmp_path) as (checkpoint, expected):
        logical = [info for name, info in checkpoint.tensors.items() if not name.endswith(".bias")]
        assert {info.name: info.encoding.scheme.label for info in logical if info.encoding.scheme} == LABELS[library]
        assert {info.name for info in logical} == expected.keys()
        with checkpoint.reader(logical, ahead=0, look=lambda *facts: seen.append(facts)) as read:
            for info in logical:
                assert info.why_unread == ""
                decoded = read(info)
                assert same(decoded, expected[info.name]), info.name
    for info, facts in seen:
        assert facts.codes == info.parameters
        assert 0 <= facts.extreme <= facts.codes
        assert facts.scales > 0
        assert np.isfinite([facts.least_scale, facts.largest_scale]).all()
    assert len(seen) == len(expected)


@pytest.mark.parametrize("name", ["gate_up_proj", "down_proj"])
def test_one_expert_is_read_alone(name: str, tmp_path: Path) -> None:
    with golden("mxfp4", tmp_path) as (checkpoint, expected):
        stack = checkpoint.tensors[f"experts.{name}"]
        for expert in range(3):
            one = stack.at(expert, 3)
            assert one is not None
            assert one.stored_nbytes * 3 == stack.stored_nbytes
            with checkpoint.reader([one], ahead=0) as read:
                assert same(read(one), np.ascontiguousarray(expected[stack.name][expert]))

"""Entries of what compressed-tensors, AutoAWQ and GPTQModel wrote themselves, against what they make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.quantised.reading import decoded, golden
from weightaudit.arrays import Array

FILES = sorted(path.stem for path in (Path(__file__).parent / "golden").glob("compressed-tensors-*.safetensors"))
CASES = [(file, name) for file in FILES for name in golden(file)[1]]


def test_the_cases_are_there() -> None:
    assert {"int3", "int3-zero", "int3-row", "int7", "bytes-zero", "float-block", "nvfp4", "mxfp4"} <= {
        n for _, n in CASES
    }


@pytest.mark.parametrize(("file", "name"), CASES)
def test_compressed_tensors(file: str, name: str) -> None:
    """Bit for bit; zero points, ragged rows and words that fields cross among them. NVFP4 it multiplies in bfloat16."""
    parts, expected = golden(file)
    method: dict[str, Any] = {}
    if name == "float-block":
        method = {"config_groups": {"group_0": {"weights": {"block_structure": [4, 48]}}}}
    info, read = decoded(parts[name], method)
    assert info.name == "p.weight"
    if name == "nvfp4":
        assert np.allclose(read, expected[name], rtol=2**-7, atol=0)
        return
    assert np.array_equal(read, expected[name])
    assert probes_agree(read, expected[name])


def test_awq() -> None:
    parts, expected = golden("awq")
    info, read = decoded(parts["gemm"])
    assert info.shape == (24, 96)
    assert np.array_equal(read, expected["gemm"])
    assert probes_agree(read, expected["gemm"])


@pytest.mark.parametrize(("name", "size"), [("small", 64), ("ragged", 32), ("whole", 64)])
def test_awq_s_fast_layout(name: str, size: int) -> None:
    """Also with more rows of scales than groups, and where a group is a whole row."""
    parts, expected = golden("awq-fast")
    info, read = decoded(parts[name], {"quant_method": "awq", "version": "gemv_fast", "group_size": size})
    assert info.shape == expected[name].shape
    assert np.array_equal(read, expected[name])
    assert probes_agree(read, expected[name])


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_gptq(bits: int, version: str) -> None:
    """Zero points of 0, which borrow from their neighbours in the first version; there columns are in any order too."""
    name = f"{bits}-order" if version == "v1" else str(bits)
    parts, expected = golden(f"gptq-{version}")
    info, read = decoded(parts[name], {"checkpoint_format": "gptq" if version == "v1" else "gptq_v2"})
    assert info.shape == (32, 32)
    assert np.array_equal(read, expected[name])
    assert probes_agree(read, expected[name])


def probes_agree(read: Array, expected: Array) -> bool:
    """W x and y W of vectors of different entries: swapped columns or rows would show."""
    x, y = (np.arange(1, size + 1) ** 1.5 for size in read.shape[::-1])
    return bool(np.array_equal(read @ x, expected @ x) and np.array_equal(y @ read, y @ expected))

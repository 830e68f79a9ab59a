"""compressed-tensors: what its own files of today do not show, by formula, and parts that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.quantised.reading import decoded, facts, golden, logical, stored
from tests.support.packing import packed, packed_down, scaled
from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs import Stored, logical_tensors
from weightaudit.records import CodeFacts

OUT, IN = 10, 96
LEVELS = (0, 0.5, 1, 1.5, 2, 3, 4, 6)


def config(**weights: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}


def made(bits: int, each: int = 0, size: int = 32, columns: int = IN, index: Array | None = None) -> dict[str, Array]:
    """Stored tensors, and their entries as "expected": asymmetric, zero points packed along the outputs."""
    draw = np.random.default_rng(bits)
    groups = -(-columns // size)
    codes, zeros = (draw.integers(0, 1 << bits, (OUT, n), np.uint8) for n in (columns, groups))
    scales = draw.uniform(0.001, 0.1, (OUT, groups)).astype(ml_dtypes.bfloat16)
    which = np.arange(columns) // size if index is None else index
    return {
        "p.weight_packed": packed(codes, bits, each=each),
        "p.weight_scale": scales,
        "p.weight_zero_point": packed_down(zeros, bits, each=each),
        "p.weight_shape": np.array([OUT, columns], np.int64),
        "expected": scaled(codes, scales, zeros, which),
    }


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("gaps", [False, True])
def test_layouts_of_both_ages(bits: int, gaps: bool) -> None:
    """Up to 0.12 fields do not go on in the next word: the width tells. 7 bits with gaps look like 8."""
    parts = made(bits, 32 // bits if gaps else 0)
    expected = parts.pop("expected")
    info, read = decoded(parts, config(num_bits=bits, group_size=32, type="int", actorder=None))
    assert np.array_equal(read, expected)
    scheme = info.encoding.scheme
    assert scheme is not None
    assert (scheme.bits, scheme.group, scheme.symmetric) == (bits, "32", False)
    if bits != 7:
        assert np.array_equal(decoded(parts)[1], expected)


@pytest.mark.parametrize(("version", "each"), [("0.12.2", 10), ("0.13.0", 0), ("0.19.0", 0), ("", 0), ("a.b", 0)])
def test_the_version_tells_where_widths_do_not(version: str, each: int) -> None:
    """Eleven fields of three bits are two words either way."""
    parts = made(3, each, 16, columns=11)
    expected = parts.pop("expected")
    method = {**config(num_bits=3), "version": version}
    assert parts["p.weight_packed"].shape == (OUT, 2)
    assert np.array_equal(decoded(parts, method)[1], expected)


def test_any_map_of_columns_to_groups() -> None:
    index = np.random.default_rng(1).permutation(np.arange(IN) // 32)
    parts = {**made(4, index=index), "p.weight_g_idx": index.astype(np.int32)}
    expected = parts.pop("expected")
    info, read = decoded(parts, config(num_bits=4, group_size=32, actorder="group"))
    assert np.array_equal(read, expected)
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.act_order is True
    parts["p.weight_g_idx"][:] = -1  # never set
    assert np.array_equal(decoded(parts)[1], made(4)["expected"])
    parts["p.weight_g_idx"][:] = 3
    with pytest.raises(ValueError, match="there are 3"):
        decoded(parts)


def test_the_global_scale_divides() -> None:
    """And the low nibble is the first of two."""
    draw = np.random.default_rng(0)
    codes = draw.integers(0, 256, (3, 16), np.uint8)
    scale = draw.uniform(1, 400, (3, 2)).astype(ml_dtypes.float8_e4m3fn)
    total = np.array([7], np.float32)
    _, read = decoded({"p.weight_packed": codes, "p.weight_scale": scale, "p.weight_global_scale": total})
    for i, j in np.ndindex(3, 32):
        code = int(codes[i, j // 2]) >> 4 * (j % 2) & 15
        level = np.float32(-LEVELS[code & 7] if code & 8 else LEVELS[code])
        assert read[i, j] == level * (np.float32(scale[i, j // 16]) / total[0])


@pytest.mark.parametrize("dtype", [np.uint8, ml_dtypes.float8_e8m0fnu])
def test_mxfp4_has_exponents(dtype: Any) -> None:
    codes, scale = np.full((1, 16), 0x92, np.uint8), np.array([[129]], np.uint8).view(dtype)
    info, read = decoded({"p.weight_packed": codes, "p.weight_scale": scale})
    assert read.tolist() == [[4, -2] * 16]
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.label == "MXFP4, group 32"


def test_facts() -> None:
    parts, expected = golden("compressed-tensors-int")
    for name, bits in (("int4", 4), ("int3", 3), ("int8", 8)):
        found = facts(parts[name])
        levels = np.rint(expected[name] / parts[name]["p.weight_scale"].repeat(32, axis=1))
        least = -(1 << bits - 1)
        assert found is not None
        assert (found.codes, found.extreme) == (9 * 64, np.isin(levels, (least, -least - 1)).sum())
        assert found.unused == (1 << bits) - len(np.unique(levels))
    found = facts({"p.weight": np.array([[-128, 127, 0]], np.int8), "p.weight_scale": np.ones((1, 1), np.float32)})
    assert found == CodeFacts(3, 2, 253, 1, least_scale=1, largest_scale=1)
    codes = np.array([[0x80, 0x7F] + [0x11] * 14], np.uint8)  # 0, −0, −6, 6 and 28 halves
    found = facts({"p.weight_packed": codes, "p.weight_scale": np.array([[255]], np.uint8)})
    assert found is not None
    assert (found.codes, found.extreme, found.unused, found.nonfinite_scales) == (32, 2, 15 - 4, 1)


def test_floats_with_scales_beside_them_are_not_multiplied() -> None:
    """Not compressed yet: a weight of 16 bits or more is what it is."""
    for dtype in (ml_dtypes.bfloat16, np.float32):
        parts = {"p.weight": np.ones((4, 4), dtype), "p.weight_scale": np.full((4, 1), 2, np.float32)}
        found = logical_tensors(Stored(stored(parts), {**config(num_bits=8), "quantization_status": "frozen"}))
        assert [one.encoded for one in found] == [False, False]


@pytest.mark.parametrize("method", ["quark", "modelopt"])
def test_bytes_of_other_makers_are_not_taken(method: str) -> None:
    """Nor those whose scales are exponents."""
    parts: dict[str, Array] = {"p.weight": np.ones((4, 4), np.int8), "p.weight_scale": np.ones((4, 1), np.float32)}
    assert logical(parts).encoding.codec == "compressed-tensors"
    exponents = {**parts, "p.weight_scale": np.ones((4, 1), np.uint8)}
    for tensors, said in ((parts, {"quant_method": method}), (exponents, {})):
        found = logical_tensors(Stored(stored(tensors), said))
        assert all(one.encoding.codec != "compressed-tensors" for one in found)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"p.weight_shape": np.array([OUT, IN + 40])}, "do not hold"),
        ({"p.weight_shape": np.array([OUT + 1, IN])}, "do not hold"),
        ({"p.weight_shape": np.array([1 << 40, 1 << 40])}, "do not hold"),
        ({"p.weight_shape": np.array([-OUT, -IN])}, "do not hold"),
        ({"p.weight_shape": np.array([OUT, 0])}, "do not hold"),
        ({"p.weight_shape": np.ones(2, np.float32)}, "its shape is missing"),
        ({"p.weight_shape": np.ones(3, np.int64)}, "its shape is missing"),
        ({"p.weight_scale": np.ones((OUT, 5), np.float32)}, "scales of shape"),
        ({"p.weight_scale": np.ones((OUT - 1, 3), np.float32)}, "scales of shape"),
        ({"p.weight_scale": np.ones((OUT, 3), np.int8)}, "scales of shape"),
        ({"p.weight_scale": np.ones((0, 3), np.float32)}, "scales of shape"),
        ({"p.weight_scale": np.ones((OUT, 3, 1), np.float32)}, "scales of shape"),
        ({"p.weight_zero_point": np.ones((OUT, 3), np.int32)}, "zero points of shape"),
        ({"p.weight_zero_point": np.ones((2, 2), np.int32)}, "zero points of shape"),
        ({"p.weight_g_idx": np.ones(IN - 1, np.int32)}, "an index of shape"),
        ({"p.weight_packed": np.zeros((2, OUT, 12), np.int32)}, "it stacks matrices"),
        ({"p.weight_packed": np.zeros((OUT, 12), np.int16)}, "packed in int16"),
        ({"p.weight_packed": np.zeros((OUT, 12), np.uint8)}, "neither the scales of NVFP4"),
    ],
)
def test_parts_that_do_not_fit_are_said(changed: Mapping[str, Array], why: str) -> None:
    parts = made(4)
    del parts["expected"]
    info = logical({**parts, **changed}, config(num_bits=4, group_size=32))
    assert why in info.why_unread
    assert len(info.stored) == len({**parts, **changed})


@pytest.mark.parametrize("said", [[], "x", {"a": []}, {"a": {"weights": [4]}}, {"a": {"weights": {"num_bits": "4"}}}])
def test_configs_of_no_use(said: object) -> None:
    parts = made(4)
    expected = parts.pop("expected")
    assert np.array_equal(decoded(parts, {"config_groups": said})[1], expected)


def test_sparse_matrices_are_named() -> None:
    words, flags = np.zeros((8, 2), np.int32), np.zeros((8, 4), np.uint8)
    marlin: dict[str, Array] = {
        "p.weight_packed": words,
        "p.scale_packed": np.ones((1, 8), np.float16),
        "p.meta": words.astype(np.int16),
    }
    assert logical(marlin).why_unread.startswith("quantised: marlin-24, sparse")
    half: dict[str, Array] = {
        "p.compressed": np.zeros((8, 16), np.float16),
        "p.bitmask": flags,
        "p.shape": np.array([8, 32]),
    }
    info = logical(half)
    assert (info.name, info.why_unread.split(",")[0]) == ("p.weight", "quantised: sparse-24-bitmask")
    rows = {f"p.weight.{name.removeprefix('p.')}": part for name, part in half.items()}
    info = logical({**rows, "p.weight.row_offsets": np.zeros(8, np.int64)})
    assert (info.name, len(info.stored)) == ("p.weight", 4)
    assert "sparse-bitmask" in info.why_unread

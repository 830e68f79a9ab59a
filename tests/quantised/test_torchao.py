"""torchao's int4 by its formula, its stacks one by one, what it packs for one kind of device, and headers that lie."""

from __future__ import annotations

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.quantised.reading import stored, traced
from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs import CODECS, Stored, logical_tensors
from weightaudit.checkpoint.reader import stored_numbers
from weightaudit.records import CodeFacts, TensorInfo

E8M0 = ml_dtypes.float8_e8m0fnu
Tensors = dict[str, Array]


def found(tensors: Tensors, kind: str, **data: Any) -> TensorInfo:
    """The one logical tensor, of the class ``kind``."""
    said = {"p.weight": json.dumps({"_type": kind, "_data": data})}
    named = {f"p._weight_{use}": part for use, part in tensors.items()}
    (info,) = logical_tensors(Stored(stored(named), {}, said))
    assert info.name == "p.weight"
    return info


def read(info: TensorInfo, tensors: Tensors) -> tuple[Array, CodeFacts | None]:
    everything = b"".join(np.ascontiguousarray(array).tobytes() for array in tensors.values())
    parts = {
        use: stored_numbers(part, np.frombuffer(everything, np.uint8)[part.offset :][: part.nbytes].copy())
        for use, part in info.encoding.parts
    }
    out = np.full(info.shape, np.nan, np.float32)
    codec = CODECS[info.encoding.codec]
    with np.errstate(all="ignore"):
        codec.decode(info, parts, out)
        return out, codec.facts(info, parts)


def int4(*shape: int, size: int = 32, seed: int = 0) -> tuple[Tensors, Array, Array]:
    """Its parts, its entries and its codes: scales and offsets lie (groups, out), q·s + z."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(-8, 8, shape, np.int8)
    wide = (*shape[:-1], shape[-1] // size)
    scales, offsets = (draw.normal(size=wide).astype(ml_dtypes.bfloat16) for _ in range(2))
    weight = np.empty(shape, np.float32)
    for at in np.ndindex(*shape):
        group = (*at[:-1], at[-1] // size)
        weight[at] = np.float32(codes[at]) * np.float32(scales[group]) + np.float32(offsets[group])
    packed = codes[..., ::2] & 15 | codes[..., 1::2] << 4
    turned = {
        use: np.ascontiguousarray(one.swapaxes(-1, -2)) for use, one in (("scale", scales), ("zero_point", offsets))
    }
    return {"qdata": packed, **turned}, weight, codes


def test_int4() -> None:
    tensors, weight, codes = int4(6, 128)
    info = found(tensors, "Int4Tensor", block_size=[1, 32], shape=[6, 128])
    assert info.encoding.scheme is not None
    assert (info.shape, info.encoding.scheme.label) == ((6, 128), "torchao, 4 bits, group 32")
    assert info.encoding.scheme.symmetric is False
    decoded, facts = read(info, tensors)
    assert np.array_equal(decoded, weight)
    assert facts is not None
    assert (facts.codes, facts.scales) == (6 * 128, 6 * 4)
    assert facts.extreme == ((codes == -8) | (codes == 7)).sum()


def test_each_of_a_stack_of_int4_is_read_alone() -> None:
    tensors, weight, _ = int4(3, 4, 64)
    info = found(tensors, "Int4Tensor", block_size=[1, 1, 32], shape=[3, 4, 64])
    assert np.array_equal(read(info, tensors)[0], weight)
    one = info.at(1, 3)
    assert one is not None
    assert one.stored_nbytes * 3 == info.stored_nbytes
    assert np.array_equal(read(one, tensors)[0], weight[1])


@pytest.mark.parametrize("kind", ["Int4TilePackedTo4dTensor", "Int4PlainInt32Tensor", "Int4OpaqueTensor"])
def test_what_is_packed_for_a_device_is_named(kind: str) -> None:
    """With all its parts, and its shape where so many codes are there."""
    tensors: Tensors = {
        "qdata": np.zeros((2, 8, 32, 4), np.int32),
        "scale_and_zero": np.ones((32, 16, 2), ml_dtypes.bfloat16),
    }
    info = found(tensors, kind, block_size=[1, 32], shape=[16, 1000])
    assert info.shape == (16, 1000)
    assert len(info.stored) == 2
    assert "nothing stored says" in info.why_unread
    assert found(tensors, kind, block_size=[1, 32], shape=[16, 1 << 40]).shape == (2, 8, 32, 4)


def test_inputs_that_are_scaled_first() -> None:
    tensors, _, _ = int4(4, 32)
    info = found({**tensors, "act_pre_scale": np.ones(32, np.float32)}, "Int4Tensor", block_size=[1, 32], shape=[4, 32])
    assert info.why_unread == "quantised: torchao, its inputs are scaled before it"
    assert len(info.stored) == 4


MX = {"elem_dtype": {"_data": "float4_e2m1fn_x2"}, "block_size": 32, "is_swizzled_scales": False}


@pytest.mark.parametrize(
    ("tensors", "kind", "data", "why"),
    [
        ({}, "Int4Tensor", {"block_size": [1, 32], "shape": [8, 64]}, "is not that of its codes"),
        ({}, "Int4Tensor", {"block_size": [2, 32], "shape": [4, 64]}, "has no blocks"),
        ({}, "Int4Tensor", {"block_size": [1, 48], "shape": [4, 64]}, "do not divide it"),
        ({}, "Int4Tensor", {"block_size": [1, 0], "shape": [4, 64]}, "do not divide it"),
        (
            {"scale": np.ones((4, 2), np.float32)},
            "Int4Tensor",
            {"block_size": [1, 32], "shape": [4, 64]},
            "not 8 numbers",
        ),
        ({"qdata": np.zeros((4, 32), np.uint8)}, "MXTensor", MX, "not 8 numbers of float8_e8m0fnu"),
        ({"qdata": np.zeros((4, 32), np.uint8)}, "MXTensor", {**MX, "elem_dtype": "fp6_e3m2"}, "not decoded"),
        ({"qdata": np.zeros((4, 32), np.uint8)}, "MXTensor", {**MX, "block_size": 1 << 60}, "do not divide it"),
        ({"qdata": np.zeros((4, 32), np.uint8)}, "MXTensor", {**MX, "is_swizzled_scales": 1}, "has no blocks"),
        ({"qdata": np.zeros((2, 4, 32), np.uint8)}, "MXTensor", {**MX, "is_swizzled_scales": True}, "of a stack"),
        ({"qdata": np.zeros((4, 32), np.uint8)}, "NVFP4Tensor", {"block_size": 16}, "not 16 numbers of float8_e4m3fn"),
        ({"qdata": np.zeros((4, 64), np.int8)}, "Quantum", {}, "a Quantum is not decoded"),
    ],
)
def test_parts_and_headers_that_do_not_fit(tensors: Tensors, kind: str, data: dict[str, Any], why: str) -> None:
    assert why in found({**int4(4, 64)[0], **tensors}, kind, **data).why_unread


@pytest.mark.parametrize("draws", [300, pytest.param(600, marks=pytest.mark.slow)])
def test_anything(draws: int) -> None:
    """Shapes, dtypes and headers of all kinds: what reads is as large as its parts bear out, and nothing else fails."""
    draw = np.random.default_rng(0)
    dtypes = (np.uint8, np.int8, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, np.float32, E8M0, ml_dtypes.bfloat16)
    sides, seen = (0, 1, 2, 4, 4, 16, 32, 64, 128, 130), []
    kinds = ("Int4Tensor", "MXTensor", "NVFP4Tensor", "Int8Tensor", "Int4TilePackedTo4dTensor")
    elements = ("float4_e2m1fn_x2", "float8_e4m3fn", "float8_e5m2", None)
    peaks: list[int] = []
    for _ in range(draws):
        kind = kinds[draw.integers(len(kinds))]
        rows, columns, size = (int(draw.choice(sides[3:])) for _ in range(3))
        element = elements[draw.integers(4)] if kind == "MXTensor" else elements[0]
        pairs = element == elements[0] and kind != "Int8Tensor"
        usual = {
            "qdata": np.int8 if not kind.endswith(("XTensor", "P4Tensor")) else np.uint8 if pairs else element,
            "scale": E8M0 if kind == "MXTensor" else ml_dtypes.float8_e4m3fn if kind == "NVFP4Tensor" else np.float32,
            "zero_point": np.float32,
            "per_tensor_scale": np.float32,
        }
        groups = max(columns // size, 1)
        shapes = {
            "qdata": (rows, columns // (2 if pairs else 1)),
            "scale": (groups, rows) if kind == "Int4Tensor" else (rows, groups),
            "zero_point": (groups, rows),
            "per_tensor_scale": (),
        }
        if swizzled := bool(draw.integers(2)):
            shapes["scale"] = (-(-rows // 128) * 32, -(-groups // 4) * 16)
        tensors = {}
        for use, shape in shapes.items():
            if draw.random() < (0.4 if use == "per_tensor_scale" else 0.05) or (use == "zero_point" and kind[0] != "I"):
                continue
            dtype = np.dtype(
                dtypes[draw.integers(len(dtypes))] if draw.random() < 0.05 or not usual[use] else usual[use]
            )
            wrong = tuple(int(side) for side in draw.choice(sides, draw.choice([0, 1, 2, 2, 3])))
            shape = wrong if draw.random() < 0.05 else shape
            raw = draw.integers(0, 256, math.prod(shape) * dtype.itemsize, np.uint8)
            tensors[use] = raw.view(dtype).reshape(shape)
        sizes: list[Any] = [size, size, size, size, 0, -1, 1 << 70, "x", None]
        one = sizes[draw.integers(len(sizes))]
        data = {
            "block_size": one if kind in ("MXTensor", "NVFP4Tensor") else [1, one],
            "shape": [rows, columns] if draw.random() < 0.9 else [rows, 1 << 62],
            "elem_dtype": {"_data": element},
            "is_swizzled_scales": swizzled,
        }
        if "qdata" not in tensors or tensors["qdata"].dtype in (np.float32, ml_dtypes.bfloat16):
            continue
        with traced(peaks):
            info = found(tensors, kind, **data)
            out, facts = (None, None) if info.why_unread else read(info, tensors)
        assert info.parameters <= 2 * max(tensors["qdata"].nbytes, 1)
        if out is None:
            seen.append("unread")
            continue
        assert facts is not None
        assert facts.codes == out.size
        seen.append(kind)
    assert max(peaks) < 64 << 20
    assert all(seen.count(kind) > 3 for kind in ("unread", *kinds[:4]))

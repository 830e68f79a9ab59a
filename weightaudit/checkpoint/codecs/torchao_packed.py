"""torchao's classes of codes that share no plain dtype: int4 in pairs, MX's and NVIDIA's small floats.

A byte holds two 4-bit codes, the first in its low nibble. Scales of an Int4Tensor are (groups, out) and its zero points
are offsets that are added. Scales of small floats may be swizzled, as NVIDIA's matrix units want them: 128 rows by 4
scales at a time, of which rows 32 apart lie beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.affine import of_levels
from weightaudit.checkpoint.codecs.bits import (
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    histogram,
    levels,
    of_floats,
    pairs,
    scale_facts,
    take_pairs,
    tiles,
)
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded

FLOATS = ("float32", "bfloat16", "float16")
OTHERS = {
    "Int4TilePackedTo4dTensor": "its codes lie as one maker's GPUs want them, and nothing stored says whose",
    "Int4PlainInt32Tensor": "its codes lie as one maker's devices want them, and nothing stored says whose",
    "Int4OpaqueTensor": "its codes lie as one kind of processor wants them, and nothing stored says which",
}
"""Classes of equal shapes on different devices, which pack in different orders, and why they are not read."""
MOST_ENTRIES = 2
"""Entries that a byte of codes may stand for."""
ROWS, EACH = 128, 4
"""Of a piece of swizzled scales, 32 of whose rows are together."""
_SMALL: dict[str, tuple[str, int, Array]] = {
    "float8_e4m3fn": ("MXFP8", 8, E4M3),
    "float8_e5m2": ("MXFP8 E5M2", 8, E5M2),
    "float4_e2m1fn_x2": ("MXFP4", 4, E2M1),
}
"""By what the header calls its elements: the name, bits and meaning of a code."""
_SIGNED = np.array([*range(8), *range(-8, 0)], np.float32)
_PAIRS = {"int4": pairs(_SIGNED), "float4": pairs(E2M1)}


def packed(name: str, kind: str, data: Mapping[str, Any], parts: Mapping[str, TensorInfo]) -> TensorInfo | None:
    """The tensor that ``data`` of the class ``kind`` describes; None for another class.

    ValueError, with the cause, where the parts are not its own.
    """
    if "act_pre_scale" in parts:
        raise ValueError("its inputs are scaled before it")
    if kind in OTHERS:
        raise ValueError(OTHERS[kind])
    if kind == "Int4Tensor":
        return _int4(name, data, parts)
    if kind in ("MXTensor", "NVFP4Tensor"):
        return _floats(name, kind, data, parts)
    return None


def told_shape(data: Mapping[str, Any], codes: TensorInfo) -> tuple[int, ...]:
    """The shape that the header tells, where so many codes are there; else that of ``codes``."""
    shape = data.get("shape")
    told = isinstance(shape, list) and 0 < len(shape) < 4 and all(type(size) is int and size > 0 for size in shape)
    if not told or not isinstance(shape, list) or math.prod(shape) > MOST_ENTRIES * codes.nbytes:
        return codes.shape
    return tuple(shape)


def decode_packed(info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
    """Fill ``out`` with the numbers of a tensor of `packed`."""
    columns, kind = info.shape[-1], str(info.encoding.parameter("kind"))
    block = int(info.encoding.parameter("columns"))
    flat = out.reshape(-1, columns)
    scales = _scales(info, parts, len(flat), columns // block)
    offsets = _turned(parts["zero_point"]).astype(np.float32) if kind == "int4" else None
    raw = parts["codes"].view(np.uint8).reshape(len(flat), -1)
    for start, stop in tiles(len(flat), columns):
        tile = flat[start:stop]
        if kind in _PAIRS:
            take_pairs(_PAIRS[kind], raw[start:stop], tile)
        else:
            (E4M3 if kind == "float8_e4m3fn" else E5M2).take(raw[start:stop], out=tile, mode="clip")
        blocks = tile.reshape(-1, block)
        blocks *= scales[start:stop].reshape(-1, 1)
        if offsets is not None:
            blocks += offsets[start:stop].reshape(-1, 1)


def packed_facts(info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts:
    """What the codes and scales of a tensor of `packed` are."""
    kind, scales = str(info.encoding.parameter("kind")), parts["scale"]
    if info.encoding.parameter("swizzled"):
        rows = math.prod(info.shape[:-1])
        scales = _unswizzled(scales, rows, info.shape[-1] // int(info.encoding.parameter("columns")))
    if kind == "int4":
        counts = of_levels(np.roll(levels(parts["codes"], 4), 8))  # -8 first
    elif kind == "float4":
        counts = of_floats(levels(parts["codes"], 4))
    else:
        table = E4M3 if kind == "float8_e4m3fn" else E5M2
        counts = of_floats(histogram(parts["codes"]), np.where(np.isfinite(table), table, np.nan))
        counts["codes"] = info.parameters
    return CodeFacts(**counts, **scale_facts(scales))


def _scales(info: TensorInfo, parts: Mapping[str, Array], rows: int, groups: int) -> Array:
    """(rows, groups) float32, what each block is multiplied by."""
    scales = parts["scale"]
    if info.encoding.parameter("kind") == "int4":
        return _turned(scales).astype(np.float32)
    if info.encoding.parameter("swizzled"):
        scales = _unswizzled(scales, rows, groups)
    scales = scales.reshape(rows, groups)
    if "per_tensor_scale" in parts:
        every: Array = scales.astype(np.float32) * parts["per_tensor_scale"].reshape(())
        return every
    return E8M0[scales.view(np.uint8)] if info.encoding.parameter("powers") else scales.astype(np.float32)


def _turned(scales: Array) -> Array:
    """(out, groups) of (groups, out), of each of a stack one below the other."""
    return np.ascontiguousarray(scales.swapaxes(-1, -2)).reshape(-1, scales.shape[-2])


def _unswizzled(scales: Array, rows: int, groups: int) -> Array:
    """(rows, groups) of the scales of all pieces, the last of which are filled up."""
    above, beside = -(-rows // ROWS), -(-groups // EACH)
    if scales.size != above * beside * ROWS * EACH:
        raise ValueError(f"scales of shape {scales.shape} for {rows} rows of {groups}")
    pieces = scales.reshape(above, beside, 32, ROWS // 32, EACH).transpose(0, 3, 2, 1, 4)
    return np.ascontiguousarray(pieces.reshape(above * ROWS, beside * EACH)[:rows, :groups])


def _int4(name: str, data: Mapping[str, Any], parts: Mapping[str, TensorInfo]) -> TensorInfo:
    codes, scales, zeros, block = parts["codes"], parts.get("scale"), parts.get("zero_point"), data.get("block_size")
    shape = _of_pairs(codes, ("int8", "uint8"))
    if list(shape) != data.get("shape"):
        raise ValueError("the shape that the file's header tells is not that of its codes")
    size = block[-1] if isinstance(block, list) and len(block) == len(shape) else None
    if type(size) is not int or block != [1] * (len(shape) - 1) + [size]:
        raise ValueError("what the file's header says of it has no blocks")
    _check_block(shape, size)
    wanted = (*shape[:-2], shape[-1] // size, shape[-2])
    for use, part in (("scales", scales), ("zero points", zeros)):
        if part is None or part.dtype not in FLOATS or part.shape != wanted:
            raise ValueError(f"its {use} are not {math.prod(wanted)} numbers")
    group = "row" if size == shape[-1] else str(size)
    return _encoded(name, shape, parts, Scheme("torchao", 4, group, symmetric=False), {"kind": "int4", "columns": size})


def _floats(name: str, kind: str, data: Mapping[str, Any], parts: Mapping[str, TensorInfo]) -> TensorInfo:
    codes, scales, whole = parts["codes"], parts.get("scale"), parts.get("per_tensor_scale")
    of_nvidia = kind == "NVFP4Tensor"
    element, size, swizzled = data.get("elem_dtype"), data.get("block_size"), data.get("is_swizzled_scales", False)
    called = "float4_e2m1fn_x2" if of_nvidia else element.get("_data") if isinstance(element, dict) else None
    if not isinstance(called, str) or called not in _SMALL:
        raise ValueError(f"elements of {str(called)[:40]} are not decoded")
    what, bits, _ = _SMALL[called]
    shape = _of_pairs(codes, ("uint8",)) if bits == 4 else codes.shape
    if bits == 8 and codes.dtype != called:
        raise ValueError(f"codes of {codes.dtype}")
    if len(shape) not in (2, 3) or type(swizzled) is not bool or type(size) is not int:
        raise ValueError("what the file's header says of it has no blocks")
    _check_block(shape, size)
    if swizzled and len(shape) == 3:
        raise ValueError("the swizzled scales of a stack are not decoded")
    rows, groups = math.prod(shape[:-1]), shape[-1] // size
    count = -(-rows // ROWS) * -(-groups // EACH) * ROWS * EACH if swizzled else rows * groups
    dtype = "float8_e4m3fn" if of_nvidia else "float8_e8m0fnu"
    if scales is None or scales.dtype != dtype or scales.parameters != count:
        raise ValueError(f"its scales are not {count} numbers of {dtype}")
    if len(shape) == 3 and scales.shape != (*shape[:-1], groups):
        raise ValueError(f"its scales are {scales.shape}")
    if whole is not None and (not of_nvidia or whole.dtype != "float32" or whole.parameters != 1):
        raise ValueError("the scale of all its scales is not one number")
    scheme = Scheme("NVFP4" if of_nvidia else what, bits, str(size), symmetric=True)
    codec = "float4" if bits == 4 else called
    said: dict[str, str | int] = {
        "kind": codec,
        "columns": size,
        "powers": int(not of_nvidia),
        "swizzled": int(swizzled),
    }
    return _encoded(name, shape, parts, scheme, said)


def _of_pairs(codes: TensorInfo, dtypes: tuple[str, ...]) -> tuple[int, ...]:
    """The shape of the tensor whose codes these are, two a byte."""
    if codes.dtype not in dtypes or len(codes.shape) not in (2, 3):
        raise ValueError(f"codes of {codes.dtype} and shape {codes.shape}")
    return (*codes.shape[:-1], 2 * codes.shape[-1])


def _check_block(shape: tuple[int, ...], size: int) -> None:
    if size < 1 or 0 in shape or shape[-1] % size:
        raise ValueError("the blocks that share a scale do not divide it")


def _encoded(
    name: str,
    shape: tuple[int, ...],
    parts: Mapping[str, TensorInfo],
    scheme: Scheme,
    said: Mapping[str, str | int],
) -> TensorInfo:
    """It, its matrices one by one where it stacks them."""
    parameters = tuple(({"swizzled": 0} | dict(said)).items())
    stacked = tuple(use for use in ("codes", "scale", "zero_point") if use in parts) if len(shape) == 3 else ()
    every = tuple(parts.items())
    return encoded(name, shape, "torchao", every, scheme, parameters=parameters, stacked=stacked)

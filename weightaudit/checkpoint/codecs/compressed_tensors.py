"""compressed-tensors: packed integers, bytes and 4-bit floats; its FP8 is everybody's and read as such."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.affine import (
    SCALES,
    Groups,
    code_facts,
    dense,
    group_size,
    grouping,
    of_levels,
    shaped,
    signed,
)
from weightaudit.checkpoint.codecs.base import USUAL, Stored, held_by
from weightaudit.checkpoint.codecs.bits import (
    E2M1,
    distinct,
    float32,
    levels,
    of_floats,
    pairs,
    scale_facts,
    take_pairs,
    tiles,
    unpack,
    words,
)
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

NAME = "compressed-tensors"
USES = ("scale", "zero_point", "g_idx", "shape", "global_scale")
"""Ends of the names of what lies beside ``P.weight_packed``, each of which is a part under this name."""
WITHOUT_GAPS = (0, 13)
"""The library's version from which fields of 3, 5, 6 or 7 bits go on in the next word."""
OTHERS = ("quark", "modelopt")
"""Methods that store int8 and scales under the same names, and more that changes what they mean."""
FLOATS = {"NVFP4": 16, "MXFP4": 32}
"""Formats of 4-bit floats: how many of a row's entries share a scale."""
_E2M1 = pairs(E2M1)


class CompressedTensors:
    """`Codec` of ``P.weight_packed``, and of int8 ``P.weight``, with ``P.weight_scale``.

    The parameters: "kind" ("packed", "bytes", "NVFP4", "MXFP4"), and of integers "bits", "each" (fields of a word, 0
    for those that lie without gaps) and "group" (columns that share a scale).
    """

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        packed = [name for name in stored.tensors if name.endswith(("weight_packed", ".compressed"))]
        shapes, said = _shapes(stored, packed), _Said.of(stored)
        for name in packed:
            stem = name.removesuffix("_packed")
            if f"{stem.removesuffix('weight')}scale_packed" in stored.tensors:
                yield _marlin(stem, name, stored.tensors)
            elif name.endswith("weight_packed") and stored.tensors[name].dtype not in SCALES:  # floats are no codes
                yield _packed(stem, _parts(stem, name, stored), shapes.get(f"{stem}_shape"), said)
            elif (sparse := _sparse(name.removesuffix(".compressed"), stored.tensors)) is not None:
                yield sparse
        if stored.method.get("quant_method") in OTHERS:
            return
        for name, codes in stored.tensors.items():
            scale = stored.tensors.get(f"{name}_scale") if codes.dtype == "int8" and name.endswith("weight") else None
            if scale is not None and scale.dtype in SCALES:  # exponents are others'
                yield _bytes(name, _parts(name, name, stored), said)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        kind = str(info.encoding.parameter("kind"))
        if kind in FLOATS:
            _decode_floats(parts, FLOATS[kind], out)
            return
        bits, each = int(info.encoding.parameter("bits")), int(info.encoding.parameter("each"))
        middle = 1 << bits - 1 if kind == "packed" else 0
        zeros = np.zeros((1, 1), np.float32)
        if "zero_point" in parts:
            stored = parts["zero_point"]
            if stored.dtype == np.int32:
                zeros = unpack(stored, bits, out.shape[0], axis=0, each=each).astype(np.float32) - np.float32(middle)
            else:
                zeros = _grid(stored.astype(np.float32))
        scales, size, index = _grid(float32(parts["scale"])), int(info.encoding.parameter("group")), None
        if "g_idx" in parts and not (parts["g_idx"] == -1).any():  # -1: never set
            size, index = grouping(parts["g_idx"], scales.shape[1])
        columns = out.shape[1]
        codes = dense(parts["codes"], bits, columns, each=each, minus=middle) if middle else signed(parts["codes"])
        Groups(scales, zeros, size, index).decode(codes, out)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        kind = str(info.encoding.parameter("kind"))
        scales = scale_facts(parts["scale"])
        if kind in FLOATS:
            return CodeFacts(**of_floats(levels(parts["codes"], 4)), **scales)
        if kind == "bytes":
            counts = np.roll(levels(parts["codes"], 8), 128)  # -128 first
            return CodeFacts(**of_levels(counts), **scales)
        bits, each = int(info.encoding.parameter("bits")), int(info.encoding.parameter("each"))
        return CodeFacts(**code_facts(parts["codes"], bits, info.shape[1], each=each), **scales)


def _grid(scales: Array) -> Array:
    """(out or 1, groups or 1): one scale or zero point a row where there is one dimension."""
    return scales.reshape(-1, 1) if scales.ndim < 2 else scales


def _decode_floats(parts: Mapping[str, Array], size: int, out: Array) -> None:
    """E2M1 · scale, the scale first divided by the global one where there is one."""
    scales = float32(parts["scale"])
    if "global_scale" in parts:
        scales = scales / parts["global_scale"].astype(np.float32).reshape(())
    for start, stop in tiles(*out.shape):
        tile = out[start:stop]
        take_pairs(_E2M1, parts["codes"][start:stop], tile)
        grouped = tile.reshape(stop - start, -1, size)
        grouped *= scales[start:stop, :, None]


def _parts(stem: str, codes: str, stored: Stored) -> dict[str, TensorInfo]:
    beside = {use: stored.tensors.get(f"{stem}_{use}") for use in USES}
    return {"codes": stored.tensors[codes], **{use: part for use, part in beside.items() if part is not None}}


def _shapes(stored: Stored, packed: list[str]) -> dict[str, tuple[int, int]]:
    """By name: the (out, in) that the tensors of shapes beside the ``packed`` ones hold."""
    names = [f"{name.removesuffix('_packed')}_shape" for name in packed]
    infos = [info for name in names if shaped(info := stored.tensors.get(name), 2, dtypes=("int64", "int32")) and info]
    read = stored.values(infos) if infos else []
    return {info.name: (int(values[0]), int(values[1])) for info, values in zip(infos, read, strict=False)}


@dataclass(frozen=True)
class _Said:
    """What the config says of weights, of all groups of modules: bits and group sizes, whether columns are reordered,
    and whether fields of odd bits leave gaps."""

    bits: list[int]
    sizes: list[int]
    act_order: bool | None
    gaps: bool

    @classmethod
    def of(cls, stored: Stored) -> _Said:
        groups = stored.method.get("config_groups")
        every = groups.values() if isinstance(groups, Mapping) else ()
        weights = [group.get("weights") for group in every if isinstance(group, Mapping)]
        said = [one for one in weights if isinstance(one, Mapping)]
        bits, sizes = (distinct(one.get(key) for one in said) for key in ("num_bits", "group_size"))
        orders = {one["actorder"] for one in said if isinstance(one.get("actorder"), (str, bool))}
        version = [int(one) for one in re.findall(r"\d{1,9}", stored.text("version")[:40])[:2]]
        act_order = "group" in orders or True in orders if orders else None
        return cls(bits, sizes, act_order, bool(version) and tuple(version) < WITHOUT_GAPS)


def _packed(name: str, parts: Mapping[str, TensorInfo], shape: tuple[int, int] | None, said: _Said) -> TensorInfo:
    """The matrix in ``P.weight_packed``, or why it cannot be read."""
    codes, scale, every = parts["codes"], parts.get("scale"), tuple(parts.items())
    if codes.dtype == "uint8" and len(codes.shape) == 2:
        return _floats(name, parts)
    held = codes.shape
    if shape is None:
        held = held_by(codes, next((bits for bits in said.bits if 1 <= bits <= 8), USUAL))
    if scale is None or codes.dtype != "int32" or len(codes.shape) != 2:
        why = "it stacks matrices" if len(codes.shape) == 3 else "its scales are missing" if scale is None else ""
        return unread(name, held, every, Scheme(NAME), why or f"it is packed in {codes.dtype}")
    if shape is None:
        return unread(name, held, every, Scheme(NAME), "its shape is missing")
    layout = _layout(codes.shape, shape, said)
    if layout is None:
        return unread(name, held, every, Scheme(NAME), f"words of shape {codes.shape} do not hold {shape}")
    bits, each = layout
    scheme = Scheme(NAME, bits, symmetric="zero_point" not in parts, act_order=said.act_order)
    return _integers(name, shape, parts, scheme, said.sizes, each, "packed")


def _layout(packed: tuple[int, ...], shape: tuple[int, int], said: _Said) -> tuple[int, int] | None:
    """(bits, fields a word or 0 for no gaps) of words that hold a matrix of ``shape``; None where none do.

    Those bits that the config says come first. Where both layouts take as many words, the library's version tells.
    """
    rows, columns = shape
    if rows != packed[0] or columns < 1:
        return None
    told = [one for one in said.bits if 1 <= one <= 8]
    for numbers in (told, (4, 8, 2, 3, 5, 6, 7, 1)):
        for gaps in (said.gaps, not said.gaps):
            for bits in numbers:
                each = 32 // bits if gaps and 32 % bits else 0
                if packed[1] == words(columns, bits, each=each):
                    return bits, each
    return None


def _integers(
    name: str,
    shape: tuple[int, int],
    parts: Mapping[str, TensorInfo],
    scheme: Scheme,
    sizes: list[int],
    each: int,
    kind: str,
) -> TensorInfo:
    """Integers of ``shape`` with the scales and zero points of ``parts``, or why these do not fit."""
    rows, columns = shape
    scale, zeros, index = (parts.get(use) for use in ("scale", "zero_point", "g_idx"))
    every, bits = tuple(parts.items()), scheme.bits
    grid = (1, 1) if scale is None or scale.parameters == 1 else scale.shape
    if len(grid) == 1:
        grid = (*grid, 1)
    size = group_size(columns, grid[1], sizes) if len(grid) == 2 and grid[0] in (1, rows) else None
    if scale is None or scale.dtype not in SCALES or size is None:
        why = f"scales of shape {scale.shape} and dtype {scale.dtype} do not fit" if scale is not None else "no scales"
        return unread(name, shape, every, scheme, why)
    flat = shaped(zeros, *scale.shape, dtypes=("int8",))
    down = shaped(zeros, words(rows, bits, each=each), grid[1], dtypes=("int32",))
    if zeros is not None and not flat and not down:
        why = f"zero points of shape {zeros.shape} and dtype {zeros.dtype} do not fit"
        return unread(name, shape, every, scheme, why)
    if index is not None and not shaped(index, columns, dtypes=("int32", "int64")):
        return unread(name, shape, every, scheme, f"an index of shape {index.shape} for {columns} columns")
    group = "tensor" if grid == (1, 1) else "row" if size == columns else str(size)
    scheme = Scheme(scheme.format, bits, group, scheme.symmetric, scheme.act_order)
    parameters = (("kind", kind), ("bits", bits), ("each", each), ("group", size))
    return encoded(name, shape, NAME, every, scheme, parameters=parameters)


def _bytes(name: str, parts: Mapping[str, TensorInfo], said: _Said) -> TensorInfo:
    """The matrix of int8 ``P.weight``, or why it cannot be read."""
    codes = parts["codes"]
    scheme = Scheme(NAME, 8, symmetric="zero_point" not in parts, act_order=said.act_order)
    if len(codes.shape) != 2 or codes.shape[1] < 1:
        return unread(name, codes.shape, tuple(parts.items()), scheme, "it is no matrix")
    shape = (codes.shape[0], codes.shape[1])
    return _integers(name, shape, parts, scheme, said.sizes, 0, "bytes")


def _floats(name: str, parts: Mapping[str, TensorInfo]) -> TensorInfo:
    """The matrix of 4-bit floats, two a byte, or why it cannot be read."""
    codes, scale, total = parts["codes"], parts.get("scale"), parts.get("global_scale")
    shape = (codes.shape[0], 2 * codes.shape[1])
    for kind, size in FLOATS.items():
        one = total is not None and total.parameters == 1 and total.dtype in SCALES
        dtypes, fits = (("float8_e4m3fn",), one) if kind == "NVFP4" else (("uint8", "float8_e8m0fnu"), total is None)
        if fits and shape[1] % size == 0 and shaped(scale, shape[0], shape[1] // size, dtypes=dtypes):
            parameters = (("kind", kind),)
            scheme = Scheme(kind, 4, str(size), symmetric=True)
            return encoded(name, shape, NAME, tuple(parts.items()), scheme, parameters=parameters)
    why = "neither the scales of NVFP4 nor those of MXFP4 are beside it"
    return unread(name, shape, tuple(parts.items()), Scheme(NAME, 4), why)


def _marlin(name: str, packed: str, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
    """The sparse matrix in ``packed`` and its metadata, which is not read."""
    module = name.removesuffix("weight")
    uses = {"codes": packed, "scale": f"{module}scale_packed", "meta": f"{module}meta", "shape": f"{name}_shape"}
    parts = tuple((use, tensors[one]) for use, one in uses.items() if one in tensors)
    return unread(name, tensors[packed].shape, parts, Scheme("marlin-24"), "sparse matrices are not read here")


def _sparse(stem: str, tensors: Mapping[str, TensorInfo]) -> TensorInfo | None:
    """The sparse matrix whose numbers other than 0 are in ``stem.compressed``, which is not read."""
    uses = ("compressed", "bitmask", "shape", "row_offsets")
    parts = {use: tensors[f"{stem}.{use}"] for use in uses if f"{stem}.{use}" in tensors}
    if "bitmask" not in parts:
        return None
    name = stem if stem.endswith("weight") else f"{stem}.weight"
    every = (*parts.items(), *((use, tensors[f"{name}_{use}"]) for use in USES if f"{name}_{use}" in tensors))
    scheme = Scheme("sparse-bitmask" if "row_offsets" in parts else "sparse-24-bitmask")
    return unread(name, parts["compressed"].shape, every, scheme, "sparse matrices are not read here")

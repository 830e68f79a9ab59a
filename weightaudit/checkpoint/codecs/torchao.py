"""torchao: codes, scales and zero points of a tensor by name, and what they are as JSON in the file's header."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.checkpoint.codecs.bits import E4M3, histogram, scale_facts, tiles
from weightaudit.checkpoint.codecs.torchao_packed import decode_packed, packed, packed_facts, told_shape
from weightaudit.errors import CheckpointError
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread
from weightaudit.strict_json import parse_object

CODES = "_qdata"
CLASSES = {"Int8Tensor": "int8", "IntxUnpackedToInt8Tensor": "int8", "Float8Tensor": "float8_e4m3fn"}
"""The classes of torchao's with a code in each byte, and its dtype; `torchao_packed` has the others."""
BESIDE = ("scale", "zero_point", "per_tensor_scale", "act_per_tensor_scale", "act_pre_scale", "scale_and_zero")
"""Ends of the names of what lies beside the codes, each a part under this name."""
FLOATS = ("float32", "bfloat16", "float16")
MAX_SAID = 1 << 16
"""Characters of what the header says of one tensor; it takes some 300."""


class Torchao:
    """`Codec` of ``P._weight_qdata`` beside ``P._weight_scale``, and perhaps ``P._weight_zero_point``."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name, codes in stored.tensors.items():
            stem = name.removesuffix(CODES)
            if stem == name or codes.dtype in FLOATS:
                continue
            module, dot, leaf = stem.rpartition("._")
            logical = f"{module}.{leaf}" if dot else stem.removeprefix("_")
            there = {use: stored.tensors[key] for use in BESIDE if (key := f"{stem}_{use}") in stored.tensors}
            if logical in stored.metadata or "scale" in there:
                yield _group(logical, {"codes": codes, **there}, stored.metadata.get(logical, ""))

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        if "kind" in dict(info.encoding.parameters):
            decode_packed(info, parts, out)
            return
        height, width = _block(info)
        rows, columns = info.shape
        scales = parts["scale"].astype(np.float32).reshape(rows // height, columns // width)
        zeros = parts.get("zero_point")
        if zeros is not None:
            zeros = zeros.astype(np.float32).reshape(scales.shape)
        for start, stop in tiles(rows, columns):
            tile = out[start:stop]
            codes = parts["codes"][start:stop]
            if codes.dtype == np.int8:
                tile[...] = codes
            else:
                E4M3.take(codes.view(np.uint8), out=tile, mode="clip")
            blocks, above = tile.reshape(len(tile), -1, width), np.arange(start, stop) // height
            if zeros is not None:
                blocks -= zeros[above, :, None]
            blocks *= scales[above, :, None]

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        if "kind" in dict(info.encoding.parameters):
            return packed_facts(info, parts)
        scheme, counts = info.encoding.scheme, histogram(parts["codes"])
        if parts["codes"].dtype == np.int8:
            half = 1 << (scheme.bits if scheme else 8) - 1
            counts = counts[np.arange(-half, half)]
            ends, unused = counts[[0, -1]], counts == 0
        else:
            ends, unused = counts[abs(E4M3) == np.nanmax(E4M3)], (counts == 0) & ~np.isnan(E4M3)
        return CodeFacts(info.parameters, int(ends.sum()), int(unused.sum()), **scale_facts(parts["scale"]))


def _block(info: TensorInfo) -> tuple[int, int]:
    return int(info.encoding.parameter("rows")), int(info.encoding.parameter("columns"))


def _group(name: str, parts: Mapping[str, TensorInfo], text: str) -> TensorInfo:
    codes, shape = parts["codes"], parts["codes"].shape
    try:
        kind, data = _said(name, text)
        shape = told_shape(data, codes)
        found = packed(name, kind, data, parts)
        return _bytes(name, kind, data, parts) if found is None else found
    except ValueError as error:
        return unread(name, shape, tuple(parts.items()), Scheme("torchao"), str(error))


def _bytes(name: str, kind: str, data: Mapping[str, Any], parts: Mapping[str, TensorInfo]) -> TensorInfo:
    """A matrix of a code in each byte; ValueError where the parts are not those of one."""
    if kind not in CLASSES:
        raise ValueError(f"a {kind[:40]} is not decoded")
    codes, scales, zeros = parts["codes"], parts.get("scale"), parts.get("zero_point")
    bits, block = _blocks(data, codes.shape)
    if codes.dtype != CLASSES[kind]:
        raise ValueError(f"codes of {codes.dtype}")
    blocks = math.prod(codes.shape) // math.prod(block) if math.prod(block) else 0
    if scales is None or scales.dtype not in FLOATS or scales.parameters != blocks:
        raise ValueError(f"its scales are not {blocks} numbers")
    if zeros is not None and (zeros.dtype not in ("int8", *FLOATS) or zeros.parameters != blocks):
        raise ValueError(f"its zero points are not {blocks} numbers")
    group = str(block[1]) if block[0] == 1 else f"{block[0]} × {block[1]}"
    group = "tensor" if block == codes.shape else "row" if block == (1, codes.shape[1]) else group
    what = "torchao FP8 E4M3" if kind == "Float8Tensor" else "torchao"
    scheme = Scheme(what, bits, group, symmetric=zeros is None or None)
    own = (("rows", block[0]), ("columns", block[1]))
    return encoded(name, codes.shape, "torchao", tuple(parts.items()), scheme, parameters=own)


def _said(name: str, text: str) -> tuple[str, dict[str, Any]]:
    """(class, what it says of itself) of a tensor; ValueError where these are not told."""
    if not text or len(text) > MAX_SAID:
        raise ValueError("the file's header does not say what its codes are")
    try:
        said = parse_object(text.encode("utf-8", "replace"), thing=name, error=CheckpointError, hint="")
    except CheckpointError as error:
        raise ValueError("what the file's header says of it is no JSON object") from error
    kind, data = said.get("_type"), said.get("_data")
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise ValueError(f"a {str(kind)[:40]} is not decoded")
    return kind, data


def _blocks(data: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """(bits of a code, entries that share a scale); ValueError where these are not decoded."""
    block = data.get("block_size")
    if (
        not isinstance(block, list)
        or len(block) != 2
        or len(shape) != 2
        or any(type(size) is not int for size in block)
    ):
        raise ValueError("what the file's header says of it has no blocks")
    if not all(size > 0 and whole % size == 0 for size, whole in zip(block, shape, strict=True)):
        raise ValueError("the blocks that share a scale do not divide it")
    target = data.get("target_dtype")
    called = target.get("_data") if isinstance(target, dict) else None
    bits = int(called[3:]) if isinstance(called, str) and called in {f"int{bits}" for bits in range(1, 9)} else 8
    return bits, (block[0], block[1])

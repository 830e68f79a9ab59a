"""torchao: codes, scales and zero points of a tensor by name, and what they are as JSON in the file's header."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.checkpoint.codecs.bits import E4M3, histogram, scale_facts, tiles
from weightaudit.errors import CheckpointError
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread
from weightaudit.strict_json import parse_object

CODES = "_qdata"
CLASSES = {"Int8Tensor": "int8", "IntxUnpackedToInt8Tensor": "int8", "Float8Tensor": "float8_e4m3fn"}
"""The classes of torchao's that are decoded, and the dtype of their codes."""
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
            beside = {use: stored.tensors.get(f"{stem}_{use}") for use in ("scale", "zero_point")}
            if logical not in stored.metadata and beside["scale"] is None:
                continue
            yield _group(logical, codes, beside, stored.metadata.get(logical, ""))

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
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


def _group(name: str, codes: TensorInfo, beside: Mapping[str, TensorInfo | None], said: str) -> TensorInfo:
    parts = (("codes", codes), *((use, part) for use, part in beside.items() if part is not None))
    try:
        kind, bits, block = _said(name, said, codes.shape)
        scales, zeros = beside["scale"], beside["zero_point"]
        if codes.dtype != CLASSES[kind]:
            raise ValueError(f"codes of {codes.dtype}")
        blocks = math.prod(codes.shape) // math.prod(block) if math.prod(block) else 0
        if scales is None or scales.dtype not in FLOATS or scales.parameters != blocks:
            raise ValueError(f"its scales are not {blocks} numbers")
        if zeros is not None and (zeros.dtype not in ("int8", *FLOATS) or zeros.parameters != blocks):
            raise ValueError(f"its zero points are not {blocks} numbers")
    except ValueError as error:
        return unread(name, codes.shape, parts, Scheme("torchao"), str(error))
    group = str(block[1]) if block[0] == 1 else f"{block[0]} × {block[1]}"
    group = "tensor" if block == codes.shape else "row" if block == (1, codes.shape[1]) else group
    what = "torchao FP8 E4M3" if kind == "Float8Tensor" else "torchao"
    scheme = Scheme(what, bits, group, symmetric=zeros is None or None)
    return encoded(name, codes.shape, "torchao", parts, scheme, parameters=(("rows", block[0]), ("columns", block[1])))


def _said(name: str, text: str, shape: tuple[int, ...]) -> tuple[str, int, tuple[int, int]]:
    """(class, bits of a code, entries that share a scale) of a tensor; ValueError where these are not decoded."""
    if not text or len(text) > MAX_SAID:
        raise ValueError("the file's header does not say what its codes are")
    try:
        said = parse_object(text.encode("utf-8", "replace"), thing=name, error=CheckpointError, hint="")
    except CheckpointError as error:
        raise ValueError("what the file's header says of it is no JSON object") from error
    kind, data = said.get("_type"), said.get("_data")
    if not isinstance(kind, str) or kind not in CLASSES or not isinstance(data, dict):
        raise ValueError(f"a {str(kind)[:40]} is not decoded")
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
    return kind, bits, (block[0], block[1])

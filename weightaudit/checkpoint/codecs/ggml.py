"""The blocks of ggml, which GGUF files hold: a few codes of a row together with their scale."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs import ggml_codebooks, native
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.checkpoint.codecs.ggml_blocks import LAYOUTS, Blocks
from weightaudit.checkpoint.codecs.ggml_types import BY_NAME, BlockType
from weightaudit.records import CodeFacts, TensorInfo
from weightaudit.records.tensor import encoded, unread

CODEC = "ggml"
TILE = 1 << 18
"""Entries that are decoded at a time, so that what lies between bytes and numbers stays in the cache."""
LOOKED_AT = 4
"""Times as many whose codes and scales are looked at at a time: there are few scales, and each step has a price."""
LEAST_NORMAL = float(np.finfo(np.float16).smallest_normal)


class Ggml:
    """Blocks of ggml. Its tensors come from a header that names their types, so it looks for none among others."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        return iter(())

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        kind = _kind(info)
        numbers, reached = out.reshape(-1), 0
        for blocks in _tiles(info, parts["blocks"], kind, TILE):
            start, reached = reached, reached + len(blocks) * kind.entries
            tile = numbers[start:reached].reshape(len(blocks), kind.entries)
            if native.fill_from_blocks(kind.name, out.size, blocks, tile):
                continue
            if kind.name in LAYOUTS:
                _multiply(LAYOUTS[kind.name].unpack(blocks), tile)
            else:
                ggml_codebooks.decode(blocks, kind.name, tile)
        if (factor := parts.get("scale")) is not None:
            out *= factor.reshape(-1, 1, 1) if factor.size > 1 else factor.reshape(())

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        kind = _kind(info)
        return _facts(info, parts["blocks"], kind) if kind.name in LAYOUTS else None


def encoded_blocks(stored: TensorInfo, shape: tuple[int, ...], kind: BlockType) -> TensorInfo:
    """The logical tensor of ``shape`` that the bytes ``stored`` are the blocks of."""
    parts = (("blocks", stored),)
    if kind.name not in LAYOUTS and not ggml_codebooks.available():
        return unread(stored.name, shape, parts, kind.scheme, ggml_codebooks.NEEDS)
    return encoded(
        stored.name, shape, CODEC, parts, kind.scheme, parameters=(("type", kind.name),), stacked=("blocks",)
    )


def takes_scale(info: TensorInfo) -> bool:
    """Whether a tensor beside it may hold a second factor of ``info``, which has none so far."""
    own = info.encoding
    return own.codec == CODEC and own.parameter("type") == "NVFP4" and len(own.parts) == 1


def scaled(info: TensorInfo, scale: TensorInfo) -> TensorInfo:
    """``info`` with its second factor: one number, or one for each matrix that it stacks."""
    own = info.encoding
    parts = (*own.parts, ("scale", scale))
    each = len(info.shape) == 3 and scale.shape == info.shape[:1]
    if scale.encoded or scale.dtype != "float32" or not (each or scale.parameters == 1):
        why = f"its second factor is {scale.dtype} of shape {scale.shape}"
        assert own.scheme is not None
        return unread(info.name, info.shape, parts, own.scheme, why)
    stacked = ("blocks", "scale") if each else own.stacked
    return replace(info, encoding=replace(own, parts=parts, stacked=stacked))


def _kind(info: TensorInfo) -> BlockType:
    return BY_NAME[str(info.encoding.parameter("type"))]


def _tiles(info: TensorInfo, stored: Array, kind: BlockType, entries: int) -> Iterator[Array]:
    """The blocks of ``stored`` in order, (n, bytes) of uint8, so many ``entries`` at a time."""
    count = math.prod(info.shape) // kind.entries
    if info.shape[-1] % kind.entries or stored.size != count * kind.nbytes:
        raise ValueError(f"{stored.size} bytes for {list(info.shape)} numbers")
    blocks = stored.reshape(count, kind.nbytes)
    step = entries // kind.entries
    for start in range(0, count, step):
        yield blocks[start : start + step]


def _multiply(blocks: Blocks, out: Array) -> None:
    """``out`` = code · scale + offset, (n, entries) float32."""
    n, groups = blocks.scales.shape
    if n == 0:
        return
    grouped = out.reshape(n, groups, -1)
    np.multiply(blocks.codes.reshape(grouped.shape), blocks.scales[:, :, None], out=grouped)
    if blocks.offsets is not None:
        grouped += blocks.offsets[:, :, None]


def _facts(info: TensorInfo, stored: Array, kind: BlockType) -> CodeFacts:
    layout = LAYOUTS[kind.name]
    least, largest = min(layout.levels), max(layout.levels)
    unseen = set(layout.levels)
    counts = Counter[str]()
    smallest, greatest = math.inf, 0.0
    for blocks in _tiles(info, stored, kind, LOOKED_AT * TILE):
        found = layout.unpack(blocks)
        unseen -= {level for level in unseen if (found.codes == level).any()}
        magnitudes = np.abs(found.scales)
        ordinary = magnitudes[np.isfinite(magnitudes) & (magnitudes > 0)]
        subnormal = (np.abs(found.stored) < LEAST_NORMAL) & (magnitudes > 0) if found.stored is not None else False
        marks = {
            "extreme": (found.codes <= least, found.codes >= largest),
            "zero": (magnitudes == 0,),
            "negative": (found.scales < 0,),
            "nonfinite": (~np.isfinite(magnitudes),),
            "subnormal": (subnormal,),
        }
        counts.update({name: sum(int(np.count_nonzero(one)) for one in marked) for name, marked in marks.items()})
        counts["scales"] += magnitudes.size
        if ordinary.size:
            smallest, greatest = min(smallest, float(ordinary.min())), max(greatest, float(ordinary.max()))
    return CodeFacts(
        codes=info.parameters,
        extreme=counts["extreme"],
        unused=len(unseen),
        scales=counts["scales"],
        zero_scales=counts["zero"],
        negative_scales=counts["negative"],
        nonfinite_scales=counts["nonfinite"],
        subnormal_scales=counts["subnormal"],
        least_scale=smallest * layout.unit if greatest else math.nan,
        largest_scale=greatest * layout.unit if greatest else math.nan,
    )

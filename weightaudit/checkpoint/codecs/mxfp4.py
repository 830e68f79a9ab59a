"""MXFP4 (OCP Microscaling Formats 2023): 4-bit floats, and a power of two for each 32 of a row.

Two layouts: the stacked experts of gpt-oss, ``…_blocks`` beside ``…_scales``, and int8 ``….weight`` of two codes a byte
beside float8 powers of two. The first code is in the low nibble in both, and rows are outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored, held_by
from weightaudit.checkpoint.codecs.bits import E2M1, E8M0, levels, of_floats, pairs, scale_facts, take_pairs, tiles
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

SCHEME = Scheme("MXFP4", 4, "32", symmetric=True)
BLOCK = 32
_PAIRS = pairs(E2M1)


class Mxfp4:
    """`Codec` of both layouts."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name, codes in stored.tensors.items():
            if name.endswith("_blocks") and codes.dtype == "uint8":
                plain = name.removesuffix("_blocks")
                scales = stored.tensors.get(f"{plain}_scales")
                if scales is not None and scales.dtype == "uint8":
                    yield _blocks(plain, codes, scales)
            elif name.endswith(".weight") and codes.dtype == "int8":
                scales = _powers(stored, name)
                if scales is not None:
                    yield _rows(name, codes, scales)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        columns = info.shape[-1]
        flat = out.reshape(-1, columns)
        codes = parts["codes"].view(np.uint8).reshape(-1, columns // 2)
        powers = parts["scales"].view(np.uint8).reshape(-1, columns // BLOCK)
        for start, stop in tiles(len(flat), columns):
            tile = flat[start:stop]
            take_pairs(_PAIRS, codes[start:stop], tile)
            blocks = tile.reshape(-1, BLOCK)
            blocks *= E8M0[powers[start:stop].reshape(-1, 1)]

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        return CodeFacts(**of_floats(levels(parts["codes"], 4)), **scale_facts(parts["scales"].view(np.uint8)))


def _powers(stored: Stored, name: str) -> TensorInfo | None:
    """The float8 powers of two of the weight ``name``; None where there are none."""
    module = name.removesuffix(".weight")
    for suffix in ("scale", "weight_scale_inv", "weight_scale"):
        scales = stored.tensors.get(f"{module}.{suffix}")
        if scales is not None and scales.dtype == "float8_e8m0fnu":
            return scales
    return None


def _blocks(name: str, codes: TensorInfo, scales: TensorInfo) -> TensorInfo:
    parts = (("codes", codes), ("scales", scales))
    if len(codes.shape) not in (3, 4) or codes.shape[-1] != BLOCK // 2 or scales.shape != codes.shape[:-1]:
        return unread(
            name, held_by(codes, SCHEME.bits), parts, SCHEME, f"blocks of {codes.shape} and scales of {scales.shape}"
        )
    shape = (*codes.shape[:-2], codes.shape[-2] * BLOCK)
    return encoded(name, shape, "mxfp4", parts, SCHEME, stacked=("codes", "scales") if len(shape) == 3 else ())


def _rows(name: str, codes: TensorInfo, scales: TensorInfo) -> TensorInfo:
    parts = (("codes", codes), ("scales", scales))
    *lead, packed = codes.shape or (0,)
    shape = (*lead, 2 * packed)
    if len(shape) not in (2, 3) or shape[-1] % BLOCK or scales.shape != (*lead, shape[-1] // BLOCK):
        return unread(name, shape, parts, SCHEME, f"codes of {codes.shape} and scales of {scales.shape}")
    return encoded(name, shape, "mxfp4", parts, SCHEME, stacked=("codes", "scales") if len(shape) == 3 else ())

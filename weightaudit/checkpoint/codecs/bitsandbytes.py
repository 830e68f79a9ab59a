"""bitsandbytes: 4-bit codes of a table with a scale for each block of entries, or int8 with a scale for each row.

A 4-bit matrix is flat, two codes to a byte with the first in the high nibble, in whatever dtype its file calls these
bytes; a JSON text beside it, the quant_state, says its shape. Scales may be quantised once more, to 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored, held_by
from weightaudit.checkpoint.codecs.bits import TILE, histogram, levels, pairs, scale_facts, take_pairs, tiles
from weightaudit.errors import CheckpointError
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread
from weightaudit.strict_json import parse_object

STATE = ".quant_state.bitsandbytes__"
"""Between a weight's name and what its codes are, in the name of its quant_state."""
MAX_STATE = 1024
"""Bytes of a quant_state; they have some 170."""
STORAGE = ("uint8", "bfloat16", "float16", "float32")
"""What the bytes of codes are stored as: the others for those who shard a model by parameters of one dtype."""
ONE_127TH = np.float32(7.874015718698502e-3)
"""The library multiplies by it."""


class Bitsandbytes:
    """`Codec` of bitsandbytes' files."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        states = {name: info for name, info in stored.tensors.items() if STATE in name}
        rows = {name: info for name, info in stored.tensors.items() if name.endswith(".SCB")}
        layouts = {name: stored.tensors.get(f"{name.removesuffix('.SCB')}.weight_format") for name in rows}
        small = [info for info in states.values() if info.dtype == "uint8" and info.nbytes <= MAX_STATE]
        small += [info for info in layouts.values() if info is not None and _is_byte(info)]
        read = {info.name: value for info, value in zip(small, stored.values(small), strict=True)} if small else {}
        for name, info in states.items():
            plain, kind = name.split(STATE, 1)
            codes = stored.tensors.get(plain)
            if codes is not None and codes.dtype in STORAGE:
                yield _four_bits(stored, codes, info, kind, read.get(name))
        for name, info in rows.items():
            codes = stored.tensors.get(f"{name.removesuffix('.SCB')}.weight")
            if codes is not None and codes.dtype == "int8" and info.dtype == "float32":
                yield _eight_bits(codes, info, layouts[name], read)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        if "SCB" in parts:
            for start, stop in tiles(*info.shape):
                tile = out[start:stop]
                np.multiply(parts["codes"][start:stop], parts["SCB"][start:stop, None], out=tile)
                tile *= ONE_127TH
            return
        block = int(info.encoding.parameter("blocksize"))
        codes, scales = _bytes(parts["codes"]), _absmax(info, parts)
        table, flat = pairs(parts["quant_map"], high_first=True), out.reshape(-1)
        whole = flat.size // 2 * 2
        step = max(TILE // block, 1) * block if block < TILE else TILE
        for start in range(0, whole, step):
            stop = min(start + step, whole)
            take_pairs(table, codes[start // 2 : stop // 2], flat[start:stop])
        if whole < flat.size:
            flat[-1] = parts["quant_map"][codes[-1] >> 4]
        _scale(flat, scales, block)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        if "SCB" in parts:
            counts = histogram(parts["codes"])[np.arange(-127, 128)]  # −128 is none of its levels
            scales = parts["SCB"]
            ends = counts[[0, -1]]
        else:
            codes = _bytes(parts["codes"])
            counts = levels(codes, 4)
            if info.parameters % 2:
                counts[codes[-1] & 15] -= 1
            ends = counts[[parts["quant_map"].argmin(), parts["quant_map"].argmax()]]
            scales = _absmax(info, parts)
        return CodeFacts(info.parameters, int(ends.sum()), int((counts == 0).sum()), **scale_facts(scales))


def _scale(flat: Array, scales: Array, block: int) -> None:
    """Multiply each ``block`` entries of ``flat``, the last perhaps fewer, by its scale."""
    whole = flat.size // block
    for start, stop in tiles(whole, block):
        blocks = flat[start * block : stop * block].reshape(-1, block)
        blocks *= scales[start:stop, None]
    if whole * block < flat.size:
        flat[whole * block :] *= scales[-1]


def _absmax(info: TensorInfo, parts: Mapping[str, Array]) -> Array:
    """The scales of a 4-bit matrix, float32, one for each block."""
    absmax = parts["absmax"]
    if "nested_absmax" not in parts:
        return absmax
    block = int(info.encoding.parameter("nested_blocksize"))
    scales = parts["nested_quant_map"][absmax]
    _scale(scales, parts["nested_absmax"], block)
    scales += np.float32(info.encoding.parameter("nested_offset"))
    return scales


def _bytes(codes: Array) -> Array:
    """The bytes of ``codes``, flat, whatever they are stored as."""
    return codes.reshape(-1).view(np.uint8)


def _is_byte(info: TensorInfo) -> bool:
    return info.dtype == "uint8" and info.nbytes == 1


def _eight_bits(
    codes: TensorInfo, scales: TensorInfo, layout: TensorInfo | None, read: Mapping[str, Array]
) -> TensorInfo:
    parts = (("codes", codes), ("SCB", scales), *((("format", layout),) if layout is not None else ()))
    scheme = Scheme("bitsandbytes INT8", 8, "row", symmetric=True)
    if layout is not None and (layout.name not in read or read[layout.name].item() != 0):
        return unread(codes.name, codes.shape, parts, scheme, "its rows are arranged for one kind of GPU")
    if len(codes.shape) != 2 or scales.shape != codes.shape[:1]:
        return unread(codes.name, codes.shape, parts, scheme, f"scales of shape {scales.shape}")
    return encoded(codes.name, codes.shape, "bitsandbytes", parts, scheme)


def _four_bits(stored: Stored, codes: TensorInfo, state: TensorInfo, kind: str, raw: Array | None) -> TensorInfo:
    names = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
    beside = [(use, stored.tensors.get(f"{codes.name}.{use}")) for use in names]
    parts = (("codes", codes), *((use, part) for use, part in beside if part is not None), ("quant_state", state))
    scheme = Scheme(kind.upper() if kind in ("nf4", "fp4") else "bitsandbytes", 4, symmetric=True)
    try:
        said = _State(state.name, raw, kind)
        said.fit(dict(parts))
    except ValueError as error:
        return unread(codes.name, held_by(codes, 4), parts, scheme, str(error))
    scheme = Scheme(kind.upper(), 4, str(said.parameters["blocksize"]), symmetric=True)
    return encoded(codes.name, said.shape, "bitsandbytes", parts, scheme, parameters=tuple(said.parameters.items()))


class _State:
    """What a quant_state says; ValueError, with the cause, for one that is none."""

    def __init__(self, name: str, raw: Array | None, kind: str) -> None:
        if raw is None:
            raise ValueError("its quant_state is no short text")
        try:
            said = parse_object(raw.tobytes(), thing=name, error=CheckpointError, hint="", max_values=100)
        except CheckpointError as error:
            raise ValueError("its quant_state is no JSON object") from error
        if kind not in ("nf4", "fp4") or said.get("quant_type") != kind:
            raise ValueError("its codes are neither nf4 nor fp4, or both")
        shape = said.get("shape")
        if not isinstance(shape, list) or not shape or not all(_is_size(size) for size in shape):
            raise ValueError("its quant_state has no shape")
        self.shape = tuple(shape)
        self.parameters: dict[str, int | float] = {"blocksize": _block(said, "blocksize")}
        if "nested_blocksize" in said:
            self.parameters["nested_blocksize"] = _block(said, "nested_blocksize")
            offset = said.get("nested_offset")
            if not isinstance(offset, int | float) or isinstance(offset, bool):
                raise ValueError("its quant_state has no nested_offset")
            self.parameters["nested_offset"] = float(offset)

    def fit(self, parts: Mapping[str, TensorInfo]) -> None:
        """ValueError where the parts are not those of such a matrix."""
        entries = math.prod(self.shape)
        if parts["codes"].nbytes != (entries + 1) // 2:
            raise ValueError(f"{parts['codes'].nbytes} bytes of codes for a shape of {self.shape}")
        blocks = -(-entries // int(self.parameters["blocksize"]))
        nested = "nested_blocksize" in self.parameters
        wanted = {"absmax": ("uint8" if nested else "float32", blocks), "quant_map": ("float32", 16)}
        if nested:
            above = -(-blocks // int(self.parameters["nested_blocksize"]))
            wanted |= {"nested_absmax": ("float32", above), "nested_quant_map": ("float32", 256)}
        for use, (dtype, size) in wanted.items():
            part = parts.get(use)
            if part is None or part.dtype != dtype or part.shape != (size,):
                raise ValueError(f"its {use} is not {size} numbers of {dtype}")


def _is_size(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _block(said: Mapping[str, Any], key: str) -> int:
    size = said.get(key)
    if not _is_size(size) or size % 2 or size >= 1 << 31:
        raise ValueError(f"its quant_state has no usable {key}")
    return size

"""GGUF files of whole models, written by hand: whatever their header is to say, with plain or quantised tensors."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.gguf_headers import ARRAY, BOOL, I32, STRING, U16, U32, array, entry, packed, text, u32
from tests.support.gguf_headers import F32 as FLOAT

Array = np.ndarray[Any, np.dtype[Any]]
F32, F16, Q8_0, BF16 = 0, 1, 8, 30
_PLAIN = {np.dtype(np.float32): F32, np.dtype(np.float16): F16, np.dtype(np.uint16): BF16}
ALIGNMENT = 32


def value_bytes(value: Any) -> bytes:
    """A value with its type: u16 for numpy's, u32 for whole numbers, f32, bool, text, and arrays of one of these."""
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, np.uint16):
        return struct.pack("<IH", U16, int(value))
    if isinstance(value, int):
        return struct.pack("<II", U32, value) if value >= 0 else struct.pack("<Ii", I32, value)
    if isinstance(value, float):
        return struct.pack("<If", FLOAT, value)
    if isinstance(value, str):
        return u32(STRING) + text(value)
    each = [value_bytes(one) for one in value]
    kind = struct.unpack("<I", each[0][:4])[0] if each else U32
    return u32(ARRAY) + array(kind, len(each), b"".join(one[4:] for one in each))


def q8_0(matrix: Array) -> tuple[Array, Array]:
    """The blocks of a matrix, uint8 (…, bytes a row), and what they decode to, float32."""
    blocks = matrix.astype(np.float32).reshape(-1, 32)
    d = (np.abs(blocks).max(1) / 127).astype(np.float16)
    d[d == 0] = 1
    codes = np.round(blocks / d.astype(np.float32)[:, None]).clip(-127, 127).astype(np.int8)
    stored = np.concatenate([d.view(np.uint8).reshape(-1, 2), codes.view(np.uint8)], 1)
    decoded = d.astype(np.float32)[:, None] * codes.astype(np.float32)
    rows = (*matrix.shape[:-1], matrix.shape[-1] // 32 * 34)
    return stored.reshape(rows), decoded.reshape(matrix.shape)


def gguf_bytes(values: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """A file. float32, float16 and uint16 (bfloat16's bits) are stored as they are, uint8 is blocks of Q8_0."""
    data, entries = b"", []
    for name, stored in tensors.items():
        blocks = stored.dtype == np.uint8
        shape = (*stored.shape[:-1], stored.shape[-1] // 34 * 32) if blocks else stored.shape
        entries.append(entry(name, shape[::-1], Q8_0 if blocks else _PLAIN[stored.dtype], len(data)))
        data += stored.tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    return packed([text(key) + value_bytes(value) for key, value in values.items()], entries, data)


def write_gguf(path: Path, values: Mapping[str, Any], tensors: Mapping[str, Array]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(values, tensors))
    return path


def split_gguf(
    folder: Path, stem: str, values: Mapping[str, Any], tensors: Mapping[str, Array], count: int
) -> list[Path]:
    """The model in ``count`` shards as llama.cpp splits it, the first of which holds no tensors."""
    names = list(tensors)
    paths = []
    for no in range(count):
        own = {name: tensors[name] for name in names[no - 1 :: count - 1]} if no else {}
        split = {"split.no": np.uint16(no), "split.count": np.uint16(count), "split.tensors.count": len(tensors)}
        path = folder / f"{stem}-{no + 1:05d}-of-{count:05d}.gguf"
        paths.append(write_gguf(path, {**(values if no == 0 else {}), **split}, own))
    return paths

"""GGUF files built byte by byte, good and hostile."""

from __future__ import annotations

import struct
from collections.abc import Sequence

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
"""Types of values."""


def text(content: str | bytes, *, length: int | None = None) -> bytes:
    """A text; ``length`` replaces its own."""
    raw = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def key(name: str | bytes, kind: int, raw: bytes) -> bytes:
    """A key with a value of type ``kind``."""
    return text(name) + struct.pack("<I", kind) + raw


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def array(kind: int, count: int, raw: bytes = b"") -> bytes:
    """An array that says it has ``count`` elements."""
    return struct.pack("<IQ", kind, count) + raw


def entry(
    name: str | bytes = "a", sizes: Sequence[int] = (8,), kind: int = 0, offset: int = 0, *, rank: int | None = None
) -> bytes:
    """One tensor of the list, its ``sizes`` innermost first; ``rank`` replaces their number."""
    shape = struct.pack(f"<I{len(sizes)}Q", len(sizes) if rank is None else rank, *sizes)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def packed(
    keys: Sequence[bytes] = (),
    entries: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    version: bytes = u32(3),
    tensor_count: int | None = None,
    key_count: int | None = None,
    alignment: int = 32,
) -> bytes:
    """A file of these ``keys`` and ``entries``, padding, and ``data``; counts replace their numbers."""
    counts = [len(given) if told is None else told for given, told in ((entries, tensor_count), (keys, key_count))]
    head = b"GGUF" + version + struct.pack("<QQ", *counts) + b"".join(keys) + b"".join(entries)
    return head + bytes(-len(head) % alignment) + data

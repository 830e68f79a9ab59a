"""Reading a small file whole."""

from __future__ import annotations

from weightaudit.errors import ModelError
from weightaudit.source import ByteSource


def read_all(source: ByteSource, *, limit: int, error: type[ModelError]) -> bytes:
    """Every byte of ``source``; ``error`` where it has more than ``limit`` bytes."""
    if source.size > limit:
        raise error(source.label, f"it has {source.size} bytes, more than {limit}", "This is not what its name says")
    data = bytearray(source.size)
    source.read_into(0, memoryview(data))
    return bytes(data)

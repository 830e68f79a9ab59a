"""Small reads of a file: one of all of it, or several at once where it is far away."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from weightaudit.errors import ModelError
from weightaudit.source import ByteSource

THREADS = 16
"""Small reads under way at once over a network: each waits for a whole round trip, and carries next to nothing."""


def read_all(source: ByteSource, *, limit: int, error: type[ModelError]) -> bytes:
    """Every byte of ``source``; ``error`` where it has more than ``limit`` bytes."""
    if source.size > limit:
        raise error(source.label, f"it has {source.size} bytes, more than {limit}", "This is not what its name says")
    data = bytearray(source.size)
    source.read_into(0, memoryview(data))
    return bytes(data)


def read_pieces(source: ByteSource, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of each (offset, length) of ``ranges``, which lie within the file, in the same order.

    After an error or an interrupt other reads may be under way still, until the file is closed.
    """

    def read(place: tuple[int, int]) -> bytes:
        offset, length = place
        data = bytearray(length)
        source.read_into(offset, memoryview(data))
        return bytes(data)

    if not source.distant or len(ranges) < 2:
        return [read(place) for place in ranges]
    pool = ThreadPoolExecutor(min(THREADS, len(ranges)), thread_name_prefix="weightaudit-piece")
    try:
        return list(pool.map(read, ranges))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # no "with": leaving it would wait for them, retries and all

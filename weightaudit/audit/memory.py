"""Memory for tensors: reused, bounded, and waited for where it is all in use."""

from __future__ import annotations

import threading

from weightaudit.arrays import CACHE_LINE, Array, aligned

WASTE = 2
"""A buffer is reused for what takes at least this share of it, as a divisor: what is held is what is bounded."""
SMALL = 1 << 16
"""Bytes below which memory is asked for anew, which then costs nothing."""
KEPT = 64_000_000
"""Bytes of buffers kept for the next beyond the size of the largest in use: what an embedding took is not kept all the
time that the small matrices of layers are measured."""


class Closed(Exception):
    """No memory is given any more."""


class Memory:
    """Buffers of at most ``room`` bytes in all, those that are free and kept for the next included.

    Only what is larger by itself is given more, when nothing else is in use. Thread-safe; one thread takes.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._free: list[Array] = []
        self._used: dict[int, Array] = {}
        self._in_use = 0
        self._change = threading.Condition()
        self._closed = False

    def take(self, nbytes: int) -> Array:
        """A buffer (uint8, on a cache line) of ``nbytes`` at least; waits until so much has been given back.

        Raises `Closed` after `close`, MemoryError where nothing is in use and the machine has not so much.
        """
        with self._change:
            while True:
                if self._closed:
                    raise Closed
                if (buffer := self._given(nbytes)) is not None:
                    self._used[id(buffer)] = buffer
                    self._in_use += buffer.size + CACHE_LINE
                    return buffer
                self._change.wait()

    def give_back(self, buffer: Array) -> None:
        """Have ``buffer``, one that was taken, be used again; nothing may look at it any more."""
        with self._change:
            del self._used[id(buffer)]
            self._in_use -= buffer.size + CACHE_LINE
            if buffer.size >= SMALL and not self._closed:
                self._free.append(buffer)
                self._let_go(max((used.size for used in self._used.values()), default=buffer.size) + KEPT)
            self._change.notify_all()

    def close(self) -> None:
        """End each `take`, that of another thread too, and let go of what is free."""
        with self._change:
            self._closed = True
            self._free.clear()
            self._change.notify_all()

    @property
    def held(self) -> int:
        """Bytes in use, and kept."""
        return self._in_use + sum(buffer.size + CACHE_LINE for buffer in self._free)

    def _let_go(self, kept: int) -> None:
        """Let go of the largest free buffers, until there are at most ``kept`` bytes of them."""
        while sum(buffer.size for buffer in self._free) > kept:
            largest = max(self._free, key=lambda buffer: buffer.size)
            self._free = [buffer for buffer in self._free if buffer is not largest]

    def _given(self, nbytes: int) -> Array | None:
        """The smallest free buffer that fits, or a new one, for which free ones make room; None where there is none."""
        fitting = [buffer for buffer in self._free if nbytes <= buffer.size <= WASTE * nbytes]
        if fitting:
            best = min(fitting, key=lambda buffer: buffer.size)
            self._free = [buffer for buffer in self._free if buffer is not best]
            return best
        while self._free and self.held + nbytes + CACHE_LINE > self._room:
            self._free.pop(0)
        if self._used and self.held + nbytes + CACHE_LINE > self._room:
            return None
        try:
            return aligned(nbytes)
        except MemoryError:
            if self._free:
                self._free.clear()
                return self._given(nbytes)
            if not self._used:
                raise
            return None

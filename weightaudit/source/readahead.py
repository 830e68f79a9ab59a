"""Reading over a network ahead of need: many small tensors in few requests, several requests under way at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType

from weightaudit.source.base import ByteSource

BLOCK = 8 << 20
"""Bytes asked for at once: long enough to make a round trip's latency small, short enough to lose little in a drop."""
MOST_BLOCKS = 1 << 17
"""Blocks that a plan is split into because of its budget, at most: each takes some hundred bytes to know of."""
CONNECTIONS = 4
"""Requests under way at once; two already hide the latency, more help where one connection is slow."""
GAP = 64 << 10
"""Bytes that nobody asked for and that may be fetched to spare a request (biases between matrices)."""
WASTE = 0.01
"""The most that all such gaps together may add, as a share of what was asked for."""

Range = tuple[ByteSource, int, int]
"""A file, an offset in it and a length, in bytes."""


@dataclass
class _Block:
    """Neighbouring bytes fetched by one request. ``left`` are the planned bytes in it that have yet to be taken, in
    ``takes`` pieces."""

    index: int
    source: ByteSource
    start: int
    stop: int
    left: int = 0
    takes: int = 0
    data: Future[bytearray] | None = None

    @property
    def nbytes(self) -> int:
        return self.stop - self.start


class ReadAhead:
    """Serves the ranges of ``plan``, each taken once and roughly in that order, from blocks fetched ahead in threads.

    ``budget`` is how many bytes may be held, those on their way included, beside what the plan has to keep (`kept`).
    For one reading thread. A context manager: leaving it drops what was not taken and ends a `read_into` that another
    thread still waits in.
    """

    def __init__(self, plan: Sequence[Range], *, budget: int) -> None:
        self._blocks, self._places = _planned(plan, budget)
        self._budget = budget + _kept(plan, self._places)
        self._next = 0
        self._held = 0
        self._ended: Future[bytearray] = Future()
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="weightaudit-ahead")

    def __enter__(self) -> ReadAhead:
        self._start(needed=-1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set_result(bytearray())
        self._threads.shutdown(wait=False, cancel_futures=True)

    def read_into(self, source: ByteSource, offset: int, out: memoryview) -> None:
        """Fill ``out`` from ``offset``; raises what reading that block raised.

        ValueError for what is not in the plan or was taken before, and where the context has been left.
        """
        out = out.cast("B")
        taken = 0
        for block, start, stop in self._places.pieces(source, offset, len(out)):
            self._start(needed=block.index)
            if block.data is None or block.left < stop - start:
                break
            wait((block.data, self._ended), return_when=FIRST_COMPLETED)
            if self._ended.done():
                raise ValueError(f"reading {source.label} was given up")
            fetched = memoryview(block.data.result())
            out[start - offset : stop - offset] = fetched[start - block.start : stop - block.start]
            taken += stop - start
            block.left -= stop - start
            if not block.left:
                block.data = None
                self._held -= block.nbytes
                self._start(needed=-1)
        if taken < len(out):
            raise ValueError(
                f"bytes {offset} to {offset + len(out)} of {source.label} are not planned, or taken already"
            )

    def _start(self, *, needed: int) -> None:
        """Ask for the next blocks: as many as the budget has room for, and those up to ``needed`` in any case."""
        while self._next < len(self._blocks):
            block = self._blocks[self._next]
            if self._held + block.nbytes > self._budget and block.index > needed and self._held:
                return
            block.data = self._threads.submit(_fetch, block)
            self._held += block.nbytes
            self._next += 1


def kept(plan: Sequence[Range], *, budget: int) -> int:
    """The bytes that a `ReadAhead` holds beyond its ``budget`` at times, at most.

    They are of blocks that something was taken from and more is to be, once others have been read: what is planned
    several times, and files whose tensors lie in quite another order than they are read in.
    """
    return _kept(plan, _planned(plan, budget)[1])


def _planned(plan: Sequence[Range], budget: int) -> tuple[list[_Block], _Places]:
    """The blocks of a plan in the order in which it first needs them, each knowing what is to be taken from it, and
    where they are."""
    least = sum(nbytes for _, _, nbytes in plan) // MOST_BLOCKS + 1
    places = _Places(_blocks(plan, max(least, min(BLOCK, budget // CONNECTIONS))))
    blocks: list[_Block] = []
    for source, offset, nbytes in plan:
        for block, start, stop in places.pieces(source, offset, nbytes):
            if not block.takes:
                block.index = len(blocks)
                blocks.append(block)
            block.left += stop - start
            block.takes += 1
    return blocks, places


def _kept(plan: Sequence[Range], places: _Places) -> int:
    held: dict[int, int] = {}  # by block, pieces that are to be taken yet
    now = most = 0
    for source, offset, nbytes in plan:
        for block, _, _ in places.pieces(source, offset, nbytes):
            left = held.pop(block.index, None)
            now -= block.nbytes if left is not None else 0
            most = max(most, now)
            left = (block.takes if left is None else left) - 1
            if left:
                held[block.index] = left
                now += block.nbytes
    return most


def _fetch(block: _Block) -> bytearray:
    data = bytearray(block.nbytes)
    block.source.read_into(block.start, memoryview(data))
    return data


class _Places:
    """Finds the blocks that cover a range."""

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self._of: dict[int, list[_Block]] = {}
        for block in sorted(blocks, key=lambda block: block.start):
            self._of.setdefault(id(block.source), []).append(block)
        self._starts = {source: [block.start for block in found] for source, found in self._of.items()}

    def pieces(self, source: ByteSource, offset: int, nbytes: int) -> Iterator[tuple[_Block, int, int]]:
        """(block, start, stop) for each piece of the range, in file order; nothing for what no block covers."""
        blocks, starts = self._of.get(id(source), []), self._starts.get(id(source), [])
        end = offset + nbytes
        for i in range(max(bisect_right(starts, offset) - 1, 0), len(blocks)):
            block = blocks[i]
            if block.start >= end:
                return
            start, stop = max(offset, block.start), min(end, block.stop)
            if start < stop:
                yield block, start, stop


def _blocks(plan: Sequence[Range], size: int) -> list[_Block]:
    """Blocks of at most ``size`` bytes that cover ``plan``, in file order."""
    blocks: list[_Block] = []
    spare = WASTE * sum(nbytes for _, _, nbytes in plan)
    block: _Block | None = None
    for source, start, nbytes in sorted(plan, key=lambda one: (id(one[0]), one[1])):
        stop = start + nbytes
        if block is not None and block.source is source:
            gap = start - block.stop
            if gap <= 0:  # neighbours, or the same bytes planned twice
                start = min(block.stop, stop)
            if gap <= 0 or (gap <= min(GAP, spare) and stop - block.start <= size):
                spare -= max(gap, 0)
                grown = max(block.stop, min(stop, block.start + size))
                if grown > start:
                    block.stop, start = grown, grown
        while start < stop:
            block = _Block(0, source, start, min(start + size, stop))
            blocks.append(block)
            start = block.stop
    return blocks

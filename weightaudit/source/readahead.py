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
    """Neighbouring bytes fetched by one request. ``left`` are the planned bytes in it that have yet to be taken."""

    index: int
    source: ByteSource
    start: int
    stop: int
    left: int = 0
    data: Future[bytearray] | None = None

    @property
    def nbytes(self) -> int:
        return self.stop - self.start


class ReadAhead:
    """Serves the ranges of ``plan``, each taken once and roughly in that order, from blocks fetched ahead in threads.

    ``budget`` is how many bytes may be held, those on their way included; a range that is wanted now is fetched even
    beyond it, which takes a file whose tensors lie in quite another order than they are read in. For one reading
    thread. A context manager: leaving it drops what was not taken and ends a `read_into` that another thread still
    waits in.
    """

    def __init__(self, plan: Sequence[Range], *, budget: int) -> None:
        self._budget = budget
        self._blocks = _blocks(plan, max(1, min(BLOCK, budget // CONNECTIONS)))
        self._places = _Places(self._blocks)
        for source, offset, nbytes in plan:
            for block, start, stop in self._places.pieces(source, offset, nbytes):
                block.left += stop - start
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
        for block in blocks[max(bisect_right(starts, offset) - 1, 0) :]:
            if block.start >= end:
                return
            start, stop = max(offset, block.start), min(end, block.stop)
            if start < stop:
                yield block, start, stop


def _blocks(plan: Sequence[Range], size: int) -> list[_Block]:
    """Blocks of at most ``size`` bytes that cover ``plan``, in the order in which the plan first needs them."""
    first: list[tuple[int, _Block]] = []  # (where in the plan its first range stands, block)
    spare = WASTE * sum(nbytes for _, _, nbytes in plan)
    order = sorted(range(len(plan)), key=lambda i: (id(plan[i][0]), plan[i][1]))
    block: _Block | None = None
    for i in order:
        source, start, nbytes = plan[i]
        stop = start + nbytes
        if block is not None and block.source is source:
            gap = start - block.stop
            if gap <= 0:  # neighbours, or the same bytes planned twice
                start = min(block.stop, stop)
                first[-1] = (min(first[-1][0], i), block)
            if gap <= 0 or (gap <= min(GAP, spare) and stop - block.start <= size):
                spare -= max(gap, 0)
                grown = max(block.stop, min(stop, block.start + size))
                if grown > start:
                    block.stop, start = grown, grown
                    first[-1] = (min(first[-1][0], i), block)
        while start < stop:
            block = _Block(0, source, start, min(start + size, stop))
            first.append((i, block))
            start = block.stop
    blocks = [block for _, block in sorted(first, key=lambda pair: (pair[0], pair[1].start))]
    for index, block in enumerate(blocks):
        block.index = index
    return blocks

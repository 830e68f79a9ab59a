"""Reading ahead: the bytes are the file's, requests are few, memory is bounded, errors arrive where they belong."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.examples import at_most
from weightaudit.errors import ModelUnavailable
from weightaudit.source import readahead
from weightaudit.source.readahead import ReadAhead


class Recorded:
    """A file in memory that notes what was asked of it; ``gate`` holds reads back until it is set."""

    name = label = "recorded"
    distant = True

    def __init__(self, size: int, seed: int = 0) -> None:
        self.data = random.Random(seed).randbytes(size)
        self.size = size
        self.asked: list[tuple[int, int]] = []
        self.fails_at: int | None = None
        self.gate = threading.Event()
        self.gate.set()

    def read_into(self, offset: int, out: memoryview) -> None:
        self.asked.append((offset, len(out)))
        self.gate.wait(10)
        if self.fails_at is not None and offset <= self.fails_at < offset + len(out):
            raise ModelUnavailable(self.label, "the network went away")
        out[:] = self.data[offset : offset + len(out)]

    def check_unchanged(self) -> None: ...

    def close(self) -> None: ...


def take(ahead: ReadAhead, source: Recorded, offset: int, nbytes: int) -> bytes:
    out = bytearray(nbytes)
    ahead.read_into(source, offset, memoryview(out))
    return bytes(out)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readahead, "BLOCK", 1000)
    monkeypatch.setattr(readahead, "GAP", 50)


ranges = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5000), st.integers(0, 2500)), max_size=30)


@at_most(30)
@given(plan=ranges, budget=st.sampled_from([100, 900, 4000, 100_000]))
@example(plan=[(0, 3, 20), (1, 10, 5)], budget=1)
def test_any_plan_in_any_order_gives_the_files_bytes(plan: list[tuple[int, int, int]], budget: int) -> None:
    files = [Recorded(8000, seed) for seed in (1, 2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readahead, "BLOCK", 1000)
        with ReadAhead([(files[f], offset, n) for f, offset, n in plan], budget=budget) as ahead:
            for f, offset, n in plan:
                assert take(ahead, files[f], offset, n) == files[f].data[offset : offset + n]
    for f, file in enumerate(files):
        wanted, fetched = np.zeros(file.size, bool), np.zeros(file.size, int)
        for g, offset, n in plan:
            wanted[offset : offset + n] |= g == f
        for offset, n in file.asked:
            fetched[offset : offset + n] += 1
        assert fetched.max() <= 1, "no byte is fetched twice"
        assert fetched[wanted].all()
    asked = sum(n for file in files for _, n in file.asked)
    assert asked <= 1.01 * sum(n for _, _, n in plan), "gaps are a hundredth at the most"


@pytest.mark.usefixtures("small_blocks")
def test_neighbours_share_a_request_and_large_ranges_are_split() -> None:
    file = Recorded(20_000)
    plan = [(file, 0, 300), (file, 300, 300), (file, 5000, 2500), (file, 605, 295)]
    with ReadAhead(plan, budget=1_000_000) as ahead:
        for _, offset, n in plan:
            take(ahead, file, offset, n)
    assert sorted(file.asked) == [(0, 900), (5000, 1000), (6000, 1000), (7000, 500)]


@pytest.mark.usefixtures("small_blocks")
def test_no_more_is_held_than_the_budget_allows() -> None:
    file = Recorded(50_000)
    with ReadAhead([(file, k * 1000, 1000) for k in range(50)], budget=4000) as ahead:
        take(ahead, file, 0, 1000)
        file.gate.set()
        ahead._threads.shutdown(wait=True)  # whatever was asked for has arrived
        assert len(file.asked) <= 1 + 4


@pytest.mark.parametrize("budget", [1, 1000])
def test_no_budget_splits_a_plan_into_more_blocks_than_memory_has_room_for(
    budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readahead, "MOST_BLOCKS", 100)
    blocks, _ = readahead._planned([(Recorded(0), 0, 1_000_000), (Recorded(0), 0, 1_000_000)], budget)
    assert len(blocks) <= 100 + 2


@pytest.mark.usefixtures("small_blocks")
def test_requests_are_under_way_at_once() -> None:
    file = Recorded(50_000)
    file.gate.clear()
    with ReadAhead([(file, k * 1000, 1000) for k in range(50)], budget=100_000):
        for _ in range(1000):
            if len(file.asked) == readahead.CONNECTIONS:
                break
            threading.Event().wait(0.01)
        assert len(file.asked) == readahead.CONNECTIONS
        file.gate.set()


@pytest.mark.usefixtures("small_blocks")
def test_an_error_reaches_the_read_that_needs_those_bytes() -> None:
    file = Recorded(5000)
    file.fails_at = 2500
    with ReadAhead([(file, 0, 2000), (file, 2000, 1000)], budget=100_000) as ahead:
        assert take(ahead, file, 0, 2000) == file.data[:2000]
        with pytest.raises(ModelUnavailable, match="network went away"):
            take(ahead, file, 2000, 1000)


def test_what_was_not_planned_or_was_taken_is_refused() -> None:
    file = Recorded(5000)
    with ReadAhead([(file, 0, 100)], budget=100_000) as ahead:
        take(ahead, file, 0, 100)
        with pytest.raises(ValueError, match="taken already"):
            take(ahead, file, 0, 100)
        with pytest.raises(ValueError, match="not planned"):
            take(ahead, file, 200, 100)


def test_leaving_ends_a_read_that_still_waits() -> None:
    file = Recorded(5000)
    file.gate.clear()
    told: list[str] = []

    def reader(ahead: ReadAhead) -> None:
        with pytest.raises(ValueError, match="given up"):
            take(ahead, file, 0, 100)
        told.append("ended")

    with ReadAhead([(file, 0, 100)], budget=100_000) as ahead:
        thread = threading.Thread(target=reader, args=(ahead,))
        thread.start()
    thread.join(5)
    assert told == ["ended"]
    file.gate.set()

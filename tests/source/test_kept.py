"""What reading ahead keeps beyond its budget: what is planned again later, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import at_most
from weightaudit.source import readahead
from weightaudit.source.readahead import ReadAhead, kept


class Zeros:
    """A file in memory, as if it were far away."""

    name = label = "zeros"
    distant = True

    def __init__(self, size: int) -> None:
        self.size = size

    def read_into(self, offset: int, out: memoryview) -> None:
        assert 0 <= offset <= offset + len(out) <= self.size

    def check_unchanged(self) -> None: ...

    def close(self) -> None: ...


ranges = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5000), st.integers(0, 2500)), max_size=12)


def test_what_is_planned_again_is_kept_and_what_follows_is_not() -> None:
    file = Zeros(9000)
    shared, own = (file, 0, 2000), [(file, 2000 + 1000 * i, 1000) for i in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readahead, "BLOCK", 1000)
        assert kept(own, budget=8000) == 0
        assert kept([shared, *own], budget=8000) == 0
        assert kept([shared, own[0], shared, own[1], shared, own[2]], budget=8000) == 2000
        assert kept([own[0], shared, own[1], shared, own[0]], budget=8000) == 3000


@at_most(25)
@given(plan=ranges, budget=st.sampled_from([100, 900, 4000, 100_000]))
def test_no_more_is_held_than_budget_and_what_is_kept(plan: list[tuple[int, int, int]], budget: int) -> None:
    files = [Zeros(8000), Zeros(8000)]
    ranges = [(files[f], offset, n) for f, offset, n in plan]
    most, start = 0, ReadAhead._start

    def started(ahead: ReadAhead, *, needed: int) -> None:
        nonlocal most
        start(ahead, needed=needed)
        most = max(most, ahead._held)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readahead, "BLOCK", 1000)
        patch.setattr(ReadAhead, "_start", started)
        beyond = kept(ranges, budget=budget)
        with ReadAhead(ranges, budget=budget) as ahead:
            for f, offset, n in plan:
                ahead.read_into(files[f], offset, memoryview(bytearray(n)))
    assert most <= budget + beyond

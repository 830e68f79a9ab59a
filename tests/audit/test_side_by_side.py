"""Tasks beside one another: all of them, their results, and whose error is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from weightaudit.audit.side_by_side import side_by_side
from weightaudit.spectral.team import ThreadTeam


def _ready(value: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(value)
    return future


def _failed(error: Exception) -> Future[int]:
    future: Future[int] = Future()
    future.set_exception(error)
    return future


def _slowly(item: int) -> int:
    time.sleep(0.002)
    return item


@pytest.mark.parametrize("size", [0, 1, pytest.param(2, marks=pytest.mark.slow), 5])
def test_each_task_is_carried_out_once(size: int) -> None:
    def tasks_of(item: int) -> Iterator[Callable[[], tuple[int, int]]]:
        assert threading.current_thread() is threading.main_thread()
        return (partial(lambda item, part: (item, part), item, part) for part in range(item % 4))

    with ThreadTeam(size) as team, ThreadPoolExecutor(1) as reader:
        coming = (reader.submit(_slowly, item) for item in range(30))
        found = list(side_by_side(team, coming, tasks_of))
    assert sorted(found) == [(item, part) for item in range(30) for part in range(item % 4)]


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_one_task_more_than_there_are_workers_is_handed_out(size: int) -> None:
    """And one item asked for ahead, so that neither waits for the other."""
    go = threading.Event()
    handed: list[int] = []
    asked: list[int] = []
    seen: list[int] = []

    def coming() -> Iterator[Future[int]]:
        for item in range(20):
            asked.append(item)
            yield _ready(item)

    def tasks_of(item: int) -> Iterator[Callable[[], bool]]:
        handed.append(item)
        yield go.wait

    with ThreadTeam(size) as team:
        results = side_by_side(team, coming(), tasks_of)

        def look() -> None:
            seen.extend((len(handed), len(asked)))
            go.set()

        threading.Timer(0.1, look).start()
        assert list(results) == [True] * 20
    assert seen == [size + 1, size + 2]


def test_workers_go_on_while_one_task_is_long() -> None:
    others_done = threading.Barrier(2)

    def tasks_of(item: int) -> Iterator[Callable[[], int]]:
        if item in (0, 9):
            yield lambda: (others_done.wait(timeout=10) and item) or item
        else:
            yield lambda: item

    with ThreadTeam(2) as team:
        found = list(side_by_side(team, map(_ready, range(10)), tasks_of))
    assert sorted(found) == list(range(10))
    assert found[0] == 1


def _raise(number: int, begun: threading.Event, after: threading.Event | None = None) -> None:
    begun.set()
    if after is not None:
        after.wait(timeout=10)
    raise ValueError(f"task {number}")


def test_the_first_of_several_errors_is_raised_whichever_comes_first() -> None:
    events = [threading.Event() for _ in range(2)]

    def tasks_of(item: int) -> Iterator[Callable[[], None]]:
        yield partial(_raise, item, events[item], events[1] if item == 0 else None)

    with pytest.raises(ValueError, match="task 0"), ThreadTeam(2) as team:
        list(side_by_side(team, map(_ready, range(2)), tasks_of))


def test_an_item_that_fails_is_told_after_the_tasks_of_those_before_it() -> None:
    def tasks_of(item: int) -> Iterator[Callable[[], int]]:
        yield partial(_slowly, item)

    def failing(item: int) -> Iterator[Callable[[], None]]:
        yield partial(_raise, item, threading.Event())

    coming = [_ready(0), _failed(OSError("unreadable")), _ready(2)]
    done: list[int] = []
    with pytest.raises(OSError, match="unreadable"), ThreadTeam(3) as team:
        done.extend(side_by_side(team, coming, tasks_of))
    with pytest.raises(ValueError, match="task 0"), ThreadTeam(3) as team:
        list(side_by_side(team, coming, failing))


def test_an_error_of_the_caller_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    carried_out: list[int] = []

    def tasks_of(item: int) -> Iterator[Callable[[], None]]:
        if item == 3:
            raise KeyboardInterrupt
        yield partial(carried_out.append, item)

    with pytest.raises(KeyboardInterrupt), ThreadTeam(1) as team:
        list(side_by_side(team, map(_ready, range(10)), tasks_of))
    assert carried_out == list(range(len(carried_out)))
    assert len(carried_out) <= 3

"""Threads that share pieces of work: each piece once, errors told, and nobody waits for who is busy elsewhere."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

import pytest

from tests.support.leaks import no_thread_left, our_threads
from weightaudit.spectral.measurement import PARALLEL_FROM, team_for
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.threads import compute_threads

LONG = 30.0
"""Seconds after which a test that waits for a thread has failed."""


@pytest.mark.parametrize("size", [0, 1, 2, 5])
@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 100])
def test_each_piece_is_worked_on_once(size: int, pieces: int) -> None:
    done: list[int] = []
    with ThreadTeam(size) as team:
        for _ in range(20):
            team.share(pieces, done.append)
    assert Counter(done) == Counter(dict.fromkeys(range(pieces), 20))


def test_idle_threads_take_part() -> None:
    """Each piece waits for the other two."""
    together, who = threading.Barrier(3), set()

    def work(piece: int) -> None:
        together.wait(LONG)
        who.add(threading.current_thread())

    with ThreadTeam(2) as team:
        for _ in range(3):
            team.share(3, work)
    assert len(who) == 3
    assert threading.current_thread() in who


def test_threads_end_with_the_block() -> None:
    before = our_threads()
    with no_thread_left(), ThreadTeam(3) as team:
        assert our_threads() == before
        team.share(4, lambda piece: None)
        assert len(our_threads() - before) == 3


@pytest.mark.parametrize("bad", range(3))
def test_an_exception_in_a_piece_reaches_the_caller(bad: int) -> None:
    """Of a piece in whichever thread: the three are at work at once."""
    together, done = threading.Barrier(3), []

    def work(piece: int) -> None:
        together.wait(LONG)
        if piece == bad:
            raise ZeroDivisionError(piece)
        done.append(piece)

    with ThreadTeam(2) as team:
        with pytest.raises(ZeroDivisionError, match=str(bad)):
            team.share(3, work)
        assert sorted(done) == sorted({0, 1, 2} - {bad})
        team.share(3, done.append)  # the threads are still there
    assert len(done) == 5


def test_after_an_exception_no_further_piece_begins() -> None:
    done: list[int] = []

    def work(piece: int) -> None:
        if piece == 3:
            raise ZeroDivisionError
        done.append(piece)

    with ThreadTeam(0) as team, pytest.raises(ZeroDivisionError):
        team.share(1000, work)
    assert done == [0, 1, 2]
    with ThreadTeam(2) as team, pytest.raises(ZeroDivisionError):
        team.share(1000, work)
    assert len(done) < 1000


def test_pieces_may_be_shared_in_their_turn() -> None:
    done: list[tuple[int, int]] = []
    with ThreadTeam(2) as team:
        team.share(5, lambda i: team.share(7, lambda j: done.append((i, j))))
    assert sorted(done) == [(i, j) for i in range(5) for j in range(7)]


def test_nobody_waits_for_threads_that_are_busy() -> None:
    let_go = threading.Event()
    done: list[int] = []
    with ThreadTeam(2) as team:
        busy = [team.submit(lambda: let_go.wait(LONG)) for _ in range(4)]  # more than there are threads
        team.share(10, done.append)
        assert done == list(range(10))
        assert not any(one.done() for one in busy)
        let_go.set()
        assert [one.result(LONG) for one in busy] == [True] * 4


@pytest.mark.parametrize("size", [0, 1, 3])
def test_tasks_have_results_and_errors_and_may_share(size: int) -> None:
    def task(i: int) -> int:
        done: list[int] = []
        team.share(i, done.append)
        if i == 7:
            raise ZeroDivisionError
        return sum(done)

    with ThreadTeam(size) as team:
        futures = [team.submit(lambda i=i: task(i)) for i in range(10)]  # type: ignore[misc]  # of a lambda's default
    for i, future in enumerate(futures):
        if i == 7:
            assert isinstance(future.exception(0), ZeroDivisionError)
        else:
            assert future.result(0) == i * (i - 1) // 2


def test_an_exception_that_leaves_the_block_cancels_what_has_not_begun() -> None:
    begun = threading.Event()
    team = ThreadTeam(1)

    def task() -> None:
        begun.set()
        while not team._abandoned:
            time.sleep(0.001)

    def end() -> None:
        with team:
            tasks.extend(team.submit(task) for _ in range(3))
            begun.wait(LONG)
            raise ZeroDivisionError

    tasks: list[Future[None]] = []
    with pytest.raises(ZeroDivisionError):
        end()
    assert tasks[0].exception(0) is None
    assert tasks[1].cancelled()
    assert tasks[2].cancelled()


class _Arrays:
    """What work sees."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What no reference leads to goes at once, what refers to itself never."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_nothing_keeps_what_a_task_has_seen() -> None:
    """While its thread waits for the next one; nor does the task's error when it has been handled."""

    def task(arrays: _Arrays, *, fails: bool) -> None:
        if fails:
            raise ZeroDivisionError

    with ThreadTeam(1) as team:
        for fails in (False, True):
            arrays = _Arrays()
            seen = weakref.ref(arrays)
            failed = isinstance(team.submit(partial(task, arrays, fails=fails)).exception(LONG), ZeroDivisionError)
            assert failed == fails
            del arrays
            _wait_until(lambda seen=seen: seen() is None)  # type: ignore[misc]  # of a lambda's default


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_keeps_what_shared_work_has_seen(fails: bool) -> None:
    """Where it ended before the one who was called to help had time, who is busy with something else."""
    going, end = threading.Event(), threading.Event()

    def long() -> None:
        going.set()
        end.wait(LONG)

    def share(arrays: _Arrays) -> None:
        def work(piece: int, arrays: _Arrays = arrays) -> None:
            if fails:
                raise ZeroDivisionError

        with suppress(ZeroDivisionError):
            team.share(2, work)

    with ThreadTeam(1) as team:
        team.share(2, lambda piece: None)
        _wait_until(lambda: team._idle == 1)
        team.submit(long)
        going.wait(LONG)
        team._idle = 1  # as it was when the work began
        arrays = _Arrays()
        seen = weakref.ref(arrays)
        share(arrays)
        del arrays
        kept = seen() is not None
        end.set()
    assert not kept


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("let", [0, 1])
def test_where_no_more_threads_start_there_are_as_many_as_did(let: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def refused(thread: threading.Thread) -> None:
        if len(started) >= let:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    done: list[int] = []
    with ThreadTeam(4) as team:
        futures = [team.submit(lambda i=i: i) for i in range(5)]  # type: ignore[misc]  # of a lambda's default
        team.share(5, done.append)
    assert [future.result(0) for future in futures] == list(range(5))
    assert sorted(done) == list(range(5))
    assert len(started) == let


@pytest.mark.parametrize(
    ("threads", "largest", "device", "beside"),
    [(1, 4 * PARALLEL_FROM, "cpu", 0), (1, 4 * PARALLEL_FROM + 1, "cpu", 1), (2, 0, "cpu", 2), (2, 0, "cuda", 1)],
)
def test_one_thread_hands_small_matrices_to_no_other(threads: int, largest: int, device: str, beside: int) -> None:
    with compute_threads(threads), no_thread_left(), team_for(largest, device) as team:
        here = team.submit(threading.current_thread).result() is threading.current_thread()
    assert (team.size, here) == (beside, beside == 0)

"""Threads that share the passes over a matrix, and that measure matrices beside one another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import TypeVar

from weightaudit.logs import step
from weightaudit.text import plural

Result = TypeVar("Result")


class ThreadTeam:
    """``size`` threads beside those that use them, started when first needed; they end with the block.

    Tasks that have not begun when an exception leaves the block are cancelled. A team of none does everything in the
    calling thread; where the system lets no more threads start, there are as many as it did.

    Example:
        >>> with ThreadTeam(2) as team:
        ...     team.submit(lambda: 6 * 7).result()
        42
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._abandoned = False

    def __enter__(self) -> ThreadTeam:
        step(f"computing with {plural(max(1, self.size), 'thread')}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._abandoned = kind is not None
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, task: Callable[[], Result]) -> Future[Result]:
        """``task`` on one of the threads, as soon as one is free. It may use the team itself."""
        future: Future[Result] = Future()
        self._grow(len(self._threads) + 1)
        if self._threads:
            self._jobs.put(partial(self._carry_out, task, future))
        else:
            self._carry_out(task, future)
        return future

    def share(self, pieces: int, work: Callable[[int], None]) -> None:
        """``work(0)``, …, ``work(pieces − 1)``, each once, by the calling thread and by those that are idle now.

        It returns when all are done, and waits for no thread that is busy with something else. The first exception
        of a piece is raised when those that had begun are done; the others are left. CancelledError where an exception
        has left the team's block, so that a long measurement ends at its next pass.
        """
        self._share(pieces, work, idle=True)

    def together(self, *tasks: Callable[[], None]) -> None:
        """`share` of long pieces: those that none is idle for now are also left to threads that will be meanwhile."""
        self._share(len(tasks), lambda piece: tasks[piece](), idle=False)

    def _share(self, pieces: int, work: Callable[[int], None], *, idle: bool) -> None:
        if self._abandoned:
            raise CancelledError
        self._grow(pieces - 1)
        helpers = min(self._idle if idle else len(self._threads), pieces - 1)
        if helpers < 1:
            for piece in range(pieces):
                work(piece)
            return
        shared = _Shared(pieces, work)
        for _ in range(helpers):
            self._jobs.put(shared.help)
        shared.lead()

    def _grow(self, wanted: int) -> None:
        """Start threads until there are ``wanted``, or as many as there may be."""
        if len(self._threads) >= min(wanted, self.size):
            return
        with self._lock:
            while len(self._threads) < min(wanted, self.size):
                name = f"weightaudit-{len(self._threads)}"
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    self.size = len(self._threads)
                    break
                self._threads.append(thread)
                self._idle += 1

    def _serve(self) -> None:
        """What each thread does. It counts as idle from its start on."""
        while True:
            job = self._jobs.get()
            if job is None:
                return
            with self._lock:
                self._idle -= 1
            job()
            del job  # a thread that waits keeps nothing
            with self._lock:
                self._idle += 1

    def _carry_out(self, task: Callable[[], Result], future: Future[Result]) -> None:
        if self._abandoned:
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = task()
        except BaseException as error:
            future.set_exception(error)
            del future, task  # else the error would keep itself, by its traceback, and all that the task has seen
        else:
            future.set_result(result)


class _Shared:
    """Pieces of one piece of work, taken in order by whoever is free."""

    def __init__(self, pieces: int, work: Callable[[int], None]) -> None:
        self._pieces, self._work = pieces, work
        self._taken = self._helping = 0
        self._error: BaseException | None = None
        self._change = threading.Condition()

    def lead(self) -> None:
        """Work on pieces until there are none left, and wait for those who helped."""
        try:
            while (piece := self._next()) is not None:
                self._work(piece)
        finally:
            with self._change:
                self._taken = self._pieces
                while self._helping:
                    self._change.wait()
            self._work = _nothing  # who is called to help too late keeps nothing
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else it would keep itself, by its traceback

    def help(self) -> None:
        """Work on pieces until there are none left."""
        with self._change:
            if self._taken == self._pieces:
                return
            self._helping += 1
        try:
            while (piece := self._next()) is not None:
                self._work(piece)
        except BaseException as error:
            with self._change:
                self._taken = self._pieces
                self._error = self._error or error
        finally:
            with self._change:
                self._helping -= 1
                self._change.notify()

    def _next(self) -> int | None:
        with self._change:
            if self._taken == self._pieces:
                return None
            self._taken += 1
            return self._taken - 1


def _nothing(piece: int) -> None:
    """What is left of work that is done."""

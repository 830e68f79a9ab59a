"""A call that may hang, waited for no longer than is allowed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from weightaudit.source.http.retry import GaveUp, RetryableError, RetryBudget

T = TypeVar("T")

GLANCE = 0.1
"""Seconds between two looks at whether the file was closed meanwhile."""


class _Task(Generic[T]):
    def __init__(self, call: Callable[[], T], discard: Callable[[T], None]) -> None:
        self._call = call
        self._discard = discard
        self._lock = Lock()
        self._abandoned = False
        self.ended = Event()
        self.result: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            result = self._call()
        except BaseException as error:  # raised again by whoever waits
            self.error = error
        else:
            with self._lock:
                late = self._abandoned
                if not late:
                    self.result.append(result)
            if late:
                self._discard(result)
        self.ended.set()

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            late = list(self.result)
        for result in late:
            self._discard(result)


def call_with_timeout(budget: RetryBudget, call: Callable[[], T], *, discard: Callable[[T], None], cause: str) -> T:
    """Return or raise what ``call`` does, if it ends before ``budget``; else RetryableError, or GaveUp if it is closed.

    ``cause`` is what is told of a call that did not end.

    The HTTP library limits the time between two bytes, but not their number, and looking up a host's name has no limit
    at all: so the call runs in a thread of its own, which is left to itself in the end. What it returns too late is
    given to ``discard``.
    """
    task = _Task(call, discard)
    Thread(target=task.run, name="weightaudit-request", daemon=True).start()
    try:
        while not task.ended.wait(min(GLANCE, budget.left())):
            if budget.closing.is_set():
                raise GaveUp
            if not budget.left():
                raise RetryableError(cause)
    except BaseException:  # Ctrl-C too; raised again
        task.abandon()
        raise
    if task.error is not None:
        raise task.error
    return task.result[0]

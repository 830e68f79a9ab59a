"""Pools that do what a test wants of workers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from weightaudit.batches.executors import SynchronousExecutor
from weightaudit.batches.job import Job


class Recorded:
    """`Pool` of this thread that keeps which jobs were sent, and lets ``before`` look at each first.

    What ``before`` raises is what the worker would have: of type `Lost`, its death.
    """

    is_local = True
    notes: tuple[str, ...] = ()
    max_in_flight = 3

    def __init__(self, before: Callable[[Job], object] | None = None) -> None:
        self.sent: list[Job] = []
        self.before = before
        self.closed: list[bool] = []
        self.executor: Executor = _Looking(self)
        self.worker_lost_errors: tuple[type[BaseException], ...] = (Lost,)

    @property
    def models(self) -> list[str]:
        """Titles of what was sent."""
        return [job.title for job in self.sent]

    def close(self, *, kill: bool) -> None:
        self.closed.append(kill)

    def __call__(self) -> Recorded:
        """A run makes its pool; a test has made this one."""
        return self


class Lost(Exception):
    """A worker's death."""


class _Looking(SynchronousExecutor):
    def __init__(self, pool: Recorded) -> None:
        self.pool = pool

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        (job,) = args
        self.pool.sent.append(job)

        def call() -> Any:
            if self.pool.before is not None:
                self.pool.before(job)
            return fn(job)

        return super().submit(call)

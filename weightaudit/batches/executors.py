"""Who does the work: one interface, `concurrent.futures.Executor`, and the few facts that a run must know of each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from weightaudit.cores import usable_cores

P = ParamSpec("P")
T = TypeVar("T")

MOST_WORKERS = 8
"""Processes started unasked: each holds its libraries and the weights at hand, some 0.25 GB and more."""


class Pool(Protocol):
    """An executor for a run.

    ``executor`` takes the work; ``worker_lost_errors`` are those that say that a worker died over it. ``is_local``
    says that the workers are of this machine, so that a token may be handed to them; ``notes`` are what the user should
    know of them.
    """

    executor: Executor
    worker_lost_errors: tuple[type[BaseException], ...]
    is_local: bool

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def max_in_flight(self) -> int:
        """How many models may be under way at once, those waiting for a worker included."""
        ...

    def close(self, *, kill: bool) -> None:
        """Let the workers go; with ``kill`` whatever they are at. Returns when local ones have ended."""
        ...


class SynchronousExecutor(Executor):
    """Works where `submit` is called, before it returns."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # it is the future's to tell; interrupts go their own way
            future.set_exception(error)
        return future


class InlinePool:
    """`Pool` of this thread alone."""

    worker_lost_errors: tuple[type[BaseException], ...] = ()
    is_local = True
    notes: tuple[str, ...] = ()
    max_in_flight = 1

    def __init__(self) -> None:
        self.executor: Executor = SynchronousExecutor()

    def close(self, *, kill: bool) -> None:
        """Nothing to let go."""


def share_out(jobs: int, workers: int | None, cores: int | None = None) -> tuple[int, int]:
    """(processes, threads of each) for ``jobs`` models, so that all cores work and none is fought over.

    A function of the whole list and the machine, never of how far a run has come: reports name the threads, and a
    resumed run must leave the same bytes. ``workers`` None: a process a core, at most `MOST_WORKERS`. A single
    model gets every core.

    Example:
        >>> share_out(40, None, 2), share_out(1, 2, 2), share_out(40, 3, 16)
        ((2, 1), (1, 2), (3, 5))
    """
    cores = cores or usable_cores()
    processes = max(1, min(jobs, workers if workers is not None else min(cores, MOST_WORKERS)))
    return processes, max(1, cores // processes)


def make_pool(
    jobs: int, *, workers: int | None, scheduler: str | None, threads: int | None, max_time: float | None = None
) -> tuple[Callable[[], Pool], int]:
    """(how to make the workers for ``jobs`` models, threads of each scan).

    Processes on this machine; none for ``workers`` 0, which scans in this one; or, with ``scheduler``, a Dask cluster,
    where a scan has one thread unless more were asked for: what cores its workers have is not for us to guess. A
    process that does not end a scan by itself when its ``max_time`` seconds are over is ended.
    """
    if scheduler is not None:
        from weightaudit.batches.cluster import Cluster

        return partial(Cluster, scheduler), threads or 1
    if workers == 0:
        return InlinePool, threads or usable_cores()
    from weightaudit.batches.processes import Processes
    from weightaudit.batches.time_limit import GRACE

    processes, shared = share_out(jobs, workers)
    ended_after = None if max_time is None else max_time + GRACE
    return partial(Processes, processes, threads or shared, ended_after), threads or shared

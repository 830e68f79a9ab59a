"""Tasks beside one another, made of what a thread reads, as soon as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PULSE = 0.2
"""Seconds after which a wait looks up: on Windows no signal ends one."""


class Workers(Protocol):
    """What carries out tasks: ``size`` at once."""

    @property
    def size(self) -> int: ...

    def submit(self, task: Callable[[], Result], /) -> Future[Result]: ...


def side_by_side(
    workers: Workers, coming: Iterable[Future[Item]], tasks_of: Callable[[Item], Iterable[Callable[[], Result]]]
) -> Iterator[Result]:
    """The results of the tasks of each item that is coming, in the order in which they are done.

    Of ``coming`` the next is asked for when the last has come and its tasks are to be handed out; and a task is taken
    from ``tasks_of(item)`` when a worker is free for it, or will be next: one waits, so that no worker does. Everything
    here happens in the calling thread. Of errors that of the first task, or item, is raised, in their order.
    """
    ahead = iter(coming)
    item = next(ahead, None)
    tasks: Iterator[Callable[[], Result]] = iter(())
    running: list[Future[Result]] = []
    done: list[Future[Result]] = []
    watched: list[Future[Any]] = []
    try:
        while True:
            while len(running) <= workers.size:
                task = next(tasks, None)
                if task is not None:
                    running.append(workers.submit(task))
                elif item is not None and item.done():
                    if item.exception() is not None:
                        _settle(running)
                    tasks, item = iter(tasks_of(item.result())), next(ahead, None)
                else:
                    break
            watched = [*running]
            if item is not None and len(running) <= workers.size:
                watched.append(item)
            if not watched:
                return
            wait(watched, timeout=PULSE, return_when=FIRST_COMPLETED)
            done = [future for future in running if future.done()]
            if any(future.exception() for future in done):
                _settle(running)
            running = [future for future in running if future not in done]
            for future in done:
                yield future.result()
    finally:
        # An error keeps this frame by its traceback; by what is here it would keep itself, and the memory of tensors.
        for futures in (running, done, watched):
            futures.clear()
        del item, tasks


def _settle(running: list[Future[Result]]) -> None:
    """Wait for all of them, and raise the first one's error, if any fails."""
    while wait(running, timeout=PULSE).not_done:
        pass
    for future in running:
        try:
            future.result()
        finally:
            del future  # as above

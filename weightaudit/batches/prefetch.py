"""Prefetch results in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def prefetch(
    ask: Callable[[Item], Answer], items: Iterable[Item], *, threads: int, window: int
) -> Iterator[tuple[Item, Answer]]:
    """Prefetch each item with ``ask(item)``, in order, in as many ``threads`` at most; at most ``window`` are asked
    before they are wanted.

    What ``ask`` raises is raised here. The threads are daemons: an interrupted run does not wait for a slow network.
    """
    waiting: queue.SimpleQueue[tuple[Future[Any], Item] | None] = queue.SimpleQueue()

    def work() -> None:
        while (task := waiting.get()) is not None:
            future, item = task
            try:
                future.set_result(ask(item))
            except BaseException as error:  # it is the future's to tell, whatever it is
                future.set_exception(error)

    asked: deque[tuple[Item, Future[Any]]] = deque()
    started = 0
    try:
        for item in items:
            future: Future[Any] = Future()
            asked.append((item, future))
            waiting.put((future, item))
            if started < threads:  # one more item, one more thread
                threading.Thread(target=work, daemon=True).start()
                started += 1
            if len(asked) >= window:
                first, answer = asked.popleft()
                yield first, answer.result()
        for item, answer in asked:
            yield item, answer.result()
    finally:
        for _ in range(started):
            waiting.put(None)

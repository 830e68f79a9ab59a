"""How long the scan of one model may take."""

from __future__ import annotations

from time import monotonic

from weightaudit.audit.progress import Progress
from weightaudit.errors import OutOfTime, UsageError
from weightaudit.text import printable

MAX_SECONDS = 2_000_000.0
"""Seconds: some 23 days, about as long as a system can be asked to wait."""
GRACE = 30.0
"""Seconds more that a worker process has to start and to end a scan by itself, before it is ended."""


def check_max_time(seconds: float | None) -> None:
    """UsageError unless ``seconds`` are a time that a scan can be given."""
    if seconds is not None and not 0 < seconds <= MAX_SECONDS:  # NaN too
        raise UsageError(
            f"max-time {seconds:g}", f"it is not between 0 and {MAX_SECONDS:,.0f}", "It is in seconds, for example 3600"
        )


def out_of_time(title: str, seconds: float) -> OutOfTime:
    """What it means for ``title`` that its ``seconds`` are over."""
    return OutOfTime(
        printable(title),
        f"its scan took longer than the {seconds:g} seconds allowed",
        "Allow more with --max-time, and try it again with --retry-failed",
    )


class TimeLimit:
    """`Progress` handed on to ``told``, which raises OutOfTime once ``seconds`` are over: from one matrix to the next,
    since nothing can end the work on one from within.
    """

    def __init__(self, told: Progress, title: str, seconds: float) -> None:
        self._told, self._title, self._seconds = told, title, seconds
        self._until = monotonic() + seconds

    def start(self, model: str, total_bytes: int) -> None:
        self._check()
        self._told.start(model, total_bytes)

    def tensor(self, name: str) -> None:
        self._check()
        self._told.tensor(name)

    def advance(self, nbytes: int) -> None:
        self._told.advance(nbytes)

    def close(self) -> None:
        self._told.close()

    def _check(self) -> None:
        if monotonic() > self._until:
            raise out_of_time(self._title, self._seconds)

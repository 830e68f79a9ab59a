"""``--verbose``: what a command does, on stderr, each step behind the seconds since the command began."""

from __future__ import annotations

import logging
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from weightaudit.cli.terminal import tell
from weightaudit.logs import LOGGER, size, step
from weightaudit.version import __version__


class _Telling(logging.Handler):
    """Each record as a line on stderr, as it is at that moment: a progress bar may have it meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.perf_counter()

    def emit(self, record: logging.LogRecord) -> None:
        tell(f"[{time.perf_counter() - self._began:7.2f} s] {record.getMessage()}")


@contextmanager
def verbose(asked: bool) -> Iterator[None]:
    """Tell the steps of the block, where that is ``asked`` for, and in the end what memory it took."""
    if not asked:
        yield
        return
    telling, level = _Telling(), LOGGER.level
    LOGGER.addHandler(telling)
    LOGGER.setLevel(logging.INFO)
    step(f"weightaudit {__version__}, Python {platform.python_version()}, {platform.platform()}")
    try:
        yield
    finally:
        if most := _most_memory():
            step(f"memory of this process: {size(most)} at most")
        LOGGER.removeHandler(telling)
        LOGGER.setLevel(level)


def _most_memory() -> int:
    """Bytes that the process had at once; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024

"""What a test's own code leaves behind: open files in its folder, threads of weightaudit's.

Never all of the process's: libraries open sockets and start threads in the background whenever they like, so a count
of everything fails now and then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DESCRIPTORS = Path("/proc/self/fd")

needs_descriptors = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="looks at descriptors in /proc")


def open_in(folder: Path) -> list[str]:
    """The files in ``folder`` that this process has open, each as often as it has; removed ones too."""
    inside = f"{os.path.realpath(folder)}{os.sep}"
    return [target for target in map(_target, os.listdir(DESCRIPTORS)) if target.startswith(inside)]


def _target(descriptor: str) -> str:
    try:
        return os.readlink(DESCRIPTORS / descriptor)
    except FileNotFoundError:  # closed since it was listed
        return ""


def our_threads() -> set[threading.Thread]:
    """Those that weightaudit has started, by the names that it gives them, and that have not ended."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("weightaudit-")}


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Fail where a thread of weightaudit's that was started in the block outlives it."""
    before = our_threads()
    yield
    left = our_threads() - before
    assert not left, sorted(thread.name for thread in left)

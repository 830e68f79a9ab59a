"""Libraries that follow a settings file in the working directory, imported as if it were not there.

Who audits a model often stands in its directory, and what lies there is a stranger's: numba's file names a folder of
pickles to load, matplotlib's file can make the import fail.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ONE_AT_A_TIME = threading.RLock()
"""Blocks that overlapped in two threads would put each other's `os.path.exists` back."""


@contextmanager
def unseen(name: str) -> Iterator[None]:
    """A block in which `os.path.exists`, which the libraries ask first, denies the file ``name`` of the working
    directory, and no other path.
    """
    with _ONE_AT_A_TIME:
        usual = os.path.exists

        def exists(path: Any) -> bool:
            return path != name and usual(path)

        os.path.exists = exists
        try:
            yield
        finally:
            os.path.exists = usual

"""Child processes that look for no module in the working directory.

`multiprocessing` starts each child as ``python -c …``, for which Python puts the working directory before its own
library: a `struct.py` that lies there would run. The variable PYTHONSAFEPATH would not do: Python 3.10 does not know
it, and a parent started with -E has its children ignore it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import util
from typing import Any

FLAG = "-P" if sys.version_info >= (3, 11) else "-I"
"""What keeps the working directory out. In Python 3.10 only -I does, which also ignores variables PYTHON… and the
user's site folder; the path that the parent sends makes up for that."""

_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def safe_path() -> Iterator[None]:
    """A block in which `multiprocessing` starts children, and its resource tracker, with `FLAG`."""
    shared: Any = util  # `_args_from_interpreter_flags` is nobody's promise, but all that every version asks
    with _ONE_AT_A_TIME:
        usual = shared._args_from_interpreter_flags
        shared._args_from_interpreter_flags = lambda: [*usual(), FLAG]
        try:
            yield
        finally:
            shared._args_from_interpreter_flags = usual

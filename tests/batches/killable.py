"""Runs in forks of this process, to be killed: they have everything loaded, so that a kill hits the run and not its
imports.

The runs are of what was found of their models before (see `tests.batches.remembered`), since nothing is changed while a
model is scanned.
"""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = ("replace", "unlink", "mkdir", "fsync", "open")
"""Functions of os through which a run changes its directory, or settles what it changed."""


def run(models: Path, out: Path) -> None:
    from weightaudit.batches import read_model_list, run_batch
    from weightaudit.batches.executors import InlinePool
    from weightaudit.config import AuditConfig

    run_batch(read_model_list(models, AuditConfig()), out, InlinePool, threads=1, title=models.stem)


def changes(name: str, path: Any, flags: int = 0, *_: Any, dir_fd: int | None = None) -> bool:
    """Whether this call of the function of os leaves other files or names than it finds."""
    if name == "open":
        return bool(flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR | os.O_TRUNC))
    if name == "fsync":
        return False
    there = name == "replace" or os.path.lexists(path) or dir_fd is not None
    return there is not (name == "mkdir")


def kill_before(step: int, kind: str) -> Callable[[], int]:
    """Have this process kill itself before its ``step``-th call (0: never) that may change the file system, or, of the
    ``kind`` "changed", before the ``step``-th that does: what a kill leaves is the same before each of the calls
    between two of these. Gives how many there were.
    """
    count = 0

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if kind == "called" or changes(name, *args, **kwargs):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted

    for name in CHANGES:
        setattr(os, name, counting(name, getattr(os, name)))
    return lambda: count


@dataclass(frozen=True)
class Killable:
    """A run of a list; ``said`` is what it says at its end."""

    process: int
    said: int

    @classmethod
    def start(cls, models: Path, out: Path, kind: str = "", step: int = 0) -> Killable:
        """Run the list ``models`` into ``out``; see `kill_before`, unless there is no ``kind``."""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the other threads here have nothing that it needs
            process = os.fork()
        if process:
            os.close(writer)
            return cls(process, reader)
        gc.disable()  # a collection would copy all that is loaded
        code = 1
        try:
            count = kill_before(step, kind) if kind else lambda: 0
            run(models, out)
            os.write(writer, f"{count()}".encode())
            code = 0
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(code)

    def end(self) -> tuple[int, str]:
        """How it ended, the exit code or minus the signal; and how many changes it counted, or its error."""
        said = b"".join(iter(lambda: os.read(self.said, 65536), b""))
        os.close(self.said)
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status), said.decode()

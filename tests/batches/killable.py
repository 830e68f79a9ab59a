"""Runs in forks of this process, to be killed: they have everything loaded, so that a kill hits the run and not its
imports.

The runs are of what was found of their models before (see `tests.batches.remembered`), since nothing is changed while a
model is scanned.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.own_forks import OwnFork
from weightaudit.report.layout import PLOTLY

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


def before_each(act: Callable[[int], object], kind: str) -> Callable[[], int]:
    """Have this process ``act`` before each call that may change the file system, the first being 1, or, of the
    ``kind`` "changed", before each that does: what a kill leaves is the same before each of the calls between two of
    these. Gives how many there were.
    """
    count, acting = 0, False

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count, acting
            if not acting and (kind == "called" or changes(name, *args, **kwargs)):
                count += 1
                acting = True
                act(count)
                acting = False
            return function(*args, **kwargs)

        return counted

    for name in CHANGES:
        setattr(os, name, counting(name, getattr(os, name)))
    return lambda: count


def run_in_fork(models: Path, out: Path, kind: str = "", act: Callable[[int], object] = lambda step: None) -> OwnFork:
    """Start a run of the list ``models`` into ``out``, which says how many changes it counted; see `before_each`,
    unless there is no ``kind``.
    """

    def counted() -> int:
        count = before_each(act, kind) if kind else lambda: 0
        run(models, out)
        return count()

    return OwnFork.start(counted)


def killed(models: Path, out: Path, kind: str, at: int) -> OwnFork:
    """The same, which kills itself before the change with this number."""

    def end(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return run_in_fork(models, out, kind, end)


def copied(out: Path, copy: Path) -> None:
    """What is in ``out`` now, but the large file, which no run writes where it lies already."""
    shutil.copytree(out, copy, symlinks=True, ignore=shutil.ignore_patterns(PLOTLY))
    os.link(out / PLOTLY, copy / PLOTLY)

"""What tests have worker processes do."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a worker loads what it works with
    from weightaudit.batches.job import Job
    from weightaudit.batches.outcome import Outcome


def who_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def loaded(module: str) -> bool:
    return module in sys.modules


def threads() -> int:
    from weightaudit.spectral.threads import usable_threads

    return usable_threads()


def rows_scanned(model: str) -> int:
    from weightaudit.api import scan

    return len(scan(model).rows)


def divide(a: float, b: float) -> float:
    return a / b


class Unpicklable(Exception):
    def __reduce__(self) -> str:
        raise TypeError


def raise_unpicklable() -> None:
    raise Unpicklable("no way home")


def return_unpicklable() -> object:
    return lambda: None


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> None:
    os.abort()


def leave() -> None:
    sys.exit(7)


# What becomes of a job on its way to `run_job`

Work = Callable[["Job"], "Outcome"]


def deadly(work: Work, job: Job) -> Outcome:
    if job.title == "deadly":
        os._exit(1)
    return work(job)


def die_after_the_first(work: Work, job: Job) -> Outcome:
    """Notes which outcome the folder has after the work, and dies if it was the first time."""
    outcome = work(job)
    folder = Path(job.directory) / job.folder
    with (folder / "seen").open("a") as file:
        file.write(f"{(folder / 'outcome.json').stat().st_ino}\n")
    if len((folder / "seen").read_text().split()) == 1:
        os._exit(1)
    return outcome


def elsewhere(work: Work, job: Job) -> Outcome:
    return work(replace(job, directory="/nowhere"))


def of_version_zero(work: Work, job: Job) -> Outcome:
    return work(replace(job, version="0.0"))


def importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None

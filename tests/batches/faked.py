"""Results faked at the executor's edge: a run of thousands of models without a scan.

    python -m tests.batches.faked MODELS TEMPLATE DIRECTORY [ROWS]

ROWS are those of a row group in the joined table, for fewer models to fill some. TEMPLATE is the folder of one model
that was really scanned; every model of the list gets its files (links to them) and an outcome of its own. Prints, as
JSON, seconds for the run and for the joining in it, and the peak of memory in bytes, that of a run of a tenth of the
models before it, too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from weightaudit.batches import BatchResult, Entry, aggregate, run_batch
from weightaudit.batches.display import Silent
from weightaudit.batches.job import Job
from weightaudit.batches.outcome import Outcome, read_outcome
from weightaudit.batches.results import RESULTS
from weightaudit.config import AuditConfig
from weightaudit.report.layout import LOG, OUTCOME


class Faking(Executor):
    """Does not do the work it is given; leaves what the work would have left."""

    def __init__(self, template: Path) -> None:
        self.template = template
        found = read_outcome(template)
        assert found is not None
        self.outcome: Outcome = found

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        (job,) = args
        future: Future[Any] = Future()
        future.set_result(self._leave(job))
        return future

    def _leave(self, job: Job) -> Outcome:
        folder = Path(job.directory) / job.folder
        folder.mkdir(exist_ok=True)
        for name in (*RESULTS, LOG):
            if not (folder / name).exists():
                os.link(self.template / name, folder / name)
        outcome = replace(self.outcome, key=job.key, title=job.title, run=job.run)
        (folder / OUTCOME).write_bytes(outcome.to_json())
        return replace(outcome, entry={})


class FakePool:
    """`Pool` of a `Faking` executor."""

    worker_lost_errors: tuple[type[BaseException], ...] = ()
    is_local = True
    notes: tuple[str, ...] = ()
    max_in_flight = 16

    def __init__(self, template: Path) -> None:
        self.executor: Executor = Faking(template)

    def close(self, *, kill: bool) -> None:
        """Nothing to let go."""


class Timed(Silent):
    """Shows nothing, and knows when joining began."""

    def joining(self) -> None:
        self.began = time.monotonic()


def fake_run(models: int, template: Path, out: Path, display: Timed) -> BatchResult:
    """A run over as many models, of which nothing exists but their names."""
    entries = [Entry(i + 1, f"/nowhere/model-{i:05}", True, AuditConfig()) for i in range(models)]
    return run_batch(entries, out, lambda: FakePool(template), threads=1, display=display)


def peak_memory() -> int:
    """Bytes resident at most, of this process since it began (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def main() -> None:
    models, template, out = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    aggregate.ROWS = int(sys.argv[4]) if len(sys.argv) > 4 else aggregate.ROWS
    display = Timed()
    fake_run(models // 10, template, out.with_name("tenth"), display)
    tenth, began = peak_memory(), time.monotonic()
    result = fake_run(models, template, out, display)
    ended = time.monotonic()
    ran, joined = ended - began, ended - display.began
    again = fake_run(models, template, out, display)
    counts = {"scanned": len(result.scanned), "kept": len(again.kept)}
    print(json.dumps({**counts, "run": ran, "join": joined, "tenth": tenth, "peak": peak_memory()}))


if __name__ == "__main__":
    main()

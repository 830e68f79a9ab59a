"""A model that takes too long fails, and the others go on: in this process, in others, and where one hangs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.batches import tasks
from tests.batches.pools import Recorded
from weightaudit import api
from weightaudit.batches import BatchResult, time_limit
from weightaudit.batches.executors import make_pool
from weightaudit.batches.outcome import read_outcome
from weightaudit.batches.processes import Processes, ProcessExecutor
from weightaudit.batches.time_limit import GRACE, check_max_time
from weightaudit.errors import OutOfTime, UsageError

Batch = Callable[..., BatchResult]


def test_a_scan_ends_between_two_matrices(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the run's own process or on a cluster, where nobody can end it from without."""

    scan = api.scan
    seen: list[Any] = []
    monkeypatch.setattr(time_limit, "monotonic", lambda: float(len(seen)))  # a second for each matrix

    def slow(model: str, *, progress: Any, **options: Any) -> Any:
        class Slow:
            def tensor(self, name: str) -> None:
                seen.append(name)
                progress.tensor(name)

            def __getattr__(self, name: str) -> Any:
                return getattr(progress, name)

        return scan(model, progress=Slow(), **options)

    monkeypatch.setattr(api, "scan", slow)
    result = batch(few[1:2], max_time=3.0)
    assert result.failed == {
        few[1].name: f"{few[1].name}: its scan took longer than the 3 seconds allowed. Allow more with --max-time, "
        "and try it again with --retry-failed"
    }
    outcome = read_outcome(tmp_path / "out" / few[1].name)
    assert outcome is not None
    assert not outcome.temporary
    read = len(seen)
    assert read == 4
    # It is not tried again by itself, for it would cost as much again; and as its reason says it goes well.
    pool = Recorded()
    batch(few[1:2], pool=pool, max_time=600.0)
    assert pool.sent == []
    assert batch(few[1:2], max_time=600.0, retry_failed=True).failed == {}
    assert len(seen) > 2 * read


def test_a_late_worker_fails_its_model_alone(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    def late(job: Any) -> None:
        if job.title == few[1].name:
            raise OutOfTime("its worker", "it took too long and was ended")

    result = batch(few[:3], pool=Recorded(late), max_time=8.0)
    assert list(result.failed) == [few[1].name]
    assert "its scan took longer than the 8 seconds allowed" in result.failed[few[1].name]
    assert (tmp_path / "out" / few[1].name / "log.txt").is_file()
    assert result.scanned == [path.name for path in few[:3]]


def test_what_a_late_worker_has_finished_counts(batch: Batch, few: list[Path]) -> None:
    """It may hang after its work, before it says so."""
    from weightaudit.batches.worker import run_job

    def late(job: Any) -> None:
        run_job(job)
        raise OutOfTime("its worker", "it took too long and was ended")

    assert batch(few[1:2], pool=Recorded(late), max_time=8.0).failed == {}


def test_a_process_that_hangs_is_ended_and_replaced() -> None:
    executor = ProcessExecutor(1, 1)
    (minder,) = executor._minders
    try:
        first = executor.submit(tasks.who_after, 0).result()  # however long it takes to start
        minder._max_time = 0.1
        late = executor.submit(time.sleep, 600)
        with pytest.raises(OutOfTime):
            late.result()
        minder._max_time = None
        assert executor.submit(tasks.who_after, 0).result() != first
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
    finally:
        executor.kill()


def test_processes_have_time_to_end_a_scan_themselves() -> None:
    make, _ = make_pool(2, workers=1, scheduler=None, threads=1, max_time=10.0)
    pool = make()
    assert isinstance(pool, Processes)
    assert [minder._max_time for minder in pool._processes._minders] == [10.0 + GRACE]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9])
def test_times_that_are_none(seconds: float) -> None:
    with pytest.raises(UsageError, match="max-time"):
        check_max_time(seconds)

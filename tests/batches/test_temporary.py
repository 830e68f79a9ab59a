"""Failures of the moment are tried again by the next run; what is wrong with a model is not."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.batches.checkpoints import corrupt
from tests.batches.pools import Lost, Recorded
from tests.support.hub import folder_files, pointed_at, serve
from weightaudit import api
from weightaudit.batches import BatchResult
from weightaudit.batches.outcome import read_outcome
from weightaudit.config import AuditConfig
from weightaudit.errors import (
    ChangedMeanwhile,
    CheckpointError,
    ConfigError,
    MappingError,
    ModelNotFound,
    ModelUnavailable,
    ModelUnreachable,
    OutOfMemory,
    OutOfTime,
    UsageError,
    WorkerLost,
    is_temporary,
)

Batch = Callable[..., BatchResult]


FAILURES: tuple[tuple[Exception, bool], ...] = (
    (MemoryError(), True),
    (OutOfMemory("x", "y"), True),
    (OSError(errno.EIO, "Input/output error"), True),
    (ConnectionResetError(), True),
    (TimeoutError(), True),
    (pickle.UnpicklingError("of a cache of kernels"), True),
    (ModelUnreachable("x", "HTTP 503"), True),
    (ChangedMeanwhile("x", "y"), True),
    (ModelUnavailable("x", "gated"), False),
    (ModelNotFound("x", "y"), False),
    (CheckpointError("x", "its pickle is refused"), False),
    (ConfigError("x", "y"), False),
    (MappingError("x", "y"), False),
    (UsageError("x", "no such role"), False),
)
RUN = (MemoryError, OSError, ModelUnreachable, CheckpointError)
"""By default runs meet these: of Python, of the system, and of ours one of each."""


@pytest.mark.parametrize(
    ("error", "again"),
    [
        pytest.param(error, again, marks=[] if type(error) in RUN else [pytest.mark.slow], id=type(error).__name__)
        for error, again in FAILURES
    ],
)
def test_which_failures_are_tried_again(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool
) -> None:

    scan, calls = api.scan, []

    def failing(model: str, **options: Any) -> Any:
        calls.append(model)
        if len(calls) == 1:
            raise error
        return scan(model, **options)

    monkeypatch.setattr(api, "scan", failing)
    assert list(batch(few[1:2]).failed) == [few[1].name]
    outcome = read_outcome(tmp_path / "out" / few[1].name)
    assert outcome is not None
    assert outcome.temporary is again
    second = batch(few[1:2])
    assert (len(calls), bool(second.failed)) == ((2, False) if again else (1, True))
    assert batch(few[1:2], retry_failed=True).failed == {}


def test_the_classes_say_which() -> None:
    assert [is_temporary(error) for error, _ in FAILURES] == [again for _, again in FAILURES]
    assert is_temporary(WorkerLost("x", "y"))
    assert not is_temporary(OutOfTime("x", "y"))


def test_a_killed_worker_is_of_the_moment(batch: Batch, few: list[Path]) -> None:
    def die(job: Any) -> None:
        raise Lost("its worker was killed")

    assert list(batch(few[1:2], pool=Recorded(die)).failed) == [few[1].name]
    assert batch(few[1:2]).failed == {}


def test_a_hub_that_was_away_is_asked_again(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """And one that says that there is no such model is not."""
    impatient = AuditConfig(max_wait=0.2)
    with serve({"org/a": folder_files(few[1])}) as hub, pointed_at(hub.url, tmp_path / "home"):
        hub.stop()
        assert list(batch(["org/a", "org/none"], base=impatient).failed) == ["org/a", "org/none"]
    with serve({"org/a": folder_files(few[1])}) as hub, pointed_at(hub.url, tmp_path / "home"):
        assert list(batch(["org/a", "org/none"]).failed) == ["org/none"]
        pool = Recorded()
        batch(["org/a", "org/none"], pool=pool)
        assert pool.sent == []


def test_a_file_that_is_malformed_waits_for_its_owner(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    bad = corrupt(few[1], tmp_path / "bad")
    batch([bad])
    pool = Recorded()
    batch([bad], pool=pool)
    assert pool.sent == []

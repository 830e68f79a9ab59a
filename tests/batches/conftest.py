"""Checkpoints and runs that the batch tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.batches.checkpoints import many
from tests.batches.lists import entries_of
from tests.batches.remembered import Remembered
from weightaudit.batches import BatchResult, run_batch
from weightaudit.batches.executors import InlinePool


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five small checkpoints of different families. Read only."""
    return many(tmp_path_factory.mktemp("few"), 5)


@pytest.fixture(scope="session")
def remembered(few: list[Path]) -> Remembered:
    return Remembered(few)


@pytest.fixture
def batch(tmp_path: Path, remembered: Remembered, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BatchResult]:
    """Run a batch in this thread, by default into ``tmp_path / "out"``: ``batch(models, retry_failed=True)``.

    A model of ``few`` is scanned once with the same options (see `remembered`); a copy of one is scanned each time.
    """
    remembered.taken(monkeypatch.setattr)

    def run(models: Sequence[object], out: Path | None = None, **options: object) -> BatchResult:
        base = options.pop("base", None)
        entries = entries_of(models, tmp_path, base)  # type: ignore[arg-type]  # an AuditConfig or None
        options.setdefault("pool", InlinePool)
        options.setdefault("threads", 1)
        options.setdefault("title", "list")
        return run_batch(entries, out or tmp_path / "out", **options)  # type: ignore[arg-type]  # the test's to get right

    return run


@pytest.fixture
def earlier(
    batch: Callable[..., BatchResult], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Have a directory as an earlier ``batch(models, out)`` left it: a copy of one for all tests."""

    def copied(models: Sequence[Path], out: Path | None = None) -> None:
        whole = (
            tmp_path_factory.getbasetemp()
            / "earlier"
            / "-".join(f"{model.name}-{(model / 'model.safetensors').stat().st_mtime_ns}" for model in models)
        )
        if not whole.exists():
            whole.parent.mkdir(exist_ok=True)
            made = tmp_path_factory.mktemp("made") / "out"
            assert batch(models, made).failed == {}
            made.rename(whole)
        shutil.copytree(whole, out or tmp_path / "out")

    return copied

"""Checkpoints and runs that the batch tests share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.batch.checkpoints import many
from weightaudit.batch import BatchResult, Entry, read_model_list, run_batch
from weightaudit.batch.executors import InlinePool
from weightaudit.config import AuditConfig


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five small checkpoints of different families. Read only."""
    return many(tmp_path_factory.mktemp("few"), 5)


def entries_of(models: Sequence[object], folder: Path, base: AuditConfig | None = None) -> list[Entry]:
    """The entries of a list of these lines, which is written into ``folder``."""
    path = folder / "list.txt"
    path.write_text("".join(f"{model}\n" for model in models))
    return read_model_list(path, base or AuditConfig())


@pytest.fixture
def batch(tmp_path: Path) -> Callable[..., BatchResult]:
    """Run a batch in this thread, by default into ``tmp_path / "out"``: ``batch(models, retry_failed=True)``."""

    def run(models: Sequence[object], out: Path | None = None, **options: object) -> BatchResult:
        base = options.pop("base", None)
        entries = entries_of(models, tmp_path, base)  # type: ignore[arg-type]  # an AuditConfig or None
        options.setdefault("pool", InlinePool)
        options.setdefault("threads", 1)
        options.setdefault("title", "list")
        return run_batch(entries, out or tmp_path / "out", **options)  # type: ignore[arg-type]  # the test's to get right

    return run

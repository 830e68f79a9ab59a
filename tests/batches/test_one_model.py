"""What is wrong with one model's surroundings ends that model, never the batch."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weightaudit import api
from weightaudit.batches import BatchResult
from weightaudit.errors import CacheError, OutputError, OutputErrors

Batch = Callable[..., BatchResult]


def test_a_cache_without_room_for_one(batch: Batch, few: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scan = api.scan

    def no_room(model: str, **options: Any) -> Any:
        if Path(model).name == few[1].name:
            raise CacheError("the cache", "it has no room", "Make room")
        return scan(model, **options)

    monkeypatch.setattr(api, "scan", no_room)
    assert list(batch(few[1:3]).failed) == [few[1].name]
    monkeypatch.setattr(api, "scan", scan)
    assert batch(few[1:3]).failed == {}  # of the moment, so tried again


def test_a_link_in_a_model_to_its_own_results(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    batch(few[1:3])
    link = few[1] / "extra.txt"
    link.symlink_to(tmp_path / "out" / few[1].name / "layers.csv")
    try:
        os.utime(few[1] / "model.safetensors")
        assert batch(few[1:3]).failed == {}
    finally:
        link.unlink()


def test_errors_together_travel() -> None:
    errors = OutputErrors([OutputError("a", "b"), OutputError("c", "d")])
    assert str(pickle.loads(pickle.dumps(errors))) == str(errors)

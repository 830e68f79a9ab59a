"""A directory of checkpoints as the list of a batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.running import CommandLine
from weightaudit.batches import read_model_list
from weightaudit.batches.checkpoints import checkpoints_in
from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError


def make(run: Path, model: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(model, run / name)
    return run


def test_checkpoints_come_in_order_of_steps(tmp_path: Path, few: list[Path]) -> None:
    run = make(tmp_path / "run", few[1], "checkpoint-1000", "checkpoint-200", "checkpoint-30")
    (run / "runs").mkdir()
    (run / "notes-step-3.txt").write_text("no model")
    (run / "last.ckpt").write_bytes(b"")
    (run / "epoch=0-step=500.ckpt").write_bytes(b"")
    steps = [30, 200, 500, 1000]
    assert [step for step, _ in checkpoints_in(run)] == steps
    entries = read_model_list(run, AuditConfig(roles=("Q",), revision="main"))
    assert [Path(entry.model).name for entry in entries] == [
        "checkpoint-30",
        "checkpoint-200",
        "epoch=0-step=500.ckpt",
        "checkpoint-1000",
    ]
    assert all(entry.local and entry.config.roles == ("Q",) and entry.config.revision is None for entry in entries)
    assert [entry.line for entry in entries] == [1, 2, 3, 4]


def test_a_directory_without_checkpoints_is_told(tmp_path: Path, few: list[Path]) -> None:
    with pytest.raises(UsageError, match="no name in this directory tells a step"):
        read_model_list(tmp_path, AuditConfig())
    with pytest.raises(UsageError, match="It is a model itself"):
        read_model_list(few[1], AuditConfig())


def test_a_batch_of_checkpoints(weightaudit: CommandLine, tmp_path: Path, few: list[Path]) -> None:
    run = make(tmp_path / "run.v1", few[1], "checkpoint-9", "checkpoint-10")
    done = weightaudit("batch", run, "--out", tmp_path / "out", "--workers", "0")
    assert done.code == 0
    assert done.stderr.splitlines()[:2] == ["[1/2] checkpoint-9: done", "[2/2] checkpoint-10: done"]
    assert "run.v1" in (tmp_path / "out" / "index.html").read_text("utf-8")
    drawn = weightaudit("compare", "--over", "step", tmp_path / "out", "--out", tmp_path / "over")
    assert drawn.code == 0
    assert "2 steps, 0 findings" in drawn.stderr

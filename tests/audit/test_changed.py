"""A file of the model that is written to or replaced while it is scanned: an error, never a mixture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weightaudit as wa
from tests.support.covering import covering
from tests.support.running import CommandLine
from weightaudit.audit import scan
from weightaudit.audit.groups import plan_groups
from weightaudit.errors import CheckpointError

Change = Callable[[Path], None]


def flip(path: Path) -> None:
    """One byte in place, and the time of writing set back, as some tools do."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(-2, os.SEEK_END)
        byte = file.read(1)
        file.seek(-2, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def append(path: Path) -> None:
    """A byte more."""
    with open(path, "ab") as file:
        file.write(b" ")


def replace(path: Path) -> None:
    """Another file of the same bytes under the name."""
    shutil.copy2(path, path.with_name("other"))
    os.replace(path.with_name("other"), path)


class Meddler:
    """Progress that changes ``path`` when the first tensor has been read."""

    def __init__(self, path: Path, change: Change) -> None:
        self._path, self._change, self._done = path, change, False

    def start(self, model: str, total_bytes: int) -> None:
        """Not yet."""

    def tensor(self, name: str) -> None:
        """Now."""
        if not self._done:
            self._done = True
            self._change(self._path)

    def advance(self, nbytes: int) -> None:
        """No more."""

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def model(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> Path:
    """A model that may be changed."""
    return Path(shutil.copytree(tiny_checkpoints["gpt2"], tmp_path / "model"))


@pytest.mark.skipif(os.name == "nt", reason="open files are not replaced there, and no time tells of every change")
@pytest.mark.parametrize(
    ("name", "change"), covering(["model.safetensors", "config.json"], [flip, append, replace], together=1)
)
def test_changed(model: Path, name: str, change: Change) -> None:
    with pytest.raises(CheckpointError, match=f"{name}: it was changed while it was read"):
        wa.scan(model, progress=Meddler(model / name, change))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_through_a_link(model: Path, tmp_path: Path) -> None:
    real = tmp_path / "blob"
    (model / "model.safetensors").rename(real)
    (model / "model.safetensors").symlink_to(real)
    with pytest.raises(CheckpointError, match="changed while"):
        wa.scan(model, progress=Meddler(real, flip))


def test_a_lone_file(model: Path) -> None:
    path = model / "model.safetensors"
    with pytest.raises(CheckpointError, match="changed while"):
        wa.scan(path, progress=Meddler(path, append))


def test_loaded_later(model: Path) -> None:
    first, *_, last = wa.matrices(model)
    first.load()
    append(model / "model.safetensors")
    with pytest.raises(CheckpointError, match="changed while"):
        last.load()


def test_gone_or_left_alone(model: Path) -> None:
    report = wa.scan(model, progress=Meddler(model / "model.safetensors", lambda path: os.utime(path.parent)))
    assert report.rows
    if os.name != "nt":  # whoever deletes the model meanwhile has it measured all the same
        assert wa.scan(model, progress=Meddler(model / "model.safetensors", Path.unlink)).rows == report.rows


def test_no_output_is_left(
    model: Path, tmp_path: Path, weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_groups

    def late(*arguments: Any) -> object:
        append(model / "config.json")
        return plan(*arguments)

    monkeypatch.setattr(scan, "plan_groups", late)
    done = weightaudit("scan", model, "--csv", tmp_path / "l.csv")
    assert (done.code, "config.json: it was changed" in done.stderr) == (3, True)
    assert not (tmp_path / "l.csv").exists()

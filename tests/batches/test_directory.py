"""The output directory: one run at a time, and clear words where it cannot be written."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.batches.lists import entries_of
from tests.batches.pools import Recorded
from tests.support.running import CommandLine
from weightaudit.batches import BatchResult, merge
from weightaudit.batches.lock import LOCK, locked
from weightaudit.errors import OutputError
from weightaudit.report.document import share_plotly

Batch = Callable[..., BatchResult]


def test_two_runs_exclude_each_other(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def second(job: Any) -> None:
        with pytest.raises(OutputError, match=rf"another run is writing there \(process {os.getpid()} on "):
            batch(few, out)
        with pytest.raises(OutputError, match="another run is writing there"):
            merge([tmp_path / "other"], out)

    batch(few[:1], tmp_path / "other")
    batch(few[:1], out, pool=Recorded(second))
    assert (out / LOCK).read_bytes() == b""
    batch(few[:1], out)


def test_a_lock_ends_with_its_process(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """However it ends: what is left behind locks nobody out."""
    out = tmp_path / "out"
    program = (
        "import os, signal, sys; from pathlib import Path; from weightaudit.batches.lock import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(out)], check=False)
    assert done.returncode == -9
    assert (out / ".run").is_file()
    assert json.loads((out / LOCK).read_bytes())["process"]
    assert batch(few[:1], out).failed == {}


def test_a_file_system_without_locks(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the later run takes over, and the earlier one's workers find out."""

    def no_locks(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)

    def take_over(job: Any) -> None:
        with locked(tmp_path / "out"):
            pass

    with pytest.raises(OutputError, match="another run has taken it over meanwhile"):
        batch(few[:1], pool=Recorded(take_over))


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_not_a_directory(batch: Batch, few: list[Path], tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"(file exists|not a directory)\. Name a directory that can be written"):
        batch(few[:1], tmp_path / name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc, where nobody can write")
def test_where_nothing_can_be_written(batch: Batch, few: list[Path]) -> None:
    with pytest.raises(OutputError, match="Name a directory that can be written"):
        batch(few[:1], Path("/proc/sys/weightaudit"))


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """An empty file system in memory at ``folder``, where this user may mount one; else the test is skipped."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("mounting a file system needs privileges")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_write_protected_directory(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ExitStack() as stack:
        if os.getuid() == 0:  # whom no permission stops
            stack.enter_context(mounted(out, "ro"))
        else:
            out.mkdir(mode=0o555)
        with pytest.raises(OutputError) as error:
            batch(few[:1], out)
    assert str(error.value) in (
        f"{out}: {reason}. Name a directory that can be written"
        for reason in ("permission denied", "read-only file system")
    )


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """No file of this process, nor of those that it starts, may grow beyond ``size`` bytes, as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.parametrize("workers", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_a_full_disk(batch: Batch, weightaudit: CommandLine, few: list[Path], tmp_path: Path, workers: str) -> None:
    """One clear message, nothing half-written, and a later run goes on."""
    out = tmp_path / "out"
    entries_of(few[:2], tmp_path)
    out.mkdir()
    share_plotly(out)  # larger than the limit, and here from an earlier run
    with no_file_beyond(8_000):
        done = weightaudit("batch", tmp_path / "list.txt", "--out", out, "--threads", "1", "--workers", workers)
    assert done.code == 2
    assert done.stderr.splitlines()[-1] == (
        f"weightaudit: {out / few[0].name / 'layers.parquet'}: File too large. Name an output file that can be written"
    )
    left = [path.name for path in out.rglob("*") if path.is_file()]
    assert not any(name.endswith((".tmp", "outcome.json", "layers.parquet", "all.csv")) for name in left)
    assert batch(few[:2], out).failed == {}


def test_a_full_disk_elsewhere_is_no_models_fault(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/elsewhere/cache")

    monkeypatch.setattr("weightaudit.api.scan", full)
    says = r"/elsewhere/cache on .*: no space left on device\. Make room there; the same command goes on"
    with pytest.raises(OutputError, match=says):
        batch(few[:2], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("outcome.json"))


def test_a_full_file_system(weightaudit: CommandLine, few: list[Path], tmp_path: Path) -> None:
    """A real one, where this user may mount one."""
    out = tmp_path / "small"
    with mounted(out, "size=256k"):
        entries_of(few[:2], tmp_path)
        done = weightaudit("batch", tmp_path / "list.txt", "--out", out, "--workers", "0")
        assert done.code == 2
        assert "No space left on device" in done.stderr.splitlines()[-1]
        assert not list(out.rglob("*.tmp"))

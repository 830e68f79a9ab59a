"""The lock where there is no `fcntl`: by a stand-in for `msvcrt`, as Windows itself is not at hand."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from weightaudit.batches import lock
from weightaudit.errors import OutputError

fcntl = pytest.importorskip("fcntl")


def locking(descriptor: int, mode: int, nbytes: int) -> None:
    """As `msvcrt.locking` that does not wait: by open file, of bytes from where it stands."""
    assert (mode, nbytes) == (2, 1)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) > 1_000_000
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


@pytest.fixture(autouse=True)
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))


def test_two_runs_exclude_each_other_and_the_second_is_told_whom_it_waits_for(tmp_path: Path) -> None:
    told = rf"another run is writing there \(process {os.getpid()} on "
    with lock.locked(tmp_path), pytest.raises(OutputError, match=told), lock.locked(tmp_path):
        pass
    with lock.locked(tmp_path):
        assert (tmp_path / lock.LOCK).stat().st_size < 1000


def test_a_system_with_neither_excludes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "msvcrt", None)
    with lock.locked(tmp_path), lock.locked(tmp_path):
        pass

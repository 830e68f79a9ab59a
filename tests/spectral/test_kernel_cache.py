"""Compiled kernels on disk: taken when whole, compiled again when anything about them is not."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.torch_files import Applied
from weightaudit.spectral.jit import numba
from weightaudit.spectral.kernel_cache import DIGEST, keep


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path / "weightaudit"


def doubled(x):  # type: ignore[no-untyped-def]
    return 2 * x


def use(value: Any = 21) -> tuple[Any, int]:
    """(a jitted function's answer, how many times it was taken from the disk), as in a new process."""
    function = keep(numba.njit(doubled))
    return function(value), sum(function.stats.cache_hits.values())


def test_compiled_once(caches: Path) -> None:
    assert use() == (42, 0)
    assert use() == (42, 1)
    assert use(1.5) == (3.0, 0)  # another type
    assert use(1.5) == (3.0, 1)
    assert len(list(caches.iterdir())) == 2


def _rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _turned(whole: bytes) -> bytes:
    """One bit of the machine code, which nothing but the digest tells."""
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": _rewritten(lambda whole: b""),
    "truncated": _rewritten(lambda whole: whole[: len(whole) // 2]),
    "longer": _rewritten(lambda whole: whole + b"x"),
    "one bit": _rewritten(_turned),
    "garbage": _rewritten(lambda whole: os.urandom(len(whole))),
    "without its digest": _rewritten(lambda whole: whole[DIGEST:]),
    "another pickle": _rewritten(lambda whole: whole[:DIGEST] + pickle.dumps(["x"])),
    "a directory": _directory,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_compiled_again(caches: Path, damage: str) -> None:
    use()
    (entry,) = caches.iterdir()
    DAMAGES[damage](entry)
    assert use() == (42, 0)
    if entry.is_file():
        assert use() == (42, 1)  # and was replaced


def test_code_in_an_entry_does_not_run(caches: Path, tmp_path: Path) -> None:
    use()
    (entry,) = caches.iterdir()
    payload = pickle.dumps(Applied(open, str(tmp_path / "canary"), "w"))
    for content in (payload, entry.read_bytes()[:DIGEST] + payload):
        entry.write_bytes(content)
        assert use() == (42, 0)
    assert not (tmp_path / "canary").exists()


def test_an_entry_does_not_pass_for_another(caches: Path) -> None:
    use()
    (entry,) = caches.iterdir()
    use(1.5)
    (other,) = set(caches.iterdir()) - {entry}
    entry.replace(other)
    assert use(1.5) == (3.0, 0)


def test_an_entry_that_cannot_be_rebuilt(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest holds, but numba has changed since."""
    use()
    with monkeypatch.context() as patched:
        patched.setattr(pickle, "loads", lambda content: ("too", "few"))
        assert use() == (42, 0)
    assert use() == (42, 1)


@pytest.mark.parametrize("variable", ["NUMBA_OPT", "NUMBA_BOUNDSCHECK"])
def test_other_settings_are_compiled_for_themselves(
    caches: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    use()
    monkeypatch.setenv(variable, "1")
    assert use() == (42, 0)


def test_no_folder_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert [use(), use()] == [(42, 0), (42, 0)]


def test_a_full_disk_fails_nothing(caches: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        assert use() == (42, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(caches.iterdir()) == []


def test_the_kernels_are_kept(caches: Path) -> None:
    from weightaudit.spectral import kernels

    compiled: list[Any] = [kernels.gram_rows, kernels.row_squares, kernels.row_counts, kernels.row_statistics]
    for kernel in compiled:
        again = keep(numba.njit(kernel.py_func))
        assert again.stats.cache_path == str(caches)
        assert Path(kernel.stats.cache_path).name == caches.name

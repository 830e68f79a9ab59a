"""The private folder: whose files count, where it lies, and that no state of a disk is an error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from weightaudit.compiled.private_folder import NAME, private_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path / "caches"


def test_what_is_written_is_read_by_its_owner_alone(caches: Path) -> None:
    folder = private_folder()
    assert folder is not None
    assert folder.path == caches / NAME
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.write("a", b"old")
    folder.write("a", b"new")
    assert folder.read("a") == b"new"
    assert folder.read("b") is None
    assert [path.name for path in folder.path.iterdir()] == ["a"]
    assert private_folder() == folder


def test_what_is_written_is_private_whatever_the_umask(caches: Path) -> None:
    folder = private_folder()
    assert folder is not None
    before = os.umask(0)
    try:
        folder.write("a", b"code")
    finally:
        os.umask(before)
    assert (folder.path / "a").stat().st_mode & 0o777 == 0o600
    assert folder.read("a") == b"code"


def _linked(folder: Path) -> None:
    other = folder.with_name("other")
    other.mkdir(mode=0o700)
    folder.symlink_to(other)


def _of_mode(mode: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        folder.chmod(mode)

    return make


def _anothers(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)


@pytest.mark.parametrize(
    "make", [_linked, _of_mode(0o777), _of_mode(0o770), _of_mode(0o755), _anothers, Path.touch, os.mkfifo]
)
def test_a_folder_that_others_may_use_is_none(caches: Path, make: Callable[[Path], None]) -> None:
    caches.mkdir()
    make(caches / NAME)
    assert private_folder() is None


@pytest.mark.parametrize("where", ["missing/in/a/file", "/proc/none"])
def test_where_none_can_be_made(caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    (tmp_path / "missing").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / where))
    assert private_folder() is None


def test_where_it_lies(caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is passed over, for it leads into the working directory."""
    place = tmp_path / "working"
    place.mkdir()
    monkeypatch.chdir(place)
    for variable, expected in (("NUMBA_CACHE_DIR", caches), ("XDG_CACHE_HOME", tmp_path / "home" / ".cache")):
        monkeypatch.setenv(variable, "here")
        folder = private_folder()
        assert folder is not None
        assert folder.path == expected / NAME
    monkeypatch.setenv("HOME", ".")
    assert private_folder() is None
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    folder = private_folder()
    assert folder is not None
    assert folder.path == tmp_path / "named" / NAME
    assert list(place.iterdir()) == []


def test_files_that_others_may_have_written_do_not_count(caches: Path, tmp_path: Path) -> None:
    folder = private_folder()
    assert folder is not None
    folder.write("writable", b"x")
    (folder.path / "writable").chmod(0o666)
    (tmp_path / "elsewhere").write_bytes(b"x")
    (folder.path / "link").symlink_to(tmp_path / "elsewhere")
    (folder.path / "directory").mkdir()
    os.mkfifo(folder.path / "pipe", 0o600)  # which must not be waited for
    names = ["writable", "link", "directory", "pipe"]
    if os.geteuid() == 0:
        folder.write("anothers", b"x")
        os.chown(folder.path / "anothers", 65534, 65534)
        names.append("anothers")
    assert {name: folder.read(name) for name in names} == dict.fromkeys(names)


def test_what_cannot_be_written_is_not_kept(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = private_folder()
    assert folder is not None
    (folder.path / "taken").mkdir()
    folder.write("taken", b"x")
    assert [path.name for path in folder.path.iterdir()] == ["taken"]
    (folder.path / "taken").rmdir()
    folder.path.rmdir()
    folder.write("gone", b"x")
    assert not folder.path.exists()

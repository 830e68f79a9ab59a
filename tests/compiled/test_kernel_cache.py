"""Compiled kernels on disk: taken when whole, compiled again when anything about them is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from weightaudit.compiled import kernel_cache as module
from weightaudit.compiled import object_code
from weightaudit.compiled.kernel_cache import DIGEST, KernelCache, kernel_cache
from weightaudit.compiled.object_code import Target
from weightaudit.spectral.kernel_abi import Kernel
from weightaudit.spectral.native import SOURCES

GRAM = Kernel("gram_rows", ("float32",))
CODE = b"machine code" * 100


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path / "weightaudit"


def cache() -> KernelCache:
    """As in a new process."""
    found = kernel_cache(SOURCES)
    assert found is not None
    return found


def entry(caches: Path) -> Path:
    """The one file that is kept."""
    cache().write(GRAM, CODE)
    (path,) = caches.iterdir()
    return path


def test_kept(caches: Path) -> None:
    assert cache().read(GRAM) is None
    cache().write(GRAM, CODE)
    assert cache().read(GRAM) == CODE
    for other in (Kernel("gram_rows", ("float64",)), Kernel("row_statistics", ("float32",))):
        assert cache().read(other) is None


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
    "other code": _rewritten(lambda whole: whole[:DIGEST] + b"other code"),
    "a directory": _directory,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_none_and_is_replaced(caches: Path, damage: str) -> None:
    path = entry(caches)
    DAMAGES[damage](path)
    assert cache().read(GRAM) is None
    if path.is_file():
        cache().write(GRAM, CODE)
        assert cache().read(GRAM) == CODE


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows guards a profile by other means")
def test_an_entry_that_others_can_write_is_none(caches: Path) -> None:
    entry(caches).chmod(0o622)
    assert cache().read(GRAM) is None


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system follows links")
def test_no_link_is_followed(caches: Path, tmp_path: Path) -> None:
    path = entry(caches)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache().read(GRAM) is None


def test_an_entry_does_not_pass_for_another(caches: Path) -> None:
    path, other = entry(caches), Kernel("gram_rows", ("float64",))
    cache().write(other, b"other")
    (second,) = set(caches.iterdir()) - {path}
    path.replace(second)
    assert cache().read(other) is None


@pytest.mark.parametrize("variable", ["NUMBA_OPT", "NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"])
def test_other_settings_are_compiled_for_themselves(
    caches: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    entry(caches)
    monkeypatch.setenv(variable, "1")
    assert cache().read(GRAM) is None


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "another numba": lambda patch: patch.setattr(metadata, "version", lambda name: "0.1"),
    "another llvmlite": lambda patch: patch.setattr("llvmlite.__version__", "0.1"),
    "another numpy": lambda patch: patch.setattr("numpy.__version__", "0.1"),
    "another Python": lambda patch: patch.setattr("sys.version", "3.0"),
    "another processor": lambda patch: patch.setattr(object_code, "host", lambda: Target("x", "y", "z")),
    "made in another way": lambda patch: patch.setattr(module, "SOURCES", (*module.SOURCES, Path(__file__))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_code_depends_on_is_in_the_key(caches: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    entry(caches)
    with monkeypatch.context() as patched:
        CHANGES[change](patched)
        assert cache().read(GRAM) is None
    assert cache().read(GRAM) == CODE


def test_the_sources_of_the_loops_are_in_the_key(caches: Path, tmp_path: Path) -> None:
    source = tmp_path / "loops.py"
    source.write_text("one")
    for content, known in (("one", False), ("one", True), ("two", False)):
        source.write_text(content)
        found = kernel_cache([source])
        assert found is not None
        assert (found.read(GRAM) == CODE) is known
        found.write(GRAM, CODE)


def test_no_folder_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert kernel_cache(SOURCES) is None


def test_no_numba_no_cache(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert kernel_cache(SOURCES) is None


def test_a_full_disk_fails_nothing(caches: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        cache().write(GRAM, CODE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(caches.iterdir()) == []

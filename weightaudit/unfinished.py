"""Files that this process is writing under a name for the time being, so that whatever ends it can remove them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FILES: set[Path] = set()
_FOLDERS: set[Path] = set()


@contextmanager
def temporary(folder: Path, ending: str = ".tmp") -> Iterator[Path]:
    """A new name in ``folder``; what the block makes there, and has not moved away, is removed when the block ends.

    A short name, so that it fits wherever the name of what it is to become does.
    """
    path = folder / f".weightaudit-{os.urandom(8).hex()}{ending}"
    _FILES.add(path)
    try:
        yield path
    finally:
        with suppress(OSError):  # most often it has been moved
            os.unlink(path)
        _FILES.discard(path)


@contextmanager
def becoming(target: Path) -> Iterator[Path]:
    """A new name beside ``target``; what the block makes there replaces it, or is removed where the block fails."""
    with temporary(target.parent) as path:
        yield path
        os.replace(path, target)


@contextmanager
def folder(path: Path) -> Iterator[None]:
    """Make the new folder ``path``; where the block has not moved it away, it is removed when the block ends."""
    _FOLDERS.add(path)
    try:
        path.mkdir()
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _FOLDERS.discard(path)


def create(path: Path, mode: int = 0o666) -> int:
    """A descriptor, for writing, of the new file ``path``; whatever is there already, a link too, is an error.

    The umask cuts ``mode``, as for any ordinary file.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)


def remove_all() -> None:
    """Remove what is under those names in this process; what cannot be removed stays."""
    for path in list(_FILES):
        with suppress(OSError):
            os.unlink(path)
        _FILES.discard(path)
    for path in list(_FOLDERS):
        shutil.rmtree(path, ignore_errors=True)
        _FOLDERS.discard(path)

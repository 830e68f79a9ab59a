"""A folder that is written whole or not at all: it has its name when all is in it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from weightaudit import unfinished
from weightaudit.errors import OutputError

_ENDING = ".merge"
_NAME = re.compile(r"\.weightaudit-([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{16}\.merge")


def check_new(target: Path) -> None:
    """OutputError where ``target`` is there already and not an empty folder, or its parent cannot be written."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(str(target), "there is a file of that name", "Name a folder that is not there yet")
    if target.is_dir() and any(target.iterdir()):
        raise OutputError(str(target), "the folder is not empty", "Name a folder that is not there yet")
    if not target.absolute().parent.is_dir():
        raise OutputError(str(target), f"there is no directory {target.absolute().parent}", "Create it first")


@contextmanager
def becoming(target: Path) -> Iterator[Path]:
    """A new folder beside ``target``, which it becomes when the block ends well; else it is removed.

    What runs of this machine that were killed have left there is removed too. OutputError where the file system
    refuses.
    """
    parent = target.absolute().parent
    try:
        _sweep(parent)
        folder = parent / f".weightaudit-{_host()}-{os.getpid()}-{secrets.token_hex(8)}{_ENDING}"
        with unfinished.folder(folder):
            yield folder
            _sync(folder)
            with suppress(OSError):
                target.rmdir()  # an empty one, which not every system replaces
            os.rename(folder, target)
            _sync(parent)
    except OSError as error:
        raise OutputError(str(target), error.strerror or str(error), "Name a folder that can be written") from error


@contextmanager
def on_disk(path: Path) -> Iterator[BinaryIO]:
    """The new file ``path``, to be written; it is on the disk when the block ends well."""
    with os.fdopen(unfinished.create(path), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sweep(parent: Path) -> None:
    """Remove unfinished folders of this machine's processes that are no more."""
    for entry in list(os.scandir(parent)):
        named = _NAME.fullmatch(entry.name)
        if named and named[1] == _host() and not _is_running(int(named[2])) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode("utf-8", "replace")).hexdigest()[:8]


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # nothing there asks so much without stopping it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _sync(folder: Path) -> None:
    """Have the names in it be on the disk."""
    with suppress(OSError):  # not every system opens folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""A folder of this user alone, among the user's caches. What is read from it may be executed.

A file counts only if this user wrote it and nobody else could: whatever else lies there is as good as missing, and so
is a file that cannot be read. What cannot be written is not kept. Nothing here raises for the state of a disk.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from weightaudit import unfinished

NAME = "weightaudit"
LARGEST = 1 << 26
"""Bytes of a file, beyond which it is none of ours."""


@dataclass(frozen=True)
class PrivateFolder:
    """The folder at ``path``, found private by `private_folder`."""

    path: Path

    def read(self, name: str) -> bytes | None:
        """The file ``name``; None where there is none, or none that can be trusted."""
        flags = os.O_RDONLY
        for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # not every system has, or needs, each
            flags |= getattr(os, flag, 0)
        try:
            with open(self.path / name, "rb", opener=lambda path, _: os.open(path, flags)) as file:
                state = os.fstat(file.fileno())
                if not stat.S_ISREG(state.st_mode) or not _mine(state, others=0o022) or state.st_size > LARGEST:
                    return None
                return file.read()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Make ``content`` the file ``name``, whole or not at all."""
        with (
            suppress(OSError),  # a full disk, most often
            unfinished.becoming(self.path / name) as temporary,
            os.fdopen(unfinished.create(temporary, 0o600), "wb") as file,
        ):
            file.write(content)


def private_folder() -> PrivateFolder | None:
    """The user's folder, made if it is not there; None where none is to be had that only this user can use."""
    caches = _caches()
    if caches is None:
        return None
    path = caches / NAME
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = path.lstat()
    except OSError:
        return None
    usable = stat.S_ISDIR(state.st_mode) and _mine(state, others=0o077) and os.access(path, os.R_OK | os.W_OK | os.X_OK)
    return PrivateFolder(path) if usable else None


def _caches() -> Path | None:
    """Where this user's caches lie: $NUMBA_CACHE_DIR, or the system's place for them.

    A relative path is ignored, as it leads into the working directory, which may be a stranger's.
    """
    if sys.platform == "win32":
        usual = [os.environ.get("LOCALAPPDATA")]
    elif sys.platform == "darwin":
        usual = [os.path.expanduser("~/Library/Caches")]
    else:
        usual = [os.environ.get("XDG_CACHE_HOME"), os.path.expanduser("~/.cache")]
    candidates = (os.environ.get("NUMBA_CACHE_DIR"), *usual)
    return next((Path(named) for named in candidates if named and os.path.isabs(named)), None)


def _mine(state: os.stat_result, *, others: int) -> bool:
    """Whether this user owns it and nobody has the rights ``others``; Windows guards a profile by other means."""
    if sys.platform == "win32":
        return True
    return state.st_uid == os.geteuid() and not state.st_mode & others

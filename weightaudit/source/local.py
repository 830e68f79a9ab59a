"""Files on this machine: a model's directory, or one file of it."""

from __future__ import annotations

import errno
import os
import stat
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from weightaudit.errors import ChangedMeanwhile, CheckpointError, ModelUnavailable, ModelUnreachable
from weightaudit.source.base import safe_folder, safe_name
from weightaudit.text import printable

# macOS refuses a single read of 2 GiB or more; Linux cuts it short.
MAX_READ = 1 << 30

MAX_DEPTH, MAX_BELOW = 4, 10_000
"""Levels of folders, and files in them, that are looked through for advice: the Hugging Face cache has three."""

_PERMISSIONS = "Check its permissions"
_LIMIT = "Close other files or raise `ulimit -n`"
_HINTS = {
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EMFILE: _LIMIT,
    errno.ENFILE: _LIMIT,
    errno.ELOOP: "The link leads back to itself: make it anew",
    errno.EIO: "Check the disk",
    errno.ENXIO: "It is a socket or a device: name a weight file",
}


@dataclass(frozen=True)
class FileState:
    """What tells that the file at ``path`` is still the one that was opened, with the same bytes in it.

    The time of the last change of any kind (ctime on Unix) is among it: writers can set the other one back.
    """

    path: Path
    label: str
    facts: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, label: str, status: os.stat_result) -> FileState:
        """That of the file that has ``status``."""
        return cls(path, label, _facts(status))

    def check(self) -> None:
        """ChangedMeanwhile where the file was written to or replaced. One that is gone was whole when it was read."""
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unavailable(self.path, error) from error
        if _facts(now) != self.facts:
            raise ChangedMeanwhile(
                self.label,
                "it was changed while it was read, so what was read may be a mixture",
                "Scan again when nothing writes to it",
            )


def _facts(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class LocalFile:
    """A regular file, read with `preadv` straight into the caller's memory.

    Closed when nothing refers to it any more, if not before. No mmap: mapped pages would count as this process's
    memory, and a file truncated meanwhile would kill it (SIGBUS) where a read reports it.
    """

    distant = False

    def __init__(self, path: Path, *, name: str) -> None:
        self.name = name
        self.label = printable(str(path), limit=1000)
        # O_NONBLOCK: opening a named pipe must not wait for a writer that never comes. Absent on Windows.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._fd = os.open(path, flags)
            self._closing = weakref.finalize(self, os.close, self._fd)
            self._closing.atexit = False  # a thread may still be reading then, and the system closes it anyway
        except FileNotFoundError as error:
            hint = "The link is broken" if path.is_symlink() else "Download the model again"
            raise CheckpointError(self.label, "the file is missing", hint) from error
        except OSError as error:
            raise _unavailable(path, error) from error
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise CheckpointError(self.label, "it is not a regular file", "Name a weight file")
        self.size = status.st_size
        self.state = FileState.of(path, self.label, status)
        self._seek_lock = threading.Lock()
        if hasattr(os, "posix_fadvise"):
            # Doubles the kernel's read-ahead; tensors are mostly read in file order.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` from ``offset``, both in bytes; CheckpointError if the file has fewer, ModelUnreachable where
        the disk fails.
        """
        if not self._closing.alive:
            raise ValueError(f"{self.label} is closed")
        out = out.cast("B")
        done = 0
        while done < len(out):
            try:
                count = self._read_some(offset + done, out[done : done + MAX_READ])
            except OSError as error:
                raise ModelUnreachable(
                    self.label,
                    f"reading at byte {offset + done} failed: {_why(error)}",
                    "Check the disk",
                ) from error
            if count == 0:
                raise CheckpointError(
                    self.label,
                    f"bytes {offset} to {offset + len(out)} were expected, but it ends at {offset + done}",
                    "Download or copy it again",
                )
            done += count

    def _read_some(self, offset: int, out: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._fd, [out], offset)
        with self._seek_lock:  # Windows has no positioned read
            os.lseek(self._fd, offset, os.SEEK_SET)
            data = os.read(self._fd, len(out))
        out[: len(data)] = data
        return len(data)

    def check_unchanged(self) -> None:
        """CheckpointError where the file was written to or replaced since it was opened."""
        self.state.check()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closing()


class LocalRepository:
    """A directory, or one file of it. Links are followed, since the Hugging Face cache is made of them."""

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        location: str,
        revision: str = "",
        chosen: str | None = None,
        label: str = "",
    ) -> None:
        self.directory = directory
        self.name = printable(name)
        self.location = location
        self.revision = revision
        self.chosen = chosen
        self.label = label
        self._opened: list[FileState] = []

    def files(self) -> list[str]:
        """Names at the directory's top level that are not folders, sorted; broken links are among them."""
        try:
            with os.scandir(self.directory) as entries:
                return sorted(entry.name for entry in entries if not _is_folder(entry))
        except OSError as error:
            raise _unavailable(self.directory, error) from error

    def below(self) -> list[str]:
        """Paths of files in folders of the directory, sorted; links to folders are not entered."""
        return sorted(islice(_files_below(self.directory, "", MAX_DEPTH), MAX_BELOW))

    def size_of(self, path: str) -> int | None:
        """Bytes of that file; None where the system does not say."""
        try:
            return os.stat(self.directory / path).st_size
        except OSError:
            return None

    def is_near(self, names: Iterable[str]) -> bool:
        """They are here or nowhere."""
        return True

    def files_in(self, folder: str) -> list[str]:
        """Names of the files in that folder; [] where there is none, or it may not be looked into.

        CheckpointError where it is a link that leads out of the directory; links to files are followed.
        """
        try:
            with os.scandir(self._folder(folder)) as entries:
                return sorted(entry.name for entry in entries if not _is_folder(entry))
        except OSError:
            return []

    def open_in(self, folder: str, name: str) -> LocalFile:
        """The file ``name`` of that folder."""
        safe_name(name, said_by=printable(self.location, limit=1000))
        return self._open(self._folder(folder) / name, f"{folder}/{name}")

    def _folder(self, name: str) -> Path:
        path = self.directory / safe_folder(name, said_by=printable(self.location, limit=1000))
        here = Path(os.path.realpath(self.directory))
        if here not in Path(os.path.realpath(path)).parents:
            raise CheckpointError(
                printable(str(path), limit=1000),
                "the folder is a link that leads out of the model",
                "Copy the folder into the model",
            )
        return path

    def is_own(self, name: str) -> bool:
        """Whether that file lies in the directory or, of a snapshot in a Hugging Face cache, in the model's folder."""
        here = Path(os.path.realpath(self.directory))
        of_cache = here.parent.name == "snapshots" and here.parent.parent.name.startswith("models--")
        return Path(os.path.realpath(here / name)).is_relative_to(here.parent.parent if of_cache else here)

    def fetch(self, names: Iterable[str]) -> None:
        """Nothing to do: they are here or nowhere."""

    def open(self, name: str) -> LocalFile:
        """The file ``name`` of the directory."""
        # The user's own choice of file is trusted to be odd; names out of a file are not.
        if name != self.chosen:
            safe_name(name, said_by=printable(self.location, limit=1000))
        return self._open(self.directory / name, name)

    def _open(self, path: Path, name: str) -> LocalFile:
        file = LocalFile(path, name=name)
        self._opened.append(file.state)
        return file

    def check_unchanged(self) -> None:
        """CheckpointError where a file that was opened is another one now."""
        for state in self._opened:
            state.check()

    def close(self) -> None:
        """Nothing to do: opening a local file does not wait."""


def local_repository(path: Path, *, location: str, label: str = "") -> LocalRepository:
    """The model at ``path``, which exists. Copies of it elsewhere get the same name.

    ``label`` says which of a directory's quantisations.

    Raises ModelUnavailable where the system does not let us see what it is.
    """
    # Links keep the name they are called by: what they lead to is often a hash, or just "model".
    called = Path(os.path.abspath(path))
    if _leads_to_directory(path):
        return LocalRepository(path, name=called.name or "/", location=location, label=label)
    name = f"{called.parent.name}/{called.name}" if called.parent.name else called.name
    return LocalRepository(path.parent, name=name, location=location, chosen=path.name)


def _leads_to_directory(path: Path) -> bool:
    """Not so where a link is broken or leads to itself: opening it will say what is wrong with it."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise _unavailable(path, error) from error


def _files_below(directory: Path, inside: str, depth: int) -> Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:  # a folder that may not be looked into has no advice to give
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            if depth:
                yield from _files_below(directory / entry.name, f"{inside}{entry.name}/", depth - 1)
        elif inside:
            yield f"{inside}{entry.name}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Not so where the system cannot say (a link to itself): one odd entry must not hide the others."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _unavailable(path: Path, error: OSError) -> ModelUnavailable:
    hint = _HINTS.get(error.errno or 0, "Check the path")
    refused = error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)
    kind = ModelUnavailable if refused else ModelUnreachable  # the others are this machine's, and of the moment
    return kind(printable(str(path), limit=1000), _why(error), hint)


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()

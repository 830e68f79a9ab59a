"""One run a directory: a lock that ends with its process, however that ends, and says who holds it."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weightaudit.batches.own_files import clear
from weightaudit.errors import OutputError
from weightaudit.stored import parse_stored, printed, read_plain, record, whole
from weightaudit.text import printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # a module elsewhere
try:
    import msvcrt
except ImportError:  # all other systems
    msvcrt = None  # type: ignore[assignment]  # a module on Windows

LOCK = ".lock"
RUN = ".run"
"""Holds the name of the run that may write: workers elsewhere outlive the process that sent them work."""
_FAR = 1 << 30
"""The byte that is locked on Windows, where nobody else may read what is locked: beyond what the file says."""
MOST_TRIES = 20
"""Of opening a lock file that is exchanged meanwhile."""
_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(directory: Path) -> Iterator[str]:
    """Hold ``directory``, made if it is not there, and give this run's name. OutputError where that cannot be.

    On a file system without locks nobody is excluded but through `RUN`: the later run's workers win.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(directory, error) from error
    descriptor = _locked_file(directory)
    try:
        run = secrets.token_hex(8)
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode())
            write_run(directory, run)
        except OSError as error:
            raise unwritable(directory, error) from error
        try:
            yield run
        finally:
            with suppress(OSError, OutputError):
                check_run(directory, run)  # without locks a later run may have put its own name there
                os.unlink(directory / RUN)
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def write_run(directory: Path, run: str) -> None:
    """Say which run may write. Raises OSError and OutputError."""
    from weightaudit.report.atomic_write import replacing

    clear(directory / RUN)
    with replacing(directory / RUN) as file:
        file.write(run.encode())


def check_run(directory: Path, run: str) -> None:
    """OutputError unless ``run`` is the one that may write into ``directory``."""
    try:
        current = read_plain(directory / RUN, limit=100, follow=False).decode("ascii", "replace")
    except FileNotFoundError:
        current = ""
    except OSError as error:
        raise unwritable(directory, error) from error
    if current != run:
        raise OutputError(
            str(directory),
            f"on {socket.gethostname()} this is not the directory of the run that sent this work",
            "Workers need the output directory under the same path; or another run has taken it over meanwhile",
        )


def unwritable(path: Path, error: OSError) -> OutputError:
    """What an error of the file system means to someone who wanted ``path`` written."""
    return OutputError(str(path), (error.strerror or str(error)).lower(), "Name a directory that can be written")


def _locked_file(directory: Path) -> int:
    """The directory's lock file, open and locked: a plain file that has no other name, for it is emptied and written.

    What else is called so is put out of the way. That may be done to a file that another run has just locked, so the
    lock counts only where it is that of the file which is there now.
    """
    path = directory / LOCK
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    for _ in range(MOST_TRIES):
        try:
            clear(path)
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise unwritable(directory, error) from error
        try:
            _take(descriptor, directory)
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.lstat(path)):
                if status.st_nlink == 1:
                    return descriptor
                path.unlink()  # the other names keep what is in it
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(descriptor)
            raise unwritable(directory, error) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OutputError(str(path), "other runs keep exchanging it", "Wait for them, or name another directory")


def _take(descriptor: int, directory: Path) -> None:
    try:
        _lock(descriptor)
    except BlockingIOError:
        raise OutputError(
            str(directory), f"another run is writing there{_holder(descriptor)}", "Wait for it, or name another one"
        ) from None
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise unwritable(directory, error) from error


def _lock(descriptor: int) -> None:
    """Lock the open file until it is closed, by whatever this system has. BlockingIOError where another has it."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)


def _holder(descriptor: int) -> str:
    try:
        said = record(parse_stored(os.read(descriptor, 1000)), {"process": whole, "host": printed})
        return f" (process {said['process']} on {printable(said['host'])})"
    except (OSError, ValueError):
        return ""

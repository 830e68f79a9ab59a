"""One run a directory: a lock that ends with its process, however that ends, and says who holds it."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from weightaudit.errors import OutputError, printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

LOCK = ".lock"
RUN = ".run"
"""Holds the name of the run that may write: workers elsewhere outlive the process that sent them work."""
_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(directory: Path) -> Iterator[str]:
    """Hold ``directory``, made if it is not there, and give this run's name. OutputError where that cannot be.

    On a file system without locks nobody is excluded but through `RUN`: the later run's workers win.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(directory, error) from error
    try:
        _take(descriptor, directory)
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
    """Say which run may write."""
    from weightaudit.report.files import replacing

    with replacing(directory / RUN) as file:
        file.write(run.encode())


def check_run(directory: Path, run: str) -> None:
    """OutputError unless ``run`` is the one that may write into ``directory``."""
    try:
        current = (directory / RUN).read_text()
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


def _take(descriptor: int, directory: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            str(directory), f"another run is writing there{_holder(descriptor)}", "Wait for it, or name another one"
        ) from None
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise unwritable(directory, error) from error


def _holder(descriptor: int) -> str:
    try:
        said: Any = json.loads(os.read(descriptor, 1000))
        return f" (process {int(said['process'])} on {printable(str(said['host']))})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""

"""Forks of the tests' own process, which has everything loaded: for what is killed in the middle of its work."""

from __future__ import annotations

import gc
import os
import select
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LONGEST = 120.0


@dataclass(frozen=True)
class OwnFork:
    """A process that does its work and ends; ``said`` is what it says then."""

    process: int
    said: int

    @classmethod
    def start(cls, work: Callable[[], object]) -> OwnFork:
        """Have a fork do the ``work``, and say what that returns, or its error."""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the other threads here hold nothing that it needs
            process = os.fork()
        if process:
            os.close(writer)
            return cls(process, reader)
        code = 1
        try:
            gc.disable()  # a collection would copy all that is loaded
            os.write(writer, f"{work()}".encode())
            code = 0
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(code)

    def end(self) -> tuple[int, str]:
        """How it ended, by its exit code or minus the signal, and what it said; killed after `LONGEST` seconds."""
        if not select.select([self.said], [], [], LONGEST)[0]:
            os.kill(self.process, signal.SIGKILL)
        said = b"".join(iter(lambda: os.read(self.said, 65536), b""))
        os.close(self.said)
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status), said.decode()


def ended(child: int) -> bool:
    """Whether the process is no more: as a zombie it may be waited for by its parent at any moment."""
    try:
        return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True

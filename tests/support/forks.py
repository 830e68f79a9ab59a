"""Processes that need not load anything: forks of one that has (`tests.support.forked`), for tests that want many."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
posix = pytest.mark.skipif(os.name == "nt", reason="forks, and signals")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks a process that has libraries loaded")


@dataclass(frozen=True)
class Fork:
    """A process that runs: what it says is read while it does, and its exit code at its end."""

    pid: int
    stdout: int
    stderr: Path
    forks: Forks

    def line(self) -> str:
        """The next line on stdout, waited for; "" at the end."""
        found = b""
        while not found.endswith(b"\n") and (byte := os.read(self.stdout, 1)):
            found += byte
        return found.decode()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def ended(self) -> subprocess.CompletedProcess[str]:
        """Its exit code, the rest of stdout, and stderr."""
        rest = b"".join(iter(lambda: os.read(self.stdout, 65536), b""))
        os.close(self.stdout)
        return subprocess.CompletedProcess([], self.forks.answer(), rest.decode(), self.stderr.read_text("utf-8"))


class Beside:
    """A process that runs beside others, used as a `subprocess.Popen`; what it says goes to a file."""

    def __init__(self, pid: int, forks: Forks) -> None:
        self.pid, self._forks = pid, forks
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(wait=False)

    def wait(self) -> int | None:
        return self._ended(wait=True)

    def _ended(self, *, wait: bool) -> int | None:
        with self._forks.lock:
            if self.returncode is None:
                said = self._forks.asked({"ended": self.pid, "wait": wait})
                self.returncode = None if said == "running" else int(said)
            return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """`tests.support.forked`, running, with its files in ``folder``. One process at a time, but for those `beside`."""

    def __init__(self, folder: Path, modules: Sequence[str] = (), commands: Sequence[Sequence[str]] = ()) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._send({"modules": list(modules), "commands": list(commands)})

    def _send(self, order: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(order)}\n")
        self.process.stdin.flush()

    def answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def asked(self, order: object) -> str:
        """The one line that comes of an order."""
        self._send(order)
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def beside(
        self,
        run: Sequence[str] | str,
        *argv: str,
        said: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Beside:
        """The words of a command line, or a program of Python, as a process that nobody waits for; ``said`` is its
        stderr, a new file.
        """
        order: dict[str, object] = {"program": run, "argv": argv} if isinstance(run, str) else {"words": run}
        order |= {"stdout": os.devnull, "stderr": str(said), "cwd": cwd and str(cwd), "env": env and dict(env)}
        with self.lock:
            return Beside(int(self.asked({**order, "beside": True})), self)

    def run(self, words: Sequence[str], stdout: str = "", stderr: str = "") -> tuple[int, str]:
        """The exit code of a command line, and what it says on stderr; streams are files unless told otherwise."""
        said = self.folder / "stderr"
        said.write_text("")
        (self.folder / "stdout").write_text("")
        order = {"words": words, "stdout": stdout or str(self.folder / "stdout"), "stderr": stderr or str(said)}
        self._send(order)
        self.answer()
        return self.answer(), said.read_text("utf-8")

    def start(self, program: str, *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Fork:
        """A program of Python as a process, which ends as any does."""
        pipe, said = self.folder / "pipe", self.folder / "stderr"
        if not pipe.exists():
            os.mkfifo(pipe)
        said.write_text("")
        order = {"program": program, "argv": argv, "stdout": str(pipe), "stderr": str(said)}
        self._send({**order, "cwd": cwd and str(cwd), "env": env and dict(env)})
        pid = self.answer()
        return Fork(pid, os.open(pipe, os.O_RDONLY), said, self)

    def done(
        self, program: str, *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run`, of ``python -c program``."""
        return self.start(program, *argv, cwd=cwd, env=env).ended()


@contextmanager
def forks_in(folder: Path, modules: Sequence[str] = (), commands: Sequence[Sequence[str]] = ()) -> Iterator[Forks]:
    """Within the block, forks of a process that has imported the modules and run the commands."""
    runner = Forks(folder, modules, commands)
    try:
        yield runner
    finally:
        assert runner.process.stdin is not None
        assert runner.process.stdout is not None
        runner.process.stdin.close()
        runner.process.stdout.close()
        try:
            runner.process.wait(20)
        except subprocess.TimeoutExpired:  # a test failed, and left a process that waits
            with suppress(ProcessLookupError):
                runner.process.send_signal(signal.SIGKILL)
            runner.process.wait()

"""Run the command line in this process, as `weightaudit …` would."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, TextIO, cast
from unittest.mock import patch

import pytest
import typer.main

from weightaudit.cli import main, settings


@dataclass(frozen=True)
class Outcome:
    """What a user sees of one command."""

    code: int
    stdout: str
    stderr: str


_commands = cache(typer.main.get_command)
"""A process builds its commands once, and this one has hundreds of command lines."""
_toml = SimpleNamespace(loads=cache(cast(Any, settings).tomllib.loads))
"""It also reads its settings once, and where these tests are started lies a long pyproject.toml."""


@dataclass(frozen=True)
class CommandLine:
    """Call it with the words after `weightaudit`."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: object) -> Outcome:
        self.monkeypatch.setattr(sys, "argv", ["weightaudit", *map(str, words)])
        self.capsys.readouterr()
        self.monkeypatch.setattr("typer.main.get_command", _commands)
        self.monkeypatch.setattr("weightaudit.cli.settings.tomllib", _toml)
        with signals_kept(), pytest.raises(SystemExit) as ended:
            main()
        captured = self.capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)


@contextmanager
def signals_kept() -> Iterator[None]:
    """What a command does with signals and garbage until its process ends, it is not to do with those of the tests."""
    kept = {number: signal.getsignal(number) for number in signal.valid_signals()}
    hook, thresholds = sys.unraisablehook, gc.get_threshold()
    try:
        with patch.object(gc, "freeze", lambda: None):  # it is not ours to the end
            yield
    finally:
        sys.unraisablehook = hook
        gc.set_threshold(*thresholds)
        for number, handler in kept.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)


@contextmanager
def full_stdout() -> Iterator[None]:
    """stdout as a shell's `>/dev/full` leaves it."""
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        yield


def on_a_terminal(words: Sequence[str], env: Mapping[str, str]) -> tuple[int, bytes]:
    """A process's exit code, and all that it shows on a terminal of its own."""
    import pty  # which not every system has

    controller, terminal = pty.openpty()
    process = subprocess.Popen(words, stderr=terminal, stdout=terminal, env=env)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(controller)
    return process.wait(), shown


@contextmanager
def a_terminal() -> Iterator[tuple[TextIO, list[bytes]]]:
    """A stream that is a terminal of its own, and all that it has shown once the block has ended."""
    import pty  # which not every system has

    controller, terminal = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # which Linux raises when the other end is closed
            while piece := os.read(controller, 65536):
                shown.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with open(terminal, "w", encoding="utf-8") as stream:
            yield stream, shown
    finally:
        reader.join()
        os.close(controller)

"""How the process ends: its signals, and that nothing is left behind.

Ctrl-C, SIGTERM and SIGHUP stop a command in the same way: as a KeyboardInterrupt, so that whatever is under way cleans
up after itself, then with one line and 128 plus the signal's number. A second signal, or one that comes while a module
is loaded or the interpreter ends, ends the process at once; files begun are removed then too. A signal that is ignored
stays so.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from weightaudit.garbage import collect_no_more
from weightaudit.unfinished import remove_all

SAID = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
"""Signals that stop a command, each with what is said of it; Windows lacks the last."""


class Stopped(KeyboardInterrupt):
    """A signal came. A class of its own, as Python ends a process by SIGINT, whatever its exit code, where it saw a
    KeyboardInterrupt itself pass some code that was made from text.
    """


class _Stopping:
    """What has come so far. ``received`` is the first signal."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.told = False


_state = _Stopping()


def stopped() -> bool:
    """Whether a signal has come: what fails after it, fails because of it."""
    return _state.received is not None


def run(body: Callable[[], int]) -> NoReturn:
    """Exit with what ``body`` returns, or as a signal says. ``body`` tells its failures itself."""
    global _state
    _state = _Stopping()
    _listen(_first)
    sys.unraisablehook = _unraisable
    code = 0
    try:
        code = body()
    except KeyboardInterrupt:
        _state.received = _state.received or signal.SIGINT
    _listen(_again)
    if _state.received is not None:  # even if something took it for a failure of its own
        code = _tell(_state.received)
    remove_all()
    collect_no_more()
    sys.exit(code)


def _listen(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Have ``handler`` get the signals that are not ignored, nor somebody else's to answer."""
    if threading.current_thread() is not threading.main_thread():
        return  # no other may
    ours = (signal.SIG_DFL, signal.default_int_handler, _first, _again)
    for name in SAID:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in ours:
            signal.signal(number, handler)


def _first(number: int, frame: FrameType | None) -> None:
    _state.received = number
    _listen(_again)
    if _importing(frame):
        _end_at_once(number)
    raise Stopped


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: a library in native code may answer an exception there by aborting."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _again(number: int, frame: FrameType | None) -> None:
    _end_at_once(_state.received or number)


def _end_at_once(number: int) -> NoReturn:
    remove_all()
    if not _state.told:
        with suppress(OSError):  # not by sys.stderr, in the midst of whose work this may be
            os.write(2, f"{_line(number)}\n".encode())
    os._exit(128 + number)


def _tell(number: int) -> int:
    """Say once what stopped the command; its exit code."""
    if not _state.told:
        _state.told = True
        print(_line(number), file=sys.stderr, flush=True)
    return 128 + number


def _line(number: int) -> str:
    return f"weightaudit: {SAID[signal.Signals(number).name]}"


def _unraisable(caught: Any) -> None:
    """An interrupt that came where Python cannot raise, as in a destructor, ends the process all the same."""
    if issubclass(caught.exc_type, KeyboardInterrupt):
        _end_at_once(_state.received or signal.SIGINT)
    sys.__unraisablehook__(caught)

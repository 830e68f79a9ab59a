"""What a person sees when a command fails: one message on stderr and an exit code; a traceback only with --debug.

Exit codes: 0 done; 1 findings at or above a threshold; 2 wrong usage; 3 the model cannot be read, or anything else that
went wrong; 130 interrupted.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from weightaudit.cli.github import harmless
from weightaudit.errors import OutputErrors, WeightauditError, printable

P = ParamSpec("P")
LONGEST = 4000
"""Characters of a message."""


def plain_failures(command: Callable[P, None]) -> Callable[P, None]:
    """``command`` with every failure told in the way this module says. Around the body, as typer has its own ideas."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
        except BrokenPipeError:
            _abandon_stdout()  # whoever read it has seen enough
        except KeyboardInterrupt:
            raise _ended("interrupted", 130) from None
        except typer.Exit:
            raise
        except Exception as error:  # our own bugs too are told in one line
            if kwargs.get("debug"):
                raise
            *others, last = error.errors if isinstance(error, OutputErrors) else [error]
            for other in others:
                _ended(*_told(other))
            raise _ended(*_told(last)) from None

    return run


def _told(error: Exception) -> tuple[str, int]:
    if isinstance(error, WeightauditError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        _abandon_stdout()
        return f"{error.strerror or error}", 3
    # torch has no error of its own for this on a CPU.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error)):
        return "out of memory. Scan fewer roles at a time, or on a larger machine", 3
    return f"{type(error).__name__}: {error}. This is a bug; --debug shows where", 3


def _ended(message: str, code: int) -> typer.Exit:
    # Our own messages are printable already; a library's may repeat what a stranger's file says, in several lines.
    typer.echo(harmless(f"weightaudit: {printable(message, LONGEST)}"), err=True)
    return typer.Exit(code)


def _abandon_stdout() -> None:
    """Send what stdout still holds nowhere, or Python complains about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

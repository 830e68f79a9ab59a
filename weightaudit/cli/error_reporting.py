"""What a person sees when a command fails: one message on stderr and an exit code; before it a traceback with --debug
or --verbose.

Exit codes: 0 done; 1 findings at or above a threshold; 2 wrong usage; 3 the model cannot be read, or anything else that
went wrong; 128 and a signal's number where one stopped it: 130 for Ctrl-C (see `ending`). Of several
failures the highest counts.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from weightaudit.cli.process_exit import stopped
from weightaudit.cli.terminal import tell
from weightaudit.errors import OutputErrors, WeightauditError
from weightaudit.redact import without_secrets
from weightaudit.text import printable

P = ParamSpec("P")
MAX_MESSAGE_CHARS = 4000
"""Characters of a message."""
MAX_USAGE_CHARS = 400
"""Of one that repeats what was typed."""


def report_errors(command: Callable[P, None]) -> Callable[P, None]:
    """``command`` with every failure told in the way this module says. Around the body, as typer has its own ideas."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from weightaudit.cli.verbose import verbose

        try:
            with verbose(bool(kwargs.get("verbose"))):
                command(*args, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except Exception as error:  # our own bugs too are told in one line
            failures = error.errors if isinstance(error, OutputErrors) else [error]
            debug = bool(kwargs.get("debug") or kwargs.get("verbose"))
            raise typer.Exit(max(_tell(one, debug=debug) for one in failures)) from None

    return run


def exit_code(application: Callable[[], object]) -> int:
    """Run typer's ``application``, which returns or raises what came of it, and tell what no command could tell: words
    that are none of its options, or help that cannot be written.
    """
    try:
        code = application()
        if code:
            assert isinstance(code, int)
            return code
        sys.stdout.flush()
    except Exception as error:
        return _tell(error, debug=False)
    return 0


def _tell(error: Exception, *, debug: bool) -> int:
    """Say what went wrong; the exit code."""
    message, code = _told(error)
    if debug:
        print(without_secrets("".join(traceback.format_exception(error))), file=sys.stderr, end="")
    # After a signal, which is told when all has ended, libraries fail in ways of their own.
    if message and not stopped():
        # Our own messages are printable already; a library's may repeat what a stranger's file says, in several lines.
        # An address that was typed may be a key to the file, and is repeated where it is the fault.
        tell(f"weightaudit: {printable(without_secrets(message), MAX_MESSAGE_CHARS)}")
    return code


def _told(error: Exception) -> tuple[str, int]:
    if isinstance(error, WeightauditError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # typer's errors of usage, whose classes move from version to version
        return _usage(error), getattr(error, "exit_code", 2)
    if isinstance(error, OSError):
        said = error.strerror or str(error)
        return f"{error.filename}: {said}" if error.filename else said, 3
    # torch has no error of its own for this on a CPU.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error)):
        return "out of memory. Scan fewer roles at a time, or on a larger machine", 3
    if isinstance(error, ModuleNotFoundError) and (package := (error.name or "").partition(".")[0]) != "weightaudit":
        return f"{package}: it is not installed, and this cannot be done without it. pip install {package}", 3
    return f"{type(error).__name__}: {error}. This is a bug; --debug shows where", 3


def _usage(error: Exception) -> str:
    """What is wrong with the words of a command, in one line; nothing where there were none and help has been shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return ""
    message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]  # it has one
    message = message.replace("Value error, ", "")  # of a choice, in some versions of typer
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "weightaudit"
    shown = printable(message, MAX_USAGE_CHARS)
    return f"{shown}{'' if shown.endswith('?') else '.'} See '{path} --help'"

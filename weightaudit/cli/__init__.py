"""The command line. stdout is data, stderr is talk; every failure is one message and an exit code.

Exit codes: 0 done; 1 findings at or above a threshold; 2 wrong usage; 3 the model cannot be read.
"""

from __future__ import annotations

import os
import sys

import typer

from weightaudit.cli.archs import archs
from weightaudit.cli.options import show_version
from weightaudit.cli.scan import scan
from weightaudit.errors import WeightauditError

app = typer.Typer(
    name="weightaudit",
    help="What is inside a pretrained language model's weights: certified norms and stable ranks of every matrix.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(scan)
app.command()(archs)
app.callback()(show_version)


def main() -> None:
    """Run the command line in this process and exit."""
    debug = "--debug" in sys.argv[1:]
    try:
        app()
    except WeightauditError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written", 130)
    except BrokenPipeError:
        # The reader of stdout has gone; say nothing, and keep Python from complaining at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # the promise "a traceback only with --debug" holds for our own bugs too
        if debug:
            raise
        _fail(f"{type(error).__name__}: {error}. This is a bug; --debug shows where.", 3)


def _fail(message: str, code: int) -> None:
    typer.echo(f"weightaudit: {message}", err=True)
    sys.exit(code)

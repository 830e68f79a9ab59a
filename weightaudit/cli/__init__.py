"""The command line. stdout is data, stderr is talk; every failure is one message and an exit code (see `failures`).

Nothing is imported before `main` listens for signals, so that Ctrl-C is answered while the commands are loaded too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from weightaudit.cli.commands import app as app


def main() -> NoReturn:
    """Run the command line in this process and exit."""
    try:
        from weightaudit.cli import process_exit
    except KeyboardInterrupt:  # before anything listens
        print("weightaudit: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    process_exit.run(_run)


def _run() -> int:
    from weightaudit.cli.error_reporting import exit_code
    from weightaudit.cli.terminal import make_stdout_lossy
    from weightaudit.garbage import collect_seldom
    from weightaudit.streams import protect

    collect_seldom()
    make_stdout_lossy()
    protect()

    def run_app() -> object:
        from weightaudit.cli.commands import app
        from weightaudit.cli.completion import keep_help_on_one_line

        keep_help_on_one_line()
        return app(prog_name="weightaudit", standalone_mode=False)

    return exit_code(run_app)


def __getattr__(name: str) -> object:
    if name == "app":
        from weightaudit.cli.commands import app

        return app
    raise AttributeError(f"module 'weightaudit.cli' has no attribute {name!r}")

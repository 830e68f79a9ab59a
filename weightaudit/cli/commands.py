"""All commands, as one application of typer's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from weightaudit.version import __version__

NAMES = ("scan", "diff", "merge-check", "merge", "batch", "compare", "advise", "archs", "rules", "paper")
"""The commands in the order in which help lists them. Each is what its module of the same name calls so."""


class _Commands(Mapping[str, Any]):
    """Name → command, made when it is asked for: to import them all and read their options takes as long as to run one
    of them.
    """

    def __getitem__(self, name: str) -> Any:
        if name not in NAMES:
            raise KeyError(name)
        return _made(name)

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


@cache
def _made(name: str) -> Any:
    from weightaudit.cli.error_reporting import report_errors
    from weightaudit.cli.strict_command import command_of

    called = name.replace("-", "_")
    function = getattr(import_module(f"weightaudit.cli.{called}"), called)
    return typer.main.get_group(function) if isinstance(function, typer.Typer) else command_of(report_errors(function))


class CommandGroup(TyperGroup):
    """The whole command line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]  # none is added to it

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, without a command being made."""
        return list(NAMES)


app = typer.Typer(
    cls=CommandGroup,
    name="weightaudit",
    help="What is inside a pretrained language model's weights: certified norms and stable ranks of every matrix.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"weightaudit {__version__}")
        raise typer.Exit


@app.callback()
def show_version(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What is inside a pretrained language model's weights: certified norms and stable ranks of every matrix."""

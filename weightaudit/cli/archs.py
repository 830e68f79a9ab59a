"""``weightaudit archs [NAME]``."""

from __future__ import annotations

from typing import Annotated

import typer

from weightaudit.cli import options


def archs(
    name: Annotated[str | None, typer.Argument(help="A family or model type.", show_default=False)] = None,
    debug: options.Debug = False,
) -> None:
    """List the model families known, or show how one is mapped."""
    from weightaudit.architecture import families, family

    if name is None:
        for known in families():
            typer.echo(known)
    else:
        typer.echo(family(name))

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

    if name is not None:
        typer.echo(family(name).describe())
        return
    for known in families():
        typer.echo(f"{known.name:<10} {', '.join(known.model_types)}")
        typer.echo(f"{'':<10} roles {' '.join(known.roles)}")
        if known.packings:
            typer.echo(f"{'':<10} fused tensors packed {', '.join(known.packings)}")
    typer.echo("Any other model type is mapped by common projection names, and its roles are marked as guessed.")

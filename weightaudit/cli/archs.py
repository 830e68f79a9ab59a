"""``weightaudit archs [NAME]`` and ``weightaudit archs --check MODEL``."""

from __future__ import annotations

from typing import Annotated

import typer

from weightaudit.cli import options
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import say
from weightaudit.config import AuditConfig


@with_scan_options(only=("revision", "token", "offline"))
def archs(
    name: Annotated[str | None, typer.Argument(help="A family or model type.", show_default=False)] = None,
    check: Annotated[
        str | None,
        typer.Option(help="A model: say from headers alone how each of its tensors would be read.", show_default=False),
    ] = None,
    *,
    config: AuditConfig,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """List the model families known, show how one is mapped, or how a model would be read."""
    from weightaudit.architecture import families, family

    if check is not None:
        for line in _reading(check, config):
            say(line)
        return
    if name is not None:
        typer.echo(family(name).describe())
        return
    for known in families():
        say(f"{known.name:<10} {', '.join(known.model_types)}")
        say(f"{'':<10} roles {' '.join(known.roles)}")
        if known.packings:
            say(f"{'':<10} fused tensors packed {', '.join(known.packings)}")
    say("Any other model type is mapped by common projection names, and its roles are marked as guessed.")


def _reading(model: str, config: AuditConfig) -> list[str]:
    """One line a tensor, then where config and checkpoint contradict each other, then the counts."""
    from collections import Counter

    from weightaudit.audit import read_map
    from weightaudit.text import listed, printable

    found = read_map(model, config)
    guessed = ", roles guessed by structure" if found.guessed else ""
    near = f", nearest known: {', '.join(found.nearest)}" if found.nearest else ""
    lines = [f"model type {printable(found.model_type) or '(none)'}, family {found.family}{guessed}{near}"]
    places: dict[str, set[str]] = {}
    for matrix in found.matrices:
        for tensor in matrix.tensors:
            places.setdefault(tensor, set()).add(matrix.place.module.words())
    for entry in found.coverage:
        shape = "×".join(map(str, entry.shape)) or "scalar"
        said = " ".join(dict.fromkeys(entry.roles)) if entry.roles else f"{entry.status}: {entry.detail}"
        at = sorted(places.get(entry.tensor, ()))
        where = "" if not at or at == [""] else f" ({listed(at, 1)})"
        lines.append(f"{printable(entry.tensor, limit=200)}  {shape}  {said}{where}")
    lines += [f"{told.kind}: {told.says}" for told in found.discrepancies]
    lines += [f"note: {note}" for note in found.notes]
    counts = Counter(entry.status for entry in found.coverage)
    lines.append(", ".join(f"{counts[status]} {status}" for status in ("analysed", "ignored", "unmapped")))
    return lines

"""``weightaudit archs [NAME]`` and ``weightaudit archs --check MODEL``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightaudit.cli import completion, options
from weightaudit.cli.formats import TEXT, show_data
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import say
from weightaudit.config import AuditConfig
from weightaudit.text import listed, printable

if TYPE_CHECKING:
    from weightaudit.architecture.schema import Family
    from weightaudit.records import ModelMap


@with_scan_options(only=("all", "spec", "revision", "token", "offline"))
def archs(
    name: Annotated[
        str | None,
        typer.Argument(help="A family or model type.", show_default=False, autocompletion=completion.families),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(help="A model: say from headers alone how each of its tensors would be read.", show_default=False),
    ] = None,
    *,
    format: options.Listing = TEXT,
    config: AuditConfig,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """List the model families known, show how one is mapped, or how a model would be read."""
    from weightaudit.architecture import families, family, read_spec

    if check is not None:
        from weightaudit.audit import read_map

        found = read_map(check, config)
        if format == TEXT:
            for line in _reading(found):
                say(line)
        else:
            show_data(_reading_data(found))
        return
    if name is not None or config.spec is not None:
        known = read_spec(config.spec) if name is None and config.spec is not None else family(name or "")
        if format == TEXT:
            typer.echo(known.describe())
        else:
            show_data(_data(known))
        return
    if format != TEXT:
        show_data({"families": [_data(known) for known in families()]})
        return
    for known in families():
        say(f"{known.name:<10} {', '.join(known.model_types)}")
        say(f"{'':<10} roles {' '.join(known.roles)}")
        if known.packings:
            say(f"{'':<10} fused tensors packed {', '.join(known.packings)}")
    say("Any other model type is mapped by common projection names, and its roles are marked as guessed.")


def _data(known: Family) -> dict[str, Any]:
    """All that a family says, with the roles and the layouts that follow from it."""
    return {**asdict(known), "roles": known.roles, "packings": known.packings}


def _places(found: ModelMap) -> dict[str, set[str]]:
    """Tensor → the modules that its matrices stand in."""
    places: dict[str, set[str]] = {}
    for matrix in found.matrices:
        for tensor in matrix.tensors:
            places.setdefault(tensor, set()).add(matrix.place.module.words())
    return places


def _reading_data(found: ModelMap) -> dict[str, Any]:
    """The same as `_reading`, as data."""
    places = _places(found)
    return {
        "model_type": found.model_type,
        "family": found.family,
        "guessed": found.guessed,
        "nearest": found.nearest,
        "tensors": [
            {
                "name": entry.tensor,
                "shape": entry.shape,
                "status": entry.status,
                "roles": list(dict.fromkeys(entry.roles)),
                "detail": entry.detail,
                "places": sorted(places.get(entry.tensor, {""}) - {""}),
            }
            for entry in found.coverage
        ],
        "contradictions": [{"kind": told.kind, "says": told.says} for told in found.discrepancies],
        "notes": found.notes,
        "counts": Counter(entry.status for entry in found.coverage),
    }


def _reading(found: ModelMap) -> list[str]:
    """One line a tensor, then where config and checkpoint contradict each other, then the counts."""
    guessed = ", roles guessed by structure" if found.guessed else ""
    near = f", nearest known: {', '.join(found.nearest)}" if found.nearest else ""
    lines = [f"model type {printable(found.model_type) or '(none)'}, family {found.family}{guessed}{near}"]
    places = _places(found)
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

"""What a checkpoint lacks of the model that its config describes, as sentences for the reader."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import groupby

from weightaudit.architecture.dimensions import Dimensions
from weightaudit.architecture.schema import Family
from weightaudit.records import LAYER_ROLES

ESSENTIAL = ("Q", "K", "V", "O", "M1", "M2")
"""Roles that every layer has where the family has them; others (cross-attention) a whole model may lack."""
OF_EVERY_LAYER = tuple(role for role in LAYER_ROLES if not role.startswith("SHARED_"))
"""Roles that every layer has if one has them; experts, routers and a family's own roles may be in some layers only."""
LIMIT = 8
"""Ranges of layers written out at most."""


def absences_of_stacks(
    family: Family, dimensions: Dimensions, found: Collection[tuple[str, int | None, str]]
) -> tuple[str, ...]:
    """`absences` of the encoder and of the decoder where the checkpoint has them; ``found``: (stack, layer, role)."""
    stacks = sorted({stack for stack, layer, _ in found if layer is not None}) or [""]
    notes: list[str] = []
    for stack in stacks:
        own = {(layer, role) for other, layer, role in found if other == stack or layer is None}
        said = absences(family, dimensions.of(stack)["layers"], own)
        notes += [f"{stack.capitalize()}: {note}" if stack else note for note in said]
    return tuple(notes)


def absences(family: Family, layers: int, found: Collection[tuple[int | None, str]]) -> tuple[str, ...]:
    """Layers and roles that the checkpoint lacks; () for a whole model, or for one that lacks only what may be absent.

    ``found`` has (layer, role) of every tensor that a rule of ``family`` fits, measurable or not; ``layers`` is the
    config's number.
    """
    present = {layer for layer, _ in found if layer is not None}
    notes = [*absent_layers(layers, present), *_absent_roles(family, present, found)]
    if "EMBED" in family.roles and (None, "EMBED") not in found:
        notes.append("The checkpoint has no EMBED.")
    return tuple(notes)


def absent_layers(layers: int, present: Collection[int]) -> list[str]:
    """One sentence where fewer than the config's ``layers`` are ``present``, else none."""
    if len(present) >= layers:
        return []
    has = f"config.json has {layers} {'layer' if layers == 1 else 'layers'}"
    return [f"{has}; the checkpoint holds {f'only {_layers(present)}' if present else 'no matrix of any'}."]


def _absent_roles(family: Family, present: Collection[int], found: Collection[tuple[int | None, str]]) -> Iterable[str]:
    if family.hybrid:
        return
    of_a_layer = {role for rule in family.matrices if "{layer}" in rule.names[0] for role in rule.roles}
    lacking: dict[tuple[int, ...], list[str]] = {}  # the layers that lack them → roles
    for role in (role for role in family.roles if role in of_a_layer):
        without = tuple(sorted(layer for layer in present if (layer, role) not in found))
        everywhere = len(without) == len(present)
        if without and (role in ESSENTIAL or (role in OF_EVERY_LAYER and not everywhere)):
            lacking.setdefault(without, []).append(role)
    for without, roles in lacking.items():
        if len(without) == len(present) > 1:
            yield f"No layer has {' or '.join(roles)}."
        else:
            verb = "lacks" if len(without) == 1 else "lack"
            yield f"{_layers(without).capitalize()} {verb} {', '.join(roles)}."


def _layers(numbers: Collection[int]) -> str:
    """``layer 3``, ``layers 0-3, 7``; what is too long is cut."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])]
    shown = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:LIMIT])
    more = f", … ({len(numbers)} in all)" if len(runs) > LIMIT else ""
    return f"layer{'s' if len(numbers) > 1 else ''} {shown}{more}"

"""What a checkpoint lacks of the model that its config describes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import count, islice
from typing import Any

from weightaudit.architecture.dimensions import Dimensions
from weightaudit.architecture.expressions import evaluate, names_in
from weightaudit.architecture.schema import ANY, Family
from weightaudit.records import LAYER_ROLES, TOWERS, Discrepancy
from weightaudit.text import printable, ranges

ESSENTIAL = ("Q", "K", "V", "O", "M1", "M2")
"""Roles that every layer has where the family has them; others (cross-attention) a whole model may lack."""
OF_EVERY_LAYER = tuple(role for role in LAYER_ROLES if not role.startswith("SHARED_"))
"""Roles that every layer has if one has them; experts, routers and a family's own roles may be in some layers only."""
MAX_RANGES_NAMED = 8
"""Ranges of layers written out at most."""
MOST_LAYERS = 1024
"""Absent layers listed in a record at most: a config may claim any number."""
WITH_HEAD = ("ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForConditionalGeneration", "ForPreTraining")
"""How transformers' classes with an output head end."""
HEADLESS = ("ElectraForPreTraining",)
"""Classes that end so and predict no tokens."""
WITHOUT_EMBED = ("ForAudioClassification",)
"""How classes end that read no tokens: the encoder of Whisper alone."""


def absences_of_stacks(
    family: Family,
    config: Mapping[str, Any],
    dimensions: Dimensions,
    found: Collection[tuple[str, int | None, str]],
    besides: Collection[str] = (),
) -> tuple[Discrepancy, ...]:
    """`absences` of each stack that the checkpoint has, but for the towers ``besides``, which may be left out.

    ``found``: (stack, layer, role).
    """
    numbered = {stack: set[tuple[int, str]]() for stack, layer, _ in found if layer is not None}
    for stack, layer, role in found:
        if layer is not None:
            numbered[stack].add((layer, role))
    told: list[Discrepancy] = []
    for stack in sorted(numbered.keys() - set(TOWERS)) or [""]:
        told += absences(
            family,
            dimensions.of(stack).get("layers", len({layer for layer, _ in numbered.get(stack, ())})),
            numbered.get(stack, ()),
            stack,
            partial(_sizes_of, dimensions, stack),
        )
    told += absences_of_towers(dimensions, found, besides)
    tokens = not class_of(config).endswith(WITHOUT_EMBED)
    if tokens and "EMBED" in family.roles and not any(role == "EMBED" for _, _, role in found):
        told.append(Discrepancy("missing", "The checkpoint has no EMBED.", role="EMBED"))
    return tuple(told)


def absences_of_towers(
    dimensions: Dimensions, found: Collection[tuple[str, int | None, str]], besides: Collection[str] = ()
) -> list[Discrepancy]:
    """What towers lack of the layers and roles that they show, but for the stacks ``besides``."""
    told: list[Discrepancy] = []
    for tower in (stack for stack in TOWERS if stack not in besides):
        own = {(layer, role) for stack, layer, role in found if stack == tower and layer is not None}
        if own:
            told += _absences_of_tower(own, dimensions.of(tower).get("layers", 0), tower)
    return told


def _absences_of_tower(found: Collection[tuple[int, str]], layers: int, stack: str) -> Iterable[Discrepancy]:
    """A tower's layers are alike: each has the roles that any of them has. ``layers`` is 0 where no config says it."""
    present = {layer for layer, _ in found}
    yield from absent_layers(layers, present, stack)
    roles = sorted({role for _, role in found}, key=LAYER_ROLES.index)
    lacking = {role: tuple(sorted(layer for layer in present if (layer, role) not in found)) for role in roles}
    yield from _told({role: without for role, without in lacking.items() if without}, present, stack)


def without_head(
    family: Family, config: Mapping[str, Any], found: Collection[tuple[str, int | None, str]]
) -> list[Discrepancy]:
    """The absence of an output head that nothing else can stand in for: the config ties it to no other tensor."""
    named = class_of(config)
    if not named.endswith(WITH_HEAD) or named in HEADLESS:
        return []
    if "HEAD" not in family.roles or any(role == "HEAD" for _, _, role in found):
        return []
    says = (
        f"The checkpoint has no HEAD: {printable(named, 100)} has an output head and the config ties it to no "
        "embedding, so a loader would start it at random."
    )
    return [Discrepancy("missing", says, role="HEAD")]


def class_of(config: Mapping[str, Any]) -> str:
    """The class of transformers that saved the model, "" where the config names none."""
    listed = config.get("architectures")
    named = listed[0] if isinstance(listed, list) and listed else ""
    return named if isinstance(named, str) else ""


def absences(
    family: Family,
    layers: int,
    found: Collection[tuple[int, str]],
    stack: str = "",
    sizes_of: Callable[[int], Mapping[str, int]] | None = None,
) -> tuple[Discrepancy, ...]:
    """Layers and roles of layers that a stack lacks; () for a whole one, or one that lacks only what may be absent.

    ``found`` has (layer, role) of every tensor that a rule of ``family`` fits, measurable or not; ``layers`` is the
    config's number; ``sizes_of`` gives the dimensions of one layer, where the config says them of each.
    """
    present = {layer for layer, _ in found}
    told = absent_layers(layers, present, stack, said_by=family.config_name)
    return (*told, *_absent_roles(family, present, found, stack, sizes_of))


def absent_layers(
    layers: int, present: Collection[int], stack: str = "", *, said_by: str = "config.json"
) -> list[Discrepancy]:
    """One discrepancy where fewer than the config's ``layers`` are ``present``, else none; it lists at most
    `MOST_LAYERS`.
    """
    if len(present) >= layers:
        return []
    begun = said_by if stack or said_by == "config.json" else said_by.capitalize()
    has = f"{begun} has {layers} {'layer' if layers == 1 else 'layers'}"
    says = f"{has}; the checkpoint holds {f'only {layers_said(present)}' if present else 'no matrix of any'}."
    lacking = islice((layer for layer in count() if layer not in present), min(layers - len(present), MOST_LAYERS))
    return [Discrepancy("missing", in_stack(stack, says), stack, tuple(lacking))]


def _absent_roles(
    family: Family,
    present: Collection[int],
    found: Collection[tuple[int, str]],
    stack: str,
    sizes_of: Callable[[int], Mapping[str, int]] | None,
) -> Iterable[Discrepancy]:
    if family.hybrid:
        return
    of_a_layer = {role for rule in family.matrices if "{layer}" in rule.names[0] for role in rule.roles}
    lacking: dict[str, tuple[int, ...]] = {}  # role → the layers that lack it
    for role in (role for role in family.roles if role in of_a_layer):
        elsewhere = [other for group in family.alternatives if role not in group for other in group]
        elsewhere = elsewhere if any(role in group for group in family.alternatives) else []
        without = tuple(
            layer
            for layer in sorted(present)
            if (layer, role) not in found
            and not any((layer, other) in found for other in elsewhere)
            and not (sizes_of is not None and _empty(family, role, sizes_of(layer)))
        )
        everywhere = not any((layer, role) in found for layer in present)
        if without and (role in ESSENTIAL or (role in OF_EVERY_LAYER and not everywhere)):
            lacking[role] = without
    yield from _told(lacking, present, stack)


def _sizes_of(dimensions: Dimensions, stack: str, layer: int) -> Mapping[str, int]:
    return dimensions.of(stack, layer)


def _empty(family: Family, role: str, sizes: Mapping[str, int]) -> bool:
    """Whether a role, or one of those that stand or fall with it, has no rows or columns by the sizes of a layer."""
    together = next((group for group in family.alternatives if role in group), (role,))
    return any(
        not evaluate(size, sizes)
        for rule in family.matrices
        if set(rule.roles) & set(together) and "{layer}" in rule.names[0]
        for size in (*rule.rows, rule.cols)
        if size != ANY and all(name in sizes for name in names_in(size))
    )


def _told(lacking: Mapping[str, tuple[int, ...]], present: Collection[int], stack: str) -> Iterable[Discrepancy]:
    """One discrepancy for the roles that the same layers lack."""
    together: dict[tuple[int, ...], list[str]] = {}
    for role, without in lacking.items():
        together.setdefault(without, []).append(role)
    for without, roles in together.items():
        if len(without) == len(present) > 1:
            says = f"No layer has {' or '.join(roles)}."
        else:
            verb = "lacks" if len(without) == 1 else "lack"
            says = f"{layers_said(without).capitalize()} {verb} {', '.join(roles)}."
        yield Discrepancy("missing", in_stack(stack, says), stack, without, role=" ".join(roles))


def in_stack(stack: str, says: str) -> str:
    """The sentence, said of a stack."""
    return f"{stack.capitalize()}: {says}" if stack else says


def layers_said(numbers: Collection[int]) -> str:
    """``layer 3``, ``layers 0-3, 7``; what is too long is cut."""
    return numbers_said("layer", numbers)


def numbers_said(word: str, numbers: Collection[int]) -> str:
    """``expert 3``, ``experts 0-3, 7``; what is too long is cut."""
    runs = ranges(numbers).split(",")
    shown = ", ".join(runs[:MAX_RANGES_NAMED])
    more = f", … ({len(numbers)} in all)" if len(runs) > MAX_RANGES_NAMED else ""
    return f"{word}{'s' if len(numbers) > 1 else ''} {shown}{more}"

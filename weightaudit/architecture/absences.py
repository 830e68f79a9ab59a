"""What a checkpoint lacks, told so that one cause is one discrepancy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from weightaudit.architecture.completeness import Absent, Expected, Lacking, Role, Stack
from weightaudit.architecture.dimensions import Dimensions, inner_config
from weightaudit.architecture.inventory import Inventory, inventory_of
from weightaudit.architecture.matching import Matcher
from weightaudit.architecture.missing import (
    absences_of_stacks,
    absences_of_towers,
    absent_layers,
    class_of,
    in_stack,
    layers_said,
    numbers_said,
    without_head,
)
from weightaudit.architecture.schema import Family
from weightaudit.records import LAYER_ROLES, TOWERS, Discrepancy, TensorInfo
from weightaudit.text import printable

MOST_NAMED = 8
"""Tensors, or roles, named in one sentence at most."""
_NORM = re.compile(r"(?i)norm|(?:^|\.)ln_")

BASES = ("Model", "TextModel")
"""How the classes of a language model without a head end: what a model of images and text holds of one."""


class Account:
    """What the inventories of a model's type, and of the language model within it, say of a checkpoint."""

    def __init__(
        self,
        family: Family,
        model_type: str,
        config: Mapping[str, Any],
        dimensions: Dimensions,
        tied: bool,
        held: Mapping[str, TensorInfo],
        matcher: Matcher,
        roles: Collection[Role],
    ) -> None:
        """``held`` is by canonical name; ``roles`` are those of the matrices that are there, measurable or not."""
        self._family = family
        self._config = config
        self._dimensions = dimensions
        self._tied = tied
        self._held = held
        self._matcher = matcher
        self._roles = roles
        self._named = class_of(config)
        outer = inventory_of(model_type)
        self._ending = _ending(outer, self._named)
        self._expected: list[Expected] = []
        self._whole = outer is not None
        inner: Inventory | None = None
        if outer is not None and outer.has_inner(self._ending):
            part, inner_type = inner_config(config, "")
            inner = inventory_of(inner_type)
            base = next((one for one in BASES if inner is not None and one in inner.classes), None)
            self._whole = inner is not None and base is not None
            if inner is not None and base is not None:
                self._expected.append(self._of(inner, base, part, outer))
        if outer is not None:
            self._expected.append(self._of(outer, self._ending, config, inner))

    def _of(
        self, inventory: Inventory, ending: str | None, config: Mapping[str, Any], beside: Inventory | None
    ) -> Expected:
        matcher, roles = self._matcher, self._roles
        return Expected(inventory, ending, config, self._dimensions, self._tied, self._held, matcher, roles, beside)

    def missing(self) -> list[Discrepancy]:
        """What the checkpoint lacks. What no inventory tells the roles that are found tell by themselves."""
        lacking = [one.lacking() for one in self._expected]
        found = told(
            Lacking(tuple(s for one in lacking for s in one.stacks), tuple(s for one in lacking for s in one.slots)),
            self._held,
            self._named,
        )
        present = {(stack, layer, role) for stack, layer, _, role in self._roles}
        judged = {stack for one in self._expected for stack in one.stacks()} if self._whole else set()
        of_text = any(one.stacks(expected=True) - set(TOWERS) for one in self._expected)
        if self._whole and (of_text or self._ending is not None):
            found += absences_of_towers(self._dimensions, present, judged)
        else:  # the class is not known, and in no stack of text have all that it may be a part
            found += absences_of_stacks(self._family, self._config, self._dimensions, present, judged)
        if self._ending is None and not (
            self._tied and any(rule.tied_to for rule in self._family.matrices if "HEAD" in rule.roles)
        ):
            found += without_head(self._family, self._config, present)
        return found

    def misshapen(self) -> list[tuple[TensorInfo, tuple[int | None, ...]]]:
        """(tensor, the shape that it should have) of those that have another."""
        return [one for expected in self._expected for one in expected.misshapen()]


def _ending(inventory: Inventory | None, named: str) -> str | None:
    if inventory is None or not named.startswith(inventory.stem):
        return None
    ending = named.removeprefix(inventory.stem)
    return ending if ending in inventory.classes else None


def told(lacking: Lacking, held: Collection[str], named: str) -> list[Discrepancy]:
    """The absences as discrepancies; ``held`` are the canonical names that are there, ``named`` is the class.

    Where whole layers are absent all else that is absent is told with them: a lost shard takes part of a layer, and
    what lies outside. Modules of which nothing is there are told whole; norms and biases together, but for those of a
    module within another, which go with its matrices.
    """
    # A module list that lies in no module is told by its layers.
    modules = {_top(name) for name in held} | {stack.name for stack in lacking.stacks if "." not in stack.name}
    plain = {kind: [slot for slot in lacking.slots if _kind(slot) == kind] for kind in ("norms", "biases", "")}
    gone: dict[str, list[Absent]] = {
        _top(stack.name): [] for stack in lacking.stacks if _top(stack.name) not in modules
    }
    rest: list[Absent] = []
    for slot in plain[""]:
        if slot.others or _top(slot.name) in modules:
            rest.append(slot)
        else:
            gone.setdefault(_top(slot.name), []).append(slot)
    whole = [_module(module, slots, named) for module, slots in gone.items()]
    layers = {(slot.list, slot.layer) for slot in rest}
    names = {slot.name.rpartition(".")[0] for slot in rest}
    emptied = {_parent(slot.name) for slot in rest if slot.layer is None} - {_parent(name) for name in held}
    alone: dict[str, list[Absent]] = {}
    for kind in ("norms", "biases"):
        for slot in plain[kind]:
            if slot.layer is not None and (slot.list, slot.layer) in layers:
                rest += [slot] if slot.name.rpartition(".")[0] not in names else []  # a bias goes with its matrix
            elif slot.layer is None and _parent(slot.name) in emptied:
                rest.append(slot)
            elif _top(slot.name) not in gone:
                alone.setdefault(kind, []).append(slot)
    found = _by_place(rest)
    for kind, slots in alone.items():
        found += _together(_by_place(slots), kind)
    stacks = [one for stack in lacking.stacks if _top(stack.name) not in gone for one in _whole(stack)]
    if not stacks:
        return [*whole, *found]
    says = " ".join(one.says for one in (*stacks, *found, *whole))
    return [replace(stacks[0], says=says) if len(stacks) == 1 else Discrepancy("missing", says)]


def _top(name: str) -> str:
    return name.partition(".")[0]


def _parent(name: str) -> str:
    """The module that holds a tensor's own: "cls.transform" of "cls.transform.dense.weight"; "" for none."""
    return ".".join(name.split(".")[:-2])


def _kind(slot: Absent) -> str:
    """What is told together wherever it is absent."""
    if slot.roles or slot.others:
        return ""
    if _NORM.search(slot.name):
        return "norms"
    return "biases" if slot.name.endswith("bias") and slot.layer is not None else ""


def _together(found: list[Discrepancy], kind: str) -> list[Discrepancy]:
    if len(found) < 2:
        return found
    says = " ".join(one.says for one in found)
    return [Discrepancy("missing", f"The checkpoint lacks {kind}. {says}")]


def _whole(stack: Stack) -> list[Discrepancy]:
    return absent_layers(stack.layers, stack.present, stack.stack)


def _module(module: str, slots: Iterable[Absent], named: str) -> Discrepancy:
    """Nothing is there of a module: a tower, a head."""
    roles = list(dict.fromkeys(role for slot in slots if slot.layer is None for role in slot.roles))
    what = f"{', '.join(roles)} ({module})" if roles else module
    which = printable(named, 100) if named else "the model"
    says = f"The checkpoint has no {what}: {which} has one, and a loader would start it at random."
    return Discrepancy("missing", says, role=" ".join(roles))


def _by_place(slots: Iterable[Absent]) -> list[Discrepancy]:
    slots = list(slots)
    return [*_in_layers(slots), *_outside(slots)]


def _in_layers(slots: Iterable[Absent]) -> list[Discrepancy]:
    """One for each set of layers, and of experts, that lack the same."""
    layers_of: dict[tuple[str, str, int | None, str], list[int]] = {}
    for slot in slots:
        if slot.layer is not None:
            for what in _labels(slot):
                layers_of.setdefault((slot.list, slot.stack, slot.expert, what), []).append(slot.layer)
    together: dict[tuple[str, str, tuple[int, ...], int | None], list[str]] = {}
    for (name, stack, expert, what), layers in layers_of.items():
        together.setdefault((name, stack, tuple(dict.fromkeys(layers)), expert), []).append(what)
    alike: dict[tuple[str, str, tuple[int, ...], tuple[str, ...]], list[int]] = {}
    for (name, stack, where, one), labels in together.items():
        alike.setdefault((name, stack, where, tuple(labels)), []).extend([] if one is None else [one])
    return [_lack(stack, where, labels, experts) for (_, stack, where, labels), experts in alike.items()]


def _labels(slot: Absent) -> tuple[str, ...]:
    if slot.others:
        return (" or ".join(dict.fromkeys((slot.name, *slot.others))),)
    return slot.roles or (slot.name.removeprefix(f"{slot.list}.{slot.layer}."),)


def _lack(stack: str, layers: tuple[int, ...], labels: Sequence[str], experts: Sequence[int]) -> Discrepancy:
    roles = sorted((label for label in labels if label.isupper()), key=_place)
    others = [label for label in labels if not label.isupper()]
    verb = "lacks" if len(layers) == 1 else "lack"
    whose = f" of {numbers_said('expert', experts)}" if experts else ""
    says = f"{layers_said(layers).capitalize()} {verb} {_named([*roles, *others])}{whose}."
    expert = experts[0] if len(experts) == 1 else None
    return Discrepancy("missing", in_stack(stack, says), stack, layers, expert, " ".join(roles))


def _place(role: str) -> int:
    return LAYER_ROLES.index(role) if role in LAYER_ROLES else len(LAYER_ROLES)


def _named(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
    return ", ".join(labels[:MOST_NAMED]) + more


def _outside(slots: Iterable[Absent]) -> list[Discrepancy]:
    """One for each module outside the layers that is there in part."""
    by_module: dict[str, list[Absent]] = {}
    for slot in slots:
        if slot.layer is None:
            by_module.setdefault(_top(slot.name), []).append(slot)
    found = []
    for absent in by_module.values():
        roles = list(dict.fromkeys(role for slot in absent for role in slot.roles))
        names = _named([slot.name for slot in absent])
        what = f"{', '.join(roles)} ({names})" if roles else names
        found.append(Discrepancy("missing", f"The checkpoint has no {what}.", role=" ".join(roles)))
    return found

"""What a checkpoint of a model type and class holds: every tensor, as ``inventory.json`` says it.

The file is written by ``python -m tests.architecture.inventories`` from classes of transformers, which this room does
not import.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from weightaudit.architecture.dimensions import MAX_SIZE
from weightaudit.errors import SpecError

TIED = "tied"
"""What conditions call that head and embedding are one tensor."""
LABELS = "labels"
"""What shapes call the number of labels of a classifier."""
REST = "rest"
"""The part that every layer but the first has."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_BETWEEN = re.compile(r"\.(?![^{}]*\})")
"""A dot between components: an expression may have some too."""
_NUMBER = re.compile("0|[1-9][0-9]{0,17}")
_DEPTH = 3
"""Configs within configs that are read; the deepest known (a composite's vision model) is of the third level."""


@dataclass(frozen=True)
class Slot:
    """A tensor, or one of each layer, that models of a type hold.

    ``name`` is canonical; in braces it has how many of a kind there are, an expression over numbers of the config.
    ``shape`` has such expressions, or ANY; None where even the number of dimensions is not told.
    ``when`` are conditions: a key of the config and the values for which the slot is there, or whether it must be true
    (as Python takes it). ``classes`` are the endings of the names of the classes that have it, () for all. ``part``
    names the part of a layer that it belongs to, where not every layer has it. ``sure`` says that its conditions tell
    when it is there; one that is not is missed only beside its equals in other layers, outside layers never.
    """

    name: str
    shape: tuple[str, ...] | None = None
    when: tuple[tuple[str, bool | tuple[Any, ...]], ...] = ()
    classes: tuple[str, ...] = ()
    part: str = ""
    sure: bool = True

    def of(self, ending: str | None) -> bool:
        """Whether the class whose name ends so has it; every class has it where ``ending`` is None."""
        return not self.classes or ending in self.classes


@dataclass(frozen=True)
class Inventory:
    """The slots of one model type.

    ``stem`` begins the names of its ``classes``. ``alternatives`` are parts of which each layer has just one.
    ``defaults`` are the values of the configuration class for the keys that slots read. ``optional`` are names of
    modules that a class is saved without when it was built so: all of one may be absent. ``tied`` has, by name, the
    other names of what is tied to it. ``inner`` says that the slots of the language model within are not here: they are
    those of its own type; ``inner_of`` are the classes that have one, () for all. ``lists`` are the templates of module
    lists, each with how many there are.
    """

    stem: str
    classes: tuple[str, ...]
    slots: tuple[Slot, ...]
    alternatives: tuple[tuple[str, ...], ...]
    defaults: Mapping[str, Any]
    optional: tuple[str, ...]
    tied: Mapping[str, tuple[str, ...]]
    inner: bool
    inner_of: tuple[str, ...]
    lists: Mapping[tuple[str, ...], str]

    def has_inner(self, ending: str | None) -> bool:
        """Whether the class whose name ends so has a language model within; a class that is not known may have none."""
        return self.inner and (not self.inner_of or ending in self.inner_of)


def numbers_of(config: Mapping[str, Any], dimensions: Mapping[str, int], defaults: Mapping[str, Any]) -> dict[str, int]:
    """What expressions may name: whole numbers of the config by their path (``vision_config.patch_size``), those of
    ``defaults`` where it is silent, and the family's ``dimensions``.
    """
    leaves = {**defaults, **dict(_leaves(config))}
    numbers = {path: value for path, value in leaves.items() if is_number(value)}
    listed = config.get("id2label")
    labels = len(listed) if isinstance(listed, Mapping) else config.get("num_labels", 2)
    return {**numbers, **({LABELS: labels} if is_number(labels) else {}), **dimensions}


def truths_of(config: Mapping[str, Any], tied: bool) -> dict[str, Any]:
    """What conditions may read: single values of the config by their path, and whether head and embedding are tied."""
    return {**dict(_leaves(config)), TIED: tied}


def is_number(value: object) -> bool:
    """Whether a value of a config is one that sizes are made of."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SIZE


def _leaves(config: Mapping[str, Any], path: str = "", depth: int = _DEPTH) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in config.items():
        if not isinstance(key, str) or not _NAME.fullmatch(key):  # what transformers makes of id2label has numbers
            continue
        if isinstance(value, Mapping):
            found += _leaves(value, f"{path}{key}.", depth - 1) if depth > 1 else []
        elif value is None or isinstance(value, (bool, int, str)):
            found.append((path + key, value))
    return found


@cache
def _read() -> dict[str, Any]:
    text = files(__package__).joinpath("inventory.json").read_text("utf-8")
    read = json.loads(text)
    if not isinstance(read, dict) or not {"bodies", "types"} <= read.keys():
        raise SpecError("inventory.json", "it has no 'bodies' and 'types'", "This is a bug in weightaudit.")
    return read


@cache
def inventory_of(model_type: str) -> Inventory | None:
    """The inventory of a model type, None where nothing is known of it."""
    found = _read()["types"].get(model_type)
    if found is None:
        return None
    number, stem = found
    body = _read()["bodies"][number]
    slots = tuple(_slot(**slot) for slot in body["slots"])
    return Inventory(
        stem=stem,
        classes=tuple(body["classes"]),
        slots=slots,
        alternatives=tuple(map(tuple, body.get("alternatives", ()))),
        defaults=body.get("defaults", {}),
        optional=tuple(body.get("optional", ())),
        tied={name: tuple(copies) for name, copies in body.get("tied", {}).items()},
        inner=bool(body.get("inner")),
        inner_of=tuple(body.get("inner_of", ())),
        lists=lists_of(slot.name for slot in slots),
    )


def lists_of(templates: Iterable[str]) -> dict[tuple[str, ...], str]:
    """Template of a module list, by its components → the expression for how many it has."""
    found: dict[tuple[str, ...], str] = {}
    for template in templates:
        parts = tuple(_BETWEEN.split(template))
        for place, part in enumerate(parts):
            if part.startswith("{"):
                found[parts[:place]] = part[1:-1]
    return found


def template_of(name: str, lists: Mapping[tuple[str, ...], str]) -> tuple[str, tuple[int, ...]]:
    """(the template that a canonical name fits, its numbers).

    Example:
        >>> template_of("layers.3.mlp.fc1.weight", {("layers",): "layers"})
        ('layers.{layers}.mlp.fc1.weight', (3,))
    """
    path: tuple[str, ...] = ()
    numbers: list[int] = []
    for part in name.split("."):
        count = lists.get(path, "") if _NUMBER.fullmatch(part) else ""
        if count:
            numbers.append(int(part))
        path = (*path, f"{{{count}}}" if count else part)
    return ".".join(path), tuple(numbers)


def _slot(
    name: str,
    shape: list[str] | None = None,
    when: Mapping[str, bool | list[Any]] | None = None,
    classes: list[str] | None = None,
    part: str = "",
    sure: bool = True,
) -> Slot:
    conditions = tuple((key, tuple(v) if isinstance(v, list) else v) for key, v in (when or {}).items())
    return Slot(name, None if shape is None else tuple(shape), conditions, tuple(classes or ()), part, sure)

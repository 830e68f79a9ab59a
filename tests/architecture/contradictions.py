"""What was learned of a type at small sizes, held against models of other sizes: what these contradict is not told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

from weightaudit.architecture.completeness import list_of
from weightaudit.architecture.expressions import evaluate
from weightaudit.architecture.inventory import REST, lists_of, numbers_of, template_of
from weightaudit.architecture.schema import ANY

Shape = tuple[int, ...]

LARGEST = 2
"""The largest size that no number tells; a larger one that does not vary may go with what was not varied."""

FACTORS = (1, 2, 3, 4)
"""Multiples of a number that a size may be."""


class Sized(Protocol):
    """A model: its tensors by canonical name, the numbers and other values of its config, those of the numbers that
    layers have otherwise, the family's dimensions.
    """

    @property
    def held(self) -> Mapping[str, Shape]: ...
    @property
    def numbers(self) -> Mapping[str, int]: ...
    @property
    def in_layers(self) -> Mapping[int, Mapping[str, int]]: ...
    @property
    def truths(self) -> Mapping[str, Any]: ...
    @property
    def own(self) -> frozenset[str]: ...


def hold(when: Mapping[str, Any], truths: Mapping[str, Any]) -> bool:
    """Whether the conditions of a slot do."""
    return all(
        truths.get(key) in value if isinstance(value, list) else bool(truths.get(key)) == value
        for key, value in when.items()
    )


def weaken(body: dict[str, Any], stem: str, first: Mapping[str, int], models: Iterable[tuple[str, Sized]]) -> None:
    """Take from the body what one of the models (name of its class, model) contradicts: a size becomes any, a slot is
    no longer sure or of a part that not every layer has, an alternative or a module list none.

    A size that was the same in all builds, as one that can change with others only, becomes the one number of the
    config that is equal to it there and in ``first``, the numbers of the builds' first.
    """
    for name, one in models:
        _Against(body, name.removeprefix(stem), one, first).weaken()
    for slot in body["slots"]:
        if "shape" in slot:
            slot["shape"] = [ANY if size.isdigit() and int(size) > LARGEST else size for size in slot["shape"]]


class _Against:
    """One model against the slots of its class."""

    def __init__(self, body: dict[str, Any], ending: str, one: Sized, first: Mapping[str, int]) -> None:
        truths = {**body["defaults"], **one.truths}
        self._body = body
        self._own = one.own
        self._first = first
        self._numbers = numbers_of({}, one.numbers, body["defaults"])
        self._in_layers = {layer: {**self._numbers, **own} for layer, own in one.in_layers.items()}
        self._slots = [
            slot
            for slot in body["slots"]
            if ending in slot.get("classes", [ending]) and hold(slot.get("when", {}), truths)
        ]
        self._lists = lists_of(slot["name"] for slot in body["slots"])
        self._held: dict[str, dict[tuple[int, ...], Shape]] = {}
        self._layers: dict[str, set[int]] = {}
        for tensor, shape in one.held.items():
            template, at = template_of(tensor, self._lists)
            self._held.setdefault(template, {})[at] = shape
            self._held.setdefault(tensor, {})[()] = shape
            if at:
                self._layers.setdefault(list_of(template), set()).add(at[0])

    def weaken(self) -> None:
        self._weaken_lists()
        self._weaken_alternatives()
        self._weaken_presence()
        self._weaken_shapes()

    def _weaken_lists(self) -> None:
        """Without the module lists that have another length than their expression says."""
        wrong = {
            name
            for name, layers in self._layers.items()
            for slot in self._slots
            if list_of(slot["name"]) == name
            and not self._is(slot["name"].partition("{")[2].partition("}")[0], max(layers) + 1)
        }
        self._body["slots"] = [slot for slot in self._body["slots"] if list_of(slot["name"]) not in wrong]
        self._slots = [slot for slot in self._slots if list_of(slot["name"]) not in wrong]

    def _weaken_alternatives(self) -> None:
        parts = {part for some in self._body.get("alternatives", ()) for part in some}
        where = {part: self._layers_of(part) for part in parts}
        held = [
            some
            for some in self._body.get("alternatives", ())
            if set().union(*(where[part] for part in some))
            in (set(), self._layers.get(next(iter(some)).partition(" ")[0].rpartition(".")[0], set()))
        ]
        if "alternatives" in self._body:
            self._body["alternatives"] = held

    def _layers_of(self, part: str) -> set[int]:
        """The layers in which something of a part is there."""
        own = {slot["name"] for slot in self._slots if slot.get("part") == part}
        return {at[0] for name in own for at in self._held.get(name, ()) if at}

    def _weaken_presence(self) -> None:
        """What is not there is not sure, what only some layers have is a part of its own of these."""
        some: dict[tuple[str, frozenset[int]], list[dict[str, Any]]] = {}
        for slot in self._slots:
            there = frozenset(at[0] for at in self._held.get(slot["name"], ()) if at)
            name = list_of(slot["name"])
            if there and self._wanted(slot) - there:
                some.setdefault((name, there), []).append(slot)
            elif slot["name"] not in self._held and (not name or self._wanted(slot)):
                slot.pop("when", None)
                slot["sure"] = False
        for (name, _), slots in some.items():
            part = self._unused(f"{name}.{slots[0]['name'].partition('}.')[2].split('.')[0]}")
            for slot in slots:
                slot["part"] = part

    def _wanted(self, slot: dict[str, Any]) -> set[int]:
        """The layers that should have the slot, as it is learned."""
        part = slot.get("part", "")
        if part in ("", REST):
            return self._layers.get(list_of(slot["name"]), set()) - ({0} if part == REST else set())
        return self._layers_of(part)

    def _unused(self, part: str) -> str:
        """A name for a part that no other has."""
        taken = {slot.get("part") for slot in self._body["slots"]}
        return part if part not in taken else next(one for n in count(2) if (one := f"{part} {n}") not in taken)

    def _weaken_shapes(self) -> None:
        fitting = {
            (slot["name"], at)
            for slot in self._slots
            for at, shape in self._held.get(slot["name"], {}).items()
            if self._fits(slot.get("shape"), shape, at)
        }
        for slot in self._slots:
            for at, shape in self._held.get(slot["name"], {}).items():
                if (slot["name"], at) not in fitting and "shape" in slot:
                    self._loosen(slot, shape, at)

    def _fits(self, wanted: Sequence[str] | None, shape: Shape, at: tuple[int, ...]) -> bool:
        if wanted is None:
            return True
        return len(wanted) == len(shape) and all(self._is(w, size, at) for w, size in zip(wanted, shape, strict=True))

    def _is(self, wanted: str, size: int, at: tuple[int, ...] = ()) -> bool:
        numbers = self._in_layers.get(at[0], self._numbers) if at else self._numbers
        try:
            return wanted == ANY or evaluate(wanted, numbers) == size
        except (KeyError, ValueError):
            return True  # what cannot be told is not told

    def _loosen(self, slot: dict[str, Any], shape: Shape, at: tuple[int, ...]) -> None:
        if len(slot["shape"]) != len(shape):
            del slot["shape"]
            return
        for axis, (wanted, size) in enumerate(zip(slot["shape"], shape, strict=True)):
            if not self._is(wanted, size, at):
                slot["shape"][axis] = self._like(wanted, size)

    def _like(self, wanted: str, size: int) -> str:
        """The number, or a multiple, that is ``wanted`` in the first build and ``size`` here; ANY unless it is one."""
        for factor in FACTORS:
            alike = [
                name
                for name, value in self._numbers.items()
                if value * factor == size and wanted == str(self._first.get(name, 0) * factor) and name not in self._own
            ]
            if alike:
                return ANY if len(alike) > 1 else alike[0] if factor == 1 else f"{factor}*{alike[0]}"
        return ANY

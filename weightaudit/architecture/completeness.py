"""What a checkpoint lacks of its class, and what has another shape: an inventory at a config, against what is held."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from weightaudit.architecture.dimensions import NESTED, Dimensions, inner_config, layers_changed
from weightaudit.architecture.expressions import evaluate
from weightaudit.architecture.inventory import (
    REST,
    TIED,
    Inventory,
    Slot,
    is_number,
    numbers_of,
    template_of,
    truths_of,
)
from weightaudit.architecture.matching import Matcher
from weightaudit.architecture.schema import ANY, MatrixRule
from weightaudit.records import TensorInfo

MAX_LOOKED_AT = 1024
"""Layers looked at, and experts of one layer missed, at most: a hostile header or config may claim any number."""
MOST_ABSENT = 2**16
"""Tensors missed one by one at most."""
OLDER = {"weight": "gamma", "bias": "beta"}
"""Names that norms had before, which loaders still take."""

ALL_EXPERTS = -1
"""The expert of a tensor that stacks them all."""
Role = tuple[str, int | None, int | None, str]
"""(stack, layer, expert, role) of a matrix that is there, under whatever name."""


@dataclass(frozen=True)
class Absent:
    """A slot of which the checkpoint has nothing: ``name`` is canonical and has its numbers.

    ``list`` is the module list that its layer is one of, "" outside such; ``roles`` are what it would hold, () for what
    is no matrix of a role. ``others`` are the names of what may stand in its place: a layer has an attention or a state
    space.
    """

    name: str
    list: str = ""
    stack: str = ""
    layer: int | None = None
    expert: int | None = None
    roles: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """A module list of layers: the config's number of them, and those of which something is there."""

    name: str
    stack: str
    layers: int
    present: tuple[int, ...]


@dataclass(frozen=True)
class Lacking:
    """What is absent: stacks that lack whole layers, and slots of the layers that are there or of none."""

    stacks: tuple[Stack, ...]
    slots: tuple[Absent, ...]


_PLACES = 10**9
"""The first of the numbers that stand for a slot's own; no module list is as long."""


@dataclass(frozen=True)
class _Matrix:
    """What a slot is as a matrix. ``layer`` and ``expert`` are numbers, or `_PLACES` and where among the slot's own;
    ``stacked`` says that it holds all experts.
    """

    stack: str
    roles: tuple[str, ...]
    layer: int | None
    expert: int | None
    stacked: bool

    def layer_of(self, numbers: tuple[int, ...]) -> int | None:
        return _at_place(self.layer, numbers)

    def expert_of(self, numbers: tuple[int, ...]) -> int | None:
        return _at_place(self.expert, numbers)


def _at_place(number: int | None, numbers: tuple[int, ...]) -> int | None:
    return number if number is None or number < _PLACES else numbers[number - _PLACES]


class Expected:
    """The slots that one config's model has, and what a checkpoint has of them."""

    def __init__(
        self,
        inventory: Inventory,
        ending: str | None,
        config: Mapping[str, Any],
        dimensions: Dimensions,
        tied: bool,
        held: Mapping[str, TensorInfo],
        matcher: Matcher,
        roles: Collection[Role],
        beside: Inventory | None = None,
    ) -> None:
        """``ending`` is how the class's name ends, None for a class that is not known; ``held`` is by canonical name.

        ``beside`` has the other slots of the model, where it is one within another.
        """
        self._inventory = inventory
        self._numbers = numbers_of(config, dimensions.values, inventory.defaults)
        changed = layers_changed(inner_config(config, "")[0])
        self._in_layers = numbers_in_layers(changed, dimensions)
        self._skipping = {layer for layer, own in changed.items() if own.get("skip")}
        self._truths = {**inventory.defaults, **truths_of(config, tied)}
        self._matcher = matcher
        self._roles = roles
        self.held = held
        self.slots = [slot for slot in inventory.slots if slot.of(ending) and (not slot.sure or self._holds(slot))]
        self._at: dict[str, dict[tuple[int, ...], TensorInfo]] = {}
        all_of_it = [inventory] if beside is None else [inventory, beside]
        lists = {path: count for one in reversed(all_of_it) for path, count in one.lists.items()}
        for name, info in held.items():
            template, numbers = template_of(name, lists)
            self._at.setdefault(template, {})[numbers] = info
        self._known = {slot.name for one in all_of_it for slot in one.slots}
        self._known |= {name for one in all_of_it for names in one.tied.values() for name in names}

    def _holds(self, slot: Slot) -> bool:
        return all(self._condition(key, wanted) for key, wanted in slot.when)

    def _condition(self, key: str, wanted: bool | tuple[Any, ...]) -> bool:
        value = self._truth(key)
        return value in wanted if isinstance(wanted, tuple) else bool(value) == wanted

    def _truth(self, key: str) -> Any:
        """The value of a key; what a nested config does not say, the outer one may."""
        inner = key.partition(".")[2]
        return self._truths[inner] if inner in self._truths and key not in self._truths else self._truths.get(key)

    def _number(self, expression: str, layer: int | None = None) -> int | None:
        own = None if layer is None else self._in_layers.get(layer)
        try:
            return evaluate(expression, {**self._numbers, **own} if own else self._numbers)
        except (KeyError, ValueError):
            return None

    # What is there.

    def _found(self, slot: Slot, numbers: tuple[int, ...]) -> bool:
        """Whether the slot's tensor is there, under its own name, an older one or that of what it is tied to, or its
        roles under any.
        """
        name = filled(slot.name, numbers)
        stem, _, last = name.rpartition(".")
        others = self._inventory.tied.get(name, ()) if self._truths[TIED] else ()
        if any(one in self.held for one in (name, f"{stem}.{OLDER.get(last, last)}", *others)):
            return True
        return self._has_roles(slot, numbers)

    def _has_roles(self, slot: Slot, numbers: tuple[int, ...]) -> bool:
        told = self._role(slot)
        if told is None:
            return False
        there = self._by_layer.get((told.stack, told.layer_of(numbers)), {})
        expert = told.expert_of(numbers)
        if told.stacked:
            return all(there.get(role, set()) - {None} for role in told.roles)
        alike = {expert} if expert is None else {expert, ALL_EXPERTS}
        return all(alike & there.get(role, set()) for role in told.roles)

    @cached_property
    def _by_layer(self) -> dict[tuple[str, int | None], dict[str, set[int | None]]]:
        """(stack, layer) → role → the experts that have it, None where it is of none."""
        found: dict[tuple[str, int | None], dict[str, set[int | None]]] = {}
        for stack, layer, expert, role in self._roles:
            found.setdefault((stack, layer), {}).setdefault(role, set()).add(expert)
        return found

    def _role(self, slot: Slot) -> _Matrix | None:
        """What the slot is as a matrix with roles; None for what is none."""
        if slot.name not in self._rules:
            depth = slot.name.count("{")
            match = self._matcher.match(filled(slot.name, tuple(range(_PLACES, _PLACES + depth))))
            self._rules[slot.name] = (
                _Matrix(match.stack, match.rule.roles, match.layer, match.expert, bool(match.rule.experts))
                if match is not None and isinstance(match.rule, MatrixRule)
                else None
            )
        return self._rules[slot.name]

    @cached_property
    def _rules(self) -> dict[str, _Matrix | None]:
        return {}

    def stacks(self, *, expected: bool = False) -> set[str]:
        """The stacks of which layers are there under the names of the slots, or of which layers are ``expected``."""
        found: set[str] = set()
        for slot in self.slots:
            told = self._role(slot)
            if told is not None and list_of(slot.name) and (expected or slot.name in self._at):
                found.add(told.stack)
        return found

    # What is not.

    def lacking(self) -> Lacking:
        stacks: list[Stack] = []
        absent: list[Absent] = []
        layered: dict[str, list[Slot]] = {}
        for slot in self.slots:
            if list_of(slot.name):
                layered.setdefault(list_of(slot.name), []).append(slot)
            elif self._missed(slot):
                absent.append(self._absent(slot, ()))
        for name, slots in sorted(layered.items()):
            stack = self._stack(name, slots)
            if stack is not None:
                stacks += [stack] if len(stack.present) < stack.layers else []
                for layer in stack.present[:MAX_LOOKED_AT]:
                    absent += islice(self._of_one_layer(stack, layer, slots), max(0, MOST_ABSENT - len(absent)))
        return Lacking(tuple(stacks), tuple(absent))

    def _missed(self, slot: Slot) -> bool:
        if not slot.sure or self._found(slot, ()):
            return False
        module = slot.name.partition(".")[0]
        if module in self._inventory.optional and not any(name.partition(".")[0] == module for name in self.held):
            return False
        return self._role(slot) is not None or not self._strangers("", None)

    def _stack(self, name: str, slots: Iterable[Slot]) -> Stack | None:
        """The layers of one module list; None where the config does not tell how many there are."""
        slots = list(slots)
        layers = self._layers(slots[0].name)
        if layers is None:
            return None
        numbers = {n[0] for template, at in self._at.items() if list_of(template) == name for n in at}
        stack = next((told.stack for slot in slots if (told := self._role(slot)) is not None), "")
        if any(self._role(slot) is not None for slot in slots):
            numbers |= {layer for own, layer in self._by_layer if own == stack and layer is not None}
        return Stack(name, stack, layers, tuple(sorted(n for n in numbers if n < layers)))

    def _of_one_layer(self, stack: Stack, layer: int, slots: Iterable[Slot]) -> Iterator[Absent]:
        if not stack.stack and layer in self._skipping:  # which modules, its config names by words of the code
            return
        parts: dict[str, list[Slot]] = {}
        for slot in slots:
            if not slot.part or (slot.part == REST and layer > 0):
                parts.setdefault("", []).append(slot)
            elif slot.part != REST:
                parts.setdefault(slot.part, []).append(slot)
        there = {part for part, own in parts.items() if part and any(self._any_of(slot, layer) for slot in own)}
        strangers = self._strangers(stack.name, layer)
        for part in ("", *sorted(there)):
            for slot in parts.get(part, ()):
                if not slot.sure and not any(self._any_of(slot, other) for other in stack.present[:MAX_LOOKED_AT]):
                    continue
                if strangers and self._role(slot) is None:
                    continue
                for numbers in self._not_found(slot, layer):
                    yield replace(self._absent(slot, numbers), list=stack.name, stack=stack.stack)
        for some in self._inventory.alternatives:
            own = [part for part in some if part in parts]
            if own and not there & set(some) and not strangers:
                others = tuple(dict.fromkeys(_module(parts[part][0].name) for part in own))
                yield Absent(others[0], stack.name, stack.stack, layer, others=others[1:] or others)

    def _any_of(self, slot: Slot, layer: int) -> bool:
        """Whether the layer has the slot's tensor, or one of those of its experts."""
        if any(numbers[0] == layer for numbers in self._at.get(slot.name, ())):
            return True
        return next(self._numbers_of(slot, layer), None) is not None and any(
            self._found(slot, numbers) for numbers in islice(self._numbers_of(slot, layer), 1)
        )

    def _numbers_of(self, slot: Slot, layer: int) -> Iterator[tuple[int, ...]]:
        counts = [self._number(part.partition("}")[0]) for part in slot.name.split("{")[2:]]
        if all(count is not None for count in counts):
            yield from _counted((layer,), [count or 0 for count in counts])

    def _not_found(self, slot: Slot, layer: int) -> Iterator[tuple[int, ...]]:
        lacking = (numbers for numbers in self._numbers_of(slot, layer) if not self._found(slot, numbers))
        yield from islice(lacking, MAX_LOOKED_AT)

    def _absent(self, slot: Slot, numbers: tuple[int, ...]) -> Absent:
        told = self._role(slot)
        name, layer = filled(slot.name, numbers), numbers[0] if numbers else None
        if told is None:
            return Absent(name, layer=layer, expert=numbers[1] if len(numbers) > 1 else None)
        return Absent(name, "", told.stack, layer, told.expert_of(numbers), told.roles)

    def _strangers(self, stack: str, layer: int | None) -> bool:
        """Whether there are norms or biases of names that the inventory does not have: the model may be stored in
        another layout, and what it has instead is not known.
        """
        if self._stranger_layers is None:
            found: set[tuple[str, int | None]] = set()
            for template, at in self._at.items():
                stem, _, last = template.rpartition(".")
                older = {new: old for old, new in OLDER.items()}
                if template in self._known or f"{stem}.{older.get(last, last)}" in self._known:
                    continue
                own = list_of(template)
                for numbers, info in at.items():
                    name = filled(template, numbers)
                    if len(info.shape) == 1 and name not in self._known and not self._is_buffer(name):
                        found.add((own, numbers[0] if own else None))
            self._stranger_layers = found
        return (stack, layer) in self._stranger_layers

    _stranger_layers: set[tuple[str, int | None]] | None = None

    def _is_buffer(self, name: str) -> bool:
        match = self._matcher.match(name)
        return match is not None and getattr(match.rule, "buffer", False)

    # What is there and of another shape.

    def misshapen(self) -> Iterator[tuple[TensorInfo, tuple[int | None, ...]]]:
        """(tensor, the shape it should have, None for a size that is not told) of what has another."""
        by_name: dict[str, list[Slot]] = {}
        for slot in self.slots:
            by_name.setdefault(slot.name, []).append(slot)
        for template, slots in by_name.items():
            everywhere = [self._shape(slot) for slot in slots]
            alone = {(): self.held[template]} if template in self.held else {}
            for numbers, info in sorted((self._at.get(template, {}) if "{" in template else alone).items()):
                beyond = bool(numbers) and numbers[0] >= (self._layers(template) or 0)
                if beyond:
                    continue
                if info.why_unread:  # as what it is stored need not tell its shape
                    continue
                own = bool(numbers) and numbers[0] in self._in_layers
                wanted = [self._shape(slot, numbers[0]) for slot in slots] if own else everywhere
                if self._turned(template, info):
                    wanted = [shape and (*shape[:-2], *reversed(shape[-2:])) for shape in wanted]
                if not any(shape is None or _fits(info.shape, shape) for shape in wanted):
                    yield info, next(shape for shape in wanted if shape is not None)
                elif (None,) in wanted:
                    size = self._of_its_weight(filled(template, numbers))
                    if size and info.shape[0] not in size:
                        yield info, size[:1]

    def _turned(self, template: str, info: TensorInfo) -> bool:
        """Whether the tensor is stored the other way around than in the class that the slot was learned from.

        Nothing that is encoded is (in, out); what may lie in either storage is (out, in) in the class.
        """
        if template not in self._turning:
            match = self._matcher.match(filled(template, (0,) * template.count("{")))
            rule = match.rule if match is not None else None
            self._turning[template] = rule if isinstance(rule, MatrixRule) and rule.transposed else None
        rule = self._turning[template]
        return rule is not None and info.out_first != rule.either

    @cached_property
    def _turning(self) -> dict[str, MatrixRule | None]:
        """Template → the rule by which tensors of it are (in, out), None where there is none; of those asked for."""
        return {}

    def _of_its_weight(self, name: str) -> tuple[int, ...]:
        """The shape of the weight that a bias, whose length nothing else tells, is added behind; () without one."""
        stem, _, last = name.rpartition(".")
        weight = self.held.get(f"{stem}.weight") if last == "bias" else None
        return weight.shape if weight is not None else ()

    def _layers(self, template: str) -> int | None:
        """How many layers the config makes of the module list that the template is in."""
        return self._number(template.partition("{")[2].partition("}")[0])

    def _shape(self, slot: Slot, layer: int | None = None) -> tuple[int | None, ...] | None:
        if slot.shape is None:
            return None
        return tuple(None if size == ANY else self._number(size, layer) for size in slot.shape)


def numbers_in_layers(changed: Mapping[int, Mapping[str, Any]], dimensions: Dimensions) -> dict[int, dict[str, int]]:
    """Layer → the numbers that the config says otherwise of it, by all the names that they may have."""
    found: dict[int, dict[str, int]] = {}
    for layer, own in dimensions.layers.items():
        numbers = {key: value for key, value in changed.get(layer, {}).items() if is_number(value)}
        within = {f"{nested}.{key}": value for nested in NESTED for key, value in numbers.items()}
        found[layer] = {**numbers, **within, **own.values}
    return found


def _counted(first: tuple[int, ...], counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """``first`` followed by all numbers below the counts; none is made ahead, for a config may say any."""
    if not counts:
        yield first
        return
    for number in range(counts[0]):
        yield from _counted((*first, number), counts[1:])


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or want == size for size, want in zip(shape, wanted, strict=True)
    )


def list_of(template: str) -> str:
    """The module list of the layers that a template is in: what comes before its first number."""
    return template.partition(".{")[0] if ".{" in template else ""


def _module(template: str) -> str:
    """The module of a layer that a template names."""
    return template.partition("}.")[2].partition(".")[0]


def filled(template: str, numbers: tuple[int, ...]) -> str:
    """The name that the template stands for."""
    for number in numbers:
        head, _, tail = template.partition("{")
        template = f"{head}{number}{tail.partition('}')[2]}"
    return template

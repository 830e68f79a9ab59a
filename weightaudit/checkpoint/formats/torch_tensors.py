"""From what a PyTorch pickle describes to tensors: which dict is the state dict, and where each tensor's bytes lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeGuard

from weightaudit.checkpoint.formats.pickle_values import Call, Name, Table
from weightaudit.checkpoint.formats.pickle_vm import fail
from weightaudit.checkpoint.formats.torch_names import (
    PARAMETER,
    PARAMETER_WITH_STATE,
    REBUILD,
    REBUILD_V2,
    REBUILD_V3,
    STORAGES,
    TENSORS,
    UNREADABLE,
    UNTYPED,
    WITH_ATTRIBUTES,
)
from weightaudit.checkpoint.limits import MAX_ELEMENTS, MAX_TENSORS, fault_of_name, fault_of_shape
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource
from weightaudit.text import listed, printable

NESTED = ("state_dict", "model_state_dict", "model", "module")
"""Where trainers keep the state dict in a checkpoint of theirs."""
REPEATS = 64
"""How often all tensors together may repeat the bytes of their file: one that the layers share has a name in each, and
each may be a view of all of it.
"""
MAX_NAMED = 5
"""Entries named one by one."""
MAX_NESTING = 4
"""Dictionaries in each other in which a state dict is looked for."""
NUMBERED = "(numbered)"
"""Stands for a key that is no text, such as the numbers that an optimizer gives to tensors."""
OTHER_FILE = "Name the model's weight file"
PUBLISH = "Save the model's state_dict() as ordinary tensors, best as safetensors"


@dataclass(frozen=True)
class Storage:
    """A run of bytes that tensors are views of, as the pickle names it."""

    key: str
    dtype: str
    elements: int
    nbytes: int


class Storages:
    """The storages that a pickle refers to. A key must mean the same wherever it comes."""

    def __init__(self, source: ByteSource, *, fields: int) -> None:
        self._source = source
        self._fields = fields
        self.found: dict[str, Storage] = {}

    def __call__(self, identity: object) -> Storage:
        """The storage of a persistent id: ("storage", its type, key, device, elements), and a view in legacy files."""
        if type(identity) is not tuple or len(identity) != self._fields or identity[0] != "storage":
            fail(self._source, "its pickle refers to something that is no tensor storage")
        kind, key, device, elements = identity[1:5]
        named = isinstance(kind, Name) and isinstance(key, str) and isinstance(device, str)
        if not named or type(elements) is not int or not 0 <= elements <= MAX_ELEMENTS:
            fail(self._source, "its pickle refers to a malformed tensor storage")
        if identity[5:] not in ((), (None,)):
            fail(self._source, "its tensor storages are views of others, as PyTorch before 0.4 wrote them")
        if device == "meta":
            fail(self._source, "its pickle takes tensor storages from the meta device, where torch finds no data")
        if kind.path == UNTYPED:
            dtype, width = "uint8", 1
        else:
            dtype, width = STORAGES.get(kind.path.rpartition(".")[2], ("", 0))
        if not dtype:
            fail(self._source, f"its pickle takes '{printable(kind.path)}' for a tensor storage")
        storage = Storage(key, dtype, elements, elements * width)
        if self.found.setdefault(key, storage) != storage:
            fail(self._source, f"its pickle describes the tensor storage '{printable(key, 50)}' in two ways")
        return storage


@dataclass(frozen=True)
class View:
    """A tensor as a view of a storage: ``start`` and ``nbytes`` in the storage's bytes, ``strides`` in elements."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    storage: Storage
    start: int
    nbytes: int

    def placed(self, file: str, storage_offset: int) -> TensorInfo:
        """As a tensor of ``file``, where the storage begins at ``storage_offset``."""
        return TensorInfo(
            self.name, self.dtype, self.shape, file, storage_offset + self.start, self.nbytes, self.strides
        )


def views(source: ByteSource, root: object) -> tuple[list[View], tuple[str, ...]]:
    """The tensors of what a pickle described, in name order, and what the reader of a report should know.

    Raises CheckpointError where it is no dict of tensors, and naming the first tensor that cannot be read.
    """
    table, inside = _state_dict(source, root)
    if len(table) > MAX_TENSORS:
        fail(source, f"it lists {len(table)} tensors, more than the {MAX_TENSORS} that are accepted")
    found = [_view(source, name, value) for name, value in table.items() if _is_tensor(value)]
    total = sum(math.prod(view.shape) * BY_NAME[view.dtype].bits // 8 for view in found)
    if total > REPEATS * source.size:
        fail(source, f"its tensors repeat its bytes to {total} bytes, more than {REPEATS} times the whole file")
    others = [name for name, value in table.items() if not _is_tensor(value)]
    notes = []
    if inside:
        notes.append(
            f"{printable(source.name)} keeps its tensors under '{printable(inside, 60)}'; only these were taken."
        )
    if others:
        notes.append(f"Of {printable(source.name)} these entries are no tensors and were skipped: {_some(others)}.")
    return sorted(found, key=lambda view: view.name), tuple(notes)


def _state_dict(source: ByteSource, root: object) -> tuple[Mapping[str, object], str]:
    """The entries that hold the model's tensors, and under which key of ``root`` they were; "" for ``root`` itself.

    They are under a key that trainers are known to use, or in the one dictionary within ``root`` that has matrices.
    """
    if not isinstance(root, Table):
        if _is_tensor(root):
            raise CheckpointError(
                source.label, "it holds a single tensor where a dictionary of named tensors belongs", PUBLISH
            )
        raise CheckpointError(
            source.label, "it holds something else where a dictionary of named tensors belongs", OTHER_FILE
        )
    nested = [(key, root.entries.get(key)) for key in NESTED]
    inner = [(key, table) for key, table in nested if isinstance(table, Table) and _has_tensors(table)]
    places = [f"under '{key}'" for key, _ in inner] + ["at its top"] * any(map(_is_matrix, root.entries.values()))
    if inner and len(places) > 1:
        raise CheckpointError(
            source.label, f"it holds tensors {' and '.join(places)}, and programs differ in which they load", PUBLISH
        )
    for key, table in inner:
        return _entries(source, table), key
    holders = _tables_within(root)
    named = [
        (place, table)
        for place, table in holders.items()
        if NUMBERED not in place and any(map(_is_matrix, table.entries.values()))
    ]
    if _has_tensors(root) and ("at its top" in places or not named):
        return _entries(source, root), ""
    if len(named) == 1:
        ((place, table),) = named
        return _entries(source, table), place
    if holders:
        raise CheckpointError(
            source.label,
            f"its tensors are under {_some(list(holders))}, and none of that is known to be the model's state dict",
            f"Save the one that is meant by itself, or under '{NESTED[0]}'" if named else OTHER_FILE,
        )
    raise CheckpointError(source.label, "it holds no tensors", OTHER_FILE)


def _tables_within(root: Table) -> dict[str, Table]:
    """The dictionaries within ``root`` that have tensors, by where they are: "ema", or "state.model".

    Each once, where it is found first: one of many entries may be there under many names.
    """
    found: dict[str, Table] = {}
    seen = {id(root)}
    level = {"": root}
    for _ in range(MAX_NESTING):
        below: dict[str, Table] = {}
        for place, table in level.items():
            for key, value in (*table.entries.items(), *((NUMBERED, value) for value in table.others)):
                if not isinstance(value, Table) or id(value) in seen:
                    continue
                seen.add(id(value))
                inside = f"{place}.{key}" if place else key
                if _has_tensors(value):
                    found[inside] = value
                if not any(map(_is_matrix, value.entries.values())):
                    below[inside] = value
        level = below
    return found


def _has_tensors(table: Table) -> bool:
    return any(map(_is_tensor, table.entries.values())) or any(map(_is_tensor, table.others))


def _entries(source: ByteSource, table: Table) -> Mapping[str, object]:
    if any(map(_is_tensor, table.others)):
        raise CheckpointError(source.label, "a tensor in it has no text as its name", PUBLISH)
    return table.entries


def _is_tensor(value: object) -> TypeGuard[Call]:
    return isinstance(value, Call) and value.function.path in TENSORS


def _is_matrix(value: object) -> bool:
    """Whether ``value`` is a tensor that is not known to be a mere number or list, such as a step or random state."""
    if not _is_tensor(value):
        return False
    shape = value.arguments[2:3] if value.function.path in (REBUILD, REBUILD_V2, REBUILD_V3) else ()
    return not (shape and isinstance(shape[0], tuple) and len(shape[0]) <= 1)


def _view(source: ByteSource, name: str, value: object) -> View:
    """The tensor ``value``, checked against its storage."""
    shown = f"tensor '{printable(name)}'"
    if fault := fault_of_name(name):
        fail(source, f"{shown} {fault}")
    call, trainable = _unwrapped(source, shown, value)
    storage, offset, shape, strides, dtype = _described(source, shown, call)
    known = BY_NAME.get(dtype)
    if known is None:
        raise CheckpointError(
            source.label, f"{shown} has the data type {printable(dtype, 50)}, which is not read here", PUBLISH
        )
    if trainable and known.kind in ("integer", "bool"):
        fail(source, f"{shown} is of whole numbers and to be trained, which torch does not do")
    if fault := fault_of_shape(shape):
        fail(source, f"{shown} {fault}")
    width = known.bits // 8
    elements = math.prod(shape)
    span = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) if elements else 0
    if elements and (offset + span) * width > storage.nbytes:
        fail(
            source,
            f"{shown} needs {(offset + span) * width} bytes of its storage, which has {storage.nbytes}",
        )
    if elements * width > source.size:
        fail(source, f"{shown} repeats its elements to {elements * width} bytes, more than the whole file has")
    in_order = None if _contiguous(shape, strides) else strides
    return View(name, dtype, shape, in_order, storage, offset * width if elements else 0, span * width)


def _described(
    source: ByteSource, shown: str, call: Call
) -> tuple[Storage, int, tuple[int, ...], tuple[int, ...], str]:
    """Storage, offset in elements, shape, strides in elements and data type that ``call`` asks for."""
    function, given = call.function.path, call.arguments
    if function in UNREADABLE:
        raise CheckpointError(source.label, f"{shown} {UNREADABLE[function]}, which is not read here", PUBLISH)
    least = {REBUILD: 4, REBUILD_V2: 6, REBUILD_V3: 7}.get(function)
    if least is None or not least <= len(given) <= least + (least > 4):
        _malformed(source, shown)
    storage, offset, shape, strides = given[:4]
    if (
        not isinstance(storage, Storage)
        or type(offset) is not int
        or offset < 0
        or not _naturals(shape)
        or not _naturals(strides)
        or len(shape) != len(strides)
        or max((offset, *strides)) > MAX_ELEMENTS
    ):
        _malformed(source, shown)
    if len(given) > least and not _is_empty(given[least]):
        raise CheckpointError(
            source.label, f"{shown} is stored with its conjugation or negation still to be done", PUBLISH
        )
    if least > 4 and not (type(given[4]) is bool and _is_empty(given[5])):
        _malformed(source, shown)
    if function != REBUILD_V3:
        return storage, offset, shape, strides, storage.dtype
    dtype = given[6]
    # torch itself cannot load what asks for a gradient in this form.
    if not isinstance(dtype, Name) or not dtype.path.startswith("torch.") or given[4] is True:
        _malformed(source, shown)
    return storage, offset, shape, strides, dtype.path.removeprefix("torch.")


def _unwrapped(source: ByteSource, shown: str, value: object) -> tuple[Call, bool]:
    """The call that makes the tensor itself, around which parameters and Python attributes are wrapped.

    And whether it, or what is wrapped around it, asks for a gradient.
    """
    trainable = False
    for _ in range(4):
        if not isinstance(value, Call):
            break
        function, given = value.function.path, value.arguments
        if function in (PARAMETER, PARAMETER_WITH_STATE):
            if len(given) < 3 or type(given[1]) is not bool or not _is_empty(given[2]):
                break
            value, trainable = given[0], trainable or given[1]
        elif function == WITH_ATTRIBUTES and isinstance(given[0], Name) and isinstance(given[2], tuple):
            value = Call(given[0], given[2])
        else:
            return value, trainable or (len(given) > 4 and given[4] is True)
    return _malformed(source, shown)


def _malformed(source: ByteSource, shown: str) -> NoReturn:
    fail(source, f"{shown} is described in a way that torch.save does not use")


def _is_empty(value: object) -> bool:
    """Whether ``value`` is what torch writes for hooks and bits that a tensor has not: a dict of none, or None."""
    return value is None or (isinstance(value, Table) and not value.entries and not value.others)


def _naturals(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(type(item) is int and item >= 0 for item in value)


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the elements lie one after another, the last dimension fastest; no stride matters for a size of 1."""
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def _some(names: list[str]) -> str:
    return listed((f"'{printable(name, 60)}'" for name in names), MAX_NAMED)

"""From what a PyTorch pickle describes to tensors: which dict is the state dict, and where each tensor's bytes lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from weightaudit.checkpoint.limits import MAX_ELEMENTS, MAX_TENSORS, fault_of_name, fault_of_shape
from weightaudit.checkpoint.pickled import Call, Name, Table, fail
from weightaudit.checkpoint.torch_names import (
    PARAMETER,
    PARAMETER_WITH_STATE,
    PLAIN_TYPES,
    REBUILD,
    REBUILD_V2,
    REBUILD_V3,
    STORAGES,
    TENSORS,
    UNREADABLE,
    UNTYPED,
    WITH_ATTRIBUTES,
)
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError, printable
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource

NESTED = ("state_dict", "model_state_dict", "model")
"""Where trainers keep the state dict in a checkpoint of theirs; the first that holds tensors is taken."""
REPEATS = 64
"""How often all tensors together may repeat the bytes of their file: one that the layers share has a name in each, and
each may be a view of all of it.
"""
SHOWN = 5
"""Entries named one by one."""
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
        if not isinstance(identity, tuple) or len(identity) != self._fields or identity[0] != "storage":
            fail(self._source, "its pickle refers to something that is no tensor storage")
        kind, key, device, elements = identity[1:5]
        named = isinstance(kind, Name) and isinstance(key, str) and isinstance(device, str)
        if not named or type(elements) is not int or not 0 <= elements <= MAX_ELEMENTS:
            fail(self._source, "its pickle refers to a malformed tensor storage")
        if identity[5:] not in ((), (None,)):
            fail(self._source, "its tensor storages are views of others, as PyTorch before 0.4 wrote them")
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
        notes.append(f"{printable(source.name)} keeps its tensors under '{inside}'; only these were taken.")
    if others:
        notes.append(f"Of {printable(source.name)} these entries are no tensors and were passed over: {_some(others)}.")
    return sorted(found, key=lambda view: view.name), tuple(notes)


def _state_dict(source: ByteSource, root: object) -> tuple[Mapping[str, object], str]:
    """The entries that hold the model's tensors, and under which key of ``root`` they were; "" for ``root`` itself."""
    if not isinstance(root, Table):
        what = "a single tensor" if _is_tensor(root) else "something else"
        raise CheckpointError(source.label, f"it holds {what} where a dictionary of named tensors belongs", PUBLISH)
    for key in NESTED:
        inner = root.entries.get(key)
        if isinstance(inner, Table) and _has_tensors(inner):
            return _entries(source, inner), key
    if _has_tensors(root):
        return _entries(source, root), ""
    # Each table once: one of many entries may be there under many names.
    tables = {id(value): value for value in root.entries.values() if isinstance(value, Table)}
    holding = {key for key, table in tables.items() if _has_tensors(table)}
    holders = [key for key, value in root.entries.items() if id(value) in holding]
    if holders:
        raise CheckpointError(
            source.label,
            f"its tensors are under {_some(holders)}, and none of that is known to be the model's state dict",
            f"Save the one that is meant by itself, or under '{NESTED[0]}'",
        )
    raise CheckpointError(source.label, "it holds no tensors", "Name the model's weight file")


def _has_tensors(table: Table) -> bool:
    return any(map(_is_tensor, table.entries.values())) or any(map(_is_tensor, table.others))


def _entries(source: ByteSource, table: Table) -> Mapping[str, object]:
    if any(map(_is_tensor, table.others)):
        raise CheckpointError(source.label, "a tensor in it has no text as its name", PUBLISH)
    return table.entries


def _is_tensor(value: object) -> bool:
    return isinstance(value, Call) and value.function.path in TENSORS | PLAIN_TYPES


def _view(source: ByteSource, name: str, value: object) -> View:
    """The tensor ``value``, checked against its storage."""
    shown = f"tensor '{printable(name)}'"
    if fault := fault_of_name(name):
        fail(source, f"{shown} {fault}")
    storage, offset, shape, strides, dtype = _described(source, shown, value)
    known = BY_NAME.get(dtype)
    if known is None:
        raise CheckpointError(
            source.label, f"{shown} has the data type {printable(dtype, 50)}, which is not read here", PUBLISH
        )
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
    source: ByteSource, shown: str, value: object
) -> tuple[Storage, int, tuple[int, ...], tuple[int, ...], str]:
    """Storage, offset in elements, shape, strides in elements and data type that ``value`` asks for."""
    call = _unwrapped(source, shown, value)
    function, given = call.function.path, call.arguments
    if function in UNREADABLE:
        raise CheckpointError(source.label, f"{shown} {UNREADABLE[function]}, which is not read here", PUBLISH)
    least = {REBUILD: 4, REBUILD_V2: 6, REBUILD_V3: 7}.get(function)
    if least is None or not isinstance(given, tuple) or not least <= len(given) <= least + (least > 4):
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
    if len(given) > least and not (given[-1] is None or (isinstance(given[-1], Table) and not given[-1].entries)):
        raise CheckpointError(
            source.label, f"{shown} is stored with its conjugation or negation still to be done", PUBLISH
        )
    if function != REBUILD_V3:
        return storage, offset, shape, strides, storage.dtype
    dtype = given[6]
    if not isinstance(dtype, Name) or not dtype.path.startswith("torch."):
        _malformed(source, shown)
    return storage, offset, shape, strides, dtype.path.removeprefix("torch.")


def _unwrapped(source: ByteSource, shown: str, value: object) -> Call:
    """The call that makes the tensor itself: parameters and tensors with Python attributes are wrapped around it."""
    for _ in range(4):
        if not isinstance(value, Call) or not isinstance(value.arguments, tuple):
            break
        function, given = value.function.path, value.arguments
        if function in (PARAMETER, PARAMETER_WITH_STATE) and given:
            value = given[0]
        elif function == WITH_ATTRIBUTES and len(given) == 4 and isinstance(given[0], Name):
            if not isinstance(given[1], Name) or given[1].path not in PLAIN_TYPES:
                raise CheckpointError(source.label, f"{shown} is of a tensor subclass, which is not read here", PUBLISH)
            value = Call(given[0], given[2])
        else:
            return value
    return _malformed(source, shown)


def _malformed(source: ByteSource, shown: str) -> NoReturn:
    fail(source, f"{shown} is described in a way that torch.save does not use")


def _naturals(value: object) -> bool:
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
    shown = ", ".join(f"'{printable(name, 60)}'" for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"

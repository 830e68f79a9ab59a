"""The safetensors format: an 8-byte length, a JSON header, then the tensors' bytes.

Before any of the header is believed it is checked as strictly as the format's reference library does, and
more strictly in these points: it starts with "{", as the format's specification demands; no name comes twice
or has control characters; a tensor is described by an object; names, tensors and dimensions have upper
limits. One error per cause.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

from weightaudit.checkpoint.formats.sniff import read_head, refuse_foreign
from weightaudit.checkpoint.limits import MAX_TENSORS, fault_of_name, fault_of_shape
from weightaudit.dtypes import BY_CODE
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource
from weightaudit.strict_json import parse_object
from weightaudit.text import printable

PREFIX = 8
"""Bytes of the header's length, a little-endian unsigned integer."""
MAX_HEADER = 100_000_000
"""Bytes; the reference library's own limit."""

REDOWNLOAD_HINT = "The file is damaged or was not made by a safetensors library: download it again"


@dataclass(frozen=True)
class Header:
    """What a file's header says: its tensors in name order, and the free-form notes of whoever wrote it."""

    tensors: tuple[TensorInfo, ...]
    metadata: dict[str, str]


def read_header(source: ByteSource) -> Header:
    """The validated header of ``source``; CheckpointError naming the file, the cause and what to do."""
    length = _header_length(source)
    raw = bytearray(length)
    source.read_into(PREFIX, memoryview(raw))
    if not raw.startswith(b"{"):
        _fail(source, "its header is not JSON")
    entries = parse_object(bytes(raw), thing=source.label, error=CheckpointError, hint=REDOWNLOAD_HINT)
    metadata = _metadata(source, entries.pop("__metadata__", None))
    if len(entries) > MAX_TENSORS:
        _fail(source, f"it lists {len(entries)} tensors, more than the {MAX_TENSORS} that are accepted")
    start = PREFIX + length
    tensors = [_tensor(source, name, entry, start) for name, entry in entries.items()]
    _check_layout(source, tensors, start)
    return Header(tuple(sorted(tensors, key=lambda tensor: tensor.name)), metadata)


def _header_length(source: ByteSource) -> int:
    head = read_head(source)
    length = int.from_bytes(head[:PREFIX], "little")
    if len(head) >= PREFIX and length <= min(MAX_HEADER, source.size - PREFIX):
        return length
    refuse_foreign(source, head, expected="safetensors")
    if head.startswith(b"{"):
        _fail(source, "it starts with JSON where the header's length belongs")
    if len(head) < PREFIX:
        _fail(source, f"it is cut short: it has {len(head)} bytes, and the header's length alone takes {PREFIX}")
    if length > MAX_HEADER:
        _fail(source, f"its header claims {length} bytes, over the format's limit of {MAX_HEADER}")
    return _fail(source, f"it is cut short: its header needs {PREFIX + length} bytes, the file has {source.size}")


def _metadata(source: ByteSource, found: object) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        _fail(source, "its __metadata__ is not an object of strings")
    return found


def _tensor(source: ByteSource, name: str, entry: object, start: int) -> TensorInfo:
    """One entry of the header, checked by itself; ``start`` is where the data begin."""
    shown = f"tensor '{printable(name)}'"
    if fault := fault_of_name(name):
        _fail(source, f"{shown} {fault}")
    if not isinstance(entry, dict):
        _fail(source, f"{shown} is not described by an object")
    missing = [key for key in ("dtype", "shape", "data_offsets") if key not in entry]
    if missing:
        _fail(source, f"{shown} has no '{missing[0]}'")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    dtype = BY_CODE.get(code) if isinstance(code, str) else None
    if dtype is None:
        known = ", ".join(BY_CODE)
        raise CheckpointError(
            source.label,
            f"{shown} has the unknown data type {printable(repr(code), 50)}",
            f"Known are {known}",
        )
    if not _naturals(shape):
        _fail(source, f"{shown} has a shape that is not a list of whole numbers: {printable(repr(shape), 80)}")
    if fault := fault_of_shape(shape):
        _fail(source, f"{shown} {fault}")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _fail(source, f"{shown} has offsets that are not a begin and an end: {printable(repr(offsets), 80)}")
    elements = math.prod(shape)
    bits = elements * dtype.bits
    if bits % 8:
        _fail(source, f"{shown} ends within a byte: {elements} elements of {dtype.bits} bits")
    begin, end = offsets
    if (end - begin) * 8 != bits:
        _fail(
            source,
            f"{shown} takes {bits // 8} bytes by its shape and data type, {end - begin} by its offsets",
        )
    return TensorInfo(name, dtype.name, tuple(shape), source.name, start + begin, end - begin)


def _naturals(value: Any) -> bool:
    # bool is a subclass of int, and no size.
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_layout(source: ByteSource, tensors: list[TensorInfo], start: int) -> None:
    """The tensors must tile the data from ``start`` to the file's end, with neither gap nor overlap."""
    reached, before = start, "the header"
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.nbytes)):
        shown = f"tensor '{printable(tensor.name)}'"
        if tensor.offset < reached:
            _fail(source, f"{shown} overlaps {before}")
        if tensor.offset > reached:
            _fail(source, f"{tensor.offset - reached} bytes between {before} and {shown} belong to no tensor")
        reached, before = tensor.offset + tensor.nbytes, shown
    if reached > source.size:
        _fail(source, f"it is cut short: its tensors need {reached} bytes, the file has {source.size}")
    if reached < source.size:
        _fail(source, f"{source.size - reached} bytes after the last tensor belong to none")


def _fail(source: ByteSource, cause: str) -> NoReturn:
    raise CheckpointError(source.label, cause, REDOWNLOAD_HINT)

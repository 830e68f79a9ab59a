"""The GGUF format: keys with values, a list of tensors, then the tensors' bytes, each from an aligned offset.

Before any of the header is believed it is checked as strictly as llama.cpp does, and more strictly in these points: no
name has control characters; headers, keys and tensors have upper limits; nothing but padding follows the last tensor.
One error per cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weightaudit.checkpoint.codecs import ggml
from weightaudit.checkpoint.codecs.ggml_types import BLOCKS, PLAIN, REFUSED, BlockType
from weightaudit.checkpoint.formats.gguf_header import UNSIGNED_32, HeaderBytes, Value, fail
from weightaudit.checkpoint.formats.sniff import refuse_foreign
from weightaudit.checkpoint.limits import fault_of_name, fault_of_shape
from weightaudit.dtypes import BY_NAME
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource
from weightaudit.text import printable

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_TENSORS = 100_000
"""Tensors in one file; files with a tensor for each expert have some 20,000."""
MAX_KEYS = 65_536
"""Keys in one file; real ones have some 50."""
MAX_NAME = 63
"""Bytes of a tensor's name, in llama.cpp."""
MAX_RANK = 4
ALIGNMENT, DEFAULT_ALIGNMENT = "general.alignment", 32

OTHER_FILE = "Use the model's file of another type, such as Q4_K_M or Q8_0, or its unquantised checkpoint"
CONVERT = "Convert it with the present llama.cpp, or get a newer file of the model"


@dataclass(frozen=True)
class Split:
    """Which of a model's files this is, as it says itself: ``no`` from 0 of ``count``; ``tensors`` of all together."""

    no: int
    count: int
    tensors: int | None


@dataclass(frozen=True)
class GgufFile:
    """What the header of a file says.

    ``tensors`` are in name order: those of plain numbers as they are, others encoded (codec "ggml", whose parameter
    "type" is the name of their ggml type). ``values`` are the keys' numbers, texts and short arrays of numbers;
    ``lengths`` says of every array, kept or not, how many elements it has. ``kind`` is "model", "adapter", "imatrix",
    "mmproj", "vocab" or whatever else the file says; "model" where it says nothing. ``split`` is None of a file that
    is not one of several.
    """

    tensors: tuple[TensorInfo, ...]
    values: Mapping[str, Value]
    lengths: Mapping[str, int]
    kind: str
    split: Split | None


def read_gguf(source: ByteSource) -> GgufFile:
    """The validated header of ``source``; CheckpointError naming the file, the cause and what to do.

    It is read in growing ranges: at most twice as many bytes as it has, or `gguf_header.FIRST` where it has fewer.
    """
    header = HeaderBytes(source)
    _check_version(source, header)
    tensor_count, key_count = header.u64(), header.u64()
    if tensor_count > MAX_TENSORS:
        fail(source, f"it lists {tensor_count} tensors, more than the {MAX_TENSORS} that are accepted")
    if key_count > MAX_KEYS:
        fail(source, f"it has {key_count} keys, more than the {MAX_KEYS} that are accepted")
    values, lengths, alignment = _keys(source, header, key_count)
    tensors = _tensors(source, header, tensor_count, alignment)
    kind = values.get("general.type", "mmproj" if values.get("general.architecture") == "clip" else "model")
    return GgufFile(with_scales(tensors), values, lengths, str(kind), _split(source, values))


def with_scales(tensors: Sequence[TensorInfo]) -> tuple[TensorInfo, ...]:
    """``tensors`` in name order, those of NVFP4 joined by the tensor "X.scale" that multiplies "X.weight".

    `read_gguf` has done so within one file; the shards of a split model are to be joined by this.
    """
    by_name = {info.name: info for info in tensors}
    for info in tensors:
        scale = by_name.get(info.name.removesuffix("weight") + "scale")
        if scale is not None and ggml.takes_scale(info):
            del by_name[scale.name]
            by_name[info.name] = ggml.scaled(info, scale)
    return tuple(sorted(by_name.values(), key=lambda info: info.name))


def _check_version(source: ByteSource, header: HeaderBytes) -> None:
    head = header.head
    if not head.startswith(MAGIC):
        refuse_foreign(source, head, expected="GGUF")
        fail(source, "it is not GGUF: it does not begin with these letters")
    header.u32()
    version = header.u32()
    if version and version & 0xFFFF == 0:
        fail(source, "it is a big-endian GGUF file, which is not read here", "Get the little-endian file of the model")
    if version not in VERSIONS:
        fail(source, f"it is of version {version} of GGUF; read are {VERSIONS[0]} and {VERSIONS[1]}", CONVERT)


def _keys(source: ByteSource, header: HeaderBytes, count: int) -> tuple[dict[str, Value], dict[str, int], int]:
    """The values and arrays' lengths by key, and the alignment of the data."""
    values: dict[str, Value] = {}
    lengths: dict[str, int] = {}
    seen: set[bytes] = set()
    alignment = DEFAULT_ALIGNMENT
    for _ in range(count):
        raw = header.text()
        key = raw.decode(errors="replace")
        if not raw:
            fail(source, "it has a key without a name")
        if raw in seen:
            fail(source, f"key '{printable(key)}' occurs twice")
        seen.add(raw)
        kind = header.u32()
        value, length = header.value(kind, key)
        if key == ALIGNMENT:
            if kind != UNSIGNED_32 or not isinstance(value, int) or value.bit_count() != 1:
                shown = printable(repr(value), 40)
                fail(source, f"its {ALIGNMENT} is {shown} of type {kind}, not a power of two (u32)")
            alignment = value
        if length is not None:
            lengths[key] = length
        if value is not None:
            values[key] = value
    return values, lengths, alignment


def _tensors(source: ByteSource, header: HeaderBytes, count: int, alignment: int) -> list[TensorInfo]:
    """The listed tensors, which must follow each other in the data, each padded to the alignment."""
    listed = [_entry(source, header) for _ in range(count)]
    start = _padded(header.at, alignment)
    tensors: dict[str, TensorInfo] = {}
    reached = 0
    for name, shape, kind, offset in listed:
        if name in tensors:
            fail(source, f"tensor '{printable(name)}' occurs twice")
        if offset != reached:
            shown = f"tensor '{printable(name)}' lies at {offset} of the data"
            fail(source, f"{shown}, where {reached} follows from the tensors before it")
        info = _info(source, name, shape, kind, start + offset)
        end = start + offset + info.nbytes
        if end > source.size:
            fail(source, f"it is cut short: its tensors need {end} bytes or more, the file has {source.size}")
        reached = _padded(offset + info.nbytes, alignment)
        tensors[name] = info
    if source.size > start + reached:
        fail(source, f"{source.size - start - reached} bytes after the last tensor belong to none")
    return list(tensors.values())


def _entry(source: ByteSource, header: HeaderBytes) -> tuple[str, tuple[int, ...], int, int]:
    """Name, shape, type and offset of the next tensor of the list."""
    raw = header.text()
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = raw.decode(errors="replace")
        fail(source, f"tensor '{printable(name)}' has a name that is not UTF-8")
    shown = f"tensor '{printable(name)}'"
    if len(raw) > MAX_NAME:
        fail(source, f"{shown} has a name of {len(raw)} bytes, more than {MAX_NAME}")
    if fault := fault_of_name(name):
        fail(source, f"{shown} {fault}")
    rank = header.u32()
    if rank > MAX_RANK:
        fail(source, f"{shown} has {rank} dimensions, more than {MAX_RANK}")
    shape = tuple(header.u64() for _ in range(rank))[::-1]  # stored innermost first
    if fault := fault_of_shape(shape):
        fail(source, f"{shown} {fault}")
    return name, shape, header.u32(), header.u64()


def _info(source: ByteSource, name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorInfo:
    shown = f"tensor '{printable(name)}'"
    if kind in PLAIN:
        dtype = BY_NAME[PLAIN[kind]]
        return TensorInfo(name, dtype.name, shape, source.name, offset, math.prod(shape) * dtype.bits // 8)
    if kind in REFUSED:
        fail(source, f"{shown} is stored as {REFUSED[kind]}, which no program reads from files any more", OTHER_FILE)
    if kind not in BLOCKS:
        fail(source, f"{shown} is stored as type {kind}, which is not known here", OTHER_FILE)
    blocks: BlockType = BLOCKS[kind]
    columns = shape[-1] if shape else 1
    if columns % blocks.entries:
        fail(source, f"{shown} has {columns} columns, no multiple of the {blocks.entries} of a block of {blocks.name}")
    stored = (*shape[:-1], columns // blocks.entries * blocks.nbytes)
    return ggml.encoded_blocks(TensorInfo(name, "uint8", stored, source.name, offset, math.prod(stored)), shape, blocks)


def _split(source: ByteSource, values: Mapping[str, Value]) -> Split | None:
    no, count, tensors = (values.get(f"split.{key}") for key in ("no", "count", "tensors.count"))
    if count is None:
        return None
    if type(no) is not int or type(count) is not int or not 0 <= no < count:
        fail(source, f"it says that it is file {printable(repr(no), 40)} of {printable(repr(count), 40)} of its model")
    return Split(no, count, tensors if type(tensors) is int else None)


def _padded(nbytes: int, alignment: int) -> int:
    return -(-nbytes // alignment) * alignment

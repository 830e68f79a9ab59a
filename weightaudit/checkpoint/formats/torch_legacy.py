"""PyTorch's file format before 1.6: five pickles one after another, then the bytes of every storage.

torch has no way to read such a file but whole. As its pickles are read as data here (`read_pickle`), the places of all
tensors follow from them, and the bytes stay where they are until a tensor is read.
"""

from __future__ import annotations

from weightaudit.checkpoint.formats.pickle_vm import MAX_PICKLE, Cursor, fail, read_pickle
from weightaudit.checkpoint.formats.torch_tensors import Storage, Storages, views
from weightaudit.checkpoint.small_reads import read_pieces
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource
from weightaudit.text import printable

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
COUNT = 8
"""Bytes before each storage that repeat its number of elements."""
CHUNK = range(4 << 10, 64 << 10)
"""Bytes fetched at once while the pickles last, whose length nothing says: a hundredth of the file within these."""


def read_legacy(source: ByteSource) -> tuple[list[TensorInfo], tuple[str, ...]]:
    """The tensors of ``source`` in name order, and what the reader of a report should know of it.

    Raises CheckpointError: not written by torch.save, damaged, or with code in its pickles.
    """
    beyond = "its pickles are cut short"
    if source.size > MAX_PICKLE:
        beyond = f"its pickles go on beyond {MAX_PICKLE} bytes, the most that is accepted"
    chunk = min(max(source.size // 100, CHUNK.start), CHUNK.stop)
    cursor = Cursor(source, 0, min(source.size, MAX_PICKLE), chunk=chunk, beyond=beyond)
    if read_pickle(cursor) != MAGIC:
        raise CheckpointError(
            source.label,
            "it is a Python pickle, but not one of torch.save. Nothing of it was executed",
            "Name the model's weight file",
        )
    if read_pickle(cursor) != PROTOCOL:
        fail(source, "it is of an unknown version of PyTorch's old format")
    read_pickle(cursor)  # about the machine that wrote it; the numbers are little-endian on all
    storages = Storages(source, fields=6)
    found, notes = views(source, read_pickle(cursor, storages))
    places = _places(source, _in_file_order(source, read_pickle(cursor), storages), cursor.offset)
    said = (
        f"{printable(source.name)} is in PyTorch's old format of before version 1.6 ({source.size:,} bytes); it was "
        "read in place and not unpickled."
    )
    return [view.placed(source.name, places[view.storage.key]) for view in found], (said, *notes)


def _in_file_order(source: ByteSource, keys: object, storages: Storages) -> list[Storage]:
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or len(set(keys)) < len(keys)
        or set(keys) != storages.found.keys()
    ):
        fail(source, "its list of tensor storages is not that of its pickle")
    return [storages.found[key] for key in keys]


def _places(source: ByteSource, ordered: list[Storage], start: int) -> dict[str, int]:
    """Where the bytes of each storage begin, by its key; ``start`` is where the pickles end."""
    places: dict[str, int] = {}
    for storage in ordered:
        places[storage.key] = start + COUNT
        start += COUNT + storage.nbytes
    if start > source.size:
        fail(source, f"it is cut short: its tensors need {start} bytes, the file has {source.size}")
    if start < source.size:
        fail(source, f"{source.size - start} bytes after the last tensor belong to none")
    counts = read_pieces(source, [(places[storage.key] - COUNT, COUNT) for storage in ordered])
    for storage, count in zip(ordered, counts, strict=True):
        if int.from_bytes(count, "little", signed=True) != storage.elements:
            fail(source, f"its tensor storage '{printable(storage.key, 50)}' has another size than its pickle says")
    return places

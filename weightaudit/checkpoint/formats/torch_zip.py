"""PyTorch's file format since 1.6: a zip archive of one pickle and, uncompressed, the bytes of every storage.

The pickle is small and says which tensor is which part of which storage; it is read as data (`read_pickle`). The bytes
stay where they are until a tensor is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from weightaudit.checkpoint.formats.checksums import Summed
from weightaudit.checkpoint.formats.pickle_vm import CUT_SHORT, MAX_PICKLE, Cursor, fail, read_pickle
from weightaudit.checkpoint.formats.torch_tensors import Storage, Storages, views
from weightaudit.checkpoint.formats.zip_directory import Record, data_offsets, read_directory
from weightaudit.checkpoint.small_reads import read_pieces
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource
from weightaudit.text import printable

PICKLE, BYTE_ORDER = "data.pkl", "byteorder"
NOT_SUMMED = 0
"""The CRC-32 of a record where torch was told to compute none (`torch.serialization.set_crc32_options`)."""


def read_zip(source: ByteSource) -> tuple[list[TensorInfo], tuple[str, ...], list[Summed]]:
    """The tensors of ``source`` in name order, what the reader of a report should know of it, and checksums.

    Raises CheckpointError: not an archive of torch.save, damaged, or with code in its pickle.
    """
    records = read_directory(source)
    _check_kind(source, records)
    pickle, order = records[PICKLE], records.get(BYTE_ORDER)
    if pickle.size > MAX_PICKLE:
        fail(source, f"its pickle has {pickle.size} bytes, more than the {MAX_PICKLE} that are accepted")
    starts = data_offsets(source, [pickle] if order is None else [pickle, order])
    if order is not None:
        _check_byte_order(source, starts[1], order)
    storages = Storages(source, fields=5)
    cursor = Cursor(source, starts[0], starts[0] + pickle.size, chunk=pickle.size, beyond=CUT_SHORT)
    if pickle.crc != NOT_SUMMED:
        _check_sum(source, pickle, cursor.rest())
    root = read_pickle(cursor, storages)
    found, notes = views(source, root)
    stored = {key: _record(source, records, storage) for key, storage in storages.found.items()}
    used = {view.storage.key: stored[view.storage.key] for view in found}
    places = dict(zip(used, data_offsets(source, used.values()), strict=True))
    tensors = [view.placed(source.name, places[view.storage.key]) for view in found]
    if any(record.crc == NOT_SUMMED and record.size for record in used.values()):
        said = f"{printable(source.name)} was saved without checksums, so a damaged byte in it cannot be seen."
        notes = (*notes, said)
    summed = [Summed(used[key].shown, places[key], used[key].size, used[key].crc) for key in used]
    return tensors, notes, [one for one in summed if one.crc != NOT_SUMMED]


def _check_kind(source: ByteSource, records: Mapping[str, Record]) -> None:
    if PICKLE not in records:
        raise CheckpointError(
            source.label,
            f"it is a zip archive without the record {PICKLE}, so torch.save did not write it",
            "Name the model's weight file",
        )
    if "version" not in records and ".data/version" not in records:
        fail(source, "it is a zip archive without a version record, so torch.save did not write it")


def _check_sum(source: ByteSource, record: Record, data: bytes) -> None:
    if zlib.crc32(data) != record.crc:
        fail(source, f"the bytes of its {record.shown} do not have the checksum that they should")


def _check_byte_order(source: ByteSource, offset: int, record: Record) -> None:
    """Torch before 2.1 did not say, and little-endian is what it assumes then."""
    (order,) = read_pieces(source, [(offset, min(record.size, 16))])
    if order == b"big":
        raise CheckpointError(
            source.label,
            "its numbers are stored big-endian, as on the machine that wrote it",
            "Load it with torch on any machine of today, and save it there again",
        )
    if order != b"little":
        fail(source, f"it says that its byte order is {printable(repr(order), 50)}")


def _record(source: ByteSource, records: Mapping[str, Record], storage: Storage) -> Record:
    """Where the bytes of ``storage`` are."""
    name = f"data/{storage.key}"
    record = records.get(name)
    if record is None:
        fail(source, f"its pickle refers to the record '{printable(name, 80)}', which is missing")
    if record.size != storage.nbytes:
        fail(source, f"record '{printable(name, 80)}' has {record.size} bytes, its tensors' storage {storage.nbytes}")
    return record

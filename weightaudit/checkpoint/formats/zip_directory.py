"""The directory of a zip archive, as far as PyTorch's files use the format.

Zip says most things twice, and lets archives overlap, hide and rename their contents; programs differ in whom they
believe. A file that could be read in two ways might show us other weights than torch loads. So only the plain form that
torch writes is accepted: stored records under one folder, no name twice in whatever case, nothing before the first
record or behind the directory, and each record's own header must say what the directory says.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from weightaudit.checkpoint.limits import MAX_NAME
from weightaudit.checkpoint.small_reads import read_pieces
from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource
from weightaudit.text import printable

MAX_RECORDS = 200_000
"""Records in one archive: one a tensor, and a handful more."""
MAX_DIRECTORY = 64 << 20
"""Bytes of the directory; some 70 a record are usual."""

MAGIC, RECORD = b"PK\x03\x04", b"PK\x01\x02"
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
LOCAL = struct.Struct("<4s5H3I2H")
UNKNOWN16, UNKNOWN32 = 0xFFFF, 0xFFFFFFFF
ENCRYPTED = 0x1 | 0x40 | 0x2000
SIZES_FOLLOW, UTF8 = 0x8, 0x800
UNDERSTOOD = SIZES_FOLLOW | UTF8 | 0x6
"""Flags that a stored record may have; the last two are about compression, and mean nothing without it."""
DIRECTORY = 0x10
"""The attribute by which torch's zip reader knows a folder, whatever its name, and silently reads nothing from it."""
ZIP64 = 1
REDOWNLOAD_HINT = "The file is damaged or was packed anew by another program: download it again"


@dataclass(frozen=True)
class Record:
    """One record: ``raw`` is its whole name in the archive, ``header`` where its own header begins, ``end`` a bound.

    ``crc`` is the CRC-32 that its bytes should have.
    """

    raw: bytes
    header: int
    size: int
    crc: int
    end: int

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return f"record '{printable(self.raw.decode('latin-1'), 80)}'"

    @property
    def lead(self) -> int:
        """Bytes of its header up to the field of unknown length between name and data."""
        return LOCAL.size + len(self.raw)


def read_directory(source: ByteSource) -> dict[str, Record]:
    """The archive's records by their names below its folder. Raises CheckpointError, one a cause."""
    start, size, count = _end(source)
    try:
        (directory,) = read_pieces(source, [(start, source.size - start)])
        # Counted before they are believed to be as few as announced. The mark may come in a checksum, too.
        if directory.count(RECORD) > 2 * MAX_RECORDS:
            _fail(source, f"its zip directory has more than the {MAX_RECORDS} records that are accepted")
        with zipfile.ZipFile(_Tail(directory, start)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, IndexError) as error:
        raise CheckpointError(source.label, "its zip directory is damaged", REDOWNLOAD_HINT) from error
    if len(entries) != count:
        _fail(source, f"its zip directory has {len(entries)} records, {count} were announced")
    if sum(_entry_size(entry) for entry in entries) != size:
        _fail(source, "its zip directory holds bytes that belong to no record")
    _refuse_programs(source, entries)
    for entry in entries:
        _check(source, entry)
    return _under_one_folder(source, entries, start)


def data_offsets(source: ByteSource, records: Iterable[Record]) -> list[int]:
    """Where the data of each record begin, by its own header, which must agree with the directory."""
    records = list(records)
    heads = read_pieces(source, [(record.header, record.lead) for record in records])
    return [_data_offset(source, record, head) for record, head in zip(records, heads, strict=True)]


def _end(source: ByteSource) -> tuple[int, int, int]:
    """Where the directory starts, how many bytes and how many records it has."""
    length = min(source.size, END64.size + LOCATOR.size + END.size)
    (tail,) = read_pieces(source, [(source.size - length, length)])
    if length < END.size or tail[-END.size :][:4] != b"PK\x05\x06":
        _fail(source, "it is cut short: the directory at the end of a zip archive is missing")
    _, disk, first_disk, here, count, size, start, comment = END.unpack(tail[-END.size :])
    if comment or disk or first_disk or here != count:
        _fail(source, "its zip directory's end is not as torch writes it")
    end = source.size - END.size
    locator = tail[-END.size - LOCATOR.size : -END.size]
    if locator[:4] == b"PK\x06\x07":
        small = (count, size, start)
        if length < END64.size + LOCATOR.size + END.size:
            _fail(source, "its zip directory's end is not as torch writes it")
        end -= LOCATOR.size + END64.size
        _, disk, place, disks = LOCATOR.unpack(locator)
        magic, rest, _, _, this, first_disk, here, count, size, start = END64.unpack(tail[: END64.size])
        agree = all(
            a in (b, unknown)
            for a, b, unknown in zip(small, (count, size, start), (UNKNOWN16, UNKNOWN32, UNKNOWN32), strict=True)
        )
        plain = (disk, place, disks, magic, rest, this, first_disk) == (0, end, 1, b"PK\x06\x06", END64.size - 12, 0, 0)
        if not plain or not agree or here != count:
            _fail(source, "its zip directory's end is not as torch writes it")
    if start + size != end:
        _fail(source, "its zip directory is not where the archive's end says")
    if count > MAX_RECORDS:
        _fail(source, f"its zip directory lists {count} records, more than the {MAX_RECORDS} that are accepted")
    if size > MAX_DIRECTORY:
        _fail(source, f"its zip directory has {size} bytes, more than the {MAX_DIRECTORY} that are accepted")
    return start, size, count


class _Tail(io.RawIOBase):
    """The end of a file from ``start`` on as a file of its own, in which all before it is missing."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._start = start
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._start + len(self._data)}[whence]
        if base + offset < 0:
            raise ValueError("before the start")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        at = self._at - self._start
        if at < 0:
            raise zipfile.BadZipFile("outside the directory")
        found = self._data[at:] if size is None or size < 0 else self._data[at : at + size]
        self._at += len(found)
        return found


def _raw(entry: zipfile.ZipInfo) -> bytes:
    # zipfile reads names as UTF-8 or, without that flag, as code page 437, which has a letter for every byte.
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & UTF8 else "cp437")


def _entry_size(entry: zipfile.ZipInfo) -> int:
    return 46 + len(_raw(entry)) + len(entry.extra) + len(entry.comment)


def _refuse_programs(source: ByteSource, entries: Iterable[zipfile.ZipInfo]) -> None:
    # By these names torch knows them too. First of all checks, since such archives differ in much else.
    names = [entry.orig_filename.partition("/")[2] for entry in entries]
    if any(name == "constants.pkl" or name.startswith("code/") for name in names):
        raise CheckpointError(
            source.label,
            "it is a TorchScript archive, a program with its weights. Nothing of it was executed",
            "Use the model's ordinary checkpoint, best as safetensors",
        )


def _check(source: ByteSource, entry: zipfile.ZipInfo) -> None:
    """That a record is stored as it is, and says so in one way only."""
    name = entry.orig_filename
    shown = f"record '{printable(name, 80)}'"
    if len(name) > MAX_NAME:
        _fail(source, f"{shown} has a name of {len(name)} characters, more than {MAX_NAME}")
    if not name.isprintable():
        _fail(source, f"{shown} has control characters in its name")
    if entry.flag_bits & ENCRYPTED:
        raise CheckpointError(source.label, f"{shown} is encrypted", "Get the file without encryption")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(
            source.label,
            f"{shown} is compressed, which torch neither writes nor reads in place",
            "Load it where you trust it, and save it again with torch.save",
        )
    if entry.flag_bits & ~UNDERSTOOD or entry.external_attr & DIRECTORY or name.endswith("/") or entry.volume:
        _fail(source, f"{shown} is no ordinary file of the archive")
    if entry.compress_size != entry.file_size:
        _fail(source, f"{shown} is stored, but in {entry.compress_size} bytes instead of {entry.file_size}")
    if not _one_zip64(entry.extra):
        _fail(source, f"{shown} has damaged extra fields")


def _one_zip64(extra: bytes) -> bool:
    """Whether the extra fields are whole, and tell sizes and place at most once."""
    found = 0
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if length + 4 > len(extra):
            return False
        found += kind == ZIP64
        extra = extra[4 + length :]
    return not extra and found <= 1


def _under_one_folder(source: ByteSource, entries: list[zipfile.ZipInfo], start: int) -> dict[str, Record]:
    """Records by name below the folder of the first, which is where torch looks for them."""
    if not any(entry.orig_filename.endswith("data.pkl") for entry in entries):
        raise CheckpointError(
            source.label,
            "it is a zip archive without the record data.pkl, so torch.save did not write it",
            "Name the model's weight file",
        )
    folder = entries[0].orig_filename.partition("/")[0] + "/" if entries else ""
    records: dict[str, Record] = {}
    seen: set[str] = set()
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    for entry, end in zip(ordered, [*(entry.header_offset for entry in ordered[1:]), start], strict=True):
        name = entry.orig_filename
        shown = f"record '{printable(name, 80)}'"
        record = Record(_raw(entry), entry.header_offset, entry.file_size, entry.CRC, end)
        if record.header + record.lead + record.size > end:
            beyond = "the zip directory" if end == start else "another record"
            _fail(source, f"{shown} reaches into {beyond}")
        if not name.startswith(folder):
            _fail(source, f"{shown} is outside the folder of the first, '{printable(folder, 80)}'")
        if name.lower() in seen:
            _fail(source, f"{shown} occurs twice")
        seen.add(name.lower())
        records[name.removeprefix(folder)] = record
    if ordered and ordered[0].header_offset:
        _fail(source, f"{ordered[0].header_offset} bytes before its first record belong to none")
    return records


def _data_offset(source: ByteSource, record: Record, head: bytes) -> int:
    magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = LOCAL.unpack(head[: LOCAL.size])
    later = {0} if flags & SIZES_FOLLOW else set()
    known = {record.size, UNKNOWN32} | later
    if (
        magic != MAGIC
        or method != zipfile.ZIP_STORED
        or flags & ~UNDERSTOOD
        or packed not in known
        or size not in known
        or crc not in {record.crc} | later
        or name_length != len(record.raw)
        or head[LOCAL.size :] != record.raw
    ):
        _fail(source, f"{record.shown} has a header that contradicts the zip directory")
    offset = record.header + record.lead + int(extra_length)
    if offset + record.size > record.end:
        _fail(source, f"{record.shown} reaches into what follows it")
    return offset


def _fail(source: ByteSource, cause: str) -> NoReturn:
    raise CheckpointError(source.label, cause, REDOWNLOAD_HINT)

"""Files that are of two formats at once, so that it depends on the program which of two models is in them."""

from __future__ import annotations

import struct
import tarfile

from weightaudit.checkpoint.formats.zip_directory import END, END64, LOCATOR, RECORD
from weightaudit.checkpoint.small_reads import read_pieces
from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource

TAR_HEAD = 512
"""Bytes of a tar archive's first header."""
COMMENT = 0xFFFF
"""The most bytes behind a zip archive's end that programs look through for it."""
TWICE = "It was made to deceive: use the model's own weights, best as safetensors"


def refuse_tar(source: ByteSource, head: bytes) -> None:
    """CheckpointError where ``head``, the first 512 bytes, begin a tar archive: torch tries that first, and runs it."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return
    raise CheckpointError(source.label, "it is a tar archive too, which older versions of torch run as code", TWICE)


def refuse_zip_behind(source: ByteSource) -> None:
    """CheckpointError where a zip archive ends in the last bytes of ``source``, which begins as another format."""
    length = min(source.size, COMMENT + END.size)
    (tail,) = read_pieces(source, [(source.size - length, length)])
    at = -1
    while (at := tail.find(b"PK\x05\x06", at + 1)) >= 0:
        if len(tail) - at >= END.size and _follows_directory(source, source.size - length + at, tail[at:]):
            raise CheckpointError(source.label, "a zip archive is hidden in its last bytes", TWICE)


def _follows_directory(source: ByteSource, place: int, end: bytes) -> bool:
    """Whether the end of an archive at ``place`` has its directory before it, and is no chance among the weights."""
    size = struct.unpack_from("<I", end, 12)[0]
    starts = [place - size, place - size - LOCATOR.size - END64.size]
    return RECORD in read_pieces(source, [(start, len(RECORD)) for start in starts if 0 <= start <= source.size - 4])

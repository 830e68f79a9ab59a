"""Which files are reports that this package wrote, told by how they begin and not by their names.

So one may be written again where what somebody else put there must stay. Whoever forges a beginning only has a file of
his own replaced.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import SEEK_END
from typing import BinaryIO

from weightaudit.stored import open_plain

MAX_REPORT = 1 << 30
"""Bytes of a report as JSON that is read back: some 1,000 a matrix and 200 a tensor."""
LONGEST_HEAD = 4096
"""Bytes at a file's start that are looked at."""
LONGEST_FOOTER = 1 << 20
"""Bytes of a Parquet file's footer that are looked at: some hundred for each column, then what we say of the model."""
_PARQUET = b"PAR1"

Recogniser = Callable[[BinaryIO], bool]


def _beginning(pattern: bytes) -> Recogniser:
    """Whether a file's first bytes match."""
    matches = re.compile(pattern, re.DOTALL).match
    return lambda file: matches(file.read(LONGEST_HEAD)) is not None


def _is_parquet(file: BinaryIO) -> bool:
    """Whether the footer, which the file's last eight bytes measure, has metadata of ours."""
    if file.read(4) != _PARQUET:
        return False
    size = file.seek(0, SEEK_END)
    file.seek(max(size - 8, 0))
    end = file.read(8)
    footer = int.from_bytes(end[:4], "little")
    if end[4:] != _PARQUET or footer > size - 12:
        return False
    file.seek(size - 8 - footer)
    return b"weightaudit.schema" in file.read(min(footer, LONGEST_FOOTER))


OWN: dict[str, Recogniser] = {
    ".html": _beginning(rb'<!doctype html>\n<html lang="en">.*<meta name="generator" content="weightaudit">'),
    ".csv": _beginning(rb"(?:model,revision,)?stack,layer,expert,role,tensors,(?:tensors_base,)?rows,"),
    ".json": _beginning(rb'\{\s*"schema": \d+,\s*"(?:model": |base": \{\s*"name": )"(?:[^"\\]|\\.)*",\s*"revision": "'),
    ".parquet": _is_parquet,
    ".sarif": _beginning(rb'\{\s*"\$schema": "[^"]*",.*"tool": \{\s*"driver": \{\s*"name": "weightaudit"'),
    ".md": _beginning(rb"<!-- weightaudit -->\n"),
    ".xml": _beginning(rb'<\?xml [^>]*\?>\n<testsuites name="weightaudit" '),
    ".png": _beginning(rb"\x89PNG\r\n\x1a\n.{25}.{4}tEXtSoftware\0weightaudit"),
    ".svg": _beginning(rb"<\?xml .*<metadata>.*<dc:creator>\s*<cc:Agent>\s*<dc:title>weightaudit</dc:title>"),
}
"""The extensions of reports and figures, and how one that we wrote is told in each format."""


def is_own(path: str | os.PathLike[str]) -> bool:
    """Whether a report or a figure of ours, in any format, is there as a plain file and not as a link."""
    try:
        with open_plain(path, follow=False) as file:
            for recognise in OWN.values():
                file.seek(0)
                if recognise(file):
                    return True
    except OSError:
        pass
    return False

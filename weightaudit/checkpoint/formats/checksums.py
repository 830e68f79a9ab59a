"""The CRC-32 of an archive's records, checked as their bytes go by: a flipped bit is an error and no number."""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass
class Summed:
    """One record of a file: ``size`` bytes from ``start`` should have the CRC-32 ``crc``.

    ``reached`` is how far from its start it was read in one run, ``sum`` the CRC-32 of that.
    """

    name: str
    start: int
    size: int
    crc: int
    reached: int = 0
    sum: int = 0
    checked: bool = False


class Checksums:
    """Those of one file. Safe to use from several threads."""

    def __init__(self, records: Iterable[Summed]) -> None:
        self._records = sorted(records, key=lambda record: record.start)
        self._starts = [record.start for record in self._records]
        self._lock = threading.Lock()

    def pass_by(self, offset: int, data: memoryview) -> str:
        """Take note of ``data``, read at ``offset``; the name of the record that turns out to be damaged, or "".

        A record is checked once: when it was read whole, at once or in pieces that follow one another.
        """
        at = bisect_right(self._starts, offset) - 1
        if at < 0:
            return ""
        record = self._records[at]
        with self._lock:
            if record.checked or offset - record.start not in (0, record.reached):
                return ""
            if offset == record.start:
                record.sum = 0
            record.sum = zlib.crc32(data, record.sum)
            record.reached = offset - record.start + len(data)
            if record.reached != record.size:
                return ""
            record.checked = record.sum == record.crc
            return "" if record.checked else record.name

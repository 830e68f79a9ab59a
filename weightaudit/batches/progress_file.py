"""How far a scan is, told through a small file in the model's folder: it works the same from any machine."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from weightaudit.stored import items, parse_stored, read_plain, text, whole

PROGRESS = ".progress"
EVERY = 0.5
"""Seconds between two writes."""
MAX_PROGRESS = 1 << 20
"""Bytes: two numbers and a tensor's name."""


@dataclass(frozen=True)
class Step:
    """Bytes of tensors that will be read and that have been, and the tensor at hand."""

    total: int
    done: int
    tensor: str


class ProgressFile:
    """`audit.Progress` into a file. Telling is never worth a failure: what cannot be written is not told."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        self._total = self._done = 0
        self._tensor = ""
        self._next = 0.0

    def start(self, model: str, total_bytes: int) -> None:
        self._total = total_bytes
        self._tell()

    def tensor(self, name: str) -> None:
        self._tensor = name
        self._tell()

    def advance(self, nbytes: int) -> None:
        self._done += nbytes
        self._tell()

    def close(self) -> None:
        with suppress(OSError):
            self._path.unlink()

    def _tell(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY
            with suppress(OSError):
                self._path.write_text(json.dumps([self._total, self._done, self._tensor]))


def read_progress(folder: Path) -> Step | None:
    """The last word on the model in ``folder``; None where it is not being scanned, or the file is half written."""
    try:
        total, done, tensor = items(lambda item: item)(
            parse_stored(read_plain(folder / PROGRESS, limit=MAX_PROGRESS, follow=False))
        )
        return Step(whole(total), whole(done), text(tensor))
    except (OSError, ValueError):
        return None

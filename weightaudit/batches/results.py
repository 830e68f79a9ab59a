"""The files that a model's scan leaves, known again by their bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from weightaudit.report.layout import LAYERS_CSV, LAYERS_PARQUET, PAGE, SUMMARY_JSON
from weightaudit.stored import open_plain, printed, record, whole

RESULTS = (LAYERS_CSV, LAYERS_PARQUET, SUMMARY_JSON, PAGE)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Content:
    """Of one file: its size in bytes and the SHA-256 of its content, in hexadecimal."""

    nbytes: int
    sha256: str


def content_of(path: Path) -> Content:
    """That of the plain file at ``path``, which is no link. Raises OSError."""
    with open_plain(path, follow=False) as file:
        return _content(file)


def check_content(said: Any) -> Content:
    """As an outcome keeps it. Raises ValueError."""
    return Content(**record(said, {"nbytes": whole, "sha256": printed}))


@dataclass(frozen=True)
class Results:
    """The files of one folder that count, by name: those with just the content that its outcome tells."""

    folder: Path
    files: Mapping[str, Content]

    def present(self) -> bool:
        """Whether all are there and of the right size: quickly told, and not yet believed."""
        try:
            return all(os.lstat(self.folder / name).st_size == told.nbytes for name, told in self.files.items())
        except OSError:
            return False

    def unchanged(self) -> bool:
        """Whether all have the content that was told of them, to the last byte."""
        try:
            return all(content_of(self.folder / name) == told for name, told in self.files.items())
        except OSError:
            return False

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The file ``name`` from its beginning. ValueError where it is not what its outcome tells of."""
        try:
            file = open_plain(self.folder / name, follow=False)
        except OSError as error:
            raise ValueError(error.strerror) from error
        with file:
            if _content(file) != self.files[name]:
                raise ValueError("it has changed")
            file.seek(0)
            yield file


def _content(file: BinaryIO) -> Content:
    digest, nbytes = hashlib.sha256(), 0
    while block := file.read(_BLOCK):
        digest.update(block)
        nbytes += len(block)
    return Content(nbytes, digest.hexdigest())

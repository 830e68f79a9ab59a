"""The folder of one model: whole files, and last of all the outcome that says they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from weightaudit.batches.lock import unwritable
from weightaudit.batches.names import RESERVED
from weightaudit.batches.outcome import Outcome
from weightaudit.batches.own_files import clear, remove
from weightaudit.batches.progress_file import PROGRESS
from weightaudit.batches.results import RESULTS, Content, content_of
from weightaudit.report.atomic_write import replacing
from weightaudit.report.layout import LOG, OUTCOME

WRITTEN = (OUTCOME, PROGRESS, *RESULTS, LOG)
"""Files of a model's folder. An earlier scan's are removed in this order, results too: a link in a model to one of them
would make it a file of that model."""


def prepare(directory: Path) -> None:
    """Have a batch's directory be fit to be written into: what a killed run was writing there is removed, and what is
    in the way of its files is out of it. Raises OutputError.
    """
    try:
        for name in RESERVED:
            clear(directory / name)
        remove_temporaries(directory)
    except OSError as error:
        raise unwritable(directory, error) from error


def remove_temporaries(directory: Path) -> None:
    """Remove what a killed run was writing there. Raises OSError."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    for name in names:
        if name.startswith(".weightaudit-") and name.endswith(".tmp"):
            (directory / name).unlink(missing_ok=True)


class ModelFolder:
    """Where one model's results are written: a directory, and never a link that leads elsewhere.

    Every method raises OutputError where the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self) -> None:
        """Make it, and take back what an earlier scan said of it: from here on the model is unfinished."""
        try:
            clear(self.path, folder=True)
            self.path.mkdir(exist_ok=True)
            for name in WRITTEN:
                remove(self.path / name)
            self._settle()
            remove_temporaries(self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def abandon(self) -> None:
        """Remove what a worker that was killed was writing there, if it had come so far as to make the folder."""
        with suppress(OSError):
            if not self.path.is_symlink():
                remove_temporaries(self.path)

    def finish(self, outcome: Outcome) -> None:
        """Write the outcome, once all that it speaks of is on the disk."""
        try:
            if outcome.status == "failed":
                for name in RESULTS:
                    (self.path / name).unlink(missing_ok=True)
            (self.path / PROGRESS).unlink(missing_ok=True)
            self._settle()
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.write(OUTCOME, outcome.to_json())
        with suppress(OSError):
            self._settle()

    def write(self, name: str, content: bytes) -> None:
        """The file ``name``, whole or not at all."""
        with replacing(self.path / name) as file:
            file.write(content)

    def contents(self, names: Iterable[str]) -> dict[str, Content]:
        """What is in these files."""
        try:
            return {name: content_of(self.path / name) for name in names}
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _settle(self) -> None:
        """Have the names in the folder written down in the order in which they changed, should the power fail."""
        if os.name == "nt":
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

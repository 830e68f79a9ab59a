"""The folder of one model: whole files, and last of all the outcome that says they are complete."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from weightaudit.batch.lock import unwritable
from weightaudit.batch.outcome import OUTCOME, Outcome
from weightaudit.batch.progress_file import PROGRESS
from weightaudit.report.files import replacing

CSV, PARQUET, SUMMARY, PAGE, LOG = "layers.csv", "layers.parquet", "summary.json", "report.html", "log.txt"
RESULTS = (CSV, PARQUET, SUMMARY, PAGE)


def sweep(directory: Path) -> None:
    """Remove what a killed run was writing there. Raises OutputError."""
    try:
        for name in os.listdir(directory):
            if name.startswith(".weightaudit-") and name.endswith(".tmp"):
                (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(directory, error) from error


class ModelFolder:
    """Where one model's results are written. Every method raises OutputError where the file system refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self) -> None:
        """Make it, and take back what an earlier scan said of it: from here on the model is unfinished."""
        try:
            self.path.mkdir(exist_ok=True)
            (self.path / OUTCOME).unlink(missing_ok=True)
            self._settle()
        except OSError as error:
            raise unwritable(self.path, error) from error
        sweep(self.path)

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

    def sizes(self, names: tuple[str, ...]) -> dict[str, int]:
        """Bytes of these files."""
        try:
            return {name: (self.path / name).stat().st_size for name in names}
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

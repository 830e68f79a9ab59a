"""Report files that a command was asked for: checked before a byte is read, written when all is measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from weightaudit.cli.formats import writer_options
from weightaudit.cli.terminal import tell
from weightaudit.errors import UsageError
from weightaudit.logs import timed
from weightaudit.model_files import ModelFiles
from weightaudit.report.atomic_write import Attempts, check_writable, output_extension
from weightaudit.text import printable

Outputs = list[tuple[Path, str]]
"""Files with the formats that they get."""
MERGEKIT = ".yaml"
"""Format of mergekit's configurations."""


class Written(Protocol):
    """A result that can be written down."""

    def write(self, path: str | os.PathLike[str], kind: str = "", **options: Any) -> None: ...


def chosen_outputs(
    out: list[Path] | None,
    csv: Path | None,
    json: Path | None,
    parquet: Path | None,
    models: ModelFiles,
    mergekit: Path | None = None,
) -> Outputs:
    """Every output with its format, each checked to be writable, no file of ``models``, and named once."""
    outputs = [(path, output_extension(path)) for path in out or []]
    named = ((csv, ".csv"), (json, ".json"), (parquet, ".parquet"), (mergekit, MERGEKIT))
    outputs += [(path, kind) for path, kind in named if path is not None]
    seen: set[str] = set()
    for path, _ in outputs:
        check_writable(path, models)
        if os.path.realpath(path) in seen:
            raise UsageError(str(path), "named for two outputs", "Give each output its own file.")
        seen.add(os.path.realpath(path))
    return outputs


def write_outputs(report: Written, outputs: Outputs, fail_on: str, attempts: Attempts, *, quiet: bool) -> None:
    """Write ``report`` to each; ``attempts`` has the errors of those that cannot be written."""
    for path, kind in outputs:
        with attempts:
            with timed(f"wrote {printable(str(path), 1000)}"):
                report.write(path, kind, **writer_options(kind, fail_on))
            if not quiet:
                tell(f"wrote {path}")

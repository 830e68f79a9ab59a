"""Options such as ``--out`` where they name a directory, though a file elsewhere."""

from __future__ import annotations

from pathlib import Path

import typer

from weightaudit.errors import UsageError
from weightaudit.text import printable

FILES = (".html", ".htm", ".csv", ".json", ".parquet", ".md", ".png", ".svg")
"""Endings of what other commands write: who names one of them expects a file."""


def no_file(param: typer.CallbackParam, directory: Path | None) -> Path | None:
    """``directory``, as typer calls it back; UsageError where it is called like a file and is not there as a
    directory.
    """
    if directory is not None and directory.suffix.lower() in FILES and not directory.is_dir():
        cause = f"{param.opts[0]} is a directory here, and this is called like a file"
        other = printable(str(directory.with_suffix("")), 1000)
        raise UsageError(f"'{printable(str(directory), 1000)}'", cause, f"Name a directory, such as {other}")
    return directory

"""Write a scan's result to a file: one table of formats, one function that all callers use."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from weightaudit.errors import UsageError
from weightaudit.model_files import ModelFiles
from weightaudit.records import ScanResult
from weightaudit.report.atomic_write import output_extension, replacing

Writer = Callable[..., None]

_WRITERS = {
    ".html": ("weightaudit.report.html", "write_html"),
    ".csv": ("weightaudit.report.tables", "write_csv"),
    ".json": ("weightaudit.report.tables", "write_json"),
    ".parquet": ("weightaudit.report.tables", "write_parquet"),
    ".sarif": ("weightaudit.report.sarif", "write_sarif"),
    ".md": ("weightaudit.report.markdown", "write_markdown"),
    ".xml": ("weightaudit.report.junit", "write_junit"),
}
"""Format → where its writer is, ``(result, file)``; imported when it is used, since some need heavy libraries."""


def write(result: ScanResult, path: str | os.PathLike[str], kind: str = "", **options: Any) -> None:
    """Write ``result`` to ``path`` in the format ``kind``, or that its extension picks.

    Formats are .html .csv .json .parquet .sarif .md .xml; ``options`` go to the format's writer. Raises UsageError for
    any other, OutputError where ``path`` cannot be written.
    """
    writer = writer_of(kind or output_extension(path))
    with replacing(path, model_files(result), follow=True) as file:
        writer(result, file, **options)


def write_figures(result: ScanResult, directory: str | os.PathLike[str]) -> list[Path]:
    """Draw norms and stable ranks by layer, and a heat map, each stack its own, as PNG and SVG for a paper.

    Returns the files. Raises UsageError where matplotlib is not installed (extra ``figures``), OutputError
    where ``directory``, which is made if it is not there, cannot be written.
    """
    from weightaudit.report import figures

    return figures.write_figures(result, Path(directory), model_files(result))


def writer_of(kind: str) -> Writer:
    """The writer of a format, ``(result, file)``. Raises UsageError where there is no such format."""
    if kind not in _WRITERS:
        raise UsageError(repr(kind), "it is no report format", f"Choose one of {', '.join(_WRITERS)}")
    module, name = _WRITERS[kind]
    found: Writer = getattr(import_module(module), name)
    return found


def model_files(result: ScanResult) -> ModelFiles:
    """What no output of ``result`` may replace: the model that it is about, where that lies on this machine."""
    return ModelFiles.of([result.identity.location])

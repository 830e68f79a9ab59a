"""Write a scan's result, or a difference of two models, to a file: one table of formats, one function that all callers
use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from weightaudit.errors import UsageError
from weightaudit.model_files import ModelFiles
from weightaudit.records import DiffResult, ScanResult
from weightaudit.report.atomic_write import output_extension, replacing

Writer = Callable[..., None]

_WRITERS = {
    ".html": ("html", "page", "write_html"),
    ".csv": ("tables", "tables", "write_csv"),
    ".json": ("tables", "tables", "write_json"),
    ".parquet": ("tables", "tables", "write_parquet"),
    ".sarif": ("sarif", "findings", "write_sarif"),
    ".md": ("markdown", "markdown", "write_markdown"),
    ".xml": ("junit", "findings", "write_junit"),
}
"""Format → the modules whose function, ``(result, file)``, writes a scan and a difference; imported when it is used,
since some need heavy libraries.
"""


def write(result: ScanResult | DiffResult, path: str | os.PathLike[str], kind: str = "", **options: Any) -> None:
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
    """The writer of a format, ``(result, file)``, for either kind of result. Raises UsageError where there is no such
    format.
    """
    if kind not in _WRITERS:
        raise UsageError(repr(kind), "it is no report format", f"Choose one of {', '.join(_WRITERS)}")
    scan, difference, name = _WRITERS[kind]

    def writer(result: ScanResult | DiffResult, file: BinaryIO, **options: Any) -> None:
        module = f"diff.{difference}" if isinstance(result, DiffResult) else scan
        getattr(import_module(f"weightaudit.report.{module}"), name)(result, file, **options)

    return writer


def model_files(result: ScanResult | DiffResult) -> ModelFiles:
    """What no output of ``result`` may replace: the models that it is about, where they lie on this machine."""
    if isinstance(result, DiffResult):
        return ModelFiles.of([one.location for one in (result.base, result.derived, *result.parents)])
    return ModelFiles.of([result.identity.location])

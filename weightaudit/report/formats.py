"""Write a result of any kind to a file: one table of formats, one function that all callers use."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from weightaudit.errors import UsageError
from weightaudit.model_files import ModelFiles
from weightaudit.records import ScanResult
from weightaudit.report.atomic_write import output_extension, replacing

if TYPE_CHECKING:
    from weightaudit.records import ModelIdentity, Reported

Writer = Callable[..., None]

_OF_TWO = {
    ".html": ("page", "write_html"),
    ".csv": ("tables", "write_csv"),
    ".json": ("tables", "write_json"),
    ".parquet": ("tables", "write_parquet"),
    ".sarif": ("findings", "write_sarif"),
    ".md": ("markdown", "write_markdown"),
    ".xml": ("findings", "write_junit"),
}
_WRITERS: dict[str, dict[str, tuple[str, str]]] = {
    "ScanResult": {
        **_OF_TWO,
        ".html": ("html", "write_html"),
        ".sarif": ("sarif", "write_sarif"),
        ".xml": ("junit", "write_junit"),
    },
    "DiffResult": {kind: (f"diff.{module}", function) for kind, (module, function) in _OF_TWO.items()},
    "MergeCheckResult": {
        **{kind: (f"merge.{module}", function) for kind, (module, function) in _OF_TWO.items()},
        ".yaml": ("merge.mergekit", "write_mergekit"),
    },
}
"""Record → format → the module and its function, ``(result, file)``; imported when it is used, since some need heavy
libraries.
"""


def write(result: Reported, path: str | os.PathLike[str], kind: str = "", **options: Any) -> None:
    """Write ``result`` to ``path`` in the format ``kind``, or that its extension picks.

    Formats are .html .csv .json .parquet .sarif .md .xml; ``options`` go to the format's writer. Raises UsageError for
    any other, OutputError where ``path`` cannot be written.
    """
    writer = writer_of(kind or output_extension(path))
    with replacing(path, model_files(result), follow=True) as file:
        writer(result, file, **options)


def rendered(result: Reported, kind: str, **options: Any) -> bytes:
    """What `write` would write in the format ``kind``."""
    content = BytesIO()
    writer_of(kind)(result, content, **options)
    return content.getvalue()


def write_figures(result: ScanResult, directory: str | os.PathLike[str]) -> list[Path]:
    """Draw norms and stable ranks by layer, and a heat map, each stack its own, as PNG and SVG for a paper.

    Returns the files. Raises UsageError where matplotlib is not installed (extra ``figures``), OutputError
    where ``directory``, which is made if it is not there, cannot be written.
    """
    from weightaudit.report import figures

    return figures.write_figures(result, Path(directory), model_files(result))


def writer_of(kind: str) -> Writer:
    """The writer of a format, ``(result, file)``. Raises UsageError where there is no such format, and the writer where
    its result has none.
    """
    if not any(kind in writers for writers in _WRITERS.values()):
        raise UsageError(repr(kind), "it is no report format", f"Choose one of {', '.join(_OF_TWO)}")

    def writer(result: Reported, file: BinaryIO, **options: Any) -> None:
        writers = next(_WRITERS[of.__name__] for of in type(result).__mro__ if of.__name__ in _WRITERS)
        if kind not in writers:
            raise UsageError(repr(kind), "it is no format of this report", f"Choose one of {', '.join(writers)}")
        module, function = writers[kind]
        getattr(import_module(f"weightaudit.report.{module}"), function)(result, file, **options)

    return writer


def model_files(result: Reported) -> ModelFiles:
    """What no output of ``result`` may replace: the models that it is about, where they lie on this machine."""
    return ModelFiles.of([one.location for one in _models(result)])


def _models(result: Reported) -> tuple[ModelIdentity, ...]:
    if isinstance(result, ScanResult):
        return (result.identity,)
    from weightaudit.records import DiffResult

    if isinstance(result, DiffResult):
        return (result.base, result.derived, *result.parents)
    return (*result.models, *(one for one in (result.base, result.merged) if one is not None))

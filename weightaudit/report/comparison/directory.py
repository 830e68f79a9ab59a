"""The directory that a comparison is written into: there, writable, and no model's or batch's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weightaudit.errors import OutputError
from weightaudit.model_files import ModelFiles
from weightaudit.report.atomic_write import check_writable
from weightaudit.report.layout import DIFFERENCES, INDEX, LAYERS_PARQUET, MANIFEST, PAGE, PLOTLY


def prepare_directory(
    out: Path,
    models: ModelFiles,
    folders: Sequence[Path],
    files: Sequence[str] = (INDEX, PLOTLY, DIFFERENCES),
) -> None:
    """Have ``out`` be there and ``files`` in it be writable, and nothing that is written in it or in ``folders`` be one
    of ``models``' or a report that is compared. OutputError.
    """
    if (out / MANIFEST).exists():
        raise OutputError(str(out), "it is a batch's directory, which has a page of its own", "Name another directory")
    tables = [folder / name for folder in folders for name in (LAYERS_PARQUET, PAGE)]
    for path in (*folders, *tables):
        if path.is_symlink():
            raise OutputError(str(path), "it is a link, through which nothing is written", "Remove it")
    for directory in (out, *folders):
        models.check_directory(directory)
    for path in tables:
        models.check_read(path)
    make_directory(out)
    for name in files:
        check_writable(out / name, models, follow=False)


def make_directory(directory: Path) -> None:
    """Have ``directory`` be there. OutputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(directory), (error.strerror or str(error)).lower(), "Name another directory") from error

"""What `compare` does with models and its directory, be they put side by side or over steps."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from weightaudit.cli.terminal import tell
from weightaudit.config import AuditConfig
from weightaudit.errors import OutputError
from weightaudit.model_files import ModelFiles, parted
from weightaudit.redact import without_secrets
from weightaudit.report.layout import DIFFERENCES, INDEX, LAYERS_PARQUET, MANIFEST, PAGE, PLOTLY
from weightaudit.text import printable, slug

if TYPE_CHECKING:
    from weightaudit.report.atomic_write import Attempts
    from weightaudit.report.comparison.read import Finished


def prepare(
    out: Path,
    models: ModelFiles,
    folders: Sequence[Path],
    files: Sequence[str] = (INDEX, PLOTLY, DIFFERENCES),
) -> None:
    """Have ``out`` be there and ``files`` in it be writable, and nothing that is written in it or in ``folders`` be one
    of ``models``' or a report that is compared. OutputError.
    """
    from weightaudit.report.atomic_write import check_writable

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
    _make(out)
    for name in files:
        check_writable(out / name, models, follow=False)


def scanned(name: str, folder: Path, config: AuditConfig, attempts: Attempts, *, quiet: bool) -> Finished:
    """Scan the model ``name`` and leave its report in ``folder``, from where it can be compared again. ``attempts`` has
    the error of what cannot be written there.
    """
    from weightaudit.api import scan
    from weightaudit.report.comparison.read import finished

    model, revision = parted(name)
    report = scan(model, progress=not quiet, **asdict(replace(config, revision=revision)))
    for note in report.notes:
        tell(f"note: {printable(report.identity.name)}: {note}")
    page: Path | None = None
    with attempts:
        _make(folder)
        with attempts:
            report.to_parquet(folder / LAYERS_PARQUET)
        report.to_html(folder / PAGE, plotly=f"../{PLOTLY}")
        page = folder / PAGE
    return finished(report, page)


def _make(directory: Path) -> None:
    """Have ``directory`` be there. OutputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(directory), (error.strerror or str(error)).lower(), "Name another directory") from error


def folder_of(place: int, name: str) -> str:
    """For a scanned model: its name, and before it its place among the names, so that no two share one."""
    there = os.path.exists(name)
    called = os.path.basename(os.path.realpath(name)) if there else re.sub(r"[?#].*", "", without_secrets(name))
    return f"{place}-{slug(called, longest=80).strip('.-') or 'model'}"

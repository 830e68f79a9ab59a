"""What `compare` does with models and its directory, be they put side by side or over steps."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from weightaudit.cli.terminal import tell
from weightaudit.config import AuditConfig
from weightaudit.model_files import parted
from weightaudit.redact import without_secrets
from weightaudit.report.layout import LAYERS_PARQUET, PAGE, PLOTLY
from weightaudit.text import printable, slug

if TYPE_CHECKING:
    from weightaudit.report.atomic_write import Attempts
    from weightaudit.report.comparison.read import Finished


def scanned(name: str, folder: Path, config: AuditConfig, attempts: Attempts, *, quiet: bool) -> Finished:
    """Scan the model ``name`` and leave its report in ``folder``, from where it can be compared again. ``attempts`` has
    the error of what cannot be written there.
    """
    from weightaudit.api import scan
    from weightaudit.report.comparison.directory import make_directory
    from weightaudit.report.comparison.read import finished

    model, revision = parted(name)
    report = scan(model, progress=not quiet, **asdict(replace(config, revision=revision)))
    for note in report.notes:
        tell(f"note: {printable(report.identity.name)}: {note}")
    page: Path | None = None
    with attempts:
        make_directory(folder)
        with attempts:
            report.to_parquet(folder / LAYERS_PARQUET)
        report.to_html(folder / PAGE, plotly=f"../{PLOTLY}")
        page = folder / PAGE
    return finished(report, page)


def folder_of(place: int, name: str) -> str:
    """For a scanned model: its name, and before it its place among the names, so that no two share one."""
    there = os.path.exists(name)
    called = os.path.basename(os.path.realpath(name)) if there else re.sub(r"[?#].*", "", without_secrets(name))
    return f"{place}-{slug(called, longest=80).strip('.-') or 'model'}"

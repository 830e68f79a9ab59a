"""``weightaudit compare A B … --out DIR``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightaudit.cli import options
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import tell
from weightaudit.config import AuditConfig
from weightaudit.errors import OutputError, UsageError
from weightaudit.model_files import ModelFiles
from weightaudit.text import printable

if TYPE_CHECKING:
    from weightaudit.report.comparison.read import Finished

Compared = Annotated[
    list[str],
    typer.Argument(
        metavar="A B ...",
        help="Reports (.json, .parquet, a model's folder in a batch) or models, which are scanned first.",
        show_default=False,
    ),
]
Directory = Annotated[Path, typer.Option("--out", help="Directory for the page; made if it is not there.")]


@with_scan_options(without=["revision"])
def compare(
    compared: Compared,
    *,
    out: Directory,
    config: AuditConfig,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put models side by side: index.html, and differences.csv of the first against each of the others.

    A Hub id may carry a revision: id@revision. The options are those of scan, for the models that are scanned.
    """
    if len(compared) < 2:
        raise UsageError("compare", "a comparison needs two reports or models", "Name another")

    from weightaudit.report.comparison.read import read_finished
    from weightaudit.report.comparison.write import put_together

    # Reports are read before the first model is scanned: what is wrong with them is told at once.
    reports = [read_finished(Path(name)) for name in compared]
    folders = [out / _folder(place, name) for place, name in enumerate(compared, 1)]
    models = [name for name, report in zip(compared, reports, strict=True) if report is None]
    _prepare(out, ModelFiles.of(models), folders)
    whole = [
        report if report is not None else _scanned(name, folder, config, quiet=quiet)
        for name, report, folder in zip(compared, reports, folders, strict=True)
    ]
    matched = put_together(whole, out)
    if quiet:
        return
    for one in matched:
        tell(
            f"{printable(one.model)}: {one.both} matrices have a partner in the first, {one.only_this} have none; "
            f"{one.only_first} of the first have none"
        )
    tell(f"wrote {out / 'index.html'} and {out / 'differences.csv'}")


def _prepare(out: Path, models: ModelFiles, folders: Sequence[Path]) -> None:
    """Have ``out`` be there and writable, and nothing in it or in ``folders`` be one of ``models``'. OutputError."""
    from weightaudit.report.atomic_write import check_writable
    from weightaudit.report.comparison.read import BATCH_PAGE, BATCH_TABLE

    if (out / "batch.json").exists():
        raise OutputError(str(out), "it is a batch's directory, which has a page of its own", "Name another directory")
    tables = [folder / name for folder in folders for name in (BATCH_TABLE, BATCH_PAGE)]
    for path in (*folders, *tables):
        if path.is_symlink():
            raise OutputError(str(path), "it is a link, through which nothing is written", "Remove it")
    for directory in (out, *folders):
        models.check_directory(directory)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(out), (error.strerror or str(error)).lower(), "Name another directory") from error
    for name in ("index.html", "plotly.js", "differences.csv"):
        check_writable(out / name, models)


def _scanned(name: str, folder: Path, config: AuditConfig, *, quiet: bool) -> Finished:
    """Scan the model ``name`` and leave its report in ``folder``, from where it can be compared again."""
    from weightaudit.api import scan
    from weightaudit.report.comparison.read import BATCH_PAGE, BATCH_TABLE, finished
    from weightaudit.report.document import PLOTLY

    model, revision = _parted(name)
    report = scan(model, progress=not quiet, **asdict(replace(config, revision=revision)))
    for note in report.notes:
        tell(f"note: {printable(report.identity.name)}: {note}")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(str(folder), (error.strerror or str(error)).lower(), "Name another directory") from error
    report.to_parquet(folder / BATCH_TABLE)
    report.to_html(folder / BATCH_PAGE, plotly=f"../{PLOTLY}")
    return finished(report, folder / BATCH_PAGE)


def _parted(name: str) -> tuple[str, str | None]:
    """``id@revision`` in two; a path is what exists as one."""
    model, at, revision = name.rpartition("@")
    return (model, revision) if at and model and revision and not Path(name).exists() else (name, None)


def _folder(place: int, name: str) -> str:
    """For a scanned model: its name, and before it its place among the names, so that no two share one."""
    called = Path(name).resolve().name if Path(name).exists() else name.replace("/", "--")
    return f"{place}-{re.sub(r'[^A-Za-z0-9._@-]+', '-', called)[:80].strip('.-') or 'model'}"

"""``weightaudit compare --over step DIR --out DIR``: a run, or several versions of one model, over steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from weightaudit.cli.compared import folder_of, scanned
from weightaudit.cli.terminal import tell
from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError
from weightaudit.model_files import ModelFiles, parted
from weightaudit.redact import without_secrets
from weightaudit.report.layout import INDEX, LAYERS_PARQUET, MANIFEST, PLOTLY, SERIES_CSV
from weightaudit.steps import step_of
from weightaudit.text import plural, printable

if TYPE_CHECKING:
    from weightaudit.records import Series
    from weightaudit.report.atomic_write import Attempts
    from weightaudit.report.comparison.read import Finished

Over = Literal["step", "revision"]
_ANY = "Name a run's directory, its log, or two checkpoints or more; --over revision takes any names, in their order"


@dataclass(frozen=True)
class Version:
    """One of several: what it was called by, its step, and what to call that where it is no number."""

    written: str
    step: int
    label: str = ""


def draw_over(named: Sequence[str], over: Over, out: Path, config: AuditConfig, *, quiet: bool) -> None:
    """Write the page and the table of the series that ``named`` is into ``out``, and tell what the rules find."""
    from weightaudit.report.atomic_write import Attempts

    log = _log_of(named)
    attempts = Attempts()
    if log is not None:
        _write(_of_log(log, out), out, attempts, quiet=quiet)
    else:
        versions = _versions(named, over)
        reports = _reports(versions)
        with attempts:  # of a model that cannot be read too: what could not be written before it is told with it
            _write(_of_versions(versions, reports, out, config, attempts, quiet=quiet), out, attempts, quiet=quiet)
    attempts.conclude()
    if not quiet:
        tell(f"wrote {out / INDEX} and {out / SERIES_CSV}")


def _write(series: Series, out: Path, attempts: Attempts, *, quiet: bool) -> None:
    from weightaudit.records import told_together
    from weightaudit.report.series.page import write_over_steps

    if not series.matrices:
        raise UsageError(printable(series.name, 1000), "no matrix was measured", "Train for longer, or with at_start")
    write_over_steps(series, out, attempts)
    for _, found in told_together(zip(series.found_at, series.findings, strict=True)):
        tell(f"{found.severity}: {found.detail} ({found.id})")
    if not quiet:
        tell(f"{plural(len(series.steps), 'step')}, {plural(len(series.findings), 'finding')}")


def _log_of(named: Sequence[str]) -> Path | None:
    """The log of a run that one name leads to: it is one, or the directory with one."""
    from weightaudit.report.series.log import LOG_NAME, is_log

    if len(named) != 1:
        return None
    path = Path(named[0])
    if path.is_dir() and (path / LOG_NAME).is_file():
        return path / LOG_NAME
    return path if path.suffix == ".parquet" and path.is_file() and is_log(path) else None


def _of_log(path: Path, out: Path) -> Series:
    from weightaudit.records import Series
    from weightaudit.report.comparison.directory import prepare_directory
    from weightaudit.report.series.log import LOG_NAME, read_log
    from weightaudit.training.rules import judged

    rows, told = read_log(path)
    prepare_directory(out, ModelFiles.of([], read=[path]), [], (INDEX, SERIES_CSV))
    found = judged(rows, adapter=bool(told.get("adapter")))
    return Series(
        name=path.resolve().parent.name if path.name == LOG_NAME else path.stem,
        rows=tuple(sorted(rows, key=lambda row: row.step)),
        findings=tuple(finding for _, finding in found),
        found_at=tuple(step for step, _ in found),
        told=told,
    )


def _versions(named: Sequence[str], over: Over) -> list[Version]:
    """What is to be put side by side, in order of steps."""
    names = _within(Path(named[0])) if len(named) == 1 else list(named)
    if len(names) < 2:
        raise UsageError("--over", "a series needs two steps or more", _ANY)
    steps = [step_of(_bare(name)) for name in names]
    if over == "revision" and None in steps:
        return [Version(name, at, _called(name)) for at, name in enumerate(names, 1)]
    by_step: dict[int, str] = {}
    for name, step in zip(names, steps, strict=True):
        shown = f"'{printable(_bare(name), 1000)}'"
        if step is None:
            raise UsageError(shown, "its name tells no step of training", _ANY)
        if step in by_step:
            raise UsageError(
                shown, f"it is of step {step:,}, as '{printable(_bare(by_step[step]), 1000)}' is", "Name one of them"
            )
        by_step[step] = name
    return [Version(name, step) for step, name in sorted(by_step.items())]


def _bare(name: str) -> str:
    """An address without its query, which names nothing, and without a password; anything else as it is."""
    return without_secrets(name).partition("?")[0].partition("#")[0] if "://" in name else name


def _called(name: str) -> str:
    """The revision, or the last part of a path or an address."""
    revision = _revision_of(name)
    return revision or os.path.basename(os.path.normpath(_bare(name)))


def _revision_of(name: str) -> str | None:
    """That which a Hub id or an address of the Hub carries."""
    from weightaudit.source.hub_place import hub_place

    place = hub_place(name) if "://" in name else None
    return place.revision if place is not None else parted(name)[1]


def _within(directory: Path) -> list[str]:
    """The versions in a directory: of a batch its finished models, else its checkpoints, or reports of them."""
    from weightaudit.batches.checkpoints import checkpoints_in
    from weightaudit.batches.manifest import read_manifest

    if not directory.is_dir():
        raise UsageError(printable(str(directory), 1000), "it is neither a run's directory nor its log", _ANY)
    if (directory / MANIFEST).exists():
        folders = [directory / one.folder for one in read_manifest(directory).models]
        return [str(folder) for folder in folders if (folder / LAYERS_PARQUET).is_file()]
    reports = {step: path for path in sorted(directory.iterdir()) if (step := _step_of_report(path)) is not None}
    return [str(path) for _, path in sorted(reports.items()) or checkpoints_in(directory)]


def _step_of_report(path: Path) -> int | None:
    return step_of(path.stem) if path.suffix in (".json", ".parquet") and path.is_file() else None


def _reports(versions: Sequence[Version]) -> list[Finished | None]:
    """Those that are reports, read before the first model is scanned: what is wrong with them is told at once."""
    from weightaudit.report.comparison.read import read_finished

    return [read_finished(Path(one.written)) for one in versions]


def _of_versions(
    versions: Sequence[Version],
    reports: Sequence[Finished | None],
    out: Path,
    config: AuditConfig,
    attempts: Attempts,
    *,
    quiet: bool,
) -> Series:
    """Models are scanned, each into a folder of ``out``."""
    from weightaudit.records import Series
    from weightaudit.report.comparison.directory import prepare_directory
    from weightaudit.report.comparison.read import table_of
    from weightaudit.report.document import share_plotly
    from weightaudit.report.series.collect import rows_of
    from weightaudit.training.rules import judged

    pairs = list(zip(versions, reports, strict=True))
    models = [parted(one.written)[0] for one, report in pairs if report is None]
    read = [table_of(Path(one.written)) for one, report in pairs if report is not None]
    folders = [out / folder_of(one.step, one.written) for one in versions]
    prepare_directory(out, ModelFiles.of(models, read=read), folders, (INDEX, SERIES_CSV, PLOTLY))
    whole = [
        report if report is not None else scanned(one.written, folder, config, attempts, quiet=quiet)
        for (one, report), folder in zip(pairs, folders, strict=True)
    ]
    if models:
        with attempts:
            share_plotly(out)  # the pages of what was scanned draw with it
    rows = tuple(rows_of([(one.step, report) for one, report in zip(versions, whole, strict=True)]))
    found = judged(rows, adapter=any(report.adapter for report in whole))
    return Series(
        name=_title(versions),
        rows=rows,
        findings=tuple(finding for _, finding in found),
        found_at=tuple(step for step, _ in found),
        labels={one.step: one.label for one in versions if one.label},
    )


def _title(versions: Sequence[Version]) -> str:
    """What they have in common: a Hub id, or the folder that they lie in."""
    names = {_model_of(one.written) for one in versions}
    if len(names) == 1:
        return names.pop()
    first = _bare(versions[0].written)
    return (first if "://" in first else os.path.abspath(first)).rstrip("/").split("/")[-2] or "models"


def _model_of(name: str) -> str:
    """A Hub model without its revision; a path as it is."""
    from weightaudit.source.hub_place import hub_place

    place = hub_place(name) if "://" in name else None
    return place.model if place is not None else parted(_bare(name))[0]

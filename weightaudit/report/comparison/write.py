"""Finished reports put together: their page, and what differs between them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from weightaudit.report.atomic_write import Attempts, attempting, replacing
from weightaudit.report.comparison.apart import Apart, apart_by_reports
from weightaudit.report.comparison.differences import Matched, matches, write_differences
from weightaudit.report.comparison.model_entry import ModelEntry
from weightaudit.report.comparison.page import write_index
from weightaudit.report.comparison.read import Finished
from weightaudit.report.layout import DIFFERENCES


def put_together(
    reports: Sequence[Finished],
    directory: Path,
    attempts: Attempts | None = None,
    apart: Mapping[int, Apart] | None = None,
) -> list[Matched]:
    """Write index.html, plotly.js and differences.csv into ``directory``; how the others match the first.

    ``apart`` has, by their places among ``reports``, how far weights are from the first's of those where they were
    compared themselves; of the others it is what the reports say. Raises OutputError where one cannot be written; the
    others are. ``attempts`` that the caller gives keep that error, instead of raising it, until the result is told.
    """
    names = titles(reports)
    named = list(zip(names, reports, strict=True))
    entries = [_entry(name, report, directory) for name, report in zip(names, reports, strict=True)]
    title = " · ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} others"
    known = [
        (apart or {}).get(place) or apart_by_reports(reports[0].rows, report.rows)
        for place, report in enumerate(reports[1:], 1)
    ]
    with attempting(attempts) as writing:
        with writing, replacing(directory / DIFFERENCES) as file:
            write_differences(named, known, file)
        with writing:
            beside_first = list(zip(names[1:], known, strict=True))
            write_index(entries, directory, title=title, beside=(DIFFERENCES,), apart=beside_first)
    return matches(named, known)


def titles(reports: Sequence[Finished]) -> list[str]:
    """A name for each that no other has: the model's, with the revision or a number where that is not enough."""
    called = Counter(report.name for report in reports)
    reached: dict[str, int] = {}  # name → the last number that it was given
    out: dict[str, None] = {}
    for report in reports:
        several = called[report.name] > 1 and report.revision
        name = base = f"{report.name}@{report.revision[:10]}" if several else report.name
        while name in out:
            reached[base] = reached.get(base, 1) + 1
            name = f"{base} ({reached[base]})"
        out[name] = None
    return list(out)


def _entry(name: str, report: Finished, directory: Path) -> ModelEntry:
    return ModelEntry(
        name=name,
        revision=report.revision,
        status="done",
        link=_address(report.page, directory),
        log=_address(report.log, directory),
        family=report.family,
        guessed=report.guessed,
        metrics=report.metrics,
        profiles=report.profiles,
        findings=report.findings,
        rules=report.rules,
    )


def _address(path: Path | None, directory: Path) -> str:
    """Of ``path``, as a page in ``directory`` links to it; "" where no relative address leads there."""
    if path is None:
        return ""
    try:
        return quote(Path(os.path.relpath(os.path.realpath(path), os.path.realpath(directory))).as_posix())
    except ValueError:  # on another drive
        return ""

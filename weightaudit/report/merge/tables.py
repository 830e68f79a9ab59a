"""A merge check as CSV, JSON and Parquet; none carries a timing.

JSON and Parquet carry the schema version and full double precision, JSON also the inner products, of which every number
follows for any weights. The CSV is the lines alone, 9 significant digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from weightaudit.records import SCHEMA, Meeting, MergeCheckResult
from weightaudit.report.columns import texts, values
from weightaudit.report.merge.columns import MEETINGS, NAMES, TEXTS
from weightaudit.report.merge.lines import lines
from weightaudit.report.merge.trust import TRUST
from weightaudit.report.record import KEY, record_of
from weightaudit.report.table_files import (
    finding_json,
    frame,
    guarded,
    identity_json,
    write_frame,
    write_lines,
    write_object,
)
from weightaudit.strict_json import plain

if TYPE_CHECKING:
    import pandas as pd


def csv_cells(result: MergeCheckResult) -> Iterator[list[str]]:
    """The cells of the CSV's lines after the header, formatted and guarded but not yet quoted."""
    for line in lines(result):
        cells = texts(result.models[line.victim], line, MEETINGS)
        for i in TEXTS:
            cells[i] = guarded(cells[i])
        yield cells


def write_csv(result: MergeCheckResult, file: BinaryIO) -> None:
    """UTF-8 CSV, one row a matrix, model and what it is merged with."""
    write_lines([NAMES], file)
    write_lines(csv_cells(result), file)


def write_json(result: MergeCheckResult, file: BinaryIO) -> None:
    """Strict JSON in UTF-8, ended by a newline: NaN and infinities are null."""
    write_object(document(result), file, {KEY: record_of(result)})


def write_parquet(result: MergeCheckResult, file: BinaryIO) -> None:
    """The lines as Parquet. The file's metadata hold what the JSON report says of the models as a whole."""
    write_frame(meetings_frame(result), _head(result), file)


def meetings_frame(result: MergeCheckResult) -> pd.DataFrame:
    """One row a matrix, model and what it is merged with, numbers in full double precision."""
    return frame(MEETINGS, [values(result.models[line.victim], line, MEETINGS) for line in lines(result)])


def document(result: MergeCheckResult) -> dict[str, Any]:
    """The check as plain JSON values, keys in a fixed order."""
    long = {
        "suppressed": [{**finding_json(one.finding), "suppressed_by": one.by} for one in result.suppressed],
        "meetings": [_meeting(one) for one in result.meetings],
    }
    return {**_head(result), **{key: plain(value) for key, value in long.items()}}


def _head(result: MergeCheckResult) -> dict[str, Any]:
    """What the document says of the models as a whole, and how they were judged."""
    head: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "trust": TRUST,
            "base": None if result.base is None else identity_json(result.base),
            "models": [identity_json(model) for model in result.models],
            "merged": None if result.merged is None else identity_json(result.merged),
            "family": result.family,
            "options": result.options,
            "versions": result.versions,
            "partial": result.partial,
            "notes": result.notes,
            "summary": asdict(result.summary),
            "rules": result.rules,
            "findings": [finding_json(finding) for finding in result.findings],
            "gate": result.gate,
        }
    )
    return head


def _meeting(one: Meeting) -> dict[str, Any]:
    place = {"tensors": one.tensors, "shape": one.shape, "table": one.table}
    return {**asdict(one.place), **place, **asdict(one.interactions)}

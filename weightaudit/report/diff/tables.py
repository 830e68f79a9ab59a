"""A difference as CSV, JSON and Parquet; none carries a timing.

JSON and Parquet carry the schema version and full double precision. The CSV is the rows alone, 9 significant digits
with directed rounding: matrices first, then vectors, whose role and spectrum are empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from weightaudit.records import SCHEMA, Change, DiffResult, ModelIdentity, OneSided
from weightaudit.report.columns import texts, values
from weightaudit.report.diff.columns import CHANGES, NAMES, TEXTS
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


def csv_cells(result: DiffResult) -> Iterator[list[str]]:
    """The cells of the CSV's lines after the header, formatted and guarded but not yet quoted."""
    for change in result.changes:
        cells = texts(result.derived, change, CHANGES)
        for i in TEXTS:
            cells[i] = guarded(cells[i])
        yield cells


def write_csv(result: DiffResult, file: BinaryIO) -> None:
    """UTF-8 CSV, one row a matrix or vector."""
    write_lines([NAMES], file)
    write_lines(csv_cells(result), file)


def write_json(result: DiffResult, file: BinaryIO) -> None:
    """Strict JSON in UTF-8, ended by a newline: NaN and infinities are null."""
    write_object(document(result), file, {KEY: record_of(result)})


def write_parquet(result: DiffResult, file: BinaryIO) -> None:
    """The changes as Parquet. The file's metadata hold what the JSON report says of the models as a whole."""
    write_frame(changes_frame(result), _head(result), file)


def changes_frame(result: DiffResult) -> pd.DataFrame:
    """One row a matrix or vector, the CSV's columns, numbers in full double precision; whole numbers and flags, which
    not every row has, are nullable.
    """
    return frame(CHANGES, [values(result.derived, change, CHANGES) for change in result.changes])


def document(result: DiffResult) -> dict[str, Any]:
    """The difference as plain JSON values, keys in a fixed order."""
    long = {
        "suppressed": [{**finding_json(one.finding), "suppressed_by": one.by} for one in result.suppressed],
        "changes": [_change(result.derived, change) for change in result.changes],
        "one_sided": [_one_sided(one) for one in result.one_sided],
    }
    return {**_head(result), **{key: plain(value) for key, value in long.items()}}


def _head(result: DiffResult) -> dict[str, Any]:
    """What the document says of the models as a whole, and how they were judged."""
    head: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "base": identity_json(result.base),
            "derived": identity_json(result.derived),
            "parents": [identity_json(parent) for parent in result.parents],
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


def _change(derived: ModelIdentity, change: Change) -> dict[str, Any]:
    """The columns, and what has no room in a cell: leading singular values of Δ and the novelty of each direction."""
    said: dict[str, Any] = dict(zip(NAMES, values(derived, change, CHANGES), strict=True))
    if change.ranks is not None:
        said |= {"singular_values": change.ranks.singular_values, "edge": change.ranks.edge}
    if change.directions is not None:
        said |= {"novelties": change.directions.novelty, "undetermined": change.directions.undetermined}
    return said


def _one_sided(one: OneSided) -> dict[str, Any]:
    return {**asdict(one.place), "tensors": one.tensors, "shape": one.shape, "side": one.side}

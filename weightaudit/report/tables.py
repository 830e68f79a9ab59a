"""The report as CSV, JSON and Parquet; none carries a timing.

JSON and Parquet carry the schema version and full double precision. The CSV is the rows alone, 9 significant
digits with directed rounding; its header says which columns it has, and nothing in it the schema version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from weightaudit.records import SCHEMA, CoverageEntry, ScanResult
from weightaudit.report.base import base_json
from weightaudit.report.columns import NAMES, texts, values
from weightaudit.report.full_columns import all_asked, full_json
from weightaudit.report.heads import heads_json
from weightaudit.report.record import KEY, record_of
from weightaudit.report.scan_columns import columns_of
from weightaudit.report.spectra import asked, spectra_json
from weightaudit.report.table_files import (
    finding_json,
    frame,
    guarded,
    storable,
    write_frame,
    write_lines,
    write_object,
)
from weightaudit.strict_json import plain

if TYPE_CHECKING:
    import pandas as pd

_NAME_COLUMNS = tuple(i for i, name in enumerate(NAMES) if name in ("model", "revision", "role", "tensors"))


def csv_cells(report: ScanResult) -> Iterator[list[str]]:
    """The cells of the CSV's lines after the header, formatted and guarded but not yet quoted."""
    columns = columns_of(report)
    guarded_too = (*_NAME_COLUMNS, *(i for i, column in enumerate(columns) if column.name in ("format", "group")))
    for row in report.rows:
        cells = texts(report.identity, row, columns)
        for i in guarded_too:
            cells[i] = guarded(cells[i])
        yield cells


def write_csv(report: ScanResult, file: BinaryIO) -> None:
    """UTF-8 CSV, one row a matrix."""
    write_lines([[column.name for column in columns_of(report)]], file)
    write_lines(csv_cells(report), file)


def write_json(report: ScanResult, file: BinaryIO) -> None:
    """Strict JSON in UTF-8, ended by a newline: NaN and infinities are null."""
    write_object(document(report), file, {KEY: record_of(report)})


def document(report: ScanResult, *, lists: bool = True) -> dict[str, Any]:
    """The report as plain JSON values, keys in a fixed order; unless with ``lists``, without its layers and what covers
    its tensors.
    """
    long: dict[str, Any] = {
        "partial": report.partial,
        "not_judged": [asdict(one) for one in report.not_judged],
        "suppressed": [{**finding_json(one.finding), "suppressed_by": one.by} for one in report.suppressed],
        "gate": report.gate,
    }
    if lists:
        columns = columns_of(report)
        names = [column.name for column in columns]
        long["layers"] = [dict(zip(names, values(report.identity, row, columns), strict=True)) for row in report.rows]
        long["coverage"] = [_entry(entry) for entry in report.coverage_entries]
    if asked(report):
        long["spectra"] = spectra_json(report)
    long |= heads_json(report)
    if all_asked(report):
        long["full_spectra"] = full_json(report)
    return {**_head(report), **{key: plain(value) for key, value in long.items()}}


def _entry(entry: CoverageEntry) -> dict[str, Any]:
    """Its fields; of a tensor that is stored as it is nothing is said of a quantisation."""
    said = asdict(entry)
    if entry.scheme is None and not entry.stored_bytes:
        for field in ("scheme", "parts", "stored_bytes"):
            del said[field]
    return said


def _head(report: ScanResult) -> dict[str, Any]:
    """What the document says of the model as a whole: all of it but what has an item for each matrix or tensor, and how
    it was judged.
    """
    model_map, identity = report.map, report.identity
    result = {
        "schema": SCHEMA,
        "model": identity.name,
        "revision": identity.revision,
        "source": {
            "location": identity.location,
            "format": identity.format,
            "files": [{"name": file.name, "bytes": file.nbytes} for file in identity.files],
            "skipped_files": [asdict(file) for file in identity.skipped_files],
        },
        **({} if identity.adapter is None else {"adapter": asdict(identity.adapter)}),
        **base_json(report),
        "options": report.options,
        "versions": report.versions,
        "architecture": {
            "family": model_map.family,
            "model_type": model_map.model_type,
            "guessed": model_map.guessed,
            "nearest": model_map.nearest,
            "dimensions": model_map.dimensions,
        },
        "notes": report.notes,
        "summary": report.summary,
        "verdict": report.verdict,
        "rules": report.rules,
        "findings": [finding_json(finding) for finding in report.findings],
    }
    head: dict[str, Any] = plain(result)
    return head


def layers_frame(report: ScanResult) -> pd.DataFrame:
    """One row a matrix, the CSV's columns, numbers in full double precision; layer and expert are nullable
    Int64.
    """
    columns = columns_of(report)
    return frame(columns, [values(report.identity, row, columns) for row in report.rows])


def coverage_frame(report: ScanResult) -> pd.DataFrame:
    """One row a tensor of the checkpoint; ``shape`` holds tuples, ``roles`` is joined by ``;``.

    Where something is quantised, ``scheme`` says how, and ``parts`` names the stored tensors, joined by ``;``.
    """
    import pandas as pd

    entries = report.coverage_entries
    quantised = any(entry.scheme is not None for entry in entries)
    schemes = [None if entry.scheme is None else entry.scheme.label for entry in entries]
    more = {
        "scheme": pd.Series([storable(scheme) for scheme in schemes], dtype="string"),
        "parts": pd.Series([storable(";".join(entry.parts)) for entry in entries], dtype="string"),
    }
    return pd.DataFrame(
        {
            "tensor": pd.Series([storable(entry.tensor) for entry in entries], dtype="string"),
            "shape": pd.Series([entry.shape for entry in entries], dtype="object"),
            "dtype": pd.Series([entry.dtype for entry in entries], dtype="string"),
            "parameters": pd.Series([entry.parameters for entry in entries], dtype="int64"),
            "status": pd.Series([entry.status for entry in entries], dtype="string"),
            "detail": pd.Series([storable(entry.detail) for entry in entries], dtype="string"),
            "roles": pd.Series([";".join(entry.roles) for entry in entries], dtype="string"),
            "buffer": pd.Series([entry.buffer for entry in entries], dtype="bool"),
            **(more if quantised else {}),
        }
    )


def write_parquet(report: ScanResult, file: BinaryIO) -> None:
    """The layers as Parquet. The file's metadata hold what the JSON report says of the model as a whole: schema, model,
    architecture (guessed or not), summary, findings and so on.
    """
    write_frame(layers_frame(report), _head(report), file)

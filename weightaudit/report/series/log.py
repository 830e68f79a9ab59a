"""The Parquet log of a run: written whole or not at all, read back as a stranger's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightaudit.errors import UsageError
from weightaudit.records import SeriesRow
from weightaudit.report.atomic_write import replacing
from weightaudit.report.series.columns import SERIES_COLUMNS, SERIES_NAMES, row_of
from weightaudit.report.table_files import storable
from weightaudit.stored import finite, open_plain, parse_stored
from weightaudit.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

LOG_NAME = "weightaudit.parquet"
"""What the log of a run is called, where nobody says otherwise."""
LOG_SCHEMA = 1
_SCHEMA, _TOLD = b"weightaudit.schema", b"weightaudit.run"
MAX_ROWS = 20_000_000
"""Rows of a log that is read: some 1,000 measurements of the largest models."""


def table_of(rows: Sequence[SeriesRow]) -> pa.Table:
    """``rows`` as a table of Arrow's, in the columns of a log."""
    import pyarrow as pa

    return pa.table(
        {
            column.name: pa.array([storable(column.value(row)) for row in rows], getattr(pa, column.dtype)())
            for column in SERIES_COLUMNS
        }
    )


def write_log(path: str | os.PathLike[str], tables: Iterable[pa.Table], told: Mapping[str, float]) -> None:
    """Have the file at ``path`` be the log of these tables, one after the other, and of what is ``told`` of the run.
    OutputError where it cannot be written; then what was there stays.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pa.concat_tables([table_of(()), *tables])
    kept = {_SCHEMA: str(LOG_SCHEMA).encode(), _TOLD: json.dumps(dict(told)).encode()}
    with replacing(path, follow=True) as file:
        pq.write_table(whole.replace_schema_metadata(kept), file)


def is_log(path: Path) -> bool:
    """Whether a file of ours with the columns of a log is there; one that cannot be read is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_plain(path, follow=True) as file:
            schema = pq.ParquetFile(file).schema_arrow
    except (OSError, pa.ArrowException):
        return False
    return _SCHEMA in (schema.metadata or {}) and "due" in schema.names


def read_log(path: Path) -> tuple[tuple[SeriesRow, ...], dict[str, float]]:
    """The rows of the log at ``path``, and what it tells of the run. UsageError where it is no log, or is damaged."""
    import pyarrow as pa

    shown = printable(str(path), limit=1000)
    try:
        table, told = _read(path)
        return tuple(row_of(line) for line in table.to_pylist()), told
    except OSError as error:
        raise UsageError(shown, (error.strerror or str(error)).lower(), "Name another log") from error
    except (ValueError, LookupError, TypeError, pa.ArrowException) as error:
        cause = f"it is no log of a run that can be read: {printable(str(error))}"
        raise UsageError(shown, cause, "Name the Parquet file that a callback wrote") from error


def read_table(path: Path, *, until: int) -> pa.Table:
    """The rows of the log at ``path`` up to the step ``until``, as a table of Arrow's. Raises as `read_log`."""
    rows, _ = read_log(path)
    return table_of([row for row in rows if row.step <= until])


def _read(path: Path) -> tuple[pa.Table, dict[str, float]]:
    import pyarrow.parquet as pq

    with open_plain(path, follow=True) as file:
        parquet = pq.ParquetFile(file)
        kept: Mapping[bytes, bytes] = parquet.schema_arrow.metadata or {}
        if kept.get(_SCHEMA) != str(LOG_SCHEMA).encode() or not set(SERIES_NAMES) <= set(parquet.schema_arrow.names):
            raise ValueError("its columns are others")
        if parquet.metadata.num_rows > MAX_ROWS:
            raise ValueError(f"it has more than {MAX_ROWS:,} rows")
        table = parquet.read(columns=list(SERIES_NAMES), use_threads=False)
    said: Any = parse_stored(kept.get(_TOLD, b"{}"))
    if not isinstance(said, dict):
        raise ValueError("what it tells of the run is no object")
    return table, {str(name): finite(value) for name, value in said.items()}

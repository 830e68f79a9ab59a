"""A series as CSV: what the Parquet log has, with the numbers rounded as a scan's are."""

from __future__ import annotations

from typing import BinaryIO

from weightaudit.records import Series
from weightaudit.report.series.columns import SERIES_COLUMNS, SERIES_NAMES
from weightaudit.report.table_files import write_lines


def write_series(series: Series, file: BinaryIO) -> None:
    """UTF-8 CSV, one row a matrix and step, and one for what was skipped or found."""
    write_lines([SERIES_NAMES], file)
    write_lines(([column.text(row) for column in SERIES_COLUMNS] for row in series.rows), file)

"""Which columns the tables of a scan have: those of every report, then groups that some have, each whole."""

from __future__ import annotations

import math
from dataclasses import replace

from weightaudit.records import LayerRow, ScanResult
from weightaudit.report.adapters import ADAPTER, is_adapter
from weightaudit.report.base import DISTANCE, EFFECTIVE, base_columns
from weightaudit.report.columns import COLUMNS, Column
from weightaudit.report.full_columns import FULL, all_asked
from weightaudit.report.quantisation import QUANTISATION
from weightaudit.report.spectra import SPECTRAL, asked

Columns = tuple[Column[LayerRow], ...]

_OF_PRODUCTS: Columns = tuple(replace(column, dtype="Int64") if column.of_entries else column for column in COLUMNS)
LAYOUTS: tuple[Columns, ...] = tuple(
    (*own, *spectral)
    for own in (COLUMNS, (*COLUMNS, *QUANTISATION), (*_OF_PRODUCTS, *ADAPTER))
    for spectral in ((), SPECTRAL, (*SPECTRAL, *FULL))
)
"""The columns that the tables of a scan without a base may have."""
GROUPS: dict[str, Columns] = {
    "every report": COLUMNS,
    "reports in which a matrix is quantised": QUANTISATION,
    "reports on an adapter": ADAPTER,
    "scans with --spectrum": SPECTRAL,
    "scans with --spectrum full": FULL,
    "scans with --base": DISTANCE,
    "scans of an adapter with --base": EFFECTIVE,
}
"""Which reports have which, in the order in which they stand."""


def columns_of(report: ScanResult) -> Columns:
    """The columns of the report's tables."""
    if any(map(is_adapter, report.rows)):
        own: Columns = (*_OF_PRODUCTS, *ADAPTER)
    else:
        own = (*COLUMNS, *QUANTISATION) if any(map(_quantised, report.rows)) else COLUMNS
    spectral = (*(SPECTRAL if asked(report) else ()), *(FULL if all_asked(report) else ()))
    return (*own, *spectral, *base_columns(report))


def _quantised(row: LayerRow) -> bool:
    scheme = row.matrix.scheme
    return not math.isnan(row.bits_per_weight) or (scheme is not None and not scheme.adapter)

"""Cuts of matrices as tables: DataFrame, CSV, Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from weightaudit.records import LayerRow, ModelIdentity
from weightaudit.report import table_files
from weightaudit.report.columns import Column, number_text, place_columns
from weightaudit.report.markdown import neutral, table
from weightaudit.text import percent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Line:
    """A matrix at one share of its energy: see `compression.Cut`."""

    row: LayerRow
    source: str
    share: float
    rank: int | None
    parameters: int | None
    error_lower: float
    error_upper: float

    @property
    def saving(self) -> int | None:
        """Entries fewer in the two factors than in the matrix; negative where they are more."""
        return None if self.parameters is None else self.row.matrix.parameters - self.parameters


COLUMNS: tuple[Column[Line], ...] = (
    *place_columns(lambda line: line.row.matrix.place),
    Column("role", "Role", "what the matrix does", "string", lambda m, line: line.row.matrix.role),
    Column("tensors", "Tensors", "where it is stored", "string", lambda m, line: ";".join(line.row.matrix.tensors)),
    Column("rows", "Rows", "output features", "int64", lambda m, line: line.row.matrix.shape[0]),
    Column("cols", "Cols", "input features", "int64", lambda m, line: line.row.matrix.shape[1]),
    Column("frobenius_norm", "‖W‖_F", "of the matrix", "float64", lambda m, line: line.row.spectrum.frobenius_norm),
    Column("share", "Share", "of the energy that the rank holds", "float64", lambda m, line: line.share),
    Column("rank", "Rank", "that holds at least that share", "Int64", lambda m, line: line.rank),
    Column("parameters", "Parameters", "r(m + n), of its two factors", "Int64", lambda m, line: line.parameters),
    Column("saving", "Saving", "mn − r(m + n), below 0 where there is none", "Int64", lambda m, line: line.saving),
    Column("error_lower", "Error", "lower end of ‖W − W_r‖_F", "float64", lambda m, line: line.error_lower, "down"),
    Column("error_upper", "Error", "upper end of ‖W − W_r‖_F", "float64", lambda m, line: line.error_upper, "up"),
    Column("known_from", "Known from", "what was measured, or unknown", "string", lambda m, line: line.source),
)
"""Of a table of cuts, a line for each matrix and share."""


def frame(model: ModelIdentity, lines: Iterable[Line]) -> pd.DataFrame:
    """The lines in full precision."""
    return table_files.frame(COLUMNS, [[column.value(model, line) for column in COLUMNS] for line in lines])


def csv(model: ModelIdentity, lines: Iterable[Line]) -> str:
    """The lines as CSV; what a spreadsheet would run is guarded."""

    def cell(column: Column[Line], line: Line) -> str:
        text = column.text(column.value(model, line))
        return table_files.guarded(text) if column.dtype == "string" else text

    cells = [[column.name for column in COLUMNS], *([cell(column, line) for column in COLUMNS] for line in lines)]
    return "".join(map(table_files.csv_line, cells))


def markdown(lines: Iterable[Line], shares: Sequence[float], *, whole: bool) -> str:
    """A line for each matrix: its shape, and for each share the rank, what it saves and ‖W − W_r‖_F/‖W‖_F, or why
    there is none; ``whole`` says that all singular values were asked for.
    """
    heads = ["matrix", "shape", *(f"{percent(share)} of the energy" for share in shares)]
    cells = []
    for row, own in groupby(lines, key=lambda line: line.row):
        shape = "×".join(map(str, row.matrix.shape))
        cells.append([neutral(row.matrix.place.words()), shape, *(_cell(line, whole) for line in own)])
    return table(heads, cells, numeric=tuple(range(1, len(heads)))) + "\n"


def _cell(line: Line, whole: bool) -> str:
    if line.rank is None or line.saving is None:
        norm = line.row.spectrum.frobenius_norm
        if not 0 < norm < math.inf:
            return "all zero" if norm == 0 else "not finite"
        return "not all singular values are known" if whole else "scan with --spectrum full"
    saved = f"saves {percent(line.saving / line.row.matrix.parameters)}" if line.saving > 0 else "saves nothing"
    error = number_text(line.error_upper / line.row.spectrum.frobenius_norm, "up", 3)
    return f"rank {line.rank:,}, {saved}, error ≤ {error}"

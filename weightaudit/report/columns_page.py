"""docs/columns.md, made from the columns: ``python -m weightaudit.report.columns_page > docs/columns.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from weightaudit.report.columns import Column, Row
from weightaudit.report.heads import HEAD_COLUMNS
from weightaudit.report.scan_columns import GROUPS

_HEAD = """# Columns of a scan's tables

The same in CSV, Parquet, JSON (`layers`), and the DataFrame `report.layers`, in this order; one row a matrix. This
page is made from the code (`python -m weightaudit.report.columns_page`), as is [the JSON's schema](scan.schema.json).

Numbers in the unit *weight* change with the scale of the entries; 1 stands for those without a unit. Where a number is
unknown (a matrix with NaN, a spectrum that was not asked for) the cell is empty in CSV, null in JSON, NaN or NA in the
others. In CSV numbers have 9 significant digits, lower ends of intervals rounded down and upper ends up, so that a
printed interval still holds the truth.
"""
_TYPES = {"string": "text", "Int64": "integer or none", "int64": "integer", "float64": "number", "bool": "true, false"}


def page() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *_tables()]) + "\n"


def _tables() -> Iterator[str]:
    for reports, columns in GROUPS.items():
        yield f"## Of {reports}\n"
        yield from _table(columns)
    yield "## Of heads of attention\n"
    yield "With `--heads`, a table of its own, one row a head: the DataFrame `report.heads_frame`; the JSON has the"
    yield "same, nested, under `heads`. [Heads](heads.md) says what the numbers are.\n"
    yield from _table(HEAD_COLUMNS)


def _table(columns: Iterable[Column[Row]]) -> Iterator[str]:
    yield "| column | meaning | type | unit |"
    yield "|---|---|---|---|"
    yield from _lines(columns)
    yield ""


def _lines(columns: Iterable[Column[Row]]) -> Iterator[str]:
    for column in columns:
        unit = column.unit or {"float64": "1"}.get(column.dtype, "")
        yield f"| `{column.name}` | {column.meaning.replace('|', '&#124;')} | {_TYPES[column.dtype]} | {unit} |"


if __name__ == "__main__":
    print(page(), end="")

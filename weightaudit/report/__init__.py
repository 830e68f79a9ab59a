"""Numbers to tables and pages: the result of one scan as DataFrame, CSV, JSON, Parquet, SARIF and one HTML page."""

from weightaudit.report.atomic_write import check_output
from weightaudit.report.formats import rendered, write, write_figures

__all__ = ["check_output", "rendered", "write", "write_figures"]

"""Numbers to tables and pages: the report of one model as DataFrame, CSV, JSON, Parquet and one HTML page."""

from weightaudit.report.files import check_output
from weightaudit.report.scan_report import ScanReport

__all__ = ["ScanReport", "check_output"]

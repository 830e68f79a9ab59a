"""Several models side by side: what is said of each, for a batch and for any reports put together."""

from __future__ import annotations

from weightaudit.report.comparison.columns import SUMMARY_COLUMNS, SUMMARY_NAMES, Metric, SummaryColumn
from weightaudit.report.comparison.model_entry import ModelEntry
from weightaudit.report.comparison.model_summary import Profiles, finding_counts, metrics, profiles
from weightaudit.report.comparison.page import write_index

__all__ = [
    "SUMMARY_COLUMNS",
    "SUMMARY_NAMES",
    "Metric",
    "ModelEntry",
    "Profiles",
    "SummaryColumn",
    "finding_counts",
    "metrics",
    "profiles",
    "write_index",
]

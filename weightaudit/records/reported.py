"""What reports are of."""

from __future__ import annotations

from weightaudit.records.diff import DiffResult
from weightaudit.records.merge_check import MergeCheckResult
from weightaudit.records.scan import ScanResult

Reported = ScanResult | DiffResult | MergeCheckResult
"""The result of a command, as it is written, shown and judged."""

"""What a Python program calls: scan, diff, merge_check, merge, matrices, compare, load, and the reports that these
return.
"""

from weightaudit.api.comparing import Comparison, compare
from weightaudit.api.diffing import diff
from weightaudit.api.loading import load
from weightaudit.api.merging import merge, merge_check
from weightaudit.api.reports import DiffReport, MergeReport, ScanReport
from weightaudit.api.scanning import matrices, scan

__all__ = [
    "Comparison",
    "DiffReport",
    "MergeReport",
    "ScanReport",
    "compare",
    "diff",
    "load",
    "matrices",
    "merge",
    "merge_check",
    "scan",
]

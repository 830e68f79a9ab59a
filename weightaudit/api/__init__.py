"""What a Python program calls: scan, diff, merge_check, merge, matrices, compare, load, and the reports that these
return.

The names are imported on first use: a scan has no need of comparisons and merges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.on_first_use import on_first_use

if TYPE_CHECKING:
    from weightaudit.api.comparing import Comparison as Comparison
    from weightaudit.api.comparing import compare as compare
    from weightaudit.api.diff_report import DiffReport as DiffReport
    from weightaudit.api.diffing import diff as diff
    from weightaudit.api.loading import load as load
    from weightaudit.api.merge_report import MergeReport as MergeReport
    from weightaudit.api.merging import merge as merge
    from weightaudit.api.merging import merge_check as merge_check
    from weightaudit.api.scan_report import ScanReport as ScanReport
    from weightaudit.api.scanning import matrices as matrices
    from weightaudit.api.scanning import scan as scan

_HOMES = {
    "Comparison": "weightaudit.api.comparing",
    "DiffReport": "weightaudit.api.diff_report",
    "MergeReport": "weightaudit.api.merge_report",
    "ScanReport": "weightaudit.api.scan_report",
    "compare": "weightaudit.api.comparing",
    "diff": "weightaudit.api.diffing",
    "load": "weightaudit.api.loading",
    "matrices": "weightaudit.api.scanning",
    "merge": "weightaudit.api.merging",
    "merge_check": "weightaudit.api.merging",
    "scan": "weightaudit.api.scanning",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # by which a name that is not there would seem to be
    __getattr__, __dir__ = on_first_use(__name__, _HOMES)

"""weightaudit: what is inside a pretrained language model's weights.

The public names below are imported on first use, so that importing the package loads neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.on_first_use import on_first_use
from weightaudit.version import __version__ as __version__

if TYPE_CHECKING:
    from weightaudit.api import Comparison as Comparison
    from weightaudit.api import DiffReport as DiffReport
    from weightaudit.api import MergeReport as MergeReport
    from weightaudit.api import ScanReport as ScanReport
    from weightaudit.api import compare as compare
    from weightaudit.api import diff as diff
    from weightaudit.api import load as load
    from weightaudit.api import matrices as matrices
    from weightaudit.api import merge as merge
    from weightaudit.api import merge_check as merge_check
    from weightaudit.api import scan as scan
    from weightaudit.batches.call import Batch as Batch
    from weightaudit.batches.call import batch as batch
    from weightaudit.checkpoint import open_checkpoint as open_checkpoint
    from weightaudit.config import AuditConfig as AuditConfig
    from weightaudit.errors import WeightauditError as WeightauditError
    from weightaudit.records import Finding as Finding
    from weightaudit.records import RoleMatrix as RoleMatrix
    from weightaudit.records import Spectrum as Spectrum
    from weightaudit.spectral import measure as measure

_HOMES = {
    "scan": "weightaudit.api",
    "diff": "weightaudit.api",
    "merge_check": "weightaudit.api",
    "merge": "weightaudit.api",
    "matrices": "weightaudit.api",
    "compare": "weightaudit.api",
    "load": "weightaudit.api",
    "batch": "weightaudit.batches.call",
    "Batch": "weightaudit.batches.call",
    "open_checkpoint": "weightaudit.checkpoint",
    "measure": "weightaudit.spectral",
    "ScanReport": "weightaudit.api",
    "Comparison": "weightaudit.api",
    "DiffReport": "weightaudit.api",
    "MergeReport": "weightaudit.api",
    "AuditConfig": "weightaudit.config",
    "RoleMatrix": "weightaudit.records",
    "Spectrum": "weightaudit.records",
    "Finding": "weightaudit.records",
    "WeightauditError": "weightaudit.errors",
}

__all__ = [*sorted(_HOMES), "__version__"]

if not TYPE_CHECKING:  # by which a name that is not there would seem to be
    __getattr__, __dir__ = on_first_use(__name__, _HOMES, ["__version__"])

"""Arrays → numbers: ‖W‖_F, and σ₁ with a certified interval, in a handful of passes over the weights.

The mathematics is in docs/spectral.md. The public names are imported on first use: to check options takes no numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.on_first_use import on_first_use

if TYPE_CHECKING:
    from weightaudit.spectral.hashing import digest as digest
    from weightaudit.spectral.measurement import measure as measure
    from weightaudit.spectral.operators.difference import Difference as Difference
    from weightaudit.spectral.operators.low_rank import LowRank as LowRank
    from weightaudit.spectral.options import check_options as check_options
    from weightaudit.spectral.team import ThreadTeam as ThreadTeam
    from weightaudit.spectral.threads import compute_threads as compute_threads
    from weightaudit.spectral.threads import usable_threads as usable_threads

_HOMES = {
    "Difference": "weightaudit.spectral.operators.difference",
    "LowRank": "weightaudit.spectral.operators.low_rank",
    "ThreadTeam": "weightaudit.spectral.team",
    "check_options": "weightaudit.spectral.options",
    "compute_threads": "weightaudit.spectral.threads",
    "digest": "weightaudit.spectral.hashing",
    "measure": "weightaudit.spectral.measurement",
    "usable_threads": "weightaudit.spectral.threads",
}

__all__ = [
    "Difference",
    "LowRank",
    "ThreadTeam",
    "check_options",
    "compute_threads",
    "digest",
    "measure",
    "usable_threads",
]

if not TYPE_CHECKING:  # by which a name that is not there would seem to be
    __getattr__, __dir__ = on_first_use(__name__, _HOMES)

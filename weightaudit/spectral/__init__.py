"""Arrays → numbers: ‖W‖_F, and σ₁ with a certified interval, in a handful of passes over the weights.

The mathematics is in docs/spectral.md.
"""

from __future__ import annotations

from weightaudit.spectral.measure import check_options, measure
from weightaudit.spectral.threads import compute_threads

__all__ = ["check_options", "compute_threads", "measure"]

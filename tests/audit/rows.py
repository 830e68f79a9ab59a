"""A row with the numbers of one matrix."""

from __future__ import annotations

import math

from weightaudit.records import LayerRow, Part, RoleMatrix, Spectrum


def row(layer: int | None, role: str, frobenius: float, stable_rank: float, nonfinite: int = 0) -> LayerRow:
    sigma = frobenius / math.sqrt(stable_rank)
    spectrum = Spectrum(
        frobenius_norm=frobenius,
        spectral_norm=sigma,
        spectral_norm_upper=sigma,
        stable_rank=stable_rank,
        stable_rank_lower=stable_rank,
        norm_ratio=math.sqrt(stable_rank),
        method="exact",
        passes=1,
        converged=True,
        nonfinite=nonfinite,
        zeros=1,
        max_abs=1.0,
    )
    return LayerRow(RoleMatrix("", layer, None, role, (Part("t"),), (4, 4), "float32"), spectrum)

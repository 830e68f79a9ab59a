"""Scans with numbers of their own, built without reading a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tests.support.factory import clean
from weightaudit import ScanReport
from weightaudit.records import (
    CoverageEntry,
    FullSpectrum,
    LayerRow,
    ModelMap,
    Part,
    RoleMatrix,
    Spectrum,
    SpectrumDetail,
)


def spectrum_of(dense: np.ndarray, *, full: bool = False, leading: int = 0) -> Spectrum:
    """What a scan would say of ``dense``, by its singular values in float64."""
    sigma = np.linalg.svd(dense.astype(np.float64), compute_uv=False)
    frob = float(np.linalg.norm(dense))
    detail = None
    if leading:
        values = tuple(map(float, sigma[:leading]))
        detail = SpectrumDetail(values, (1e-12,) * len(values), ((1.0, 1.0),), float(len(sigma)) / 2, 1.0, False)
    whole = None
    if full:
        whole = FullSpectrum(tuple(map(float, sigma)), float(1e-13 * sigma[0] ** 2), (), None, None, ())
    rank = (frob / float(sigma[0])) ** 2
    return Spectrum(
        frobenius_norm=frob,
        spectral_norm=float(sigma[0]) * (1 - 1e-12),
        spectral_norm_upper=float(sigma[0]) * (1 + 1e-12),
        stable_rank=rank,
        stable_rank_lower=rank,
        norm_ratio=math.sqrt(rank),
        method="exact",
        passes=1,
        converged=True,
        nonfinite=0,
        zeros=0,
        max_abs=float(np.abs(dense).max()),
        detail=detail,
        full=whole,
    )


def scan_of(ranks: Mapping[str, float], roles: Mapping[str, str] | None = None, side: int = 64) -> ScanReport:
    """A scan of square matrices by the names of their tensors, each with that stable rank, in layers by the number in
    their names.
    """
    rows, entries = [], []
    for name, rank in ranks.items():
        layer = next((int(part) for part in name.split(".") if part.isdecimal()), None)
        role = (roles or {}).get(name, "Q")
        matrix = RoleMatrix("", layer, None, role, (Part(name),), (side, side), "float32")
        frob = 3.0
        sigma = frob / math.sqrt(rank)
        rows.append(
            LayerRow(
                matrix,
                Spectrum(frob, sigma, sigma, rank, rank, math.sqrt(rank), "exact", 1, True, 0, 0, 1.0),
            )
        )
        entries.append(CoverageEntry(name, (side, side), "float32", side * side, "analysed", roles=(role,)))
    return with_rows(rows, entries)


def with_rows(rows: Sequence[LayerRow], entries: Sequence[CoverageEntry]) -> ScanReport:
    """A scan of these."""
    base = clean()
    mapped = ModelMap("llama", "llama", False, {}, tuple(row.matrix for row in rows), tuple(entries))
    return replace(base, map=mapped, rows=tuple(rows), coverage_entries=tuple(entries), notes=())

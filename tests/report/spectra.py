"""Reports of scans that were asked for spectra."""

from __future__ import annotations

import random
from dataclasses import replace

from weightaudit import ScanReport
from weightaudit.records import LayerRow, SpectrumDetail


def of_roles(report: ScanReport, *roles: str) -> ScanReport:
    """The report of a few roles' matrices alone."""
    return replace(report, rows=tuple(row for row in report.rows if row.matrix.role in roles))


def detail(row: LayerRow, rng: random.Random) -> SpectrumDetail:
    """Made up, but consistent in itself."""
    full, top = min(row.matrix.shape), row.spectrum.spectral_norm
    estimated = row.spectrum.method == "krylov"
    steps = min(full, 40 if estimated else 300)
    values = tuple(top * 0.9**i for i in range(min(8, full)))
    return SpectrumDetail(
        values,
        tuple(1e-9 * 6.1**i * top for i in range(len(values))),
        tuple((top * i / steps, 1 / steps) for i in range(1, steps + 1)),
        full * rng.uniform(0.5, 0.9),
        row.spectrum.stable_rank * rng.uniform(1.2, 3),
        estimated,
    )


def asked(report: ScanReport) -> ScanReport:
    """``report`` as if spectra had been asked for; a matrix with NaN has none."""
    rng = random.Random(5)
    rows = tuple(
        LayerRow(row.matrix, replace(row.spectrum, detail=None if row.spectrum.nonfinite else detail(row, rng)))
        for row in report.rows
    )
    return replace(report, rows=rows, options={**report.options, "spectrum": True})

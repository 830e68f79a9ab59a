"""Reports of scans that were asked for whole spectra."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from tests.report import spectra
from weightaudit import ScanReport
from weightaudit.records import Alternative, Bulk, FullSpectrum, LayerRow, TailFit

SPIKES = 5
LEVEL = 0.01
VALUES = 300


def full(row: LayerRow, rng: random.Random, *, fits: bool = True) -> FullSpectrum:
    """Made up, but consistent in itself: a random matrix's singular values with a few above them."""
    long, short = max(row.matrix.shape), min(*row.matrix.shape, VALUES)
    deviation = row.spectrum.frobenius_norm / math.sqrt(math.prod(row.matrix.shape))
    low, high = (deviation * (math.sqrt(long) + sign * math.sqrt(short)) for sign in (-1, 1))
    spread = [low + (high - low) * ((i + 0.5) / short) ** 0.8 for i in range(short)]
    shuffled = tuple(reversed(spread))
    threshold = high * 1.02
    values = tuple(sorted((*spread[SPIKES:], *(threshold * 1.3**i for i in range(1, SPIKES + 1))), reverse=True))
    squares = [value * value for value in values]
    alpha, count = rng.uniform(2, 5), short // 6
    tail = TailFit(
        alpha,
        alpha - 0.4,
        alpha + 0.6,
        0.95,
        squares[count - 1],
        squares[0],
        count,
        0.06,
        0.43 if fits else 0.004,
        fits,
        Alternative(-0.31, 0.62) if fits else Alternative(-3.1, 0.0019),
        Alternative(2.4, 1e-5),
        1.7,
    )
    ranks = tuple((share, max(1, int(share * share * short))) for share in (0.9, 0.95, 0.99))
    bulk = Bulk(deviation, low, high, threshold, LEVEL, SPIKES)
    return FullSpectrum(values, 1e-12 * squares[0], shuffled, bulk, tail, ranks)


def asked(report: ScanReport) -> ScanReport:
    """``report`` as if whole spectra had been asked for; of every third matrix a power law does not fit."""
    rng = random.Random(9)
    told = spectra.asked(report)
    rows = tuple(
        row
        if row.spectrum.nonfinite
        else replace(row, spectrum=replace(row.spectrum, full=full(row, rng, fits=i % 3 > 0)))
        for i, row in enumerate(told.rows)
    )
    return replace(told, rows=rows, options={**told.options, "spectrum": "full"})

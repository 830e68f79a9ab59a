"""Whole spectra in a scan's page, where they were asked for: the data of the charts, and the room for them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Any

from weightaudit.records import Alternative, FullSpectrum, LayerRow, ScanResult, TailFit
from weightaudit.report.columns import number_text
from weightaudit.report.eigenvalues import Histogram, linear_histogram, log_histogram, spikes_among
from weightaudit.report.hypertext import NOTHING, Html, html
from weightaudit.report.markup import scale_choice
from weightaudit.text import plural

DIGITS = 6
"""Significant digits in the page."""
AXES = "eigenvalues"
"""The chart of eigenvalues, by which the page knows the choice of its axes."""


def any_full(report: ScanResult) -> bool:
    """Whether a whole spectrum of any matrix is known."""
    return any(row.spectrum.full is not None for row in report.rows)


def full_payload(report: ScanResult) -> list[dict[str, Any] | None] | None:
    """One item a row of the report, null where its whole spectrum is unknown; None where all are.

    Histograms are counts alone, so that a page is small however many singular values a matrix has.
    """
    if not any_full(report):
        return None
    return [None if row.spectrum.full is None else _matrix(row.spectrum.full) for row in report.rows]


def _matrix(full: FullSpectrum) -> dict[str, Any]:
    bulk, largest = full.bulk, max(full.singular_values, default=0.0)
    return {
        "count": len(full.singular_values),
        "largest": _rounded(largest * largest),
        "log": _histogram(log_histogram(full)),
        "linear": _histogram(linear_histogram(full)),
        "bulk": bulk
        and {
            **{name: _rounded(getattr(bulk, name)) for name in ("lower", "upper", "threshold", "level")},
            "spikes": bulk.spikes,
            "shuffledSpikes": spikes_among(full.shuffled, bulk.threshold) if full.shuffled else None,
        },
        "tail": full.tail and _tail(full.tail),
    }


def _histogram(told: Histogram | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {
        "start": _rounded(told.start),
        "width": _rounded(told.width),
        "counts": told.counts,
        "shuffled": told.shuffled,
        "below": told.below,
        "beyond": told.beyond,
    }


def _tail(tail: TailFit) -> dict[str, Any]:
    numbers = ("alpha", "alpha_lower", "alpha_upper", "level", "x_min", "x_max", "p_value", "hill_alpha")
    return {
        **{name: _rounded(getattr(tail, name)) for name in numbers},
        "count": tail.count,
        "fits": tail.fits,
        "lognormal": _alternative(tail.lognormal),
        "exponential": _alternative(tail.exponential),
    }


def _alternative(told: Alternative) -> list[float | None]:
    return [_rounded(told.ratio), _rounded(told.p_value)]


def _rounded(value: float) -> float | None:
    """As the page has it; null where it is no number."""
    return float(number_text(value, digits=DIGITS)) if math.isfinite(value) else None


def eigenvalue_view(report: ScanResult) -> Html:
    """The eigenvalues of the matrix that is chosen; empty where no whole spectrum is known."""
    if not any_full(report):
        return NOTHING
    return html(
        '<div class="eigenvalues"><h4>Eigenvalues λ = σ²</h4>'
        "<p>All of them, as a density, beside what a random matrix of this shape would have, and those of the same "
        "entries in random order.</p>{choice}"
        '<p id="spectrum-bulk"></p><p id="spectrum-tail"></p>'
        '<div id="spectrum-eigenvalues" class="plot" style="height:470px"></div></div>',
        choice=scale_choice(AXES, "axes", "log"),
    )


def power_law_words(rows: Iterable[LayerRow]) -> str:
    """How many matrices a power law fits, and the median α of these; "" where none was fitted."""
    tails = [row.spectrum.full.tail for row in rows if row.spectrum.full and row.spectrum.full.tail]
    alphas = [tail.alpha for tail in tails if tail.fits]
    if not tails:
        return ""
    told = f"a power law fits the eigenvalues of {len(alphas):,} of {plural(len(tails), 'matrix', 'matrices')}"
    return f"{told}, median α {number_text(median(alphas), digits=3)}" if alphas else told

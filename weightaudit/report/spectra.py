"""What a scan says of whole spectra, where it was asked: in the JSON, in the page's data, and as a section of it.

Bounds and estimates never share a word: leading singular values have bounds, the rest is marked as an estimate wherever
it comes from a random start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from itertools import accumulate
from typing import Any, get_type_hints

from weightaudit.records import LayerRow, ModelIdentity, Place, ScanResult, SpectrumDetail
from weightaudit.report.columns import Column, Unit, Value, number_text, place_said
from weightaudit.report.full_spectra import eigenvalue_view
from weightaudit.report.hypertext import NOTHING, Html, html, join
from weightaudit.report.markup import captioned, plot_hosts, scale_choice, section
from weightaudit.report.scales import ends_of, scale_of
from weightaudit.report.style import FULL_LINES, SPECTRUM_LINES

DIGITS = 6
"""Significant digits of the spectra in the page."""
LEADING = 8
"""Singular values that have columns; the JSON report has all that are known."""
STEPS = 128
"""Steps of a cumulative distribution in the page; between them it keeps the value it has at the next."""

TEXTS = {
    "participation-ratio": "How many singular values carry the squared norm: (Σσ²)²/Σσ⁴, at least the stable rank.",
    "entropy-rank": "exp of the entropy of σ/Σσ: unlike the stable rank it counts small singular values, too.",
    "alpha": "Of the power law that fits the largest eigenvalues best, with its bootstrap interval: p(λ) ∝ λ^−α. "
    "Where a power law does not fit, the point is hollow and α says little.",
}


def _of_detail(told: Callable[[SpectrumDetail], float]) -> Callable[[ModelIdentity, LayerRow], Value]:
    return lambda m, r: math.nan if r.spectrum.detail is None else told(r.spectrum.detail)


def _singular_value(i: int) -> Column[LayerRow]:
    def value(detail: SpectrumDetail) -> float:
        return detail.singular_values[i] if i < len(detail.singular_values) else math.nan

    meaning = f"singular value {i + 1} from the largest, within its bound in the JSON report; empty where unknown"
    return Column(f"sigma_{i + 1}", f"σ{i + 1}", meaning, "float64", _of_detail(value), unit="weight")


def _error(of: str, called: str, told: Callable[[SpectrumDetail], float], unit: Unit = "") -> Column[LayerRow]:
    meaning = f"standard error of {called}; 0 where that is no estimate"
    return Column(f"{of}_error", f"± {called.removeprefix('the ')}", meaning, "float64", _of_detail(told), unit=unit)


SPECTRAL: tuple[Column[LayerRow], ...] = (
    Column(
        "participation_ratio",
        "Participation ratio",
        "squared sum of σ² over the sum of σ⁴: how many singular values carry the squared norm; an estimate where "
        "method is krylov",
        "float64",
        _of_detail(lambda d: d.participation_ratio),
    ),
    Column(
        "entropy_effective_rank",
        "Entropy rank",
        "exp of the entropy of the singular values over their sum; an estimate where method is krylov",
        "float64",
        _of_detail(lambda d: d.entropy_effective_rank),
    ),
    *map(_singular_value, range(LEADING)),
    Column(
        "nuclear_norm",
        "Nuclear norm",
        "sum of all singular values; an estimate where method is krylov",
        "float64",
        _of_detail(lambda d: d.nuclear_norm),
        unit="weight",
    ),
    Column(
        "schatten_4",
        "Schatten 4-norm",
        "fourth root of the sum of σ⁴, likewise",
        "float64",
        _of_detail(lambda d: d.schatten_4),
        unit="weight",
    ),
    *(
        _error("participation_ratio", "the participation ratio", lambda d: d.participation_ratio_error),
        _error("entropy_effective_rank", "the entropy rank", lambda d: d.entropy_effective_rank_error),
        _error("nuclear_norm", "the nuclear norm", lambda d: d.nuclear_norm_error, unit="weight"),
        _error("schatten_4", "the Schatten 4-norm", lambda d: d.schatten_4_error, unit="weight"),
    ),
)
"""Columns of scans that were asked for spectra."""


def asked(report: ScanResult) -> bool:
    """Whether the scan was asked for spectra."""
    return bool(report.options.get("spectrum"))


def spectra_json(report: ScanResult) -> list[dict[str, Any]]:
    """One entry a matrix whose spectrum is known, in report order."""
    return [_json_entry(row, row.spectrum.detail) for row in report.rows if row.spectrum.detail is not None]


def spectrum_fields() -> dict[str, Any]:
    """The type of each field of an entry; ``tensor`` is there only where the role is OTHER."""
    place, detail = get_type_hints(Place), get_type_hints(SpectrumDetail)
    return {**place, **detail}


def _json_entry(row: LayerRow, detail: SpectrumDetail) -> dict[str, Any]:
    return {**place_said(row.matrix.place), **asdict(detail)}


def spectra_payload(report: ScanResult) -> dict[str, list[Any]] | None:
    """Lists with one item a row of the report, null where a spectrum is unknown; None where none was asked for.

    ``bounds`` are rounded up and hold for the rounded ``values``; ``cumulative[i]`` is the share of singular values up
    to ``nodes[i]``.
    """
    if not asked(report):
        return None
    details = [row.spectrum.detail for row in report.rows]
    curves = [_curve(detail) if detail else (None, None) for detail in details]
    return {
        "participation_ratio": [_rounded(d.participation_ratio) if d else None for d in details],
        "entropy_effective_rank": [_rounded(d.entropy_effective_rank) if d else None for d in details],
        "estimated": [d.estimated if d else None for d in details],
        "values": [[_rounded(value) for value in d.singular_values] if d else None for d in details],
        "bounds": [_bounds(d) if d else None for d in details],
        "nodes": [nodes for nodes, _ in curves],
        "cumulative": [shares for _, shares in curves],
    }


def _bounds(detail: SpectrumDetail) -> list[float]:
    pairs = zip(detail.singular_values, detail.residual_bounds, strict=True)
    return [float(number_text(bound + abs(value - _rounded(value)), "up", 3)) for value, bound in pairs]


def _curve(detail: SpectrumDetail) -> tuple[list[float], list[float]]:
    """The cumulative distribution, thinned: it is right at every node kept."""
    nodes = [node for node, _ in detail.density]
    shares = list(accumulate(share for _, share in detail.density))
    every = math.ceil(len(nodes) / STEPS)
    kept = range((len(nodes) - 1) % every, len(nodes), every)
    return [_rounded(nodes[i]) for i in kept], [_rounded(min(1.0, shares[i])) for i in kept]


def _rounded(value: float) -> float:
    return float(number_text(value, digits=DIGITS))


def spectra_section(report: ScanResult) -> Html:
    """The plots by layer and the view of one matrix; empty where no spectrum was asked for."""
    if not asked(report):
        return NOTHING
    if not any(row.spectrum.detail for row in report.rows):
        none = html('<p class="empty">No matrix has a finite spectrum other than zero.</p>')
        return section("spectra", "Spectra", none)
    text = html(
        "<p>What the passes over the weights say beyond σ₁. Where a matrix was measured by <code>krylov</code>, "
        "effective ranks and distributions are <strong>estimates</strong> from a random start, not certified; where by "
        "<code>exact</code>, they come from all singular values. The leading singular values have "
        "<strong>bounds</strong> on either route.</p>"
    )
    layered = [row for row in report.rows if row.matrix.layer is not None]
    stacks = {row.matrix.stack for row in layered}
    by_layer = (
        captioned(
            f"{figure.axis.capitalize()} by layer",
            TEXTS[figure.id],
            plot_hosts(figure.id, [figure.height] * len(stacks)),
            scale_choice(figure.id, figure.axis, scale_of(layered, figure).name),
        )
        for figure in (*SPECTRUM_LINES, *FULL_LINES)
        if any(math.isfinite(end) for row in layered for end in ends_of(row, figure))
    )
    one = html(
        '<figure><figcaption><h3>One matrix</h3><div class="tools" id="spectrum-choice"></div>'
        '<p id="spectrum-numbers" role="status"></p></figcaption>'
        '<div class="pair"><div><h4>Leading singular values</h4>'
        "<p>Bounds: every bar, mostly thinner than its point, holds a singular value of the matrix.</p>"
        '<div id="spectrum-leading" class="plot" style="height:360px"></div></div>'
        '<div><h4>Cumulative distribution <span id="spectrum-kind"></span></h4>'
        "<p>The share of the singular values up to σ. A step at 0 stands for those too small to tell from it.</p>"
        '<div id="spectrum-density" class="plot" style="height:360px"></div></div></div>{}</figure>',
        eigenvalue_view(report),
    )
    return section("spectra", "Spectra", text, join("", [*by_layer, one]))

"""The eigenvalues of one matrix as a plotly Figure: their density beside a random matrix, and the power law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from weightaudit.errors import UsageError
from weightaudit.records import LayerRow, ScanResult
from weightaudit.report.densities import curve_points, random_density, tail_density
from weightaudit.report.eigenvalues import Histogram, log_histogram
from weightaudit.report.hypertext import plot_text
from weightaudit.report.style import INK, role_styles
from weightaudit.text import did_you_mean, listed

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from weightaudit.records import Bulk, TailFit

_INK = INK["light"]


def esd(report: ScanResult, matrix: str) -> Figure:
    """The empirical spectral density of ``matrix``, "layer 3 Q", on logarithmic axes. UsageError where unknown."""
    import plotly.graph_objects as go

    row = _row(report, matrix)
    full = row.spectrum.full
    told = None if full is None else log_histogram(full)
    if full is None or told is None:
        raise UsageError(f"matrix {row.matrix.place.words()!r}", "it has no eigenvalues to draw", "Choose another")
    colour, count = role_styles([row.matrix.role])[row.matrix.role].light, len(full.singular_values)
    figure = go.Figure()
    figure.add_scatter(
        **_steps(told, told.counts, count),
        name="eigenvalues",
        line={"color": colour, "shape": "hv", "width": 1.6},
        fill="tozeroy",
    )
    if any(told.shuffled):
        figure.add_scatter(
            **_steps(told, told.shuffled, count),
            name="shuffled entries",
            line={"color": _INK["muted"], "shape": "hv", "width": 1.4, "dash": "dot"},
        )
    if full.bulk:
        _add_bulk(figure, full.bulk, count, told.edges()[0])
    if full.tail:
        _add_tail(figure, full.tail, count)
    spikes = f", {full.bulk.spikes:,} spikes" if full.bulk else ""
    title = plot_text(f"{report.identity.name}: {row.matrix.place.words()}") + f", {count:,} eigenvalues{spikes}"
    figure.update_layout(title=title, template="plotly_white")
    figure.update_xaxes(title="eigenvalue λ = σ²", type="log")
    figure.update_yaxes(title="density", type="log")
    return figure


def _row(report: ScanResult, matrix: str) -> LayerRow:
    known = {row.matrix.place.words(): row for row in report.rows if row.spectrum.full is not None}
    if not known:
        raise UsageError("kind 'esd'", "the scan has no whole spectra", "Scan with spectrum='full'")
    if matrix not in known:
        cause = "no matrix with a whole spectrum is called so" if matrix else "this chart is of one matrix"
        hint = did_you_mean(matrix, known).strip() or f"Choose {listed(map(repr, known), 3)}"
        raise UsageError(f"matrix {matrix!r}", cause, hint)
    return known[matrix]


def _steps(told: Histogram, counts: Sequence[int], count: int) -> dict[str, Any]:
    """Bins as a line of steps, down to below the least of them where a bin is empty: the axis has no zero."""
    edges = told.edges()
    heights = [number / (count * (edges[i + 1] - edges[i])) for i, number in enumerate(counts)]
    bottom = min(height for height in heights if height > 0) / 3
    y = [bottom, *(max(height, bottom) for height in heights), bottom]
    return {"x": [edges[0], *edges], "y": y, "mode": "lines", "hovertemplate": "λ %{x:.4g}<br>density %{y:.4g}"}


def _add_bulk(figure: Figure, bulk: Bulk, count: int, lowest: float) -> None:
    x = curve_points(max(bulk.lower**2, lowest), bulk.upper**2)
    figure.add_scatter(
        x=x,
        y=[random_density(bulk, count, at) or None for at in x],
        name="Marchenko–Pastur",
        mode="lines",
        line={"color": _INK["ink"], "width": 2},
    )
    edge, threshold = bulk.upper**2, bulk.threshold**2
    figure.add_vline(x=edge, line={"color": _INK["ink"], "width": 1, "dash": "dash"}, name="Marchenko–Pastur edge")
    figure.add_vline(x=threshold, line={"color": _INK["ink"], "width": 1, "dash": "dot"}, name="Tracy–Widom threshold")


def _add_tail(figure: Figure, tail: TailFit, count: int) -> None:
    x = curve_points(tail.x_min, tail.x_max)
    figure.add_scatter(
        x=x,
        y=[tail_density(tail, count, at) for at in x],
        name=f"{'power law' if tail.fits else 'no power law fits'}, α = {tail.alpha:.3g}",
        mode="lines",
        line={"color": _INK["warn"], "width": 2.6, "dash": "solid" if tail.fits else "dash"},
        hoverinfo="name",
    )

"""Charts of one model as plotly Figures, to be looked at and changed in a notebook.

Colours, dashes and markers are the page's. Where a layer has several matrices of a role (experts), a line is their
median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from weightaudit.errors import UsageError
from weightaudit.records import LayerRow, ScanResult
from weightaudit.report.by_layer import medians_by_layer, role_groups
from weightaudit.report.columns import Column, Value
from weightaudit.report.esd_chart import esd
from weightaudit.report.hypertext import plot_text
from weightaudit.report.scan_columns import columns_of
from weightaudit.report.style import LINES, RoleStyle, role_styles
from weightaudit.text import did_you_mean, listed

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Kind = Literal["lines", "heat map", "spectrum", "esd"]
KINDS: tuple[Kind, ...] = ("lines", "heat map", "spectrum", "esd")
ENDS = {
    "stable_rank": ("stable_rank_lower",),
    "spectral_norm": ("spectral_norm_upper",),
    "alpha": ("alpha_lower", "alpha_upper"),
}
"""The ends of the interval of a number that has one, but for the number itself."""
MOST_SPECTRA = 200
"""Matrices whose spectra are drawn at once."""
_LOG = {line.column for line in LINES if line.scale == "log"}
_AXES = {line.column: line.axis for line in LINES}
MOST_TICKS = 12
"""Layers that have a number under a chart."""


def chart(report: ScanResult, number: str, kind: Kind, matrix: str = "") -> Figure:
    """A chart of ``number``, a column of the report's table, or of one ``matrix``, as a Figure. UsageError for what
    there is not.
    """
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r}", "there is no such chart", f"Choose {listed(map(repr, KINDS))}")
    if kind == "spectrum":
        return _spectra(report)
    if kind == "esd":
        return esd(report, matrix)
    column = _column(report, number)
    return _lines(report, column) if kind == "lines" else _heat_map(report, column)


def _column(report: ScanResult, number: str) -> Column[LayerRow]:
    numeric = {column.name: column for column in columns_of(report) if column.dtype in ("float64", "int64", "Int64")}
    if number not in numeric:
        hint = did_you_mean(number, numeric).strip() or f"Choose {listed(numeric)}"
        raise UsageError(f"number {number!r}", "no column of numbers is called so", hint)
    return numeric[number]


def _lines(report: ScanResult, column: Column[LayerRow]) -> Figure:
    import plotly.graph_objects as go

    styles = _styles(report)
    figure = go.Figure()
    for (stack, role), rows in _groups(report).items():
        points = medians_by_layer(_values(report, rows, column))
        style, name = styles[role], f"{stack} {role}".strip()
        figure.add_scatter(
            x=list(points),
            y=list(points.values()),
            name=name,
            mode="lines+markers",
            line={"color": style.light, "dash": style.dash},
            marker={
                "symbol": _symbols(style, rows, points) if column.name == "alpha" else style.symbol,
                "color": style.light,
            },
            error_y=_interval(report, rows, column, points),
            hovertemplate=f"layer %{{x}}<br>{_axis(column)} %{{y:.5g}}",
        )
    _lay_out(figure, report, column)
    figure.update_yaxes(type="log" if column.name in _LOG else "linear", title=_axis(column))
    return figure


def _symbols(style: RoleStyle, rows: Sequence[LayerRow], points: Iterable[int]) -> list[str]:
    """Of layers: hollow where a power law fits fewer than half of their matrices."""
    fits: dict[int | None, list[bool]] = {}
    for row in rows:
        if row.spectrum.full and row.spectrum.full.tail:
            fits.setdefault(row.matrix.layer, []).append(row.spectrum.full.tail.fits)
    hollow = style.symbol.removesuffix("-open") + "-open"
    return [style.symbol if 2 * sum(fits[layer]) >= len(fits[layer]) else hollow for layer in points]


def _interval(
    report: ScanResult, rows: Sequence[LayerRow], column: Column[LayerRow], points: dict[int, float]
) -> dict[str, Any] | None:
    """From the value to the ends of its interval; None where it has none, or a layer has several matrices."""
    if column.name not in ENDS or len({row.matrix.layer for row in rows}) < len(rows):
        return None
    others = [one for one in columns_of(report) if one.name in ENDS[column.name]]
    ends = [medians_by_layer(_values(report, rows, other)) for other in others]
    apart = [[end.get(layer, value) - value for end in ends] for layer, value in points.items()]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, *some) for some in apart],
        "arrayminus": [max(0.0, *(-one for one in some)) for some in apart],
        "thickness": 1,
        "width": 2,
    }


def _heat_map(report: ScanResult, column: Column[LayerRow]) -> Figure:
    import plotly.graph_objects as go

    groups = _groups(report)
    layers = sorted({row.matrix.layer for rows in groups.values() for row in rows if row.matrix.layer is not None})
    cells, shown = [], []
    for rows in groups.values():
        points = medians_by_layer(_values(report, rows, column))
        line = [points.get(layer) for layer in layers]
        shown.append(line)
        logs = [math.log10(one) if one is not None and one > 0 else None for one in line]
        cells.append(logs if column.name in _LOG else line)
    figure = go.Figure(
        go.Heatmap(
            x=layers,
            y=[f"{stack} {role}".strip() for stack, role in groups],
            z=cells,
            customdata=shown,
            colorscale="Viridis",
            colorbar={"title": f"log₁₀ {_axis(column)}" if column.name in _LOG else _axis(column)},
            hovertemplate=f"%{{y}} layer %{{x}}<br>{_axis(column)} %{{customdata:.5g}}<extra></extra>",
            hoverongaps=False,
        )
    )
    _lay_out(figure, report, column)
    figure.update_yaxes(autorange="reversed")
    return figure


def _spectra(report: ScanResult) -> Figure:
    import plotly.graph_objects as go

    rows = [row for row in report.rows if row.spectrum.detail is not None]
    if not rows:
        raise UsageError("kind 'spectrum'", "the scan has no spectra", "Scan with spectrum=True")
    styles = _styles(report)
    figure = go.Figure()
    for row in rows[:MOST_SPECTRA]:
        detail, style = row.spectrum.detail, styles[row.matrix.role]
        assert detail is not None
        figure.add_scatter(
            x=list(range(1, len(detail.singular_values) + 1)),
            y=list(detail.singular_values),
            error_y={"type": "data", "array": list(detail.residual_bounds), "thickness": 1, "width": 2},
            name=plot_text(row.matrix.place.words()),
            mode="lines+markers",
            line={"color": style.light, "dash": style.dash, "width": 1},
            marker={"symbol": style.symbol, "color": style.light, "size": 4},
            hovertemplate="σ%{x} = %{y:.5g}",
        )
    figure.update_layout(title=plot_text(report.identity.name), template="plotly_white")
    figure.update_xaxes(title="i")
    figure.update_yaxes(title="leading singular values σᵢ", type="log")
    return figure


def _lay_out(figure: Figure, report: ScanResult, column: Column[LayerRow]) -> None:
    layers = {row.matrix.layer for row in report.rows if row.matrix.layer is not None}
    every = math.ceil((max(layers) - min(layers) + 1) / MOST_TICKS)
    figure.update_layout(title=f"{plot_text(report.identity.name)}: {_axis(column)} by layer", template="plotly_white")
    figure.update_xaxes(title="layer", dtick=every, tick0=0)


def _axis(column: Column[LayerRow]) -> str:
    """What a chart calls the number."""
    return _AXES.get(column.name, column.label)


def _groups(report: ScanResult) -> dict[tuple[str, str], list[LayerRow]]:
    groups = role_groups(report.rows)
    if not groups:
        raise UsageError("plot", "no matrix of this report is in a layer", "Look at report.layers")
    return groups


def _styles(report: ScanResult) -> dict[str, RoleStyle]:
    return role_styles(row.matrix.role for row in report.rows)


def _values(report: ScanResult, rows: Iterable[LayerRow], column: Column[LayerRow]) -> Iterator[tuple[int, float]]:
    value: Callable[..., Value] = column.value
    for row in rows:
        said = value(report.identity, row)
        if row.matrix.layer is not None and isinstance(said, (int, float)):
            yield row.matrix.layer, float(said)

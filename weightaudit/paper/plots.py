"""Charts as plotly is to draw them on an experiment's page. What every page's plots share, its script adds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from weightaudit.paper.chart_layout import COLOURS, DARK, Line, Panel, laid_out
from weightaudit.paper.charts import Chart
from weightaudit.paper.ticks import log_ticks, thinned, whole_ticks
from weightaudit.report.hypertext import shown
from weightaudit.report.style import INK

MAX_ENTRIES_BELOW = 7
"""Entries in a legend above which it stands beside the chart."""


def payload(charts: Sequence[Chart]) -> dict[str, Any]:
    """What the page's script gets: the figures in light colours, and what each of these is on dark paper."""
    return {"ink": INK, "dark": dict(zip(COLOURS, DARK, strict=True)), "figures": figures(charts)}


def figures(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """The plotly figure of every chart, as plain JSON values; gaps are None."""
    return [
        {
            "words": f"{panel.chart.title}: {panel.chart.y_label} against {panel.chart.x_label}",
            "data": [trace for line in panel.lines for trace in _traces(line)],
            "layout": _layout(panel),
        }
        for panel in laid_out(charts)
    ]


def _traces(line: Line) -> list[dict[str, Any]]:
    series, symbol = line.series, line.symbol
    markers = line.has_markers or any(series.marked or ())
    lines = series.style != "points"
    shapes: str | list[str] = symbol
    if series.marked is not None:
        shapes = [f"{symbol}-open" if marked else symbol for marked in series.marked]
    trace = {
        "type": "scatter",
        "name": _plotly_text(series.name),
        "legendgroup": series.name,
        "x": _nulls(line.x),
        "y": _nulls(line.y),
        "mode": "+".join(part for part, wanted in (("lines", lines), ("markers", markers)) if wanted),
        "line": {"color": line.colour, "width": 1.8, "dash": "dash" if series.style == "dashed" else "solid"},
        "marker": {"color": line.colour, "symbol": shapes, "size": 6},
        # A zero on a logarithmic axis is drawn elsewhere; what it is, is still said.
        "customdata": _nulls([float(value) for value in series.x]),
        "hovertemplate": "%{customdata:.4~g}, %{y:.5~g}",
    }
    return [_band(line), trace] if series.low else [trace]


def _band(line: Line) -> dict[str, Any]:
    """A shape around each stretch, there and back, with a gap between two."""
    x: list[float | None] = []
    y: list[float | None] = []
    for band in line.bands:
        gap = [None] if x else []
        x += [*gap, *band.x, *reversed(band.x)]
        y += [*gap, *band.high, *reversed(band.low)]
    return {
        "type": "scatter",
        "name": _plotly_text(line.series.name),
        "legendgroup": line.series.name,
        "showlegend": False,
        "x": x,
        "y": y,
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": line.colour,
        "opacity": 0.18,
        "hoverinfo": "skip",
    }


def _layout(panel: Panel) -> dict[str, Any]:
    chart = panel.chart
    return {
        "xaxis": {"title": _axis_title(chart.x_label), "type": _kind(chart.log_x), **_x_ticks(panel)},
        "yaxis": {"title": _axis_title(chart.y_label), "type": _kind(chart.log_y), **_y_ticks(panel)},
        "beside": len(chart.series) > MAX_ENTRIES_BELOW,  # many entries below would leave the chart no height
        "showlegend": len(chart.series) > 1,
    }


def _axis_title(text: str) -> dict[str, Any]:
    return {"text": _plotly_text(text), "standoff": 8}


def _kind(logarithmic: bool) -> str:
    return "log" if logarithmic else "linear"


def _x_ticks(panel: Panel) -> dict[str, Any]:
    if panel.ticks is not None:  # a zero, and what is beyond it
        zero, *places = panel.ticks.places
        rest = thinned(places)
        return _ticks((zero, *rest.places), ("0", *rest.labels))
    found = _finite(x for line in panel.lines for x in line.x)
    if panel.counted:
        ticks = whole_ticks(min(found), max(found))
        return _ticks(ticks.places, ticks.labels)
    return _log_ticks(found) if panel.chart.log_x else {}


def _y_ticks(panel: Panel) -> dict[str, Any]:
    edges = [edge for line in panel.lines for band in line.bands for edge in (band.low, band.high)]
    found = _finite(y for values in (*edges, *(line.y for line in panel.lines)) for y in values)
    return _log_ticks(found) if panel.chart.log_y else {}


def _log_ticks(found: list[float]) -> dict[str, Any]:
    if not found:
        return {}
    ticks = log_ticks(min(found), max(found))
    return _ticks(ticks.places, ticks.labels)


def _ticks(places: Sequence[float], labels: Sequence[str]) -> dict[str, Any]:
    return {"tickmode": "array", "tickvals": list(places), "ticktext": list(labels)}


def _finite(values: Any) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _plotly_text(text: str) -> str:
    # plotly reads $…$ as TeX, which would need MathJax.
    return shown(text, limit=20_000).replace("$", "&#36;")


def _nulls(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]

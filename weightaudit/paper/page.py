"""An experiment's page: verdicts, charts and settings in one file that needs no network (see `report.document`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from weightaudit.paper import chart_layout
from weightaudit.paper.charts import Chart, Series
from weightaudit.paper.results import Claim, Result
from weightaudit.report.document import document
from weightaudit.report.markup import shown
from weightaudit.report.payload import script_json

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "triangle-down", "hexagon", "cross")
MANY = 60
"""Points in a line above which they get no markers."""
FEW = 13
"""Whole numbers on an axis up to which each has its tick."""
BELOW = 7
"""Entries in a legend above which it stands beside the chart."""

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 90rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; color: #191d22;
  background: #f6f7f8; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; background: #fff; } .scroll { overflow-x: auto; }
th, td { border: 1px solid #dfe3e8; padding: .35rem .6rem; text-align: left; vertical-align: top; }
.charts { display: grid; gap: 1rem; }
figure { margin: 0; background: #fff; border: 1px solid #dfe3e8; padding: .5rem; min-width: 0; }
.chart { height: 24rem; } figcaption { color: #5a6470; font-size: .9rem; }
.true { color: #00693c; font-weight: 600; } .false { color: #a3202a; font-weight: 600; }
.inconclusive { color: #8a4b00; font-weight: 600; }
.numbers { font-size: .85rem; color: #5a6470; }
@media (max-width: 60rem) { .charts { display: block; } figure { margin-bottom: 1rem; } }
"""


def write_page(result: Result, title: str, settings: Mapping[str, Mapping[str, Any]], file: BinaryIO) -> None:
    """The page as UTF-8; the same bytes for the same result."""
    body = [
        f"<h1>{_safe(title)}</h1>",
        _verdicts(result.claims),
        _notes(result.notes),
        "<h2>Charts</h2>",
        _charts(result.charts),
        _settings(settings),
    ]
    text = document(
        title=title,
        style=_STYLE,
        body="\n".join(part for part in body if part),
        data=script_json(figures(result.charts)),
        scripts=("starting.js", "figures.js"),
    )
    file.write(text.encode("utf-8", "backslashreplace"))


def figures(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """The plotly figure of every chart, as plain JSON values; gaps are None."""
    numbers = chart_layout.numbering(charts)
    return [
        {
            "data": [trace for series in chart.series for trace in _traces(chart, series, numbers)],
            "layout": _layout(chart),
        }
        for chart in charts
    ]


def number_text(value: Any) -> str:
    """A claim's number with five significant digits, a list in brackets, None as a dash."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else "—"
    if isinstance(value, list):
        return "[" + ", ".join(number_text(item) for item in value) + "]"
    return str(value)


def _traces(chart: Chart, series: Series, numbers: dict[str, int]) -> list[dict[str, Any]]:
    number = numbers[chart_layout.group_of(series)]
    colour, symbol = chart_layout.colour(number), SYMBOLS[number % len(SYMBOLS)]
    x, y = chart_layout.x_places(chart, series), chart_layout.y_places(chart, series.y)
    markers = series.style == "points" or len(x) <= MANY or any(series.marked or ())
    lines = series.style != "points"
    shapes: str | list[str] = symbol
    if series.marked is not None:
        shapes = [f"{symbol}-open" if marked else symbol for marked in series.marked]
    trace = {
        "type": "scatter",
        "name": _plotly_text(series.name),
        "legendgroup": series.name,
        "x": _nulls(x),
        "y": _nulls(y),
        "mode": "+".join(part for part, wanted in (("lines", lines), ("markers", markers)) if wanted),
        "line": {"color": colour, "width": 1.8, "dash": "dash" if series.style == "dashed" else "solid"},
        "marker": {"color": colour, "symbol": shapes, "size": 6},
        # A zero on a logarithmic axis is drawn elsewhere; what it is, is still said.
        "customdata": _nulls([float(value) for value in series.x]),
        "hovertemplate": "%{customdata:.4g}, %{y:.5g}",
    }
    return [*_band(chart, series, x, colour), trace]


def _band(chart: Chart, series: Series, x: list[float], colour: str) -> list[dict[str, Any]]:
    low, high = chart_layout.band_places(chart, series)
    if not low:
        return []
    around: list[tuple[float | None, float | None]] = []
    for run in chart_layout.runs(x, low, high):
        if around:
            around.append((None, None))  # the next stretch is a shape of its own
        around += [(x[i], high[i]) for i in run]
        around += [(x[i], low[i]) for i in reversed(run)]
    return [
        {
            "type": "scatter",
            "name": _plotly_text(series.name),
            "legendgroup": series.name,
            "showlegend": False,
            "x": [place for place, _ in around],
            "y": [value for _, value in around],
            "mode": "lines",
            "line": {"width": 0},
            "fill": "toself",
            "fillcolor": colour,
            "opacity": 0.18,
            "hoverinfo": "skip",
        }
    ]


def _layout(chart: Chart) -> dict[str, Any]:
    axis = {
        "gridcolor": chart_layout.GRID,
        "zeroline": False,
        "exponentformat": "power",
        "linecolor": chart_layout.GRID,
    }
    return {
        "title": {"text": _plotly_text(chart.title), "font": {"size": 14}, "x": 0.02, "xanchor": "left"},
        "xaxis": {
            **axis,
            "title": {"text": _plotly_text(chart.x_label)},
            "type": "log" if chart.log_x else "linear",
            **_x_ticks(chart),
        },
        "yaxis": {**axis, "title": {"text": _plotly_text(chart.y_label)}, "type": "log" if chart.log_y else "linear"},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"color": chart_layout.INK},
        "margin": {"l": 60, "r": 15, "t": 45, "b": 45},
        # Many entries below would leave the chart no height.
        "legend": {} if len(chart.series) > BELOW else {"orientation": "h", "y": -0.25},
        "showlegend": len(chart.series) > 1,
    }


def _x_ticks(chart: Chart) -> dict[str, Any]:
    ticks = chart_layout.x_ticks(chart)
    if ticks is not None:
        return {"tickmode": "array", "tickvals": list(ticks.places), "ticktext": list(ticks.labels)}
    places = [x for series in chart.series for x in series.x]
    return {"dtick": 1} if chart_layout.counts(chart) and max(places) - min(places) < FEW else {}


def _safe(text: str) -> str:
    # Names of models and files are a stranger's words; a claim's numbers may be many.
    return shown(text, limit=20_000)


def _plotly_text(text: str) -> str:
    # plotly reads $…$ as TeX, which would need MathJax.
    return _safe(text).replace("$", "&#36;")


def _nulls(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _verdicts(claims: Sequence[Claim]) -> str:
    rows = "".join(
        f'<tr><td class="{claim.outcome}">{claim.outcome}</td><td>{_safe(claim.text)}'
        f'<div class="numbers">{_safe(_numbers(claim))}</div></td><td>{_safe(claim.why)}</td>'
        f"<td>{_safe(claim.tolerance)}</td><td>{_safe(claim.source)}</td></tr>"
        for claim in claims
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("outcome", "claim", "why", "judged by", "source"))
    return f'<h2>Claims</h2>\n<div class="scroll"><table><tr>{heads}</tr>{rows}</table></div>'


def _numbers(claim: Claim) -> str:
    return "; ".join(f"{name} {number_text(value)}" for name, value in claim.numbers.items())


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return "<h2>Notes</h2>\n<ul>" + "".join(f"<li>{_safe(note)}</li>" for note in notes) + "</ul>"


def _charts(charts: Sequence[Chart]) -> str:
    _, columns = chart_layout.panels(charts)
    boxes = "".join(
        f'<figure style="grid-row:{chart.panel[0] + 1};grid-column:{chart.panel[1] + 1}">'
        f'<div class="chart" id="chart-{i}"></div><figcaption>{_safe(chart.caption)}</figcaption></figure>'
        for i, chart in enumerate(charts)
    )
    return f'<div class="charts" style="grid-template-columns:repeat({columns},minmax(0,1fr))">{boxes}</div>'


def _settings(settings: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{_safe(name)}</td><td>{_safe(number_text(one['value']))}</td><td>{_safe(one['unit'])}</td>"
        f"<td>{_safe(one['origin'])}</td><td>{_safe(one['about'])}</td></tr>"
        for name, one in settings.items()
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("setting", "value", "unit", "origin", "meaning"))
    return f'<h2>Settings</h2>\n<div class="scroll"><table><tr>{heads}</tr>{rows}</table></div>'

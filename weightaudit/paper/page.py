"""An experiment's page: verdicts, charts and settings in one file that needs no network (see `report.document`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from weightaudit.paper.chart_layout import GRID, INK, Line, Panel, laid_out, panels
from weightaudit.paper.charts import Chart
from weightaudit.paper.results import Claim, Result
from weightaudit.report.document import document, script_json, write_document
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, literal, shown

SCRIPTS = ("data.js", "starting.js", "figures.js")
MAX_TICKS = 13
"""Whole numbers on an axis up to which each has its tick."""
MAX_ENTRIES_BELOW = 7
"""Entries in a legend above which it stands beside the chart."""

_STYLE = literal("""
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
""")


def write_page(result: Result, title: str, settings: Mapping[str, Mapping[str, Any]], file: BinaryIO) -> None:
    """The page as UTF-8; the same bytes for the same result."""
    body = (
        html("<h1>{}</h1>", _whole(title)),
        _verdicts(result.claims),
        _notes(result.notes),
        html("<h2>Charts</h2>"),
        _charts(result.charts),
        _settings(settings),
    )
    page = document(
        title=title,
        style=_STYLE,
        body=join("\n", filter(None, body)),
        data=script_json(figures(result.charts)),
        scripts=SCRIPTS,
    )
    write_document(page, file)


def figures(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """The plotly figure of every chart, as plain JSON values; gaps are None."""
    return [
        {"data": [trace for line in panel.lines for trace in _traces(line)], "layout": _layout(panel)}
        for panel in laid_out(charts)
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


def numbers_text(numbers: Mapping[str, Any]) -> str:
    """A claim's numbers, each after its name."""
    return "; ".join(f"{name} {number_text(value)}" for name, value in numbers.items())


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
        "hovertemplate": "%{customdata:.4g}, %{y:.5g}",
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
    axis = {"gridcolor": GRID, "zeroline": False, "exponentformat": "power", "linecolor": GRID}
    return {
        "title": {"text": _plotly_text(chart.title), "font": {"size": 14}, "x": 0.02, "xanchor": "left"},
        "xaxis": {
            **axis,
            "title": {"text": _plotly_text(chart.x_label)},
            "type": "log" if chart.log_x else "linear",
            **_x_ticks(panel),
        },
        "yaxis": {**axis, "title": {"text": _plotly_text(chart.y_label)}, "type": "log" if chart.log_y else "linear"},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"color": INK},
        "margin": {"l": 60, "r": 15, "t": 45, "b": 45},
        # Many entries below would leave the chart no height.
        "legend": {} if len(chart.series) > MAX_ENTRIES_BELOW else {"orientation": "h", "y": -0.25},
        "showlegend": len(chart.series) > 1,
    }


def _x_ticks(panel: Panel) -> dict[str, Any]:
    if panel.ticks is not None:
        return {"tickmode": "array", "tickvals": list(panel.ticks.places), "ticktext": list(panel.ticks.labels)}
    places = [x for line in panel.lines for x in line.series.x]
    return {"dtick": 1} if panel.counted and max(places) - min(places) < MAX_TICKS else {}


def _whole(text: str) -> Html:
    # Names of models and files are a stranger's words; a claim's numbers may be many.
    return shown(text, limit=20_000)


def _plotly_text(text: str) -> str:
    # plotly reads $…$ as TeX, which would need MathJax.
    return _whole(text).replace("$", "&#36;")


def _nulls(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _verdicts(claims: Sequence[Claim]) -> Html:
    rows = (
        html(
            '<tr><td class="{outcome}">{outcome}</td><td>{text}<div class="numbers">{numbers}</div></td><td>{why}</td>'
            "<td>{tolerance}</td><td>{source}</td></tr>",
            outcome=claim.outcome,
            text=_whole(claim.text),
            numbers=_whole(numbers_text(claim.numbers)),
            why=_whole(claim.why),
            tolerance=_whole(claim.tolerance),
            source=_whole(claim.source),
        )
        for claim in claims
    )
    return _table("Claims", ("outcome", "claim", "why", "judged by", "source"), join("", rows))


def _notes(notes: Sequence[str]) -> Html:
    if not notes:
        return NOTHING
    return html("<h2>Notes</h2>\n<ul>{}</ul>", each("<li>{}</li>", map(_whole, notes)))


def _charts(charts: Sequence[Chart]) -> Html:
    _, columns = panels(charts)
    boxes = each(
        '<figure style="grid-row:{};grid-column:{}"><div class="chart" id="chart-{}"></div>'
        "<figcaption>{}</figcaption></figure>",
        ((chart.panel[0] + 1, chart.panel[1] + 1, i, _whole(chart.caption)) for i, chart in enumerate(charts)),
    )
    return html('<div class="charts" style="grid-template-columns:repeat({},minmax(0,1fr))">{}</div>', columns, boxes)


def _settings(settings: Mapping[str, Mapping[str, Any]]) -> Html:
    rows = each(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        (
            tuple(map(_whole, (name, number_text(one["value"]), one["unit"], one["origin"], one["about"])))
            for name, one in settings.items()
        ),
    )
    return _table("Settings", ("setting", "value", "unit", "origin", "meaning"), rows)


def _table(title: str, heads: Sequence[str], rows: Html) -> Html:
    return html(
        '<h2>{}</h2>\n<div class="scroll"><table><tr>{}</tr>{}</table></div>',
        title,
        each('<th scope="col">{}</th>', heads),
        rows,
    )

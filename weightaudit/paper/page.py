"""An experiment's page: verdicts, charts and settings in one file that needs no network (see `report.document`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from weightaudit.paper.chart_layout import GRID, INK, Line, Panel, laid_out, panels
from weightaudit.paper.charts import Chart
from weightaudit.paper.results import Claim, Result
from weightaudit.report.document import document, script_json
from weightaudit.report.markup import shown

SCRIPTS = ("data.js", "starting.js", "figures.js")
MAX_TICKS = 13
"""Whole numbers on an axis up to which each has its tick."""
MAX_ENTRIES_BELOW = 7
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
        scripts=SCRIPTS,
    )
    file.write(text.encode("utf-8", "backslashreplace"))


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
        f'<div class="numbers">{_safe(numbers_text(claim.numbers))}</div></td><td>{_safe(claim.why)}</td>'
        f"<td>{_safe(claim.tolerance)}</td><td>{_safe(claim.source)}</td></tr>"
        for claim in claims
    )
    return f"<h2>Claims</h2>\n{_table(('outcome', 'claim', 'why', 'judged by', 'source'), rows)}"


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return "<h2>Notes</h2>\n<ul>" + "".join(f"<li>{_safe(note)}</li>" for note in notes) + "</ul>"


def _charts(charts: Sequence[Chart]) -> str:
    _, columns = panels(charts)
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
    return f"<h2>Settings</h2>\n{_table(('setting', 'value', 'unit', 'origin', 'meaning'), rows)}"


def _table(heads: Sequence[str], rows: str) -> str:
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return f'<div class="scroll"><table><tr>{cells}</tr>{rows}</table></div>'

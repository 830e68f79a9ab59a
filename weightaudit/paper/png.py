"""Charts as one PNG, by matplotlib without a display. The same charts give the same bytes with the same version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from weightaudit.errors import WeightauditError
from weightaudit.paper import chart_layout
from weightaudit.paper.chart_layout import Line, Panel
from weightaudit.paper.charts import Chart
from weightaudit.report.drawing_library import MARKERS, load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = (4.6, 3.3)
"""Width and height of a panel, inches."""
DPI = 110


def check_drawable() -> None:
    """WeightauditError where there is no matplotlib that works; called before an experiment spends its minutes."""
    try:
        load_matplotlib()
    except ImportError:
        raise WeightauditError(
            "matplotlib", "it is not installed, and the experiments draw with it", "pip install matplotlib"
        ) from None


def write_png(charts: Sequence[Chart], title: str, file: BinaryIO) -> None:
    """All charts on one sheet, each in its panel. Raises WeightauditError as `check_drawable` does."""
    check_drawable()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = chart_layout.panels(charts)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.6), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, parse_math=False)
    shared = chart_layout.same_series_everywhere(charts)
    for panel in chart_layout.laid_out(charts):
        chart = panel.chart
        axes = figure.add_subplot(rows, columns, chart.panel[0] * columns + chart.panel[1] + 1)
        handles = _draw(axes, panel)
        if not shared and len(handles) > 1:
            axes.legend(*_entries(chart, handles), fontsize=7, framealpha=0.7)
        if shared and chart is charts[-1] and len(handles) > 1:
            figure.legend(*_entries(chart, handles), loc="outside lower center", ncols=min(len(handles), 7), fontsize=8)
    # No version in the file, which would change its bytes without changing the picture.
    figure.savefig(file, format="png", metadata={"Software": None})


def _draw(axes: Axes, panel: Panel) -> list[Any]:
    from matplotlib.ticker import MaxNLocator

    chart = panel.chart
    axes.set_title(chart.title, fontsize=9, parse_math=False)
    axes.set_xlabel(chart.x_label, fontsize=8, parse_math=False)
    axes.set_ylabel(chart.y_label, fontsize=8, parse_math=False)
    axes.tick_params(which="both", labelsize=7)
    axes.grid(True, color=chart_layout.GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
    handles = [_line(axes, line) for line in panel.lines]
    if panel.ticks is not None:
        axes.set_xticks(panel.ticks.places, panel.ticks.labels)
        axes.set_xticks([], minor=True)
    if chart.log_y:
        _plain_labels(axes)
    if panel.counted:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return handles


def _plain_labels(axes: Axes) -> None:
    """Label a logarithmic y axis in plain numbers, between its decades too where it has hardly any."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    low, high = axes.get_ylim()
    plain = FuncFormatter(lambda value, _: f"{value:.3g}")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain if high / low < 20 else NullFormatter())


def _line(axes: Axes, line: Line) -> Any:
    series, colour = line.series, line.colour
    for band in line.bands:
        axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
    marker = MARKERS[line.symbol] if line.has_markers else ""
    stroke = {"line": "-", "dashed": "--", "points": "none"}[series.style]
    (handle,) = axes.plot(line.x, line.y, linestyle=stroke, color=colour, marker=marker, markersize=3.5, linewidth=1.3)
    hollow = [i for i, marked in enumerate(series.marked or ()) if marked and math.isfinite(line.y[i])]
    if hollow:
        axes.plot(
            [line.x[i] for i in hollow],
            [line.y[i] for i in hollow],
            linestyle="none",
            marker=marker or "o",
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=colour,
        )
    return handle


def _entries(chart: Chart, handles: list[Any]) -> tuple[list[Any], list[str]]:
    # matplotlib would read $…$ as mathematics.
    return handles, [series.name.replace("$", r"\$") for series in chart.series]

"""Figures of one model for a paper: PNG and SVG by matplotlib, without a display. The same report gives the same bytes
with the same version of matplotlib.

Drawn for one column (3.3 inches) with no letter under 7 points, so that they can be read there and, enlarged, across
two. Colours and dashes are the page's, and markers too where matplotlib has them. Where a layer has several matrices of
a role (experts), the line is their median and the band their range; else the band is the certified interval.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightaudit.errors import OutputError, UsageError
from weightaudit.model_files import NO_MODELS, ModelFiles
from weightaudit.records import LayerRow, ScanResult
from weightaudit.report.atomic_write import Attempts, check_writable, replacing
from weightaudit.report.by_layer import layer_points, role_groups
from weightaudit.report.drawing_library import MARKERS, load_matplotlib
from weightaudit.report.style import HEAT, INK, LINES, LineFigure, RoleStyle, role_styles
from weightaudit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


KINDS = ("png", "svg")
_HEAT_MAP = "heat-map"
WIDTH = 3.3
"""Inches: one column of a paper."""
DPI = 600
SMALL, PLAIN = 7.0, 8.0
"""Points: ticks and legend; title and axes."""
LEGEND_COLUMNS = 4
LETTER, BESIDE = 0.62, 5.0
"""Width of a wide letter, and of what stands in a legend's entry beside its letters, in font sizes."""
MARKERS_SHOWN = 24
"""Markers on a line at most; a line of more points has one at every so many."""
SPANNED = 4096
"""Columns of a heat map up to which layers that are not there have one too."""
TICKS = 3
"""Numbers of layers under a heat map that leaves gaps out: each may have nine digits."""
LONGEST_TITLE, LONGEST_ROLE = 40, 14
"""Characters."""
_DASHES: dict[str, Any] = {
    "solid": "-",
    "dash": (0, (4, 2)),
    "dot": (0, (1, 1.5)),
    "dashdot": (0, (4, 1.5, 1, 1.5)),
    "longdash": (0, (8, 2)),
}
_SETTINGS: dict[Any, Any] = {
    "font.size": SMALL,
    "text.parse_math": False,  # a $ in a name is a $
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "weightaudit",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "ytick.minor.width": 0.4,
}
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "weightaudit"},
    "svg": {"Date": None, "Creator": "weightaudit"},
}
"""By which a figure of ours is told (`own_reports`)."""


@dataclass(frozen=True)
class LayerSeries:
    """One role by layer: ``values`` (the upper ends, the median of several) between ``low`` and ``high``; NaN where a
    layer's matrices have no finite number.
    """

    role: str
    layers: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def check_figures(directory: Path, models: ModelFiles = NO_MODELS) -> None:
    """Fail now where `write_figures` would fail after the scan: UsageError without a matplotlib that works,
    OutputError. None of the figures may replace a file of ``models``.
    """
    try:
        load_matplotlib()
    except ImportError:
        hint = "pip install matplotlib"
        raise UsageError("matplotlib", "it is not installed, and figures are drawn with it", hint) from None
    existing = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise OutputError(str(directory), f"{existing} is no directory", "Name another directory")
    check_writable(existing / f"{_HEAT_MAP}.{KINDS[0]}", models, follow=False)
    if directory.is_dir():  # of which stacks any will be drawn anew is not known yet
        for path in (path for kind in KINDS for path in directory.glob(f"*.{kind}")):
            if path.stem.endswith((_HEAT_MAP, *map(_stem, LINES))):
                models.check(path, Path(os.path.realpath(directory), path.name))


def write_figures(report: ScanResult, directory: Path, models: ModelFiles = NO_MODELS) -> list[Path]:
    """Draw every figure into ``directory``, which is made if it is not there, and return the files.

    A stack (encoder, decoder) has figures of its own. There is none where no layer has a finite number. Raises
    UsageError and OutputError as `check_figures` does.
    """
    check_figures(directory, models)
    import matplotlib

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(directory), (error.strerror or str(error)).lower(), "Name another directory") from error
    written: list[Path] = []
    attempts = Attempts()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Whatever somebody's matplotlibrc says; a letter that the font lacks is drawn as a box.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        warnings.simplefilter("ignore", UserWarning)
        for name, figure in _figures(report):
            for kind in KINDS:
                path = directory / f"{name}.{kind}"
                with attempts:
                    with replacing(path, models) as file:
                        figure.savefig(file, format=kind, dpi=DPI, metadata=_METADATA[kind])
                    written.append(path)
    attempts.conclude()
    return written


def layer_series(rows: Sequence[LayerRow], column: str, lower: str = "") -> list[LayerSeries]:
    """The roles of one stack by layer, in display order; those without a finite number are left out.

    ``column`` and ``lower`` name the number and the lower end of its interval, "" where it has none.
    """
    groups = {role: members for (_, role), members in role_groups(rows).items()}
    series = []
    for role in role_styles(groups):
        points = layer_points(groups[role], attrgetter(column), attrgetter(lower or column))
        if any(math.isfinite(point.middle) for point in points):
            columns = zip(*((point.layer, point.middle, point.low, point.high) for point in points), strict=True)
            series.append(LayerSeries(role, *columns))
    return series


def _figures(report: ScanResult) -> Iterator[tuple[str, Figure]]:
    """Each figure with the name of its files."""
    styles = role_styles(row.matrix.role for row in report.rows)
    for stack in dict.fromkeys(row.matrix.stack for row in report.rows):
        rows = [row for row in report.rows if row.matrix.stack == stack]
        before = re.sub(r"[^A-Za-z0-9]+", "-", f"{stack}-") if stack else ""
        title = _cut(report.identity.name, LONGEST_TITLE) + (f", {_cut(stack, LONGEST_ROLE)}" if stack else "")
        for line in LINES:
            drawn = layer_series(rows, line.column, line.lower)
            if drawn:
                yield f"{before}{_stem(line)}", _lines(drawn, line, styles, title)
        column, label, _ = HEAT[0]
        drawn = layer_series(rows, column)
        if drawn:
            yield f"{before}{_HEAT_MAP}", _heat_map(drawn, label, title)


def _stem(line: LineFigure) -> str:
    """What its files are called, behind the stack."""
    return line.column.replace("_", "-")


def _lines(drawn: Sequence[LayerSeries], line: LineFigure, styles: dict[str, RoleStyle], title: str) -> Figure:
    labels = [_cut(series.role, LONGEST_ROLE) for series in drawn]
    columns = _legend_columns([len(label) for label in labels])
    figure, axes = _sheet(2.2 + 0.15 * math.ceil(len(drawn) / columns), title)
    axes.grid(True, color=INK["light"]["line"], linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_yscale(line.scale)
    handles = [_line(axes, series, styles[series.role]) for series in drawn]
    axes.set_xlabel("layer", fontsize=PLAIN)
    axes.set_ylabel(line.axis, fontsize=PLAIN)
    _whole_layers(axes)
    if line.scale == "log":
        _plain_numbers(axes.yaxis, *axes.get_ylim())
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        handlelength=2.6,
        columnspacing=1.2,
        borderpad=0,
    )
    return figure


def _line(axes: Axes, series: LayerSeries, style: RoleStyle) -> Any:
    hollow = style.symbol.endswith("-open")
    axes.fill_between(series.layers, series.low, series.high, color=style.light, alpha=0.14, linewidth=0)
    (handle,) = axes.plot(
        series.layers,
        series.values,
        color=style.light,
        linestyle=_DASHES[style.dash],
        linewidth=0.8,
        marker=MARKERS[style.symbol.removesuffix("-open")],
        markersize=2.8,
        markerfacecolor=INK["light"]["card"] if hollow else style.light,
        markeredgewidth=0.6 if hollow else 0,
        markevery=math.ceil(len(series.layers) / MARKERS_SHOWN),
    )
    return handle


def _heat_map(drawn: Sequence[LayerSeries], label: str, title: str) -> Figure:
    from matplotlib.colors import LogNorm

    figure, axes = _sheet(0.85 + 0.15 * len(drawn), title)
    shown = _columns(drawn)
    at = {layer: column for column, layer in enumerate(shown)}
    cells = [[math.nan] * len(shown) for _ in drawn]
    for row, series in zip(cells, drawn, strict=True):
        for layer, value in zip(series.layers, series.values, strict=True):
            row[at[layer]] = value
    first, last = (shown[0], shown[-1]) if isinstance(shown, range) else (0, len(shown) - 1)
    axes.set_facecolor(INK["light"]["line"])
    image = axes.imshow(
        cells,
        norm=LogNorm(),
        cmap="viridis",
        aspect="auto",
        interpolation="none",
        extent=(first - 0.5, last + 0.5, len(drawn) - 0.5, -0.5),
    )
    axes.set_xlabel("layer", fontsize=PLAIN)
    axes.set_yticks(range(len(drawn)), [_cut(series.role, LONGEST_ROLE) for series in drawn])
    axes.tick_params(axis="y", length=0)
    if isinstance(shown, range):
        _whole_layers(axes)
    else:
        axes.set_xlabel("layer, gaps left out", fontsize=PLAIN)
        ticks = range(0, len(shown), math.ceil(len(shown) / TICKS))
        axes.set_xticks(ticks, [str(shown[column]) for column in ticks])
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.08)
    bar.set_label(label.lower(), fontsize=PLAIN)
    bar.ax.tick_params(which="both", labelsize=SMALL)
    _plain_numbers(bar.ax.yaxis, *image.get_clim())
    return figure


def _columns(drawn: Sequence[LayerSeries]) -> Sequence[int]:
    """The layers that have a column of a heat map: a range from the first to the last, or only those that are there
    where a name numbers one far beyond the others.
    """
    there = sorted({layer for series in drawn for layer in series.layers})
    spanned = range(there[0], there[-1] + 1)
    return spanned if len(spanned) <= max(SPANNED, 2 * len(there)) else there


def _sheet(height: float, title: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    figure.suptitle(title, fontsize=PLAIN)
    axes.tick_params(which="both", labelsize=SMALL)
    return figure, axes


def _whole_layers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def _plain_numbers(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis from ``low`` to ``high`` in plain numbers, between the decades where they are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    plain = FuncFormatter(lambda value, _: f"{value:.3g}")
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(NullFormatter())
    if high / low < 3:
        axis.set_major_locator(MaxNLocator(5))
        axis.set_minor_locator(MaxNLocator(5))
    elif high / low < 1000:
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
        axis.set_minor_formatter(plain)


def _legend_columns(letters: Sequence[int]) -> int:
    """How many columns of entries with so many letters, filled one after the other, fit into the width."""
    for columns in range(min(LEGEND_COLUMNS, len(letters)), 1, -1):
        rows = math.ceil(len(letters) / columns)
        longest = (max(letters[start : start + rows]) for start in range(0, len(letters), rows))
        if sum(BESIDE + LETTER * most for most in longest) * SMALL <= 72 * WIDTH:
            return columns
    return 1


def _cut(name: str, longest: int) -> str:
    """A stranger's name fit for a figure, its middle left out where it is long."""
    safe = printable(name, 1000)
    if len(safe) > longest:
        safe = f"{safe[: longest // 2]}…{safe[len(safe) - longest // 2 + 1 :]}"
    # matplotlib leaves an entry out of a legend whose name starts so.
    return f" {safe}" if safe.startswith("_") else safe

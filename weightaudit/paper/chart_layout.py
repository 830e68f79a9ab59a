"""Charts laid out once, for the page and the PNG: colours, markers, bands, ticks, where a zero lies on a log axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from weightaudit.paper.charts import Chart, Series
from weightaudit.report import style

# The eight colours and markers of the audit's roles: they stay apart for colour-blind readers (see there).
_ROLES = ("Q", "K", "V", "O", "QKV", "M1", "M2", "GATE")
_LOOKS = style.role_styles(_ROLES)
COLOURS = tuple(_LOOKS[role].light for role in _ROLES)
DARK = tuple(_LOOKS[role].dark for role in _ROLES)
"""The same on dark paper."""
SYMBOLS = tuple(_LOOKS[role].symbol for role in _ROLES)
"""As plotly calls them."""
MAX_MARKERS = 60
"""Points in a line above which they get no markers."""
GRID = style.INK["light"]["line"]


@dataclass(frozen=True)
class Ticks:
    """Places on an axis and what stands there."""

    places: tuple[float, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """A stretch of a series' band without gaps."""

    x: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class Line:
    """A series as drawn: its look, its places (NaN is a gap), its bands."""

    series: Series
    colour: str
    symbol: str
    x: list[float]
    y: list[float]
    bands: tuple[Band, ...]

    @property
    def has_markers(self) -> bool:
        """Whether all points are marked; those that stand out are anyway."""
        return self.series.style == "points" or len(self.x) <= MAX_MARKERS


@dataclass(frozen=True)
class Panel:
    """A chart as drawn. ``ticks`` of x are None where the drawing library's own do; ``counted``: they are whole."""

    chart: Chart
    lines: tuple[Line, ...]
    ticks: Ticks | None
    counted: bool


def laid_out(charts: Sequence[Chart]) -> list[Panel]:
    """Every chart as both drawing libraries are to draw it."""
    numbers = numbering(charts)
    return [
        Panel(
            chart,
            tuple(_line(chart, series, numbers[group_of(series)]) for series in chart.series),
            x_ticks(chart),
            counts(chart),
        )
        for chart in charts
    ]


def _line(chart: Chart, series: Series, number: int) -> Line:
    x, y = x_places(chart, series), y_places(chart, series.y)
    low, high = band_places(chart, series)
    cuts = [slice(run.start, run.stop) for run in (runs(x, low, high) if low else ())]
    bands = tuple(Band(x[cut], low[cut], high[cut]) for cut in cuts)
    return Line(series, COLOURS[number % len(COLOURS)], SYMBOLS[number % len(SYMBOLS)], x, y, bands)


def group_of(series: Series) -> str:
    """The name under which a series has its colour."""
    return series.group or series.name


def numbering(charts: Iterable[Chart]) -> dict[str, int]:
    """Group → number of its look. Groups that meet in a panel differ, as long as there are colours.

    A group keeps its number in every panel; groups that never meet may share one.
    """
    panels = [list(dict.fromkeys(group_of(series) for series in chart.series)) for chart in charts]
    numbers: dict[str, int] = {}
    for group in dict.fromkeys(name for panel in panels for name in panel):
        met = {numbers[other] for panel in panels if group in panel for other in panel if other in numbers}
        free = (number for number in range(len(COLOURS)) if number not in met)
        numbers[group] = next(free, len(met))
    return numbers


def zero_place(chart: Chart) -> float | None:
    """Where x = 0 is drawn on the chart's logarithmic axis; None where that axis needs no such place."""
    places = {x for series in chart.series for x in series.x}
    positive = sorted(x for x in places if x > 0 and math.isfinite(x))
    if not chart.log_x or 0 not in places or not positive:
        return None
    # As far from the smallest positive value as that is from the next, within reason.
    step = positive[1] / positive[0] if len(positive) > 1 else 10.0
    return positive[0] / min(max(step, 2.0), 10.0)


def x_places(chart: Chart, series: Series) -> list[float]:
    """The series' x values as drawn."""
    zero = zero_place(chart)
    if not chart.log_x:
        return [float(x) for x in series.x]
    return [float(x) if x > 0 else zero if x == 0 and zero is not None else math.nan for x in series.x]


def y_places(chart: Chart, values: Sequence[float]) -> list[float]:
    """y values as drawn: NaN, a gap, where a logarithmic axis has no place for one."""
    return [float(y) if not chart.log_y or y > 0 else math.nan for y in values]


def band_places(chart: Chart, series: Series) -> tuple[list[float], list[float]]:
    """Both edges of the series' band as drawn; empty where it has none.

    On a logarithmic axis an edge that is not positive lies below everything: it is drawn at the chart's least positive
    value, and so at the bottom.
    """
    if series.low is None or series.high is None:
        return [], []
    if not chart.log_y:
        return [float(y) for y in series.low], [float(y) for y in series.high]
    drawn = [y for one in chart.series for values in (one.y, one.low or ()) for y in values]
    floor = min((y for y in drawn if y > 0 and math.isfinite(y)), default=math.nan)
    low, high = ([floor if y <= 0 else float(y) for y in edge] for edge in (series.low, series.high))
    return low, high


def x_ticks(chart: Chart) -> Ticks | None:
    """Ticks of a logarithmic x axis that has a zero; None where the drawing library's own do."""
    zero = zero_place(chart)
    if zero is None:
        return None
    positive = sorted({x for series in chart.series for x in series.x if x > 0 and math.isfinite(x)})
    exponents = range(math.ceil(math.log10(positive[0]) - 1e-9), math.floor(math.log10(positive[-1]) + 1e-9) + 1)
    decades = [10.0**exponent for exponent in exponents]
    places = decades if len(decades) > 1 else positive
    return Ticks((zero, *places), ("0", *(f"{place:.3g}" for place in places)))


def counts(chart: Chart) -> bool:
    """Whether the x axis counts something (layers, steps), so that a tick between two whole numbers means nothing."""
    places = [x for series in chart.series for x in series.x]
    return not chart.log_x and bool(places) and all(float(x).is_integer() for x in places)


def runs(*columns: Sequence[float]) -> list[range]:
    """Stretches of positions at which every column is finite, in order."""
    stretches: list[range] = []
    for i, row in enumerate(zip(*columns, strict=True)):
        if not all(math.isfinite(value) for value in row):
            continue
        if stretches and stretches[-1].stop == i:
            stretches[-1] = range(stretches[-1].start, i + 1)
        else:
            stretches.append(range(i, i + 1))
    return stretches


def same_series_everywhere(charts: Sequence[Chart]) -> bool:
    """Whether one legend serves all panels."""
    return len({frozenset(series.name for series in chart.series) for chart in charts}) == 1


def panels(charts: Sequence[Chart]) -> tuple[int, int]:
    """(rows, columns) of the page. ValueError where two charts want one place (a bug in the experiment)."""
    taken = [chart.panel for chart in charts]
    if len(set(taken)) < len(taken):
        raise ValueError(f"two charts share a panel: {sorted(taken)}")
    # Without a chart there is one empty panel: a file that is promised is written.
    return 1 + max((row for row, _ in taken), default=0), 1 + max((column for _, column in taken), default=0)

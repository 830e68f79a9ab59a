"""Charts as plain data. Each is drawn twice: by plotly on the experiment's page, by matplotlib in its PNG.

Series of one name look the same in every panel of a page and stand once in its legend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Style = Literal["line", "points", "dashed"]


@dataclass(frozen=True)
class Series:
    """One line or cloud of points. All sequences have the same length.

    ``low`` and ``high`` bound a shaded band (one standard deviation, an interval). ``marked`` points are drawn hollow:
    what that means is for the chart's caption to say. Series of the same ``group`` share a colour (an empty group is
    the name's own), so that a solid and a dashed line can belong together. NaN leaves a gap.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    style: Style = "line"
    marked: Sequence[bool] | None = None
    group: str = ""

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"series '{self.name}': a band needs both low and high")
        for values in (self.y, self.low, self.high, self.marked):
            if values is not None and len(values) != len(self.x):
                raise ValueError(f"series '{self.name}': {len(values)} values for {len(self.x)} places")


def banded(
    name: str, x: Sequence[float], means: Sequence[float], sds: Sequence[float], marked: Sequence[bool] | None = None
) -> Series:
    """Means with a band of one standard deviation."""
    pairs = list(zip(means, sds, strict=True))
    return Series(name, x, means, low=[m - sd for m, sd in pairs], high=[m + sd for m, sd in pairs], marked=marked)


@dataclass(frozen=True)
class Chart:
    """One panel. ``panel`` is its (row, column) on the page, both from 0.

    On a logarithmic x axis a zero (λ = 0) is drawn left of the smallest positive value and labelled 0; on a
    logarithmic y axis values that are not positive leave gaps, and bands that reach there go to the bottom.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    caption: str = ""
    panel: tuple[int, int] = (0, 0)

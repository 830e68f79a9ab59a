"""A role's stable rank by layer as a line of block characters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightaudit.records import LayerRow

NOTHING = " "
"""For a layer where the role has no finite number."""


def by_layer(rows: Iterable[LayerRow], layers: Sequence[int]) -> list[float]:
    """Stable rank at each of ``layers``, the median where a layer has several (experts); NaN where it has none."""
    from weightaudit.report.by_layer import medians_by_layer

    medians = medians_by_layer(
        (row.matrix.layer, row.spectrum.stable_rank) for row in rows if row.matrix.layer is not None
    )
    return [medians.get(layer, math.nan) for layer in layers]


def narrowed(values: Sequence[float], width: int) -> list[float]:
    """``values`` as at most ``width`` medians of neighbours, as many in each as can be.

    Example:
        >>> narrowed([1.0, 3.0, 3.0, 9.0, 4.0], 2)
        [2.0, 4.0]
    """
    if len(values) <= width:
        return list(values)
    edges = [i * len(values) // width for i in range(width + 1)]
    return [_median(values[start:end]) for start, end in pairwise(edges)]


def drawn(values: Sequence[float], bars: str) -> str:
    """One of ``bars`` for each of the positive ``values``, by its logarithm, as the page's axis has it; all in the
    middle where they print alike.

    Example:
        >>> drawn([1.0, 2.0, float("nan"), 128.0], "▁▂▃▄▅▆▇█")
        '▁▂ █'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    alike = f"{low:.3g}" == f"{high:.3g}"  # the range printed beside it says so too

    def bar(value: float) -> str:
        if not math.isfinite(value):
            return NOTHING
        share = 0.45 if alike else math.log(value / low) / math.log(high / low)
        return bars[round(share * (len(bars) - 1))]

    return "".join(map(bar, values))


def _median(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return median(finite) if finite else math.nan

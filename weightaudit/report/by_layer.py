"""A role over the layers: the matrices of each layer as one point, several (experts) by their median."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from weightaudit.records import LayerRow, Spectrum

Number = Callable[[Spectrum], float]


def no_number(spectrum: Spectrum) -> str:
    """Why a matrix has no norm, or none but zero, in words for a drawing; "" where it has."""
    if spectrum.nonfinite:
        return "NaN or ∞"
    return "all zero" if spectrum.frobenius_norm == 0 else ""


@dataclass(frozen=True)
class LayerPoint:
    """One number at one layer: ``low`` ≤ ``middle`` ≤ ``high``, all NaN where no matrix of the layer has it finite."""

    layer: int
    low: float
    middle: float
    high: float


def role_groups(rows: Iterable[LayerRow]) -> dict[tuple[str, str], list[LayerRow]]:
    """(stack, role) → its rows within the layers, both in the order in which they come."""
    groups: dict[tuple[str, str], list[LayerRow]] = {}
    for row in rows:
        if row.matrix.layer is not None:
            groups.setdefault((row.matrix.stack, row.matrix.role), []).append(row)
    return groups


def layer_points(rows: Sequence[LayerRow], upper: Number, lower: Number) -> list[LayerPoint]:
    """One point a layer, ascending: the median of the ``upper`` ends between the extremes of both ends."""
    ends: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        if row.matrix.layer is not None:
            pair = lower(row.spectrum), upper(row.spectrum)
            ends.setdefault(row.matrix.layer, []).extend([pair] if all(map(math.isfinite, pair)) else [])
    return [_point(layer, pairs) for layer, pairs in sorted(ends.items())]


def _point(layer: int, pairs: Sequence[tuple[float, float]]) -> LayerPoint:
    if not pairs:
        return LayerPoint(layer, math.nan, math.nan, math.nan)
    return LayerPoint(layer, min(low for low, _ in pairs), median(high for _, high in pairs), max(p[1] for p in pairs))


def medians_by_layer(values: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Layer → the median of its finite ``values``, ascending; a layer without one is left out.

    Example:
        >>> medians_by_layer([(1, 2.0), (0, 5.0), (1, 4.0), (2, float("nan"))])
        {0: 5.0, 1: 3.0}
    """
    found: dict[int, list[float]] = {}
    for layer, value in values:
        if math.isfinite(value):
            found.setdefault(layer, []).append(value)
    return {layer: median(several) for layer, several in sorted(found.items())}

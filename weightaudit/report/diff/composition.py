"""What the updates of matrices are made of: parts of ‖Δ‖_F² that add up to it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from weightaudit.records import ELSEWHERE, Change, Kind
from weightaudit.report.diff.columns import change_norm

Part = Literal["shrink", "directions", "rest", "rounding"]
PARTS: dict[Part, tuple[str, str]] = {
    "shrink": ("Common shrink", "what multiplying all dense matrices by one number, as weight decay does, leaves"),
    "directions": (
        "Largest directions measured",
        "the singular values that stand above rounding, as far as they were measured; noise has largest ones too",
    ),
    "rest": ("The rest", "everything else that is more than rounding"),
    "rounding": ("Rounding", "what rounding to the precision of the numbers makes by itself"),
}
"""How each part is called, and what it is."""
ROUNDED: tuple[Kind, ...] = ("cast", "at the resolution")
"""Kinds that are rounding as a whole."""


@dataclass(frozen=True)
class Composition:
    """The parts of the sum of ‖Δ‖_F² over ``matrices`` changed matrices; ``left_out`` further ones stand elsewhere in
    the base, or are not finite, so that their difference is no update.
    """

    parts: dict[Part, float]
    matrices: int
    left_out: int

    @property
    def total(self) -> float:
        """The whole sum."""
        return sum(self.parts.values())


def composition(changes: Iterable[Change], decay: float | None) -> Composition:
    """Of ``changes``, unchanged ones among them; ``decay`` is the common c of W₁ ≈ (1 − c)·W₀, None where there is
    none.
    """
    sums: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
    counted = left_out = 0
    for change in changes:
        norm = change_norm(change)
        size = norm * norm  # which may be infinite; ** would raise
        if change.kind == "unchanged":
            continue
        if change.kind in ELSEWHERE or not math.isfinite(size):
            left_out += 1
            continue
        counted += 1
        for part, share in _parts(change, size, decay).items():
            sums[part] += share
    return Composition(sums, counted, left_out)


def _parts(change: Change, size: float, decay: float | None) -> dict[Part, float]:
    """``size``, ‖Δ‖_F², in parts: each takes at most what those before it left."""
    entries = change.entries
    dense = change.kind == "dense" and decay is not None and entries is not None
    shrink = min(size, decay**2 * entries.base_sq) if dense and decay is not None and entries is not None else 0.0
    left = size - shrink
    floor = left if change.kind in ROUNDED else 0.0 if entries is None else entries.floor
    rounding = min(left, floor)
    left -= rounding
    directions = min(left, _above(change))
    return {"shrink": shrink, "directions": directions, "rest": left - directions, "rounding": rounding}


def _above(change: Change) -> float:
    """The squared singular values above the edge of rounding, or of the rank that is shown."""
    if change.ranks is None:
        return 0.0
    values = change.ranks.singular_values
    if change.ranks.rank is not None:
        values = values[: change.ranks.rank]
    return sum(value * value for value in values if value > change.ranks.edge)

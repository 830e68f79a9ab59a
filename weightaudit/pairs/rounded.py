"""What differs in a matrix from another that was rounded besides, where few entries do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightaudit.arrays import Array
from weightaudit.dtypes import BY_NAME
from weightaudit.records import EntryChanges
from weightaudit.records.change import COARSE
from weightaudit.spectral.block_matrix import BlockMatrix

SAMPLED = 64
"""Rows that are looked at first."""
MAX_SHARE_MOVED = 0.5
"""Share of their entries that may be neither rounded nor zero."""


@dataclass(frozen=True)
class Touched:
    """Entries that differ, those of them that were set to zero, and rows in which one differs."""

    changed: int
    cut: int
    rows: int


def touched(base: BlockMatrix, derived: BlockMatrix, facts: EntryChanges) -> Touched:
    """What differs in W₁ (``derived``) from W₀ (``base``), both (rows, cols): from W₀ rounded to the precision of W₁,
    where it is that but for few entries."""
    return _since_rounding(base, derived, facts.precision_base, facts.precision_derived) or Touched(
        facts.changed, facts.cut, facts.rows_changed
    )


def is_rounded(base: BlockMatrix, derived: BlockMatrix, facts: EntryChanges) -> bool:
    """Whether W₀ is W₁ rounded, entry by entry."""
    found = _since_rounding(derived, base, facts.precision_derived, facts.precision_base)
    return found is not None and not found.changed


def _since_rounding(before: BlockMatrix, after: BlockMatrix, fine: str, coarse: str) -> Touched | None:
    if fine == coarse or (coarse not in COARSE and (fine, coarse) != ("float64", "float32")):
        return None
    lines = np.unique(np.linspace(0, before.rows - 1, min(before.rows, SAMPLED)).astype(int)).tolist()
    first, last = (np.concatenate([one.between(line, line + 1)[0] for line in lines]) for one in (before, after))
    differ, zero = _differ(first, last, coarse)
    if np.mean(differ & ~zero) > MAX_SHARE_MOVED:
        return None
    changed = cut = rows = 0
    for one, other in zip(before.panels(True), after.panels(True), strict=True):
        differ, zero = _differ(one, other, coarse)
        changed += int(np.count_nonzero(differ))
        cut += int(np.count_nonzero(differ & zero))
        rows += int(np.count_nonzero(differ.any(axis=1)))
    return Touched(changed, cut, rows)


def _differ(before: Array, after: Array, coarse: str) -> tuple[Array, Array]:
    """Which entries are not those before, rounded to ``coarse``; and which are zero."""
    numbers = after.astype(np.float64)
    with np.errstate(all="ignore"):
        return before.astype(BY_NAME[coarse].numpy).astype(np.float64) != numbers, numbers == 0.0

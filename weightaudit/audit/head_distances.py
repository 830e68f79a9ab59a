"""Which heads of one attention are copies of one another: relative distances between all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from weightaudit.architecture.attention_plan import AttentionPlan
from weightaudit.arrays import Array
from weightaudit.audit.pieces import cut
from weightaudit.dtypes import BY_NAME

COLUMNS = 128
"""Columns of a matrix that are made float64 at once."""


def nearest_heads(plan: AttentionPlan, stored: Mapping[str, Array]) -> list[tuple[int | None, float]]:
    """Of each head of queries the nearest other one and its distance: the largest, over Q, K and V, of ‖A − B‖_F over
    the larger norm. Heads that share keys and values differ in queries alone.

    ‖A − B‖² = ‖A‖² + ‖B‖² − 2⟨A, B⟩ from one product of all heads with all, so distances below 1e-7 are rounding.
    """
    attention = plan.attention
    heads, share = attention.heads, attention.heads // attention.kv_heads
    if heads < 2 or not {"Q", "K", "V"} <= plan.matrices.keys():
        return []
    farthest = np.zeros((heads, heads))
    for part, count in (("Q", heads), ("K", attention.kv_heads), ("V", attention.kv_heads)):
        distance = _distances(cut(plan.matrices[part], stored), count)
        if count != heads:
            distance = np.repeat(np.repeat(distance, share, axis=0), share, axis=1)
        farthest = np.maximum(farthest, distance)
    np.fill_diagonal(farthest, math.inf)
    nearest = np.where(np.isnan(farthest), math.inf, farthest).argmin(axis=1)
    found = [(int(other), float(farthest[head, other])) for head, other in enumerate(nearest)]
    return [(other, d) if math.isfinite(d) else (None, math.nan) for other, d in found]


def comparison_bytes(plan: AttentionPlan) -> int:
    """Bytes that `nearest_heads` takes beside the weights, at most: a matrix that lies in several pieces in one, some
    of its columns in float64, and distances."""
    stored = [matrix.parameters * -(-BY_NAME[matrix.dtype].bits // 8) for matrix in plan.matrices.values()]
    rows = max((matrix.shape[0] for matrix in plan.matrices.values()), default=0)
    return max(stored, default=0) + 8 * (3 * COLUMNS * rows + 6 * plan.attention.heads**2)


def _distances(blocks: list[Array], count: int) -> NDArray[np.float64]:
    """(count, count), of heads of equally many rows; NaN for one with an entry that is not finite, 0 of two zeros."""
    whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    scale = float(max((np.abs(block).max(initial=0.0) for block in blocks), default=0.0))
    scale = 1.0 / scale if 0.0 < scale < math.inf else 1.0
    gram = np.zeros((count, count))
    for start in range(0, whole.shape[1], COLUMNS):
        piece = whole[:, start : start + COLUMNS].astype(np.float64) * scale
        flat = piece.reshape(count, -1)
        gram += flat @ flat.T
    squares = np.diag(gram)
    apart = squares[:, None] + squares[None, :] - 2.0 * gram
    larger = np.maximum(squares[:, None], squares[None, :])
    return np.where(larger == 0.0, 0.0, np.sqrt(np.maximum(apart, 0.0) / larger))

"""What the stable rank of a matrix would be if its entries were random: what a trained matrix is seen beside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from weightaudit.records import LayerRow

MAX_REFERENCES = 4
"""References drawn for one stack: those of the shapes that most of its matrices have."""


@dataclass(frozen=True)
class Reference:
    """Of all matrices of one shape, or of its transpose, in a stack: their roles, and the number."""

    stack: str
    shape: tuple[int, int]
    roles: tuple[str, ...]
    stable_rank: float


def gaussian_stable_rank(rows: int, cols: int) -> float:
    """About the stable rank of a ``rows`` × ``cols`` matrix of independent normal entries: mn/(√m + √n)².

    ‖G‖² is close to mn, and σ₁ to √m + √n, the edge of the spectrum (Marchenko & Pastur 1967; Yin, Bai &
    Krishnaiah 1988 for σ₁ itself).

    Example:
        >>> gaussian_stable_rank(768, 768)
        192.0
    """
    return rows * cols / (math.sqrt(rows) + math.sqrt(cols)) ** 2


def references(rows: Sequence[LayerRow]) -> list[Reference]:
    """The references for the matrices within layers, by stack, the most frequent shapes first."""
    counts: Counter[tuple[str, tuple[int, int]]] = Counter()
    roles: dict[tuple[str, tuple[int, int]], dict[str, None]] = {}
    for row in rows:
        matrix = row.matrix
        if matrix.layer is None or not matrix.parameters:
            continue
        key = matrix.stack, (max(matrix.shape), min(matrix.shape))
        counts[key] += 1
        roles.setdefault(key, {})[matrix.role] = None
    found = []
    for stack in dict.fromkeys(stack for stack, _ in counts):
        of_stack = [key for key, _ in counts.most_common() if key[0] == stack][:MAX_REFERENCES]
        found += [Reference(stack, key[1], tuple(roles[key]), gaussian_stable_rank(*key[1])) for key in of_stack]
    return found

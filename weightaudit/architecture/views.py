"""How fused tensors are packed: which output rows belong to which role. Index arithmetic only.

A packing is a function ``(roles, rows, dimensions) -> {role: its row ranges, in model order}``, where
``rows[i]`` is the number of output rows of ``roles[i]`` and ``dimensions`` are the family's (heads, kv_heads,
head_dim, ...). It raises ValueError where the dimensions do not allow the layout. To add a layout: one
function, one line in `PACKINGS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from weightaudit.records import Part, Rows

Packing = Callable[[Sequence[str], Sequence[int], Mapping[str, int]], dict[str, tuple[Rows, ...]]]


def contiguous(roles: Sequence[str], rows: Sequence[int], dimensions: Mapping[str, int]) -> dict[str, tuple[Rows, ...]]:
    """All rows of the first role, then all of the second, and so on.

    ``roles[i]`` has rows ``s[i] : s[i] + rows[i]`` with ``s[i] = rows[0] + ... + rows[i - 1]``. GPT-2's
    ``c_attn`` after its transposition, Phi-2's older ``Wqkv``.

    Example:
        >>> contiguous(["Q", "K"], [6, 2], {})
        {'Q': (Rows(start=0, size=6, count=1, stride=0),), 'K': (Rows(start=6, size=2, count=1, stride=0),)}
    """
    starts = accumulate(rows, initial=0)
    return {role: (Rows(start, size),) for role, start, size in zip(roles, starts, rows, strict=False)}


PACKINGS: dict[str, Packing] = {"contiguous": contiguous}


def join(parts: Sequence[Part], stored_rows: Mapping[str, int]) -> tuple[Part, ...]:
    """The same rows in the same order, with neighbouring slices of one tensor made one.

    ``stored_rows`` is the number of output rows of each tensor. So the stack of contiguous Q, K and V is the
    fused tensor itself, which is measured as one block without a copy.
    """
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last is not None and last.rows is not None and part.rows is not None and _adjoin(last, part):
            merged = Rows(last.rows.start, last.rows.size + part.rows.size)
            joined[-1] = Part(part.tensor, part.transposed, merged)
        else:
            joined.append(part)
    return tuple(
        Part(part.tensor, part.transposed) if part.rows == Rows(0, stored_rows[part.tensor]) else part
        for part in joined
    )


def _adjoin(first: Part, second: Part) -> bool:
    if first.rows is None or second.rows is None or first.rows.count != 1 or second.rows.count != 1:
        return False
    same = (first.tensor, first.transposed) == (second.tensor, second.transposed)
    return same and first.rows.start + first.rows.size == second.rows.start

"""How fused tensors are packed: which output rows belong to which role. Index arithmetic only.

All layouts known are one: the rows come in B equal blocks, and each block holds a B-th of every role's rows, role
after role in the order in which the spec lists them. A named packing says what B is.

A packing is a function ``(roles, rows, dimensions) -> {role: its row ranges, in model order}``, where
``rows[i]`` is the number of output rows of ``roles[i]`` and ``dimensions`` are the family's (heads, kv_heads,
head_dim, ...). It raises ValueError where the dimensions do not allow the layout. To add a layout: one
function, one line in `PACKINGS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
    return _blocks(1, roles, rows)


def per_head(roles: Sequence[str], rows: Sequence[int], dimensions: Mapping[str, int]) -> dict[str, tuple[Rows, ...]]:
    """Head by head, in each head the roles in order: B = heads.

    Head h of ``roles[i]`` has rows ``h * d + s[i] : h * d + s[i] + r[i]``, with ``r[i] = rows[i] / heads``, ``s[i] =
    r[0] + ... + r[i - 1]`` and d the sum of all r. GPT-NeoX, BLOOM; K and V of MLA's ``kv_b_proj``, whose heads differ
    in size; a query and its gate (Qwen3-Next).

    Example:
        >>> per_head(["Q", "K"], [4, 4], {"heads": 2})["K"]
        (Rows(start=2, size=2, count=2, stride=4),)
    """
    return _blocks(dimensions["heads"], roles, rows)


def grouped(roles: Sequence[str], rows: Sequence[int], dimensions: Mapping[str, int]) -> dict[str, tuple[Rows, ...]]:
    """Group by group of the heads that share a key and a value: their queries, the key, the value; B = kv_heads.

    Group g of ``roles[i]`` has rows ``g * d + s[i] : g * d + s[i] + r[i]``, with ``r[i] = rows[i] / kv_heads``, s and d
    as in `per_head`. Falcon's new decoder, InternLM2's ``wqkv``.

    Example:
        >>> grouped(["Q", "K", "V"], [8, 4, 4], {"kv_heads": 2})["Q"]
        (Rows(start=0, size=4, count=2, stride=8),)
    """
    return _blocks(dimensions["kv_heads"], roles, rows)


def multi_query(
    roles: Sequence[str], rows: Sequence[int], dimensions: Mapping[str, int]
) -> dict[str, tuple[Rows, ...]]:
    """All queries, then the one key and the one value that all heads share: `contiguous`, held to its sizes.

    With d = head_dim: Q has rows ``0 : heads * d``, K the next d, V the last d. GPT-BigCode, Falcon 7B.
    """
    if list(rows) != [dimensions["heads"] * rows[1], rows[1], rows[1]]:
        raise ValueError(f"{rows} are no rows of {dimensions['heads']} queries, one key and one value")
    return _blocks(1, roles, rows)


def mp_num(roles: Sequence[str], rows: Sequence[int], dimensions: Mapping[str, int]) -> dict[str, tuple[Rows, ...]]:
    """Four blocks, one for each processor that CodeGen was trained on, in each the roles in order: B = 4.

    Block b of ``roles[i]`` has rows ``b * d + s[i] : b * d + s[i] + r[i]``, with ``r[i] = rows[i] / 4``, s and d as in
    `per_head`. CodeGen's order within a block is Q, V, K, which its spec says.
    """
    return _blocks(4, roles, rows)


def alternating(
    roles: Sequence[str], rows: Sequence[int], dimensions: Mapping[str, int]
) -> dict[str, tuple[Rows, ...]]:
    """Row by row in turn: ``roles[i]`` has rows ``i, i + n, i + 2 n, ...`` for n roles; B = rows[0], blocks of n rows.

    Gate and up of gpt-oss: gate has the even rows, up the odd ones.
    """
    if len(set(rows)) != 1:
        raise ValueError(f"roles that alternate row by row have equal sizes, not {rows}")
    return _blocks(rows[0], roles, rows)


def _blocks(blocks: int, roles: Sequence[str], rows: Sequence[int]) -> dict[str, tuple[Rows, ...]]:
    if blocks < 1 or any(total % blocks for total in rows):
        raise ValueError(f"{list(rows)} rows do not come in {blocks} equal blocks")
    sizes = [total // blocks for total in rows]
    stride = sum(sizes)
    starts = accumulate(sizes, initial=0)
    runs = (blocks, stride) if blocks > 1 else (1, 0)
    return {role: (Rows(start, size, *runs),) for role, start, size in zip(roles, starts, sizes, strict=False)}


PACKINGS: dict[str, Packing] = {
    packing.__name__: packing for packing in (contiguous, per_head, grouped, multi_query, mp_num, alternating)
}


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
            joined[-1] = replace(part, rows=merged)
        else:
            joined.append(part)
    return tuple(
        replace(part, rows=None) if part.rows == Rows(0, stored_rows[part.tensor]) else part for part in joined
    )


def _adjoin(first: Part, second: Part) -> bool:
    if first.rows is None or second.rows is None or first.rows.count != 1 or second.rows.count != 1:
        return False
    same = replace(first, rows=None) == replace(second, rows=None)
    return same and first.rows.start + first.rows.size == second.rows.start

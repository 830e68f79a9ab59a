"""Which matrices of two reports stand beside one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from weightaudit.records import OTHER, Place
from weightaudit.report.columns import Value

PLACE = ("stack", "layer", "expert", "role")
"""What makes two matrices partners; where a report has several in one place, they are partners in their order."""

Row = Mapping[str, Value]
"""Of a report: values by the names of its columns."""


def partners(first: Sequence[Row], second: Sequence[Row]) -> Iterator[tuple[str, Row | None, Row | None]]:
    """("both", "only a" or "only b", a, b), in the order of ``first``, then what only ``second`` has."""
    left = dict(zip(_keys(second), second, strict=True))
    for key, row in zip(_keys(first), first, strict=True):
        partner = left.pop(key, None)
        yield ("both" if partner is not None else "only a"), row, partner
    for row in left.values():
        yield "only b", None, row


def place_of(row: Row) -> Place:
    """Where its matrix stands."""
    layer, expert, role = row["layer"], row["expert"], str(row["role"] or "")
    return Place(
        str(row["stack"] or ""),
        layer if isinstance(layer, int) else None,
        expert if isinstance(expert, int) else None,
        role,
        str(row.get("tensors") or "") if role == OTHER else "",
    )


def _keys(rows: Sequence[Row]) -> Iterator[tuple[Place, int]]:
    seen: Counter[Place] = Counter()
    for row in rows:
        place = place_of(row)
        seen[place] += 1
        yield place, seen[place]

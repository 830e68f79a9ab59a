"""Amounts of memory, as people write them."""

from __future__ import annotations

import re

from weightaudit.errors import UsageError
from weightaudit.text import printable

UNITS = {
    "": 1,
    "B": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
WRITTEN = re.compile(r"\s*(?P<number>\d{1,30}(?:\.\d{1,30})?)\s*(?P<unit>[KMGT]?I?)B?\s*", re.IGNORECASE | re.ASCII)
"""More digits than any amount has are no amount: they would be infinite."""


def parse_bytes(memory: str | int | None) -> int | None:
    """``"2GB"``, ``"512 MiB"`` or ``2_000_000_000`` → bytes; None stays None.

    Raises UsageError for what is no amount, and for none at all.

    Example:
        >>> parse_bytes("1.5 GiB")
        1610612736
    """
    if memory is None:
        return None
    found = WRITTEN.fullmatch(str(memory))
    factor = UNITS.get(found["unit"].upper()) if found else None
    if found is None or factor is None or not (nbytes := int(float(found["number"]) * factor)):
        raise UsageError(
            f"memory '{printable(str(memory))}'", "that is no amount of memory", "Write for example 2GB or 512MiB"
        )
    return nbytes

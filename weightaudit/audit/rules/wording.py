"""How findings and notes name places and lists of things. Names from files come out printable."""

from __future__ import annotations

from collections.abc import Iterable

from weightaudit import text
from weightaudit.records import Finding, RoleMatrix
from weightaudit.text import printable

MAX_NAMED = 4
"""Things named one by one within a sentence."""


def where(of: RoleMatrix | Finding) -> str:
    """Its place in words: "decoder layer 3 expert 7 M1"; a finding about no one place is about "the model".

    Example:
        >>> where(RoleMatrix("", 3, None, "Q", (), (4, 4), "float32"))
        'layer 3 Q'
    """
    return printable(of.place.words()) or "the model"


def listed(things: Iterable[str], most: int = MAX_NAMED) -> str:
    """As a list in a sentence: "a, b and c", or "a, b, c, d and 5 more"; each printable."""
    return text.listed(map(printable, things), most, spare=1)

"""How findings and notes name places and lists of things. Names from files come out printable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weightaudit.errors import printable
from weightaudit.records import Finding, RoleMatrix

NAMED = 4
"""Things named one by one within a sentence."""


def where(place: RoleMatrix | Finding) -> str:
    """ "decoder layer 3 expert 7 M1"; a finding about no one place is "the model".

    Example:
        >>> where(RoleMatrix("", 3, None, "Q", (), (4, 4), "float32"))
        'layer 3 Q'
    """
    words = [
        place.stack,
        "" if place.layer is None else f"layer {place.layer}",
        "" if place.expert is None else f"expert {place.expert}",
        place.role,
    ]
    return printable(" ".join(word for word in words if word)) or "the model"


def listed(things: Iterable[str], most: int = NAMED) -> str:
    """ "a, b and c", or "a, b, c, d and 5 more": each printable."""
    names = [printable(thing) for thing in things]
    if len(names) > most + 1:  # "and 1 more" would take as much room as its name
        names = [*names[:most], f"{len(names) - most:,} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def numbered(numbers: Sequence[int]) -> str:
    """Layer numbers, ascending, runs as ranges: [0, 1, 2, 5] → "0-2 and 5"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return listed((f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs), most=2 * NAMED)

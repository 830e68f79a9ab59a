"""Where something is said of: a matrix in words, its row in the report, and the address of that row in the page.

Addresses of a page are written here alone; its script (`addresses.js`) gets those of the rows with the page's data.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from urllib.parse import urlencode

from weightaudit.records import Change, DiffResult, Finding, Meeting, MergeCheckResult, Place, Reported, RoleMatrix
from weightaudit.report.diff.verdict import change_name

Placed = RoleMatrix | Change | Meeting
"""What a row of a report is about."""


_ROLE = re.compile(r"[A-Z][A-Z0-9_]*")
"""A role that may stand in an address: one that only a name gives could be anything."""


def anchors(rows: Sequence[Placed]) -> list[str]:
    """Addresses of the rows of a report in its page, where the table opens: by place, ``#layer-5-O``; by number,
    ``#m-17``, where a row has no place of its own.
    """
    named = (row.place.tensor or not _ROLE.fullmatch(row.place.role) for row in rows)
    spelt = ["" if odd else row.place.words("-").replace(" ", "-") for row, odd in zip(rows, named, strict=True)]
    often = Counter(spelt)
    return [f"#{place}" if place and often[place] == 1 else f"#m-{i}" for i, place in enumerate(spelt)]


def view(**chosen: str) -> str:
    """Address of the page's table with this ``filter``, ``role`` or ``rule``: what the page itself writes there.

    Example:
        >>> view(filter="layer 3", role="M1")
        '#filter=layer+3&role=M1'
    """
    return f"#{urlencode(chosen, errors='replace')}"


def layer_view(place: Place) -> str:
    """Address of all matrices in the stack, layer and role of ``place``: a layer's experts."""
    return view(filter=Place(place.stack, place.layer).words(), role=place.role)


def placed(report: Reported) -> Sequence[Placed]:
    """What each row of ``report`` is about."""
    if isinstance(report, MergeCheckResult):
        return report.meetings
    return report.changes if isinstance(report, DiffResult) else [row.matrix for row in report.rows]


def row_name(row: Placed, between: str) -> str:
    """What it is called: a vector, which has no place of its own, by its tensors."""
    return change_name(row, between) if isinstance(row, Change) else row.place.words(between)


class Places:
    """The rows of a report, found by what a finding says of its place."""

    def __init__(self, rows: Sequence[Placed]) -> None:
        self._rows = rows
        self._by_place: dict[Place, list[int]] = defaultdict(list)
        self._by_tensor: dict[str, list[int]] = defaultdict(list)
        self._cut_from: dict[tuple[tuple[str, ...], Place], tuple[int, ...]] = {}
        for i, row in enumerate(rows):
            if row.place.role:  # vectors have no place of their own, and that is how a finding on the whole model reads
                self._by_place[row.place].append(i)
            for name in row.tensors:
                self._by_tensor[name].append(i)

    def of(self, finding: Finding) -> tuple[int, ...]:
        """Numbers of the rows that ``finding`` is about: the one in its place, or those cut from its tensors.

        Where several rows have one place, the one of the finding's tensors is meant. () for a finding about what the
        report has no row of.
        """
        found = self._by_place.get(finding.place, [])
        same = [i for i in found if self._rows[i].tensors == finding.tensors]
        if found:
            return tuple(same or found)
        # Once for all that say the same: a hundred findings may be about a tensor of a hundred thousand experts.
        said = (finding.tensors, finding.place)
        if said not in self._cut_from:
            told = set(finding.tensors)
            touched = sorted({i for name in told for i in self._by_tensor.get(name, ())})
            self._cut_from[said] = tuple(
                i for i in touched if told.issuperset(self._rows[i].tensors) and self._fits(finding, i)
            )
        return self._cut_from[said]

    def _fits(self, finding: Finding, row: int) -> bool:
        """Whether the place of ``row`` is what the finding says of its place."""
        place = self._rows[row].place
        said = ((finding.stack, place.stack), (finding.role, place.role))
        numbers = ((finding.layer, place.layer), (finding.expert, place.expert))
        return all(mine in ("", its) for mine, its in said) and all(mine in (None, its) for mine, its in numbers)

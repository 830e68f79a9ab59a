"""Where something is said of: a matrix in words, its row in the report, and the address of that row in the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from weightaudit.records import Finding, LayerRow, RoleMatrix

Key = tuple[str, int | None, int | None, str]


def place_words(stack: str, layer: int | None, expert: int | None, role: str) -> str:
    """Example:
    >>> place_words("decoder", 3, None, "XQ")
    'decoder · layer 3 · XQ'
    """
    numbered = [f"{word} {n}" for word, n in (("layer", layer), ("expert", expert)) if n is not None]
    return " · ".join(part for part in (stack, *numbered, role) if part)


def matrix_words(matrix: RoleMatrix) -> str:
    """The place of ``matrix``."""
    return place_words(matrix.stack, matrix.layer, matrix.expert, matrix.role)


def anchor(row: int) -> str:
    """Address of a row of the report in its page: the table opens there."""
    return f"#m-{row}"


class Places:
    """The rows of a report, found by what a finding says of its place."""

    def __init__(self, rows: Sequence[LayerRow]) -> None:
        self._rows = rows
        self._by_key: dict[Key, list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            matrix = row.matrix
            self._by_key[matrix.stack, matrix.layer, matrix.expert, matrix.role].append(i)

    def row(self, finding: Finding) -> int | None:
        """Number of the row that ``finding`` is about; None where it is about no single matrix of the report.

        Where several rows have one place, the one of the finding's tensors is meant.
        """
        found = self._by_key.get((finding.stack, finding.layer, finding.expert, finding.role), [])
        same = [i for i in found if self._rows[i].matrix.tensors == finding.tensors]
        return next(iter(same or found), None)

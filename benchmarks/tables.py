"""Markdown tables that can be read as they are."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up: text to the left in the first column, numbers to the right in the others."""
    widths = [max(len(row[j]) for row in [head, *rows]) for j in range(len(head))]
    lines = [head, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], *rows]
    aligned = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in aligned)


def times(ratio: float) -> str:
    """``ratio`` as "120×", "8.8×" or "0.31×"."""
    return f"{ratio:.0f}×" if ratio >= 99.5 else f"{ratio:.1f}×" if ratio >= 0.995 else f"{ratio:.2f}×"

"""Text laid out for the columns that there are: sentences wrapped, names cut, tables.

Numbers keep all their digits and sentences all their words; of a name, which may be a stranger's and as long as they
please, the middle is left out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from weightaudit.cli.terminal import TerminalStyle
from weightaudit.text import printable

LONGEST_TEXT = 4000
"""Characters of a sentence: more than any rule says."""
GAP = 2
"""Columns between two columns of a table."""

Kind = Literal["name", "number", "text"]
LEAST = {"name": 10, "text": 14}
"""Columns that a table's column of the kind is narrowed to; then numbers are broken at blanks."""


def wrapped(text: str, look: TerminalStyle, *, indent: str = "  ", width: int | None = None) -> list[str]:
    """``text`` in lines of at most ``width`` (None: those of sentences), all but the first behind ``indent``."""
    safe = look.text(printable(text, LONGEST_TEXT))
    return textwrap.wrap(safe, width or look.prose, subsequent_indent=indent, break_on_hyphens=False)


def cut(text: str, width: int, look: TerminalStyle) -> str:
    """``text`` printable, in characters that can be shown, and its middle left out where it is too long: long names
    differ at their ends.

    Example:
        >>> cut("model.layers.31.mlp.weight", 15, TerminalStyle())
        'model.l….weight'
    """
    safe = look.text(printable(text, 1000))
    if len(safe) <= width:
        return safe
    kept = width - 1
    return safe[: kept - kept // 2] + look.text("…") + safe[len(safe) - kept // 2 :]


@dataclass(frozen=True)
class Column:
    """A column of a table: what is in it decides how it gives way where there is little room.

    A "name" is cut, a "text" goes on in further lines, a "number" does so at blanks alone. ``right`` aligns it there;
    ``longest`` are the columns that a name may take at most; ``coloured`` says that its words are severities.
    """

    head: str
    kind: Kind = "number"
    right: bool = False
    longest: int | None = None
    coloured: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], look: TerminalStyle) -> list[str]:
    """The lines of a table with a head, within the look's width; wider only where numbers would lose digits."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[_shown(cell, column, look) for cell, column in zip(row, columns, strict=True)] for row in rows]
    widths = _widths(columns, cells, look.width)
    drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold" if look.colour else "")
    for column, width in zip(columns, widths, strict=True):
        drawn.add_column(
            Text(look.text(column.head)),
            width=width,
            justify="right" if column.right else "left",
            overflow="fold",
        )
    for row in cells:
        drawn.add_row(
            *(
                # As text: a name in brackets is no markup.
                Text(cut(cell, width, look) if column.kind == "name" else cell, style=_style(cell, column, look))
                for cell, column, width in zip(row, columns, widths, strict=True)
            )
        )
    console = Console(
        width=_total(widths),
        color_system="standard" if look.colour else None,
        force_terminal=look.colour,
        legacy_windows=False,
        no_color=not look.colour,
    )
    with console.capture() as captured:
        console.print(drawn)
    return [line.rstrip() for line in captured.get().splitlines()]


def natural_width(columns: Sequence[Column], rows: Sequence[Sequence[str]], look: TerminalStyle) -> int:
    """Columns that the table takes where there is room for all of it."""
    cells = [[_shown(cell, column, look) for cell, column in zip(row, columns, strict=True)] for row in rows]
    return _total([_natural(column, [row[i] for row in cells]) for i, column in enumerate(columns)])


def _shown(cell: str, column: Column, look: TerminalStyle) -> str:
    if column.kind == "name":
        return cut(cell, column.longest or look.width, look)
    return look.text(printable(cell, LONGEST_TEXT))


def _style(cell: str, column: Column, look: TerminalStyle) -> str:
    return look.style(cell) if column.coloured else ""


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _natural(column: Column, cells: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, [column.head, *cells]))


def _least(column: Column, cells: Sequence[str]) -> int:
    """What it cannot do without: a number its longest word, the rest as much as can be read."""
    from rich.cells import cell_len

    words = [*column.head.split(), *(word for cell in cells for word in cell.split() if column.kind == "number")]
    return max([LEAST.get(column.kind, 1), *map(cell_len, words)])


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """Columns of each: heads of numbers give way first, then names and texts, then numbers; of these the widest."""
    of = [[row[i] for row in cells] for i in range(len(columns))]
    widths = [_natural(column, own) for column, own in zip(columns, of, strict=True)]
    least = [min(width, _least(column, own)) for width, column, own in zip(widths, columns, of, strict=True)]
    whole = [
        max(fewest, _natural(replace(column, head=""), own)) if column.kind == "number" else width
        for width, fewest, column, own in zip(widths, least, columns, of, strict=True)
    ]
    unbroken = [
        width if column.kind == "number" else fewest
        for width, fewest, column in zip(whole, least, columns, strict=True)
    ]
    for floors in (whole, unbroken, least):
        while _total(widths) > room:
            able = [i for i, width in enumerate(widths) if width > floors[i]]
            if not able:
                break
            widths[max(able, key=widths.__getitem__)] -= 1
    return widths

"""Small pieces of HTML. Every name goes through `shown`: the checkpoint's author is a stranger."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Sequence

from weightaudit.report.columns import Rounding, number_text
from weightaudit.text import printable

UNKNOWN = "—"
UNITS = ("", " K", " M", " B", " T")
"""Of thousands, millions and so on."""


def shown(text: str, limit: int = 300) -> str:
    """``text`` for an element or a quoted attribute: unprintable characters as escapes, markup as plain text."""
    return html.escape(printable(text, limit), quote=True)


def figure(value: float | None, digits: int = 4, rounding: Rounding = "nearest") -> str:
    """A number with that many digits, rounded outwards where ``rounding`` says so; an unknown one is a dash."""
    if value is None:
        return UNKNOWN
    text = number_text(float(value), rounding, digits) or UNKNOWN
    missing = digits - len(text.replace(".", "").lstrip("0"))
    if missing <= 0 or not text.replace(".", "").isdecimal() or text == "0":
        return text
    return text + ("" if "." in text else ".") + "0" * missing


def setting(value: float | None) -> str:
    """A number somebody chose, as short as it was typed."""
    return UNKNOWN if value is None else number_text(float(value), digits=6)


def interval(lower: float | None, upper: float | None, digits: int = 4) -> str:
    """Both ends, rounded outwards; one number where they are printed alike."""
    low, high = figure(lower, digits, "down"), figure(upper, digits, "up")
    return low if low == high else f"{low} – {high}"


def count(value: int | None) -> str:
    """A whole number with its thousands set apart."""
    return UNKNOWN if value is None else f"{value:,}"


def magnitude(value: int | None, units: Sequence[str] = UNITS) -> str:
    """A whole number in thousands, millions and so on, with three digits."""
    if value is None:
        return UNKNOWN
    size, step = float(value), 0
    while size >= 999.5 and step < len(units) - 1:
        size /= 1000
        step += 1
    digits = max(0, 2 - (size >= 10) - (size >= 100)) if step else 0
    return f"{size:.{digits}f}{units[step]}"


def nbytes(value: int) -> str:
    """A file size, decimal units."""
    return magnitude(value, (" bytes", " kB", " MB", " GB", " TB"))


def share(value: float | None) -> str:
    """A share in percent, never rounded up to 100 %."""
    if value is None:
        return UNKNOWN
    percent = number_text(100 * value, "down", 4)
    return f"{percent} %"


def table(caption: str, heads: Iterable[str], lines: Iterable[Iterable[str]], *, numeric: Sequence[int] = ()) -> str:
    """A table of ready HTML cells; the columns in ``numeric`` are set flush right. Where it is too wide it scrolls, by
    keyboard too; a screen reader hears ``caption``.
    """

    def cells(tag: str, line: Iterable[str], attributes: str = "") -> str:
        flush = (' class="n"' if i in numeric else "" for i in itertools.count())
        return "".join(f"<{tag}{attributes}{css}>{cell}</{tag}>" for css, cell in zip(flush, line, strict=False))

    head = cells("th", heads, ' scope="col"')
    body = "".join(f"<tr>{cells('td', line)}</tr>" for line in lines)
    named = f'tabindex="0" role="group" aria-label="{caption}"'
    return f'<div class="scroll" {named}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def section(identifier: str, title: str, *parts: str) -> str:
    """A titled section; empty where nothing is in it."""
    inner = "\n".join(part for part in parts if part)
    if not inner:
        return ""
    heading = f'<h2 id="{identifier}-title">{title}</h2>'
    return f'<section id="{identifier}" aria-labelledby="{identifier}-title">\n{heading}\n{inner}\n</section>'


def plot_hosts(identifier: str, heights: Sequence[int], *, drawn: bool = True) -> str:
    """Where the script draws: an element a stack, of these heights in CSS pixels, so that nothing moves when a plot
    comes; a sentence where there is nothing to draw.
    """
    if not drawn:
        return f'<div id="{identifier}" class="plots"><p class="empty">No finite, positive number to draw.</p></div>'
    nodes = "".join(
        f'<div id="plot-{identifier}-{i}" class="plot" style="height:{height}px"></div>'
        for i, height in enumerate(heights)
    )
    css = "plots pair" if len(heights) == 2 else "plots"
    return f'<div id="{identifier}" class="{css}">{nodes}</div>'

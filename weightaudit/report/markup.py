"""Small pieces of a page: numbers as text, and markup that pages share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from weightaudit.records import ModelIdentity
from weightaudit.report.columns import Rounding, number_text
from weightaudit.report.hypertext import NOTHING, Html, each, html, join
from weightaudit.text import percent, plural

UNKNOWN = "—"
UNITS = ("", " K", " M", " B", " T")
"""Of thousands, millions and so on."""


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
    """A share in percent, never rounded up."""
    return UNKNOWN if value is None or math.isnan(value) else percent(value)


def table(caption: str, heads: Iterable[str], lines: Iterable[Iterable[str]], *, numeric: Sequence[int] = ()) -> Html:
    """A table; the columns in ``numeric`` are set flush right. Where it is too wide it scrolls, by keyboard too; a
    screen reader hears ``caption``.
    """

    def cells(line: Iterable[str]) -> Html:
        return join(
            "", (html('<td class="n">{}</td>' if i in numeric else "<td>{}</td>", c) for i, c in enumerate(line))
        )

    named = (
        html('<th scope="col" class="n">{}</th>' if i in numeric else '<th scope="col">{}</th>', head)
        for i, head in enumerate(heads)
    )
    return html(
        '<div class="scroll" tabindex="0" role="group" aria-label="{}"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>",
        caption,
        join("", named),
        each("<tr>{}</tr>", map(cells, lines)),
    )


def section(identifier: str, title: str, *parts: Html) -> Html:
    """A titled section; empty where nothing is in it."""
    inner = join("\n", filter(None, parts))
    if not inner:
        return NOTHING
    return html(
        '<section id="{id}" aria-labelledby="{id}-title">\n<h2 id="{id}-title">{title}</h2>\n{inner}\n</section>',
        id=identifier,
        title=title,
        inner=inner,
    )


def details(summary: str, *parts: Html) -> Html:
    """What a reader opens to see ``parts``."""
    return html("<details><summary>{}</summary>{}</details>", summary, join("", parts))


def definitions(css: str, pairs: Iterable[tuple[str, str]]) -> Html:
    """Terms, and what is to be said of each."""
    return html('<dl class="{}">{}</dl>', css, each("<div><dt>{}</dt><dd>{}</dd></div>", pairs))


def cards(numbers: Iterable[tuple[str, str, str, bool]]) -> Html:
    """Key numbers: of each its title, the number, a sentence, and whether it alarms."""
    tiles = ((" alarm" if alarm else "", title, number, text) for title, number, text, alarm in numbers)
    return html(
        '<dl class="cards">{}</dl>',
        each('<div class="card{}"><dt>{}</dt><dd><b>{}</b><span>{}</span></dd></div>', tiles),
    )


def navigation(links: Iterable[tuple[str, str]]) -> Html:
    """The way to a page's sections: the identifier of each, and what it is called."""
    return html('<nav aria-label="Sections">{}</nav>', each('<a href="#{}">{}</a>', links))


def model_line(identity: ModelIdentity) -> Html:
    """Where a model lies, at which revision, and how large its files are."""
    size = nbytes(sum(file.nbytes for file in identity.files))
    return html(
        "<code>{}</code>{} · {}, {}",
        identity.location,
        html(" at <code>{}</code>", identity.revision) if identity.revision else NOTHING,
        plural(len(identity.files), "file"),
        size,
    )


def captioned(title: str, text: str, inner: Html, tools: Html = NOTHING) -> Html:
    """A figure under its title and a sentence, with ``tools`` that change how it is drawn."""
    return html("<figure><figcaption><h3>{}</h3><p>{}</p>{}</figcaption>{}</figure>", title, text, tools, inner)


def scale_choice(identifier: str, name: str, chosen: str) -> Html:
    """Buttons that draw the number of the chart ``identifier`` from zero or on a logarithmic scale, wherever the page
    draws it; the script has them work.
    """
    kinds = (("linear", "Linear"), ("log", "Logarithmic"))
    return html(
        '<span class="scale"><span>{name}</span><span class="choice" role="group" aria-label="Scale of the {name}" '
        'data-scale-of="{id}">{buttons}</span></span>',
        id=identifier,
        name=name,
        buttons=each(
            '<button type="button" data-scale="{}" aria-pressed="{}">{}</button>',
            ((kind, "true" if kind == chosen else "false", label) for kind, label in kinds),
        ),
    )


def plot_hosts(identifier: str, heights: Sequence[int], *, drawn: bool = True) -> Html:
    """Where the script draws: an element a stack, of these heights in CSS pixels, so that nothing moves when a plot
    comes; a sentence where there is nothing to draw.
    """
    if not drawn:
        return html(
            '<div id="{}" class="plots"><p class="empty">No finite, positive number to draw.</p></div>', identifier
        )
    nodes = each(
        '<div id="plot-{}-{}" class="plot" style="height:{}px"></div>',
        ((identifier, i, height) for i, height in enumerate(heights)),
    )
    return html('<div id="{}" class="{}">{}</div>', identifier, "plots pair" if len(heights) == 2 else "plots", nodes)

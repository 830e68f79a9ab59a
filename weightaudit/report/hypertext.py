"""`Html`, a type: text that may stand in a page as it is, told by the types from text that a stranger may have written.

Markup is written in literal templates, and whatever fills one is made harmless on its way in, so that nobody has to
think of it. A plain string is cut where it is long for a name; a longer text is markup, or goes through `shown`.

Concatenation, f-strings and `str.join` make plain strings, of `Html` too: mypy refuses them where markup is expected,
and a template shows them as text. So markup is put together by `html`, `each` and `join` alone. `Html` itself is called
nowhere but here and where `document` takes in what the package brings along; a test holds that, and that every template
is a literal, which mypy does not.
"""

from __future__ import annotations

import html as entities
from collections.abc import Iterable
from string import Template
from typing import TYPE_CHECKING

from weightaudit.text import printable

if TYPE_CHECKING:
    from typing_extensions import LiteralString


class Html(str):
    """Markup, a style or a script: text that is fit for its place in a page. Made by `html`, `join` and `shown`."""

    __slots__ = ()


NOTHING = Html()
"""No markup; false, as any empty text is."""


def shown(text: str, limit: int = 300) -> Html:
    """``text`` for an element or a quoted attribute: unprintable characters as escapes, markup as plain text."""
    return Html(entities.escape(printable(text, limit), quote=True))


def plot_text(text: str) -> str:
    """``text`` for a figure of plotly, which reads a little HTML in its texts, links among it."""
    return entities.escape(printable(text, 300), quote=False)


def html(template: LiteralString, /, *values: str | float, **named: str | float) -> Html:
    """``template``, in the syntax of `str.format`, with `Html` put in as it is and any other text as by `shown`.

    Numbers may have a format: ``{:.2f}``. Raises TypeError for a value of any other type.

    Example:
        >>> html("<b>{}</b> of {}", "<script>", html("<i>{}</i>", 3))
        '<b>&lt;script&gt;</b> of <i>3</i>'
    """
    return Html(template.format(*map(_harmless, values), **{name: _harmless(value) for name, value in named.items()}))


def literal(text: LiteralString) -> Html:
    """``text`` as it is, braces and all: a style."""
    return Html(text)


def join(separator: LiteralString, parts: Iterable[Html]) -> Html:
    """``parts`` one after the other. Raises TypeError for one that is no `Html`."""
    return Html(separator.join(map(_markup, parts)))


def each(template: LiteralString, rows: Iterable[str | float | tuple[str | float, ...]]) -> Html:
    """``template`` filled once for each of ``rows``, one after the other; a tuple has a value for each field."""
    return join("", (html(template, *(row if isinstance(row, tuple) else (row,))) for row in rows))


def filled(template: Html, /, **parts: Html) -> Html:
    """A template of the package, in the syntax of `string.Template`, with ``parts`` put in. Raises TypeError for one
    that is no `Html`.
    """
    return Html(Template(template).substitute({name: _markup(part) for name, part in parts.items()}))


def link(address: str, words: str) -> Html:
    """A link within the page or to a file near it; ``address`` leads nowhere else, whatever it says."""
    return html('<a href="{}">{}</a>', shown(address if address.startswith("#") else local(address), 4000), words)


def local(address: str) -> str:
    """``address`` as one that can only lead to a file near the page, whatever a model or a folder is called."""
    return address if not address or address.startswith(("./", "../")) else f"./{address}"


def _harmless(value: str | float) -> str | float:
    if isinstance(value, Html | int | float):
        return value
    if isinstance(value, str):
        return shown(value)
    raise TypeError(f"no text, number or markup: {type(value).__name__}")


def _markup(part: Html) -> Html:
    if isinstance(part, Html):
        return part
    raise TypeError(f"no markup: {type(part).__name__}; text goes into a template first")

"""One HTML document: style, data and scripts in a single file, and no way to the network.

The content security policy lets only the two scripts run that it names, so that even an unescaped name could not run,
and forbids every connection. plotly.js is inside, as text that `starting.js` runs and the policy names by its hash; or
it lies beside the pages of a batch. Such a file browsers let a policy name by hash only when it comes from a server, so
the policy names the script element instead, by a number drawn from all that the page says: nobody can write it into a
name beforehand, as the name would change it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

from weightaudit.report import plotly_js
from weightaudit.report.atomic_write import replacing
from weightaudit.report.hypertext import NOTHING, Html, each, filled, html, join, shown
from weightaudit.report.layout import PLOTLY
from weightaudit.report.style import INK, RoleStyle
from weightaudit.text import printable

_BLOCK = 1 << 16
_COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*.*?\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
"""What takes up whole lines of a script."""


def document(*, title: str, style: Html, body: Html, data: Html, scripts: Sequence[str], plotly: str = "") -> Html:
    """The page as text. ``data`` is made by `script_json`, ``scripts`` are names of assets.

    ``plotly`` is the address, from the page, of a plotly.js that lies beside; "" puts it inside. Raises TypeError where
    a part is no `Html`.
    """
    script, script_digest = _whole_script(tuple(scripts))
    if plotly:
        nonce = _digest("\n".join((title, style, body, data, script, plotly)))
        allowed = html("'nonce-{}'", nonce)
        element = html('<script src="{}" nonce="{}"></script>', plotly, nonce)
    else:
        element, digest = _plotly_inside()
        allowed = html("'sha256-{}'", digest)
    policy = html(
        "default-src 'none'; script-src {} 'sha256-{}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'",
        allowed,
        script_digest,
    )
    return filled(
        asset("page.html"),
        policy=policy,
        title=shown(title),
        style=join("", (style, _on_paper(title))),
        body=body,
        data=data,
        plotly=element,
        script=script,
    )


def plain_document(*, title: str, style: Html, body: Html) -> Html:
    """A page without scripts, which may run none."""
    return filled(
        asset("page.html"),
        # data: is the icon, which would be asked of a server if the page named none.
        policy=html(
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
        ),
        title=shown(title),
        style=join("", (style, _on_paper(title))),
        body=body,
        data=NOTHING,
        plotly=NOTHING,
        script=NOTHING,
    )


def write_document(page: Html, file: BinaryIO) -> None:
    """``page`` as UTF-8; what has none, a lone surrogate, comes out as an escape."""
    file.write(page.encode("utf-8", "backslashreplace"))


def script_json(value: Any) -> Html:
    """``value`` as JSON that cannot end or open anything in HTML: pure ASCII, without < > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def asset(name: str) -> Html:
    """A file of the package, as text: read once for all pages of a batch."""
    return _read(name)


def _read(name: str) -> Html:
    return Html(files("weightaudit.report").joinpath("assets", name).read_text("utf-8"))


@cache
def _whole_script(names: tuple[str, ...]) -> tuple[Html, str]:
    """The script of all pages of a kind, and its digest; a batch has as many pages as models."""
    script = html("(function () {{\n'use strict';\n{}\n}})();", join("\n", map(_script, names)))
    return script, _digest(script)


def _script(name: str) -> Html:
    """A script of the package without its comments, a quarter of it, which no reader of a page needs."""
    return Html(_COMMENT.sub("", asset(name)))


def plotly_code() -> Html:
    """plotly.js, as the package has it."""
    return _read(plotly_js.FILE)  # which is large: what is made of it is kept instead


@cache
def _plotly_inside() -> tuple[Html, str]:
    """The element of pages that hold plotly.js, and its digest."""
    code = plotly_code()
    return html('<script type="text/plain" id="plotly">{}</script>', code), _digest(code)


@cache
def plotly_bytes() -> bytes:
    """`plotly_code` in UTF-8. It is kept, since a batch asks for it before its scans and after them."""
    return plotly_code().encode()


def share_plotly(directory: Path) -> None:
    """Have plotly.js lie in ``directory``, for pages that name it. Raises OutputError where it cannot be written."""
    code = plotly_bytes()
    path = directory / PLOTLY
    with suppress(OSError):  # it cannot be read, and so is written
        if path.is_file() and path.stat().st_size == len(code) and _holds(path, code):
            return
    with replacing(path) as file:
        file.write(code)


def _holds(path: Path, content: bytes) -> bool:
    """Whether the file has just this ``content``; no more of it than a block is in memory."""
    with path.open("rb") as file:
        return all(file.read(_BLOCK) == content[at : at + _BLOCK] for at in range(0, len(content) + 1, _BLOCK))


def colours(styles: Iterable[RoleStyle]) -> Html:
    """Custom properties of the page's colours and of the roles, light and dark; print is always light."""
    numbered = list(enumerate(styles))

    def properties(theme: str) -> Html:
        pairs = [*INK[theme].items(), *((f"role-{i}", getattr(style, theme)) for i, style in numbered)]
        return html(":root{{color-scheme:{};{}}}", theme, each("--{}:{};", pairs))

    return html(
        "{}\n@media screen and (prefers-color-scheme: dark) {{ {} }}\n{}\n",
        properties("light"),
        properties("dark"),
        each(".role-{0}{{--role:var(--role-{0})}}", (i for i, _ in numbered)),
    )


def _on_paper(title: str) -> Html:
    """What stands on each printed page: the title, and which page of how many it is."""
    # A name may be a stranger's, and is not to end the string: everything but letters and digits is an escape.
    named = "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in printable(title, 90))
    return html(
        "@page {{ margin: 16mm 12mm 15mm; font: 8pt system-ui, sans-serif; color: {}; "
        '@top-left {{ content: "{}"; }} @top-right {{ content: "weightaudit"; }} '
        '@bottom-right {{ content: counter(page) " / " counter(pages); }} }}\n',
        INK["light"]["muted"],
        shown(named, 1000),
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()).decode()

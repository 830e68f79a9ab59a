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
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from weightaudit.report.atomic_write import replacing
from weightaudit.report.layout import PLOTLY
from weightaudit.report.markup import shown
from weightaudit.report.style import INK, RoleStyle

_BLOCK = 1 << 16


def document(*, title: str, style: str, body: str, data: str, scripts: Sequence[str], plotly: str = "") -> str:
    """The page as text. ``body`` is ready HTML and ``data`` ready JSON, ``scripts`` are names of assets.

    ``plotly`` is the address, from the page, of a plotly.js that lies beside; "" puts it inside.
    """
    script = "(function () {\n'use strict';\n" + "\n".join(map(asset, scripts)) + "\n})();"
    if plotly:
        nonce = _digest("\n".join((title, style, body, data, script, plotly)))
        allowed = f"'nonce-{nonce}'"
        element = f'<script src="{shown(plotly)}" nonce="{nonce}"></script>'
    else:
        code = plotly_code()
        allowed = f"'sha256-{_digest(code)}'"
        element = f'<script type="text/plain" id="plotly">{code}</script>'
    policy = (
        f"default-src 'none'; script-src {allowed} 'sha256-{_digest(script)}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return Template(asset("page.html")).substitute(
        policy=policy, title=shown(title), style=style, body=body, data=data, plotly=element, script=script
    )


def script_json(value: Any) -> str:
    """``value`` as JSON that cannot end or open anything in HTML: pure ASCII, without < > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def asset(name: str) -> str:
    """A file of the package, as text."""
    return files("weightaudit.report").joinpath("assets", name).read_text("utf-8")


def plotly_code() -> str:
    """plotly.js, as the installed plotly has it."""
    from plotly.offline import get_plotlyjs

    code: str = get_plotlyjs()
    return code


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


def colours(styles: Iterable[RoleStyle]) -> str:
    """Custom properties of the page's colours and of the roles, light and dark; print is always light."""
    numbered = list(enumerate(styles))

    def properties(theme: str) -> str:
        pairs = [*INK[theme].items(), *((f"role-{i}", getattr(style, theme)) for i, style in numbered)]
        return ":root{color-scheme:" + theme + ";" + "".join(f"--{name}:{colour};" for name, colour in pairs) + "}"

    return (
        f"{properties('light')}\n@media screen and (prefers-color-scheme: dark) {{ {properties('dark')} }}\n"
        + "".join(f".role-{i}{{--role:var(--role-{i})}}" for i, _ in numbered)
        + "\n"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()).decode()

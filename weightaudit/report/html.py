"""One self-contained page: template, style, script, plotly.js and the data in a single file, and no way to
the network.

The content security policy lets only the two scripts run whose hashes it names, so that even an unescaped
name could not run, and forbids every connection.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, BinaryIO

from weightaudit.report.figures import INK, role_styles
from weightaudit.report.markup import shown
from weightaudit.report.payload import payload, script_json
from weightaudit.report.sections import body

if TYPE_CHECKING:
    from weightaudit.report.scan_report import ScanReport

SCRIPTS = ("base.js", "plots.js", "spectra.js", "tables.js", "start.js")


def write_html(report: ScanReport, file: BinaryIO) -> None:
    """The page, UTF-8; the same bytes for the same report."""
    file.write(page(report).encode("utf-8", "backslashreplace"))


def page(report: ScanReport) -> str:
    """The page as text."""
    from plotly.offline import get_plotlyjs

    plotly = get_plotlyjs()
    script = "(function () {\n'use strict';\n" + "\n".join(_asset(name) for name in SCRIPTS) + "\n})();"
    return Template(_asset("page.html")).substitute(
        policy=_policy(plotly, script),
        title=shown(report.identity.name),
        style=_colours(report) + _asset("page.css"),
        body=body(report),
        data=script_json(payload(report)),
        plotly=plotly,
        script=script,
    )


def _asset(name: str) -> str:
    return files("weightaudit.report").joinpath("assets", name).read_text("utf-8")


def _policy(*scripts: str) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _colours(report: ScanReport) -> str:
    """Custom properties of the page's colours and of the roles, light and dark; print is always light."""
    styles = role_styles(row.matrix.role for row in report.rows).values()

    def properties(theme: str) -> str:
        pairs = [
            *INK[theme].items(),
            *((f"role-{i}", getattr(style, theme)) for i, style in enumerate(styles)),
        ]
        return ":root{color-scheme:" + theme + ";" + "".join(f"--{name}:{colour};" for name, colour in pairs) + "}"

    return (
        f"{properties('light')}\n@media screen and (prefers-color-scheme: dark) {{ {properties('dark')} }}\n"
        + "".join(f".role-{i}{{--role:var(--role-{i})}}" for i in range(len(styles)))
        + "\n"
    )

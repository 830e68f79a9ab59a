"""``--format``: what a scan prints on stdout."""

from __future__ import annotations

import io
import sys
from typing import Any, Literal

from weightaudit.cli.github import workflow_commands
from weightaudit.cli.terminal import look_of
from weightaudit.records import ScanResult
from weightaudit.streams import plain_stdout

Format = Literal["text", "github", "sarif", "json", "markdown", "junit"]
TEXT: Format = "text"
_KINDS = {"markdown": ".md", "junit": ".xml"}
"""Of formats that are not called by their extension."""


def writer_options(kind: str, fail_on: str) -> dict[str, Any]:
    """What the writer of the format ``kind`` is told of the command's options."""
    return {"fail_on": fail_on} if kind == ".xml" else {}


def show(report: ScanResult, format: Format, fail_on: str = "error") -> None:
    """Print ``report`` in one of the formats: a document in its own encoding, and nothing else with it."""
    stdout = plain_stdout()
    if format == TEXT:
        from weightaudit.cli.summary import summary_text

        stdout.write(summary_text(report, look_of(sys.stdout)) + "\n")
    elif format == "github":
        stdout.write_commands(workflow_commands(report))
    else:
        from weightaudit.report.formats import writer_of

        document = io.BytesIO()
        kind = _KINDS.get(format, f".{format}")
        writer_of(kind)(report, document, **writer_options(kind, fail_on))
        if kind in _KINDS.values():
            stdout.write_document(document.getvalue())
        else:
            stdout.write_json(document.getvalue())
    stdout.flush()

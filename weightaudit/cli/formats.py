"""``--format``: what a scan prints on stdout."""

from __future__ import annotations

import io
import sys
from typing import Literal

from weightaudit.cli.github import workflow_commands
from weightaudit.cli.terminal import look_of
from weightaudit.records import ScanResult
from weightaudit.streams import plain_stdout

Format = Literal["text", "github", "sarif", "json"]
TEXT: Format = "text"


def show(report: ScanResult, format: Format) -> None:
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
        writer_of(f".{format}")(report, document)
        stdout.write_json(document.getvalue())
    stdout.flush()

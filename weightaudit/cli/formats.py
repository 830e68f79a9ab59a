"""``--format``: what a scan prints on stdout."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from weightaudit.cli.github import workflow_commands
from weightaudit.cli.terminal import look_of
from weightaudit.streams import plain_stdout

if TYPE_CHECKING:
    from weightaudit.report import ScanReport

TEXT = "text"
FORMATS = (TEXT, "github", "sarif", "json")


def show(report: ScanReport, format: str) -> None:
    """Print ``report`` in one of `FORMATS`: a document in its own encoding, and nothing else with it."""
    stdout = plain_stdout()
    if format == TEXT:
        from weightaudit.cli.summary import summary_text

        stdout.write(summary_text(report, look_of(sys.stdout)) + "\n")
    elif format == "github":
        stdout.write_commands(workflow_commands(report))
    else:
        from weightaudit.report.sarif import write_sarif
        from weightaudit.report.tables import write_json

        document = io.BytesIO()
        (write_sarif if format == "sarif" else write_json)(report, document)
        stdout.write_json(document.getvalue())
    stdout.flush()

"""``--format``: what a scan prints on stdout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from weightaudit.cli.github import harmless, workflow_commands
from weightaudit.cli.terminal import look_of, say

if TYPE_CHECKING:
    from weightaudit.report import ScanReport

TEXT = "text"
FORMATS = (TEXT, "github", "sarif", "json")


def show(report: ScanReport, format: str) -> None:
    """Print ``report`` in one of `FORMATS`: a document as its bytes are, and nothing else with it."""
    if format == TEXT:
        from weightaudit.cli.summary import summary_text

        say(harmless(summary_text(report, look_of(sys.stdout))))
    elif format == "github":
        say(workflow_commands(report))
    else:
        from weightaudit.report.sarif import write_sarif
        from weightaudit.report.tables import write_json

        sys.stdout.flush()
        (write_sarif if format == "sarif" else write_json)(report, sys.stdout.buffer)

"""``--format``: what a command prints on stdout of its result."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from weightaudit.cli.terminal import look_of
from weightaudit.streams import plain_stdout
from weightaudit.strict_json import plain

if TYPE_CHECKING:
    from weightaudit.records import Reported

Format = Literal["text", "github", "sarif", "json", "markdown", "junit"]
TEXT: Literal["text"] = "text"
Listing = Literal["text", "json"]
"""Of a command whose result is no report."""
_KINDS = {"markdown": ".md", "junit": ".xml"}
"""Of formats that are not called by their extension."""


def writer_options(kind: str, fail_on: str) -> dict[str, Any]:
    """What the writer of the format ``kind`` is told of the command's options."""
    return {"fail_on": fail_on} if kind == ".xml" else {}


def show(report: Reported, format: Format, fail_on: str = "error") -> None:
    """Print ``report`` in one of the formats: a document in its own encoding, and nothing else with it."""
    stdout = plain_stdout()
    if format == TEXT:
        show_lines(_text(report))
    elif format == "github":
        from weightaudit.cli.github import workflow_commands

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


def show_data(document: Mapping[str, Any]) -> None:
    """Print a JSON document and nothing else; numbers that JSON lacks are null."""
    stdout = plain_stdout()
    stdout.write_json((json.dumps(plain(document), indent=1, allow_nan=False) + "\n").encode("ascii"))
    stdout.flush()


def show_lines(text: str) -> None:
    """Print ``text``, which is printable already, and have it be written: what cannot be is raised here."""
    stdout = plain_stdout()
    stdout.write(text + "\n")
    stdout.flush()


def _text(report: Reported) -> str:
    from weightaudit.records import DiffResult, MergeCheckResult

    look = look_of(sys.stdout)
    if isinstance(report, DiffResult):
        from weightaudit.cli.diff_summary import diff_text

        return diff_text(report, look)
    if isinstance(report, MergeCheckResult):
        from weightaudit.cli.merge_check_summary import merge_check_text

        return merge_check_text(report, look)
    from weightaudit.cli.summary import summary_text

    return summary_text(report, look)

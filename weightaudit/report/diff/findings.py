"""The findings of a difference as SARIF and as JUnit's XML: about the derived model, as those of a scan are about its
own.
"""

from __future__ import annotations

from typing import BinaryIO, Literal

from weightaudit.records import DiffResult, Severity
from weightaudit.report.diff.verdict import headline, story, verdict_line
from weightaudit.report.junit import suite, write_suite
from weightaudit.report.sarif import file_uri, first_file, log_of, write_log


def write_sarif(result: DiffResult, file: BinaryIO) -> None:
    """Strict JSON in ASCII, ended by a newline. Every result is about the derived model's first file: which of several
    holds a tensor a difference does not know.
    """
    uri = file_uri(result.derived, first_file(result.derived))
    write_log(log_of(result, result.derived, lambda finding: uri), file)


def write_junit(result: DiffResult, file: BinaryIO, *, fail_on: Severity | Literal["never"] = "error") -> None:
    """XML 1.0 in ASCII, ended by a newline; ``fail_on`` is the severity from which on a finding is a failure."""
    said = (verdict_line(result), headline(result), *story(result))
    write_suite(suite(result.derived.name, result, said, fail_on), file)

"""The findings of a merge check as SARIF and as JUnit's XML: about the first model, as a scan's are about its own."""

from __future__ import annotations

from typing import BinaryIO, Literal

from weightaudit.records import MergeCheckResult, Severity
from weightaudit.report.junit import suite, write_suite
from weightaudit.report.merge.trust import TRUST
from weightaudit.report.merge.words import headline, story, verdict_line
from weightaudit.report.sarif import file_uri, first_file, log_of, write_log


def write_sarif(result: MergeCheckResult, file: BinaryIO) -> None:
    """Strict JSON in ASCII, ended by a newline. Every result is about the first model's first file."""
    uri = file_uri(result.models[0], first_file(result.models[0]))
    write_log(log_of(result, result.models[0], lambda finding: uri), file)


def write_junit(result: MergeCheckResult, file: BinaryIO, *, fail_on: Severity | Literal["never"] = "error") -> None:
    """XML 1.0 in ASCII, ended by a newline; ``fail_on`` is the severity from which on a finding is a failure."""
    said = (verdict_line(result), headline(result), *story(result), TRUST)
    write_suite(suite(" + ".join(result.names), result, said, fail_on), file)

"""The findings as workflow commands of GitHub Actions, which shows them as annotations.

A line that starts with ``::`` is a command, and so is ``##[…]`` anywhere in a line. What a name may hold is escaped,
so that no name ends its command or starts another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from weightaudit.records import DiffResult, MergeCheckResult, Reported
from weightaudit.streams import without_commands
from weightaudit.text import printable

if TYPE_CHECKING:
    from weightaudit.records import Finding, Severity

COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
MAX_PER_TYPE = 10
"""Annotations of one type that GitHub shows of a step."""
MAX_ANNOTATION_CHARS = 1000
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = _DATA | {":": "%3A", ",": "%2C"}


def workflow_commands(report: Reported) -> str:
    """A command for each finding that GitHub would show, then lines with the verdict."""
    from urllib.parse import unquote

    uri, verdict = _about(report)
    kinds = Counter(map(_kind, report.findings))
    over = any(number > MAX_PER_TYPE for number in kinds.values())
    shown: Counter[str] = Counter({"info": 1} if over else {})  # the last notice says that there are more
    lines = []
    for finding in report.findings:
        shown[_kind(finding)] += 1
        if shown[_kind(finding)] <= MAX_PER_TYPE:
            lines.append(_annotation(finding, unquote(uri(finding)).removeprefix("file://")))
    if over:
        left = len(report.findings) - len(lines)
        lines.append(
            f"::notice title=weightaudit::and {left:,} more: GitHub shows {MAX_PER_TYPE} of a type; --json has all"
        )
    said = (without_commands(printable(text, MAX_ANNOTATION_CHARS)) for text in verdict)
    return "\n".join([*lines, *said])


def _about(report: Reported) -> tuple[Callable[[Finding], str], list[str]]:
    """Which file a finding is about, as an address, and what is said of the whole."""
    if isinstance(report, DiffResult):
        from weightaudit.report.diff import verdict as difference
        from weightaudit.report.sarif import file_uri, first_file

        address = file_uri(report.derived, first_file(report.derived))
        said = [difference.verdict_line(report), difference.headline(report), *difference.story(report)]
        return lambda finding: address, said
    if isinstance(report, MergeCheckResult):
        from weightaudit.report.merge import words
        from weightaudit.report.sarif import file_uri, first_file

        address = file_uri(report.models[0], first_file(report.models[0]))
        return lambda finding: address, [words.verdict_line(report), words.headline(report), *words.story(report)]
    from weightaudit.report.sarif import files_of
    from weightaudit.report.verdict import qualifications, verdict_line

    return files_of(report), [verdict_line(report), *qualifications(report)]


def _kind(finding: Finding) -> Severity:
    """How grave its annotation is: what the baseline knows fails nothing."""
    return "info" if finding.baseline_state == "unchanged" else finding.severity


def _annotation(finding: Finding, file: str) -> str:
    from weightaudit.report.verdict import sentence

    where = finding.place.words()
    known = ", known to the baseline" if finding.baseline_state == "unchanged" else ""
    title = _escaped(f"{finding.id} ({where}){known}" if where else f"{finding.id}{known}", _PROPERTY)
    words = [sentence(finding), *([finding.advice] if finding.advice else [])]
    properties = f"title={title},file={_escaped(file, _PROPERTY)}"
    return f"::{COMMANDS[_kind(finding)]} {properties}::{_escaped(' '.join(words), _DATA)}"


def _escaped(text: str, characters: dict[str, str]) -> str:
    return "".join(characters.get(c, c) for c in without_commands(printable(text, MAX_ANNOTATION_CHARS)))

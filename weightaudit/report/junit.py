"""The report as JUnit's XML, which services that build and test show: a test case for each rule.

A rule fails that has a finding at or above a severity which the baseline does not know; one that could judge nothing is
skipped. No timings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, Literal
from xml.sax.saxutils import escape, quoteattr

from weightaudit.records import SEVERITIES, Finding, Reported, ScanResult, Severity
from weightaudit.report.verdict import located, qualifications, verdict_line
from weightaudit.text import plural, printable

MAX_TEXT_CHARS = 1000
"""Characters of a text that may repeat a stranger's names."""
MOST_PLACES = 100
"""Findings of one rule that are told one by one."""


def write_junit(report: ScanResult, file: BinaryIO, *, fail_on: Severity | Literal["never"] = "error") -> None:
    """XML 1.0 in ASCII, ended by a newline; ``fail_on`` is the severity from which on a finding is a failure."""
    write_suite(junit(report, fail_on), file)


def write_suite(text: str, file: BinaryIO) -> None:
    """XML 1.0 in ASCII."""
    file.write(text.encode("ascii", "xmlcharrefreplace"))


def junit(report: ScanResult, fail_on: Severity | Literal["never"] = "error") -> str:
    """The whole report, as text."""
    skipped = {one.rule: one.reason for one in report.not_judged if not one.partly}
    said = (verdict_line(report), *qualifications(report))
    return suite(report.identity.name, report, said, fail_on, skipped=skipped)


def suite(
    model: str,
    report: Reported,
    said: Iterable[str],
    fail_on: Severity | Literal["never"],
    *,
    skipped: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What the rules found about ``model``; ``skipped`` are those that could judge nothing, and why."""
    failing = () if fail_on == "never" else SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    of: dict[str, list[Finding]] = {rule: [] for rule in report.rules}
    for finding in report.findings:
        of.setdefault(finding.id, []).append(finding)
    cases = [(rule, found, [one for one in found if _fails(one, failing)]) for rule, found in of.items()]
    failures = sum(bool(failed) for _, _, failed in cases)
    silent = sum(rule in skipped and not found for rule, found, _ in cases)
    name = _attribute(f"weightaudit {model}")
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="{silent}"'
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuites name="weightaudit" {counts}>',
        f"<testsuite name={name} {counts}>",
    ]
    for rule, found, failed in cases:
        lines.append(f"<testcase classname={name} name={_attribute(rule)}>")
        lines += _inside(found, failed, skipped.get(rule, ""))
        lines.append("</testcase>")
    words = "\n".join(map(_text, said))
    return "\n".join([*lines, f"<system-out>{words}</system-out>", "</testsuite>", "</testsuites>\n"])


def _fails(finding: Finding, severities: tuple[Severity, ...]) -> bool:
    return finding.severity in severities and finding.baseline_state != "unchanged"


def _inside(found: list[Finding], failed: list[Finding], unjudged: str) -> Iterator[str]:
    if failed:
        first = failed[0]
        said = f"{first.severity}: {first.title} ({plural(len(failed), 'place')})"
        body = "\n".join([*_places(failed), *([_text(first.advice)] if first.advice else [])])
        yield f"<failure type={_attribute(first.severity)} message={_attribute(said)}>{body}</failure>"
    elif unjudged and not found:
        yield f"<skipped message={_attribute(unjudged)}/>"
    if others := [one for one in found if one not in failed]:
        yield f"<system-out>{chr(10).join(_places(others))}</system-out>"


def _places(found: list[Finding]) -> Iterator[str]:
    for one in found[:MOST_PLACES]:
        known = " (known to the baseline)" if one.baseline_state == "unchanged" else ""
        yield _text(f"{one.severity}: {located(one)}{known}")
    if len(found) > MOST_PLACES:
        yield f"and {len(found) - MOST_PLACES:,} more; the JSON report has all"


def _text(text: str) -> str:
    """Characters that XML can hold; no line begins what a service that runs the scan takes for a command."""
    return _harmless(escape(printable(text, MAX_TEXT_CHARS)))


def _attribute(text: str) -> str:
    return _harmless(quoteattr(printable(text, MAX_TEXT_CHARS)))


def _harmless(text: str) -> str:
    """No two colons or number signs in a row: one of them as a reference, which means the same."""
    return text.replace("::", ":&#58;").replace("##", "#&#35;")

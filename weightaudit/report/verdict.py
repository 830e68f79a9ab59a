"""Findings and the verdict in plain words, for every place that is text. Names come as they are: whoever shows them
makes them harmless for the place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from weightaudit.records import SEVERITIES, Finding, ScanResult, Severity, Verdict
from weightaudit.report.adapters import said_of_adapter
from weightaudit.report.base import said_of_base
from weightaudit.report.quantisation import said_of_formats
from weightaudit.text import listed, percent, plural

MOST_RULES = 6
"""Rules, or options, named one by one."""


def severity_count(number: int, severity: Severity) -> str:
    """``number`` of findings so grave; "info" has no plural.

    Example:
        >>> severity_count(1, "warning"), severity_count(2, "error"), severity_count(2, "info")
        ('1 warning', '2 errors', '2 info')
    """
    return plural(number, severity, "info" if severity == "info" else "")


def verdict_line(report: ScanResult) -> str:
    """``verdict: 2 errors, 1 warning (21 rules checked)``; "clean" where no finding is either, and "partial" with the
    share of the parameters where the scan is.
    """
    partial = partial_words(report) if report.partial else ""
    return verdict_words(report.verdict, report.findings, report.rules, partial, silent=len(unable(report)))


def verdict_words(
    verdict: Verdict, findings: Iterable[Finding], rules: Sequence[str], partial: str = "", *, silent: int = 0
) -> str:
    """The line for what ``rules`` found, of which ``silent`` ones could not judge; ``partial`` says of what part.

    Example:
        >>> verdict_words("warnings", [Finding("x", "warning", "")], ["x", "y"], "--roles")
        'verdict: partial (--roles): 1 warning (2 rules checked)'
    """
    if verdict == "unchecked":
        return "verdict: unchecked (no rules were checked)"
    said = severities(findings)
    if verdict == "clean":
        said.insert(0, "clean")
    checked = f"{plural(len(rules), 'rule')} checked{f', {silent} could not judge' if silent else ''}"
    return f"verdict: {f'partial ({partial}): ' if partial else ''}{', '.join(said)} ({checked})"


def severities(findings: Iterable[Finding]) -> list[str]:
    """How many there are of each severity, most severe first.

    Example:
        >>> severities([Finding("x", "info", ""), Finding("x", "error", "")])
        ['1 error', '1 info']
    """
    found = Counter(finding.severity for finding in findings)
    return [severity_count(found[severity], severity) for severity in SEVERITIES if found[severity]]


def partial_words(report: ScanResult) -> str:
    """Why the scan is partial, and of which share of the parameters that are there; never rounded up."""
    share = report.summary.get("share_analysed")
    why = listed(report.partial)
    return why if share is None else f"{why}: {percent(share)} of the parameters"


def unable(report: ScanResult) -> list[str]:
    """Ids of the rules that could judge nothing."""
    return [one.rule for one in report.not_judged if not one.partly]


def qualifications(report: ScanResult) -> list[str]:
    """What a reader of the verdict should know of it, a sentence each: which adapter it is of, how weights are
    quantised, how far they are from a base, which rules could not judge, what was left out by an option, what a
    baseline knew already.
    """
    return [
        *_adapter(report),
        *_formats(report),
        *said_of_base(report),
        *_not_judged(report),
        *_suppressed(report),
        *_beside_baseline(report),
    ]


def _adapter(report: ScanResult) -> Iterator[str]:
    if said := said_of_adapter(report):
        yield f"{said[0].upper()}{said[1:]}: what was measured is what it changes, not a model's weights."


def _formats(report: ScanResult) -> Iterator[str]:
    said = said_of_formats(report)
    yield from (f"{one[0].upper()}{one[1:]}." for one in said[:MOST_RULES])
    if len(said) > MOST_RULES:
        yield f"Quantised: {plural(len(said) - MOST_RULES, 'more format')}; the JSON report has all."


def _not_judged(report: ScanResult) -> Iterator[str]:
    rules: dict[tuple[str, bool], list[str]] = {}
    for one in report.not_judged:
        rules.setdefault((one.reason, one.partly), []).append(one.rule)
    for (reason, partly), ids in rules.items():
        which = listed(ids) if len(ids) <= MOST_RULES else plural(len(ids), "rule")
        yield f"Not judged{' in part' * partly} by {which}: {reason}"


def _suppressed(report: ScanResult) -> Iterator[str]:
    by = Counter(one.by for one in report.suppressed)
    if by:
        options = listed((f"{text} ({count:,})" for text, count in by.items()), MOST_RULES)
        yield f"Suppressed: {plural(len(report.suppressed), 'finding')}, by {options}."


def _beside_baseline(report: ScanResult) -> Iterator[str]:
    known = report.gate.get("baseline")
    if known:
        other = "" if known["same_model"] else f" It is of another model, {known['model']}."
        yield (
            f"Beside the baseline {known['path']}: {known['new']:,} new, {known['unchanged']:,} known, "
            f"{known['gone']:,} gone.{other}"
        )


def sentence(finding: Finding) -> str:
    """What was found, in one sentence."""
    return finding.detail or finding.title


def located(finding: Finding) -> str:
    """The same, with the place before it where the sentence does not name it.

    Example:
        >>> located(Finding("x", "info", "Too long", layer=3, role="Q"))
        'layer 3 Q: Too long'
        >>> located(Finding("x", "info", "", layer=3, role="Q", detail="7 rows of layer 3 Q are zero."))
        '7 rows of layer 3 Q are zero.'
        >>> located(Finding("x", "info", "", layer=3, detail="Layer 3 is not there."))
        'Layer 3 is not there.'
    """
    where, said = finding.place.words(), sentence(finding)
    named = not where or re.search(rf"(?<!\w){re.escape(where)}(?!\w)", said, re.IGNORECASE)
    return said if named else f"{where}: {said}"

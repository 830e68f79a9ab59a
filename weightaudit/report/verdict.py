"""Findings and the verdict in plain words, for every place that is text. Names come as they are: whoever shows them
makes them harmless for the place.
"""

from __future__ import annotations

import re
from collections import Counter

from weightaudit.records import SEVERITIES, Finding, ScanResult, Severity
from weightaudit.text import plural


def severity_count(number: int, severity: Severity) -> str:
    """``number`` of findings so grave; "info" has no plural.

    Example:
        >>> severity_count(1, "warning"), severity_count(2, "error"), severity_count(2, "info")
        ('1 warning', '2 errors', '2 info')
    """
    return plural(number, severity, "info" if severity == "info" else "")


def verdict_line(report: ScanResult) -> str:
    """``verdict: 2 errors, 1 warning (21 rules checked)``; "clean" where no finding is either."""
    if report.verdict == "unchecked":
        return "verdict: unchecked (no rules were checked)"
    found = Counter(finding.severity for finding in report.findings)
    said = [severity_count(found[severity], severity) for severity in SEVERITIES if found[severity]]
    if report.verdict == "clean":
        said.insert(0, "clean")
    return f"verdict: {', '.join(said)} ({plural(len(report.rules), 'rule')} checked)"


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

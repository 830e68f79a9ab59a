"""Findings on the terminal: each whole, with what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from weightaudit.cli.layout import cut, wrapped
from weightaudit.cli.terminal import TerminalStyle

if TYPE_CHECKING:
    from weightaudit.records import Finding

MOST_FINDINGS = 12
MOST_OF_RULE = 4
"""Findings of one rule, where others wait."""
LONGEST_ID = 30
"""Columns of a rule's id."""


def finding_lines(findings: Sequence[Finding], look: TerminalStyle) -> Iterator[str]:
    """The most severe first; what to do once for neighbours of which it is the same."""
    from weightaudit.report.verdict import located

    shown = _some(findings)
    column = max((len(finding.severity) for finding in shown), default=0)
    width, margin = look.prose - column - 2, " " * (column + 2)
    for finding, after in zip_longest(shown, shown[1:]):
        known = " (known)" if finding.baseline_state == "unchanged" else ""
        name = f"{cut(finding.id, LONGEST_ID, look)}{known}"
        first, *others = wrapped(f"{name}: {located(finding)}", look, indent="", width=width)
        yield f"{look.severity(finding.severity, column)}  {first}"
        if finding.advice and (after is None or (after.id, after.advice) != (finding.id, finding.advice)):
            others += wrapped(f"→ {finding.advice}", look, width=width)
        yield from (margin + line for line in others)
    if len(findings) > len(shown):
        yield f"and {len(findings) - len(shown):,} more; --json has all"


def _some(findings: Sequence[Finding]) -> list[Finding]:
    """As many as are shown, in their order: the first of every rule before the fifth of any."""
    seen: Counter[str] = Counter()
    waits = []
    for finding in findings:
        seen[finding.id] += 1
        waits.append(seen[finding.id] > MOST_OF_RULE)
    chosen = sorted(range(len(findings)), key=waits.__getitem__)[:MOST_FINDINGS]  # stable: else as they come
    return [findings[i] for i in sorted(chosen)]

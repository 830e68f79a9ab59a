"""All rules, and what they find in one scan."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from weightaudit.audit.findings.evidence import Evidence
from weightaudit.audit.findings.rule import Rule
from weightaudit.errors import UsageError, printable
from weightaudit.records import SEVERITIES, Finding

RULES: tuple[Rule, ...] = ()
"""Every rule, in the order in which findings of one severity are told."""


def judge(evidence: Evidence, ignore: Collection[str] = ()) -> tuple[Finding, ...]:
    """What the rules find, but for those named in ``ignore``: gravest first, then in the rules' order."""
    found = [finding for rule in RULES if rule.id not in ignore for finding in rule.check(rule, evidence)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def check_ignored(ids: str | Iterable[str] | None) -> tuple[str, ...]:
    """``"untrained,pickle"`` or ``["untrained", "pickle"]`` → rule ids, each once; None is ().

    Raises UsageError for an id that no rule has.
    """
    words = ids.split(",") if isinstance(ids, str) else list(ids or ())
    named = tuple(dict.fromkeys(str(word).strip().lower() for word in words if str(word).strip()))
    known = [rule.id for rule in RULES]
    for one in named:
        if one not in known:
            near = difflib.get_close_matches(one, known, n=1)
            raise UsageError(
                f"rule '{printable(one)}'",
                "no rule has this id",
                (f"Did you mean {near[0]}? " if near else "") + "docs/findings.md lists them",
            )
    return named

"""All rules of a difference, and what they find in one; and how the rules of any result of several models are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from weightaudit.audit.rules.checking import in_order, judged
from weightaudit.audit.rules.rule import AnyRule
from weightaudit.audit.rules.selectors import Policy
from weightaudit.logs import timed
from weightaudit.pairs.rules import merging, shape, whole
from weightaudit.pairs.rules.rule import DiffRule
from weightaudit.records import DiffResult, Finding, MergeCheckResult, Suppressed

RULES: tuple[DiffRule, ...] = (*merging.RULES, *shape.RULES, *whole.RULES)
"""Every rule, in the order in which findings of one severity are told; a rule comes after those that suppress it."""

Judged = TypeVar("Judged", DiffResult, MergeCheckResult)
AskedRule = TypeVar("AskedRule", bound=AnyRule)


def judge(result: DiffResult, policy: Policy) -> DiffResult:
    """``result`` with what the rules find in it, and what of that does not count as ``policy`` says."""
    return judged_by(RULES, result, policy, lambda rule: rule.check(rule, result))


@timed("checked the rules")
def judged_by(
    rules: Sequence[AskedRule], result: Judged, policy: Policy, ask: Callable[[AskedRule], Iterable[Finding]]
) -> Judged:
    """``result`` with what its ``rules`` find when they are asked, and what of that does not count as ``policy`` says.

    A rule whose findings are ignored still suppresses others.
    """
    found: list[Finding] = []
    left_out: list[Suppressed] = []
    told: set[str] = set()
    for rule in rules:
        if told.isdisjoint(rule.suppressed_by):
            findings = list(ask(rule))
            if findings:
                told.add(rule.id)
            kept, off = judged(rule, findings, policy)
            found += kept
            left_out += off
    findings_in_order, suppressed = in_order(found, left_out)
    checked = tuple(rule.id for rule in rules if rule.id not in policy.unchecked)
    return replace(result, findings=findings_in_order, suppressed=suppressed, rules=checked)

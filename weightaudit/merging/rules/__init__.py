"""What a merge comes to, in findings: every rule once, and what they find in one."""

from __future__ import annotations

from dataclasses import replace

from weightaudit.audit.rules.rule import AnyRule
from weightaudit.audit.rules.selectors import Policy
from weightaudit.records import MergeCheckResult

RULES: tuple[AnyRule, ...] = ()


def judge(result: MergeCheckResult, policy: Policy) -> MergeCheckResult:
    """``result`` with what the rules find in it."""
    return replace(result, rules=())

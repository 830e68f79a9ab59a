"""All rules, and what they find in one scan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from weightaudit.audit.rules import (
    adapters,
    config_agreement,
    coverage,
    duplicates,
    entries,
    files,
    heads,
    magnitude,
    names,
    outliers,
    pickles,
    quantised,
    spectra,
    super_weight,
    tokens,
    untrained,
    vocabulary,
)
from weightaudit.audit.rules.context import RuleContext, Subject
from weightaudit.audit.rules.needs import Unmet, a_model
from weightaudit.audit.rules.rule import AnyRule, Rule
from weightaudit.audit.rules.selectors import OFF, Policy, make_policy
from weightaudit.audit.rules.wording import listed, where
from weightaudit.logs import timed
from weightaudit.records import SEVERITIES, Finding, NotJudged, Suppressed

RULES: tuple[Rule, ...] = (
    *untrained.RULES,  # first, for what is untrained as a whole may start with zeros
    *magnitude.RULES,
    *entries.RULES,
    *quantised.RULES,
    *files.RULES,
    *names.RULES,
    *coverage.RULES,
    *config_agreement.RULES,
    *spectra.RULES,
    *duplicates.RULES,
    *outliers.RULES,
    *super_weight.RULES,
    *pickles.RULES,
    *vocabulary.RULES,
    *tokens.RULES,
    *adapters.RULES,
    *heads.RULES,
)
"""Every rule, in the order in which findings of one severity are told; a rule comes after those that suppress it."""

MAX_PER_RULE = 100
"""Findings of one rule told one by one; the rest are counted in one more."""

MAX_NAME_CHARS = 1_000_000
"""Characters of tensors' names in all findings of a scan; when they are used up, further findings name none. A name may
have a thousand, and a finding 50 of them.
"""


@dataclass(frozen=True)
class Judgement:
    """What the rules make of one scan, each most severe first, then in the rules' order."""

    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()


def run_rules(context: RuleContext, ignore: Collection[str] = ()) -> tuple[Finding, ...]:
    """The findings of `judge` where ``ignore`` is all that is asked for."""
    return judge(context, make_policy((), ignore, RULES)).findings


@timed("checked the rules")
def judge(context: RuleContext, policy: Policy) -> Judgement:
    """What the rules find, what of it does not count as ``policy`` says, and which rules could not judge.

    A rule whose findings are ignored still suppresses others: ignoring "untrained" does not turn an untrained matrix
    into an outlier.
    """
    subjects_of: dict[str, frozenset[Subject]] = {}
    found: list[Finding] = []
    left_out: list[Suppressed] = []
    not_judged: list[NotJudged] = []
    shown = {context.suppressed: context}
    unchecked = policy.unchecked
    for rule in RULES:
        if not asked_for(rule, context):
            subjects_of[rule.id] = frozenset()
            continue
        if any(not_for(rule, context)):
            subjects_of[rule.id] = frozenset()
            if rule.id not in unchecked:
                not_judged += [NotJudged(rule.id, one.reason, one.partly) for one in not_for(rule, context)]
            continue
        suppressed = frozenset().union(*(subjects_of[other] for other in rule.suppressed_by))
        if suppressed not in shown:
            shown[suppressed] = context.without(suppressed)
        matches = list(rule.check(rule, shown[suppressed]))
        subjects_of[rule.id] = frozenset().union(*(match.subjects for match in matches))
        kept, off = judged(rule, [match.finding for match in matches], policy)
        found += kept
        left_out += off
        if rule.id not in unchecked:
            not_judged += [NotJudged(rule.id, one.reason, one.partly) for one in unmet_needs(rule, context)]
    findings, those = in_order(found, left_out)
    return Judgement(findings=findings, suppressed=those, not_judged=tuple(not_judged))


def judged(rule: AnyRule, findings: Iterable[Finding], policy: Policy) -> tuple[list[Finding], list[Suppressed]]:
    """What ``rule`` has found, with the severities that ``policy`` gives, and what of it does not count. Of each the
    first are told one by one, the rest in one that counts them.
    """
    kept: list[Finding] = []
    off: dict[str, list[Finding]] = {}
    for finding in findings:
        level, why = policy.verdict(finding)
        if level == OFF:
            off.setdefault(why, []).append(finding)
        else:
            kept.append(replace(finding, severity=level))
    return list(_told(rule, kept)), [Suppressed(one, why) for why, those in off.items() for one in _told(rule, those)]


def in_order(
    findings: Iterable[Finding], suppressed: Iterable[Suppressed]
) -> tuple[tuple[Finding, ...], tuple[Suppressed, ...]]:
    """Both most severe first, else in their order, with names of tensors as far as there is room for them."""
    left_out = sorted(suppressed, key=lambda one: SEVERITIES.index(one.finding.severity))
    within = _within(one.finding for one in left_out)
    return (
        tuple(_within(sort_by_severity(findings))),
        tuple(replace(one, finding=finding) for one, finding in zip(left_out, within, strict=True)),
    )


def asked_for(rule: Rule, context: RuleContext) -> bool:
    """Whether what ``rule`` judges is part of this scan."""
    return context.heads is not None or not rule.of_heads


def not_for(rule: Rule, context: RuleContext) -> Iterator[Unmet]:
    """Why there is nothing that ``rule`` could judge in a scan of this kind."""
    if not rule.of_adapters:
        yield from a_model(context)


def unmet_needs(rule: Rule, context: RuleContext) -> list[Unmet]:
    """Why ``rule`` could not judge; where it could judge nothing, only that."""
    unmet = [one for need in rule.needs for one in need(context)]
    return [one for one in unmet if not one.partly][:1] or unmet


def sort_by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Most severe first, else in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _within(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, without tensors where there is no room for their names."""
    room = MAX_NAME_CHARS
    for finding in findings:
        needed = sum(map(len, finding.tensors))
        if needed > room:
            yield replace(finding, tensors=())
        else:
            room -= needed
            yield finding


def _told(rule: AnyRule, findings: Sequence[Finding]) -> Iterator[Finding]:
    """The first findings one by one, the rest in one that counts them."""
    told = sort_by_severity(findings)
    if len(told) <= MAX_PER_RULE + 1:
        yield from told
        return
    yield from told[:MAX_PER_RULE]
    rest = told[MAX_PER_RULE:]
    last = rule.finding(f"And {len(rest):,} more: {listed(map(_named, rest))}.")
    yield replace(last, severity=min((one.severity for one in rest), key=SEVERITIES.index))


def _named(finding: Finding) -> str:
    somewhere = finding.role or finding.layer is not None
    return where(finding) if somewhere or not finding.tensors else finding.tensors[0]

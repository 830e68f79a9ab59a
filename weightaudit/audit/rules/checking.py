"""All rules, and what they find in one scan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from weightaudit.audit.rules import (
    config_agreement,
    coverage,
    duplicates,
    entries,
    magnitude,
    outliers,
    pickles,
    spectra,
    untrained,
)
from weightaudit.audit.rules.context import RuleContext, Subject
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed, where
from weightaudit.errors import UsageError
from weightaudit.records import SEVERITIES, Finding
from weightaudit.text import did_you_mean, printable

RULES: tuple[Rule, ...] = (
    *untrained.RULES,  # first, for what is untrained as a whole may start with zeros
    *magnitude.RULES,
    *entries.RULES,
    *coverage.RULES,
    *config_agreement.RULES,
    *spectra.RULES,
    *duplicates.RULES,
    *outliers.RULES,
    *pickles.RULES,
)
"""Every rule, in the order in which findings of one severity are told; a rule comes after those that suppress it."""

MAX_PER_RULE = 100
"""Findings of one rule told one by one; the rest are counted in one more."""

MAX_NAME_CHARS = 1_000_000
"""Characters of tensors' names in all findings of a scan; when they are used up, further findings name none. A name may
have a thousand, and a finding 50 of them.
"""


def run_rules(context: RuleContext, ignore: Collection[str] = ()) -> tuple[Finding, ...]:
    """What the rules find, but for those named in ``ignore``: most severe first, then in the rules' order.

    A rule whose findings are ignored still suppresses others: ignoring "untrained" does not turn an untrained matrix
    into an outlier.
    """
    subjects_of: dict[str, frozenset[Subject]] = {}
    found: list[Finding] = []
    for rule in RULES:
        suppressed = frozenset().union(*(subjects_of[other] for other in rule.suppressed_by))
        matches = list(rule.check(rule, replace(context, suppressed=suppressed)))
        subjects_of[rule.id] = frozenset().union(*(match.subjects for match in matches))
        if rule.id not in ignore:
            found += _told(rule, matches)
    return tuple(_within(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))))


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


def _told(rule: Rule, matches: Sequence[Match]) -> Iterator[Finding]:
    """The first findings one by one, the rest in one that counts them."""
    told = [match.finding for match in matches]
    if len(told) <= MAX_PER_RULE + 1:
        yield from told
        return
    yield from told[:MAX_PER_RULE]
    rest = told[MAX_PER_RULE:]
    yield rule.of_model(f"And {len(rest):,} more: {listed(map(_named, rest))}.").finding


def _named(finding: Finding) -> str:
    somewhere = finding.role or finding.layer is not None
    return where(finding) if somewhere or not finding.tensors else finding.tensors[0]


def check_ignored(ids: Iterable[str]) -> None:
    """Raise UsageError for an id that no rule has."""
    known = [rule.id for rule in RULES]
    for one in ids:
        if one not in known:
            raise UsageError(
                f"rule '{printable(one)}'",
                "no rule has this id",
                did_you_mean(one, known) + "`weightaudit rules` lists them",
            )

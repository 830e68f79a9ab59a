"""Scales of quantised weights that are of some kind, as findings: one for each cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from weightaudit.audit.rules.causes import Weight, by_cause, matrices, named, of_all, others
from weightaudit.audit.rules.context import RuleContext, Subject
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.records import CodeFacts


def of_codes(weights: Iterable[Weight]) -> dict[Subject, CodeFacts]:
    """What the codes of quantised ones are: of several that are cut from one tensor, the first stands for all, since
    they are the tensor's.
    """
    found: dict[Subject, CodeFacts] = {}
    seen: set[tuple[str, int | None]] = set()
    for one in weights:
        cut_from = (one.tensors[0], one.row.matrix.parts[0].index if one.row else None)
        if one.codes is not None and cut_from not in seen:
            seen.add(cut_from)
            found[one.subject] = one.codes
    return found


def scales_like(
    rule: Rule,
    context: RuleContext,
    count: Callable[[CodeFacts], int | None],
    what: str,
    *,
    of: Callable[[CodeFacts], int | None] = lambda codes: codes.scales,
    noun: str = "scales",
    judged: Callable[[Weight], bool] = lambda one: True,
) -> Iterator[Match]:
    """A finding for each cause of scales (or what ``noun`` says, ``of`` so many) that are ``what``, as ``count`` says,
    in the weights ``judged``.
    """
    those = (*matrices(context, context.weights), *others(context))
    weights = [one for one in those if one.codes is not None and judged(one)]
    codes = of_codes(weights)
    looked_at = [one for one in weights if one.subject in codes]
    faulty = [one for one in looked_at if count(codes[one.subject])]
    for group in by_cause(faulty, looked_at):
        own = [codes[one.subject] for one in group]
        number, whole = sum(count(one) or 0 for one in own), sum(of(one) or 0 for one in own)
        numbers = f"{number:,} of {whole:,} {noun}" if whole else f"{number:,} {noun}"
        are = "is" if number == 1 else "are"
        if len(group) > 1:
            said = f"{numbers} of {of_all(group, looked_at)} {are} {what}: {named(group)}."
        else:
            said = f"{numbers} of {named(group)} {are} {what}."
        yield rule.of_weights(group, said, value=float(number))

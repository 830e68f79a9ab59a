"""What a merge comes to, in findings: every rule once, and what they find in one.

None says that a merge is safe: what the numbers can tell is which model will suffer more, and that something is odd.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from weightaudit.audit.rules.rule import AnyRule
from weightaudit.audit.rules.selectors import Policy
from weightaudit.audit.rules.wording import listed
from weightaudit.pairs.rules.checking import judged_by
from weightaudit.pairs.rules.whole import UNRELATED
from weightaudit.records import Finding, Meeting, MergeCheckResult
from weightaudit.records.change import UNLIKE
from weightaudit.text import plural, printable

LOPSIDED = 3.0
"""Times the other's disturbance from which on one side is said to lose."""
NOTABLE = 0.1
"""Disturbance below which nobody is said to lose."""
DISTURBED = 0.8
"""Disturbance from which on a whole fine-tune is said to be disturbed."""
ALIKE = 0.5
"""Cosine of the weights of two models from which on they are said to have a base."""
SAME_COSINE, SAME_SIZE = 1.0 - 1e-6, 1e-6
"""Cosine of two updates, and how far from 1 the ratio of their sizes, where they are said to be the same; no more than
√(2e-6) of their size lies between them.
"""
TWICE = 1.5
"""Retention from which on an update is said to be there more than once."""
SHRUNK = 1e-3
"""Shrinkage of the base in each model from which on it is told."""
EXACT = 1e-3
"""Share of a merge's change up to which a linear merge explains it."""
MAX_MODELS_NAMED = 8
"""Models that can be named at once."""


@dataclass(frozen=True)
class MergeRule(AnyRule):
    """One rule of a merge check. ``check`` gives what it finds; where a rule that it is ``suppressed_by`` found
    something, that has told the cause and this is not asked.
    """

    check: Callable[[MergeRule, MergeCheckResult], Iterable[Finding]]

    def of(self, meetings: Iterable[Meeting], detail: str, *, value: float | None = None) -> Finding:
        """A finding about ``meetings``: its place is what they have in common."""
        meetings = list(meetings)
        names = (name for meeting in meetings for name in meeting.tensors)
        return self.finding(detail, value=value, places=[meeting.place for meeting in meetings], tensors=names)


def judge(result: MergeCheckResult, policy: Policy) -> MergeCheckResult:
    """``result`` with what the rules find in it, and what of that does not count as ``policy`` says."""
    return judged_by(RULES, result, policy, lambda rule: rule.check(rule, result))


def _names(result: MergeCheckResult, which: Iterable[int]) -> str:
    return listed((printable(result.names[i]) for i in which), MAX_MODELS_NAMED)


def _unchanged(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    if result.base is None:
        return
    same = [i for i in range(len(result.models)) if not any(_changed(meeting, i) for meeting in result.meetings)]
    if same:
        yield rule.finding(
            f"{_names(result, same)}: every matrix that was looked at is the base's, entry for entry; there is nothing "
            "of it to merge.",
            value=float(len(same)),
        )


def _changed(meeting: Meeting, i: int) -> bool:
    return meeting.interactions.inner[i][i] != 0.0


def _unrelated(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    if result.base is None:
        return
    for i, model in enumerate(result.models):
        known = [one for one in result.counted if _changed(one, i) and model.adapter is None]
        strange = [one for one in known if abs(one.interactions.cosine_with_base(i)) < UNLIKE]
        if strange and len(strange) >= UNRELATED * len(known):
            yield rule.of(
                strange,
                f"{_names(result, [i])}: of {plural(len(known), 'matrix', 'matrices')} that it changed, "
                f"{len(strange):,} have next to nothing in common with the base's: it was not made from it, or its "
                "rows are in another order.",
                value=len(strange) / len(known),
            )


def _no_base(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    if result.base is not None:
        return
    pairs = [
        one
        for one in result.summary.encounters
        if one.victim < one.other
        and one.cosine >= ALIKE
        and all(result.models[i].adapter is None for i in (one.victim, one.other))  # adapters are changes already
    ]
    if pairs:
        alike = sorted({i for one in pairs for i in (one.victim, one.other)})
        yield rule.finding(
            f"The weights of {_names(result, alike)} are alike, as those of models made from one base are: without it "
            "the numbers are about what they have of it, not about what each has learned.",
            value=max(one.cosine for one in pairs),
        )


def _equal(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    twins = [
        (one.victim, one.other)
        for one in result.summary.encounters
        if one.victim < one.other and one.cosine >= SAME_COSINE and abs(one.size_ratio - 1.0) <= SAME_SIZE
    ]
    for pair in twins:
        yield rule.finding(
            f"The updates of {_names(result, pair)} are the same: merging them at 1 and 1 doubles it.", value=2.0
        )


def _not_finite(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    found = [meeting for meeting in result.meetings if math.isnan(meeting.interactions.base_sq)]
    if found:
        yield rule.of(
            found,
            f"In {plural(len(found), 'matrix', 'matrices')} an entry of some model is NaN or infinite, or its square "
            f"leaves float64: nothing is known there ({listed((one.place.words() for one in found), 4)}).",
            value=float(len(found)),
        )


def _disturbed(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    found = [
        i
        for i, one in enumerate(result.summary.standings)
        if one.disturbance >= DISTURBED and not result.summary.low_rank[i]
    ]
    if found and not all(result.summary.low_rank):
        told = listed((f"{printable(result.names[i])} {_D(result, i)}" for i in found), MAX_MODELS_NAMED)
        worst = max(result.summary.standings[i].disturbance for i in found)
        yield rule.finding(
            f"Disturbance D of {told}: as far from its own update as the base is, or nearly.", value=worst
        )


def _D(result: MergeCheckResult, i: int) -> str:  # noqa: N802  # as it is written
    return f"{result.summary.standings[i].disturbance:.3g}"


def _lopsided(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    for low_rank in (False, True):  # of adapters and whole fine-tunes the numbers are not alike
        known = [
            (one.disturbance, i)
            for i, one in enumerate(result.summary.standings)
            if result.summary.low_rank[i] == low_rank and not math.isnan(one.disturbance)
        ]
        if len(known) < 2:
            continue
        (least, spared), (most, suffering) = min(known), max(known)
        if most >= NOTABLE and most >= LOPSIDED * least:
            yield rule.finding(
                f"{_names(result, [suffering])} is disturbed by D {most:.3g}, {_names(result, [spared])} by "
                f"{least:.3g}: of the two the first will lose more.",
                value=most / least if least else math.inf,
            )


def _twice(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    found = [i for i, one in enumerate(result.summary.standings) if one.retention >= TWICE]
    if found:
        told = listed(
            (f"{printable(result.names[i])} {result.summary.standings[i].retention:.3g}" for i in found),
            MAX_MODELS_NAMED,
        )
        yield rule.finding(
            f"Retention ρ of {told}: what acts on a model's inputs is its own update more than once, for the others' "
            "point the same way there.",
            value=max(result.summary.standings[i].retention for i in found),
        )


def _adapters(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    low = [i for i, is_low in enumerate(result.summary.low_rank) if is_low]
    if low:
        mixed = len(low) < len(result.models)
        rest = " Beside whole fine-tunes their numbers are not to be compared." if mixed else ""
        yield rule.finding(
            f"The updates of {_names(result, low)} are of low rank, as adapters make them: their rows begin at random, "
            f"not among the inputs, so D is too low a guide, and its level is another's.{rest}",
            value=float(len(low)),
        )


def _decay(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    shrink = result.summary.shrink
    if len(shrink) >= 2 and result.base is not None and all(c >= SHRUNK for c in shrink):
        told = listed(
            (f"{c:.3g} of {printable(name)}" for name, c in zip(result.names, shrink, strict=True)), MAX_MODELS_NAMED
        )
        yield rule.finding(
            f"Every model has shrunk the base, as weight decay does: c = {told}. A sum of the updates shrinks it by "
            f"{sum(shrink):.3g}.",
            value=sum(shrink),
        )


def _linear(rule: MergeRule, result: MergeCheckResult) -> Iterator[Finding]:
    summary = result.summary
    if result.merged is None or math.isnan(summary.unexplained):
        return
    told = listed(
        (f"{w:.4g} × {printable(name)}" for w, name in zip(summary.fitted, result.names, strict=True)), MAX_MODELS_NAMED
    )
    if summary.unexplained <= EXACT:
        said = f"It is a linear merge, but for rounding: {told}."
    else:
        said = (
            f"The nearest linear merge is {told}; {100 * summary.unexplained:.3g} % of the merge's squared change is "
            "none of any: another method, or another model in it."
        )
    yield rule.finding(said, value=summary.unexplained)


info = partial(MergeRule, severity="info")
warning = partial(MergeRule, severity="warning")
_TRUST = "On small transformers it told which model loses more within one recipe, moderately: docs/merge-check.md."
_MEANS = "Means over the matrices that a model changed, but for tables of tokens."

RULES: tuple[MergeRule, ...] = (
    warning(
        id="merge-not-finite",
        title="Entries that are no numbers",
        measures="Matrices of which an entry of a model is not finite.",
        source="A sum with NaN is NaN.",
        advice="Scan each model (weightaudit scan): one of them is damaged.",
        check=_not_finite,
    ),
    MergeRule(
        id="merge-unrelated",
        title="A model that was not made from the base",
        severity="error",
        measures=f"Share of the matrices that a model changed whose cosine with the base's is between -{UNLIKE:g} and "
        f"{UNLIKE:g}.",
        threshold=UNRELATED,
        source="Weights of two models that were trained apart have a cosine near 0, and their updates no common base.",
        advice="Name the model that all were made from; weightaudit diff BASE MODEL says what was done to this one.",
        check=_unrelated,
    ),
    warning(
        id="merge-no-base",
        title="Models of one base, added up with it",
        measures="Cosine of two models' weights, over all matrices together, where no base was named.",
        threshold=ALIKE,
        source="Weights of two models that were trained apart have a cosine near 0.",
        advice="Name the model that all were made from with --base.",
        check=_no_base,
    ),
    warning(
        id="merge-unchanged",
        title="A model is the base",
        measures="Models of which every matrix is the base's, entry for entry.",
        source="A merge of nothing; seen where a fine-tune or a merged adapter was never saved.",
        advice="Look for the right files: weightaudit diff BASE MODEL says whether vectors or tables differ.",
        check=_unchanged,
    ),
    warning(
        id="merge-same",
        title="Two models have the same update",
        measures="Cosine and sizes of two updates, over all matrices together.",
        source="Less than 0.15 % of their size apart: the same model twice, or an adapter and the model that has it.",
        advice="Leave one of them out.",
        check=_equal,
        suppressed_by=("merge-no-base",),
    ),
    warning(
        id="merge-disturbed",
        title="A model is disturbed as much as if it were left out",
        measures=f"Disturbance D of each whole fine-tune in the merge. {_MEANS}",
        threshold=DISTURBED,
        source=f"D is 1 where the base stood in the model's place. {_TRUST}",
        advice="Try the suggested weights, then evaluate this model's task first.",
        check=_disturbed,
        suppressed_by=("merge-no-base", "merge-unrelated"),
    ),
    warning(
        id="merge-lopsided",
        title="One model will lose more",
        measures=f"The largest D over the smallest. {_MEANS}",
        threshold=LOPSIDED,
        source=_TRUST,
        advice="Give it more weight, or the others less; the page's sliders show what that does. Then evaluate.",
        check=_lopsided,
        suppressed_by=("merge-no-base", "merge-unrelated"),
    ),
    info(
        id="merge-repeated",
        title="Updates that point the same way add up",
        measures=f"Retention ρ of each model. {_MEANS}",
        threshold=TWICE,
        source="1 is a model's own update once; models for like tasks have much in common.",
        advice="Lower the weights: averaging such models loses less than a sum does.",
        check=_twice,
        suppressed_by=("merge-no-base", "merge-unrelated", "merge-same"),
    ),
    info(
        id="merge-adapters",
        title="Updates of low rank",
        measures="Share of each update in its 32 leading directions, 0.999 at least in most matrices.",
        source="The rows of B·A lie in the span of A, which begins at random.",
        advice="Rank such models among each other only, and by evaluating them.",
        check=_adapters,
    ),
    info(
        id="merge-decay",
        title="Weight decay adds up",
        measures="c of Δ ≈ −c·W₀ over all matrices, of each model.",
        threshold=SHRUNK,
        source="Decoupled weight decay shrinks the base in every fine-tune; a sum shrinks it once for each.",
        advice="Weights that sum to 1 keep it as each model had it.",
        check=_decay,
    ),
    info(
        id="merge-linear",
        title="What linear merge it is",
        measures="Weights of the models' updates that fit the merge's best, and the share of its square they leave.",
        threshold=EXACT,
        source="Least squares over all matrices together.",
        advice="weightaudit diff BASE MERGE --parents … says it matrix by matrix, against rounding.",
        check=_linear,
    ),
)
"""Every rule, in the order in which findings of one severity are told; a rule comes after those that suppress it."""

"""Heads of attention that do nothing, repeat one another, or are unlike all others; judged where they were measured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.needs import Unmet
from weightaudit.audit.rules.robust import outliers
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed
from weightaudit.records import HeadNorms, HeadRow, Heads, Place
from weightaudit.text import plural, printable

DEAD_SHARE = 0.01
"""Share of the median of the other heads of a layer below which a head does nothing (dimensionless)."""
COPY_DISTANCE = 0.01
"""Relative distance up to which two heads are one: rounding to bfloat16 moves a head by 0.2 % at most."""
MIN_HEADS = 12
"""Heads below which none stands out."""
Z_THRESHOLD = 12.0
"""Robust z-score above which a head stands out (dimensionless)."""
LEAST_SPREAD = 0.2
"""The least median distance of logarithms that heads are taken to have."""


def _attentions(heads: Heads) -> dict[tuple[str, int, str], list[HeadRow]]:
    found: dict[tuple[str, int, str], list[HeadRow]] = defaultdict(list)
    for row in heads.rows:
        found[row.stack, row.layer, row.attention].append(row)
    return found


def _normed(heads: Heads) -> set[tuple[str, int, str]]:
    """The attentions whose queries and keys have a norm, which undoes the size of W_Q and W_K."""
    return {(one.stack, one.layer, one.attention) for one in heads.attentions if one.head_norm}


def _known_heads(context: RuleContext) -> Iterator[Unmet]:
    """That every attention was taken apart into heads."""
    heads = context.heads or Heads()
    if heads.skipped:
        count = len(heads.skipped) + len(heads.attentions)
        why = printable(heads.skipped[0].why)
        what = f"The heads of {len(heads.skipped):,} of {plural(count, 'attention')} are not known: {why}."
        yield Unmet(what, partly=bool(heads.attentions))


def _dead_in(rows: Sequence[HeadRow], *, normed: bool) -> dict[int, tuple[str, float]]:
    """Head → which of its two maps is next to nothing, and its norm over the median of the other heads'.

    Of queries and keys that are ``normed`` only a map that is zero is nothing.
    """
    found: dict[int, tuple[str, float]] = {}
    logits, writes = ("the map to its logits", "logit"), ("what it writes", "ov")
    for (name, of), least in ((logits, 0.0 if normed else DEAD_SHARE), (writes, DEAD_SHARE)):
        known = {row.head: norms for row in rows if (norms := _finite(getattr(row, of))) is not None}
        for head, norms in known.items():
            others = [other.spectral_norm for number, other in known.items() if number != head]
            usual = median(others) if others else 0.0
            if usual > 0.0 and norms.spectral_norm_upper <= least * usual and head not in found:
                found[head] = name, norms.spectral_norm_upper / usual
    return found


def _with_dead(heads: Heads) -> Iterator[tuple[tuple[str, int, str], list[HeadRow], dict[int, tuple[str, float]]]]:
    """Of each attention its place, its heads and, as `_dead_in`, those that do next to nothing."""
    normed = _normed(heads)
    for key, rows in _attentions(heads).items():
        yield key, rows, _dead_in(rows, normed=key in normed)


def _finite(norms: HeadNorms | None) -> HeadNorms | None:
    return norms if norms is not None and math.isfinite(norms.spectral_norm_upper) else None


def _dead(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for (stack, layer, attention), rows, dead in _with_dead(context.heads or Heads()):
        if dead:
            told = (f"head {head} ({name}: {share:.2g} of the median)" for head, (name, share) in dead.items())
            do = "does" if len(dead) == 1 else "do"
            detail = f"{len(dead):,} of {len(rows):,} heads{_kind(attention)} {do} next to nothing: {listed(told)}."
            yield _match(rule, detail, min(share for _, share in dead.values()), [Place(stack, layer)])


def _duplicates(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for (stack, layer, attention), rows, dead in _with_dead(context.heads or Heads()):
        near = [row for row in rows if row.distance <= COPY_DISTANCE and row.head not in dead and _alive(row)]
        pairs = dict.fromkeys(tuple(sorted((row.head, row.nearest))) for row in near if row.nearest is not None)
        if pairs:
            told = (f"{first} and {second}" for first, second in pairs)
            detail = (
                f"Of {len(rows):,} heads{_kind(attention)}, {listed(told)} have the same queries, keys and values, "
                f"{max(row.distance for row in near):.2g} apart at most."
            )
            yield _match(rule, detail, min(row.distance for row in near), [Place(stack, layer)])


def _alive(row: HeadRow) -> bool:
    return all(norms is None or norms.frobenius_norm > 0.0 for norms in (row.q, row.k, row.v))


def _outlying(rule: Rule, context: RuleContext) -> Iterator[Match]:
    heads = context.heads or Heads()
    normed = _normed(heads)
    series: dict[tuple[str, str], list[tuple[HeadRow, HeadNorms]]] = defaultdict(list)
    for key, rows, dead in _with_dead(heads):
        for row in rows if key not in normed else ():
            norms = _finite(row.logit)
            if norms is not None and norms.spectral_norm > 0.0 and row.head not in dead:
                series[row.stack, row.attention].append((row, norms))
    for those in series.values():
        if len(those) < MIN_HEADS:
            continue
        low, high = ([math.log(end(norms)) for _, norms in those] for end in (_lower, _upper))
        out = outliers(low, high, limit=Z_THRESHOLD, floor=LEAST_SPREAD, end_floor=None, ordered=False)
        usual = median(norms.spectral_norm for _, norms in those)
        for i, z in out.items():
            row, norms = those[i]
            detail = (
                f"The map of head {row.head}{_kind(row.attention)} to its logits has norm {norms.spectral_norm:.4g}; "
                f"the median of {len(those):,} heads is {usual:.4g}. Its robust z-score is {z:.0f}."
            )
            yield _match(rule, detail, z, [Place(row.stack, row.layer)])


def _lower(norms: HeadNorms) -> float:
    return norms.spectral_norm


def _upper(norms: HeadNorms) -> float:
    return norms.spectral_norm_upper


def _kind(attention: str) -> str:
    return " of the attention to the encoder" if attention == "cross" else ""


def _match(rule: Rule, detail: str, value: float, places: Iterable[Place]) -> Match:
    return Match(rule.finding(detail, value=value, places=tuple(places)))


RULES = (
    Rule(
        id="dead-head",
        title="Heads that do next to nothing",
        severity="warning",
        measures="With --heads: the spectral norm of a head's map to its logits, and of what it writes (W_O·W_V), over "
        "the median of the other heads of its layer.",
        threshold=DEAD_SHARE,
        source="A choice, far below what trained heads show: of the 350 heads of MiniLM-L6, SmolLM2-135M and RXNMapper "
        "the least is 0.27. Heads that were pruned by zeros have 0. Logits after a norm of queries and keys do not "
        "depend on the size of the map: there only zero is nothing.",
        advice="Look whether the head was pruned. A head without logits attends to everything alike; one that writes "
        "nothing can be removed.",
        check=_dead,
        needs=(_known_heads,),
        of_heads=True,
    ),
    Rule(
        id="duplicate-heads",
        title="Heads of one layer that are the same",
        severity="warning",
        measures="With --heads: for two heads of one attention the largest, over their rows of Q, K and V, of the norm "
        "of the difference over the larger norm.",
        threshold=COPY_DISTANCE,
        source="Rounding to bfloat16 moves a head by 0.2 % at most. The closest two of the 350 heads of MiniLM-L6, "
        "SmolLM2-135M and RXNMapper are 53 % apart.",
        advice="Look for a conversion that repeated heads, or an upcycling that was not trained on: the same attention "
        "is computed twice.",
        check=_duplicates,
        needs=(_known_heads,),
        of_heads=True,
    ),
    Rule(
        id="outlying-head",
        title="A head whose logits are unlike those of all others",
        severity="info",
        measures="With --heads: robust z-score 0.6745·d/MAD of the logarithm of the spectral norm of a head's map to "
        f"its logits among all heads of the stack, MAD at least {LEAST_SPREAD:g}; from {MIN_HEADS} on. Heads whose "
        "queries and keys have a norm are not judged, and where more than one in ten stand out that is a pattern.",
        threshold=Z_THRESHOLD,
        source="Logits of healthy heads spread widely: the largest z-score is 7.7 in MiniLM-L6, 2.8 in SmolLM2-135M. "
        "A head with z = 12 is some 30 times the median or more, where 8-bit formats and half precision lose it.",
        advice="Look at the head's attention: it may look at one token alone. Choose scales of 8-bit attention for "
        "this head by itself.",
        check=_outlying,
        needs=(_known_heads,),
        of_heads=True,
    ),
)

"""Weights of a size that no training gives: by itself, beside the same role of other layers, beside the model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from weightaudit.audit.rules.causes import Weight, by_cause, matrices, named, of_all, others
from weightaudit.audit.rules.context import SCALES, RuleContext, Subject
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.dtypes import BY_NAME
from weightaudit.records import OTHER, LayerRow

LEAST, LARGEST = 1e-10, 1e4
"""Root mean squares of entries between which trained weights lie; of vectors only the larger is a limit."""
LARGEST_ENTRY = 1e6
"""Magnitude that no entry of a trained weight has."""
LEAST_OF_ROLE, LARGEST_OF_ROLE = 1e-4, 1e3
"""Multiples of the median of a role between which its matrices lie."""
LEAST_OF_MODEL, LARGEST_OF_MODEL = 1e-5, 1e4
"""The same, of the median of all matrices."""
LEAST_ENTRIES = 8
"""Entries from which on those of a tensor without a role are weights rather than a setting, such as a mask's number."""
LEAST_PEERS = 3
"""Matrices that a median is taken of: of three, one that is off does not move it."""


@dataclass(frozen=True)
class Limits:
    """Between what root mean squares are believed, and why, in words for the end of a sentence."""

    least: float
    largest: float
    why: str


@dataclass(frozen=True)
class Size:
    """Root mean square and largest magnitude of the entries of a weight."""

    root_mean_square: float
    largest: float

    def breaks(self, limits: Limits) -> bool:
        return not limits.least <= self.root_mean_square <= limits.largest


def _magnitude(rule: Rule, context: RuleContext) -> Iterator[Match]:
    rows = matrices(context, (row for row in context.measured if not _clipped(row)))
    judged = [*rows, *(one for one in others(context) if _is_weight(one))]
    sizes = {one.subject: _size(one) for one in judged}
    limits = _limits(rows, sizes)
    broken: dict[Subject, str] = {}
    for one in judged:
        size = sizes[one.subject]
        own = Limits(LEAST if one.row else 0.0, LARGEST, "")
        why = [limit.why for limit in (*limits.get(one.subject, ()), own) if size.breaks(limit)]
        if why or size.largest > LARGEST_ENTRY:
            broken[one.subject] = why[0] if why else ""
    for group in by_cause([one for one in judged if one.subject in broken], judged):
        worst = max(group, key=lambda one: abs(math.log(sizes[one.subject].root_mean_square)))
        size = sizes[worst.subject]
        numbers = f"root mean square {size.root_mean_square:.3g}, largest {size.largest:.3g}{broken[worst.subject]}"
        if len(group) == 1:
            said = f"The entries of {named(group)} are of a size that no trained weight has: {numbers}."
        else:
            said = (
                f"{of_all(group, judged)} have entries of a size that no trained weight has: {named(group)}. "
                f"Those of {named([worst])}: {numbers}."
            )
        yield rule.of_weights(group, said, value=size.root_mean_square)


def _clipped(row: LayerRow) -> bool:
    """Whether its largest entries are the limit of float16, which a rule of its own tells."""
    facts = row.spectrum.entries
    return facts is not None and facts.at_limit > 0 and row.spectrum.max_abs <= LARGEST_ENTRY


def _is_weight(one: Weight) -> bool:
    """Whether the size of a tensor without a role says something: not so of few entries, buffers, quantised weights and
    their scales, which may be anything, nor of one number beside zeros, which is how masks are stored.
    """
    if one.other is None:
        return False
    entry, facts = one.other.entry, one.other.facts
    other_than_zero = one.entries - facts.zeros
    mask = facts.zeros > 0 and math.isclose(
        facts.mean_square * one.entries, other_than_zero * facts.max_abs * facts.max_abs
    )
    scale = any(word in entry.tensor.rpartition(".")[2].lower() for word in SCALES)
    quantised = entry.dtype not in BY_NAME or not BY_NAME[entry.dtype].analysable
    free = entry.buffer or mask or scale or quantised or one.entries < LEAST_ENTRIES
    return not free and not facts.nonfinite and facts.max_abs > 0


def _size(one: Weight) -> Size:
    if one.row:
        return Size(one.row.spectrum.frobenius_norm / math.sqrt(one.entries), one.row.spectrum.max_abs)
    facts = one.other.facts if one.other else None
    # Squares of float64 numbers can leave its range; then the largest stands for them.
    return Size(math.sqrt(facts.mean_square) or facts.max_abs, facts.max_abs) if facts else Size(math.nan, math.nan)


def _limits(rows: Sequence[Weight], sizes: Mapping[Subject, Size]) -> dict[Subject, list[Limits]]:
    """Each matrix → what those of its role and all others say of it."""
    roles: dict[tuple[str, str, str], list[Weight]] = defaultdict(list)
    for one in rows:
        if one.place.layer is not None:
            roles[one.place.population].append(one)
    found: dict[Subject, list[Limits]] = defaultdict(list)

    def compare(peers: Sequence[Weight], least: float, largest: float, whose: str) -> None:
        if len(peers) < LEAST_PEERS:
            return
        centre = median(sizes[one.subject].root_mean_square for one in peers)
        why = f"; {whose} have {centre:.3g} in the median"
        for one in peers:
            # Tables of segments were converted with zeros, and some trained on from there.
            below = 0.0 if one.place.role == "TOKEN_TYPE" else least * centre
            found[one.subject].append(Limits(below, largest * centre, why))

    for peers in roles.values():
        compare(peers, LEAST_OF_ROLE, LARGEST_OF_ROLE, "the matrices of its role")
    known = [one for one in rows if one.place.role != OTHER]  # what is of no known role may be anything
    compare(known, LEAST_OF_MODEL, LARGEST_OF_MODEL, "all matrices")
    return found


RULES = (
    Rule(
        id="magnitude",
        title="Weights of a size that no trained weight has",
        severity="error",
        measures="The root mean square of the entries, of matrices and other floating-point weights: beyond "
        f"{LARGEST:g} or, of matrices, below {LEAST:g}; an entry beyond {LARGEST_ENTRY:g}; a matrix with more than "
        f"{LARGEST_OF_ROLE:g} or less than {LEAST_OF_ROLE:g} times the median of its role, or {LARGEST_OF_MODEL:g} and "
        f"{LEAST_OF_MODEL:g} times that of all matrices, where there are {LEAST_PEERS} or more. Buffers, masks and "
        "scales may be of any size. What befell most of the model, a shard, layers, experts or roles in the same "
        "layers is one finding.",
        threshold=LARGEST,
        source="Root mean squares go from 0.009 to 0.40 in SmolLM2-135M, MiniLM-L6 and an ALBERT, and within a role by "
        "at most 7 times; the widest that we know of is T5, whose embedding has about 10, some 200 times its layers. "
        "The limits leave a factor of fifty and more to all of these. Below 1e-10 a matrix adds nothing to what it "
        "is added to, in any format.",
        advice="Look for a scale applied twice or left out, memory that was saved before it was filled, or a damaged "
        "file. A loader takes such weights without a word.",
        check=_magnitude,
    ),
)

"""What one model changed of another, in plain words: for the terminal, Markdown and the page. Names come as they are:
whoever shows them makes them harmless for the place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from weightaudit.records import ELSEWHERE, Change, DiffResult, Kind, OneSided
from weightaudit.report.columns import number_text
from weightaudit.report.verdict import verdict_words
from weightaudit.text import listed, plural

MOST_ROLES = 8
"""Roles named one by one in a sentence."""
LARGEST = 5
"""Changes named as the largest."""
WEIGHT_PLACES = 4
"""Decimal places of a recipe's weights in a sentence: what is less is the noise of the fit."""
VECTORS = "norms, biases, …"
"""What stands for a role where there is none."""


@dataclass(frozen=True)
class RoleChanges:
    """The changes of one role in a stack; of the vectors in it where ``role`` is ""."""

    stack: str
    role: str
    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        """The role in words."""
        return f"{self.stack} {self.role or VECTORS}".strip()

    @property
    def kinds(self) -> str:
        """What was done to how many of them, the most first.

        Example: ``6 low rank 8, 2 unchanged``; the number is left out where all are alike.
        """
        groups = by_kind(self.changes)
        if len(groups) == 1:
            return group_words(groups[0])
        return ", ".join(f"{len(group):,} {group_words(group)}" for group in groups)

    @property
    def relative(self) -> str:
        """From the smallest to the largest relative size of a change."""
        known = sorted(one.relative for one in self.changes if not math.isnan(one.relative))
        if not known:
            return ""
        low, high = relative_words(known[0]), relative_words(known[-1])
        return low if low == high else f"{low} – {high}"


def by_role(result: DiffResult) -> list[RoleChanges]:
    """The changes by stack and role, in report order; vectors last."""
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in (*result.matrices, *result.vectors):
        groups.setdefault((change.place.stack, change.place.role), []).append(change)
    return [RoleChanges(stack, role, tuple(found)) for (stack, role), found in groups.items()]


def verdict_line(result: DiffResult) -> str:
    """``verdict: 1 warning, 2 info (14 rules checked)``, as a scan has it."""
    return verdict_words(result.verdict, result.findings, result.rules, listed(result.partial))


def headline(result: DiffResult) -> str:
    """What was done, in one sentence.

    Example: ``12 of 37 matrices changed: 12 low rank 8 (Q and V). All 12 vectors are unchanged.``
    """
    summary = result.summary
    if summary.identical:
        return f"Nothing differs: {_both(summary.matrices, summary.vectors)} equal, entry for entry."
    parts = [_changed(result.matrices, "matrix", "matrices"), _changed(result.vectors, "vector", "vectors")]
    return " ".join(filter(None, parts)) or "No matrix and no vector is in both."


def _both(matrices: int, vectors: int) -> str:
    counted = [plural(matrices, "matrix", "matrices")] * bool(matrices) + [plural(vectors, "vector")] * bool(vectors)
    return f"{listed(counted)} {'is' if matrices + vectors == 1 else 'are'}"


def _changed(changes: Sequence[Change], one: str, many: str) -> str:
    """How many of ``changes`` there are of which kind, and in which roles."""
    if not changes:
        return ""
    every = f"All {plural(len(changes), one, many)}" if len(changes) > 1 else f"The {one}"
    done = [change for change in changes if change.kind != "unchanged"]
    if not done:
        return f"{every} {'are' if len(changes) > 1 else 'is'} unchanged."
    subject = every if len(done) == len(changes) else f"{len(done):,} of {plural(len(changes), one, many)}"
    groups = by_kind(done)
    told = [f"{len(group):,} {group_words(group)}{_where(group)}" for group in groups]
    if len(groups) == 1:
        told = [group_words(done) + _where(done)]
    return f"{subject} changed: {listed(told)}."


def by_kind(changes: Iterable[Change]) -> list[list[Change]]:
    """``changes`` by their kinds, the most frequent first."""
    kinds: dict[Kind, list[Change]] = {}
    for change in changes:
        kinds.setdefault(change.kind, []).append(change)
    return sorted(kinds.values(), key=lambda group: -len(group))


def group_words(group: Sequence[Change]) -> str:
    """What was done to changes of one kind: as of one of them where all are alike, else the kind and its ranks."""
    words = set(map(kind_words, group))
    if len(words) == 1:
        return words.pop()
    ranks = sorted(one.ranks.rank for one in group if one.ranks is not None and one.ranks.rank is not None)
    if group[0].kind == "low rank" and ranks and ranks[0] < ranks[-1]:
        return f"low rank {ranks[0]} to {ranks[-1]}"
    return group[0].kind


def _where(changes: Iterable[Change]) -> str:
    roles = list(dict.fromkeys(one.place.role for one in changes if one.place.role))
    return f" ({listed(roles, MOST_ROLES, spare=1)})" if roles else ""


def story(result: DiffResult) -> Iterator[str]:
    """What else is known of the whole, a sentence each."""
    summary = result.summary
    if not summary.identical and not math.isnan(summary.relative):
        yield (
            f"Over all matrices the change is {relative_words(summary.relative)} of the base's size; the largest of "
            f"one matrix or vector is {relative_words(summary.largest)}{_elsewhere(result)}."
        )
    if summary.decay is not None:
        size = number_text(abs(summary.decay), digits=3)
        if summary.decay > 0:
            yield f"All trained matrices shrank alike, by c = {size}, as decoupled weight decay leaves them."
        else:
            yield f"All trained matrices grew alike, by {size} of their size."
    if summary.resolution:
        yield (
            f"In {relative_words(summary.resolution)} of the changed matrices the change is no larger than what "
            "rounding to their precision makes: of its shape nothing can be said."
        )
    yield from _recipe(result)
    for side, words in (("derived", "Only in the derived model"), ("base", "Only in the base")):
        alone = [one for one in result.one_sided if one.side == side]
        if alone:
            named = listed((one_sided_name(one) for one in alone), LARGEST, spare=1)
            yield f"{words}: {named}."
    yield from result.notes


def _elsewhere(result: DiffResult) -> str:
    number = sum(change.kind in ELSEWHERE for change in result.matrices)
    told = plural(number, "matrix that stands", "matrices that stand")
    return f"; both count {told} elsewhere in the base, or nowhere" if number else ""


def _recipe(result: DiffResult) -> Iterator[str]:
    """The weights that are known; that of the base, which stands behind the parents', only where it is one."""
    summary, said = result.summary, ""
    if summary.identical:
        return
    names = [parent.name for parent in result.parents]
    for number, weight in enumerate(summary.recipe):
        parts = 0.0 if math.isnan(weight) else round(weight, WEIGHT_PLACES)
        if math.isnan(weight) or (number >= len(names) and not parts):
            continue
        sign = (" − " if said else "−") if parts < 0 else (" + " if said else "")
        name = names[number] if number < len(names) else "the base"
        said += f"{sign}{number_text(abs(parts), digits=WEIGHT_PLACES)} × {name}"
    if said:
        exact = "Every matrix is this sum of changes, but for rounding"
        yield f"{exact if summary.recipe_exact else 'Nearest sum of changes'}: {said}."


def kind_words(change: Change) -> str:
    """What was done to it, with the numbers that belong to the kind.

    Example: ``low rank 8``, ``quantised to 4 bits in groups of 32``, ``rows permuted in blocks of 64``.
    """
    words: str = change.kind
    if change.kind == "low rank" and change.ranks is not None and change.ranks.rank is not None:
        words = f"low rank {change.ranks.rank}"
    elif change.kind == "cast" and change.entries is not None and change.entries.casts:
        words = f"cast to {change.entries.casts[0]}"
    elif change.grid is not None:
        shared = {-1: "", 0: " a row"}.get(change.grid.group, f" in groups of {change.grid.group}")
        words = f"{change.kind} to {plural(change.grid.bits, 'bit')}{shared}"
    elif change.moved_from is not None:
        words = f"{change.kind} from {change.moved_from.words()}"
    elif change.block > 1:
        words = f"{change.kind} in blocks of {change.block}"
    if change.resized and change.shape and change.shape_base:
        words = f"{words}, {change.shape_base[0]:,} rows made {change.shape[0]:,}"
    return words


def change_name(change: Change, between: str = " ") -> str:
    """The matrix's place, or the vector's name."""
    return change.place.words(between) if change.is_matrix else ";".join(change.tensors)


def one_sided_name(one: OneSided, between: str = " ") -> str:
    """The same of what one side has alone."""
    return one.place.words(between) if one.place.role else ";".join(one.tensors)


def largest(result: DiffResult, most: int = LARGEST) -> list[Change]:
    """The changes of largest relative size, unchanged ones left out."""
    known = [one for one in result.changes if one.relative > 0]
    return sorted(known, key=lambda one: -one.relative)[:most]


def relative_words(value: float) -> str:
    """A share for people.

    Example:
        >>> relative_words(0.0164), relative_words(1.4), relative_words(2e-6), relative_words(0.0)
        ('1.64 %', '140 %', '2e-6', '0')
    """
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "∞, from zero"
    if 0 < value < 1e-4:
        return number_text(value, digits=3).replace("e-0", "e-")
    return f"{number_text(100 * value, digits=3)} %" if value else "0"

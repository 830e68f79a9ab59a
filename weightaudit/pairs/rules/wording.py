"""Which changes belong together, and how findings name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from statistics import median

from weightaudit.audit.rules.causes import label_of, labelled
from weightaudit.audit.rules.wording import listed
from weightaudit.records import Change, DiffResult, Kind, OneSided, Place
from weightaudit.text import plural

MOSTLY = 0.8
"""Share of the changed matrices, of the model or of a role, from which on they are said to be of one kind."""
VECTORS = ("norm or bias", "norms and biases")
"""What has no role, one and several."""
PRECISIONS = ("bfloat16", "float16", "float32", "float64")
"""Coarsest first."""


def changed(result: DiffResult) -> list[Change]:
    """The matrices that differ."""
    return [change for change in result.matrices if change.kind != "unchanged"]


def of_kind(result: DiffResult, *kinds: Kind) -> list[Change]:
    """The matrices of one of ``kinds``."""
    return [change for change in result.matrices if change.kind in kinds]


def prevailing(result: DiffResult, *kinds: Kind, beside: Kind = "unchanged") -> list[Change]:
    """The matrices of ``kinds`` where most changed ones are: in the whole model, else in roles. Those of
    kind ``beside`` are not counted as changed.
    """
    judged = [change for change in changed(result) if change.kind != beside]
    of_these = [change for change in judged if change.kind in kinds]
    if len(of_these) >= MOSTLY * len(judged):
        return of_these
    number = Counter(_role(change) for change in judged)
    own = Counter(_role(change) for change in of_these)
    return [change for change in of_these if own[_role(change)] >= MOSTLY * number[_role(change)]]


def _role(change: Change) -> Hashable:
    return change.place.stack, change.place.role


def named(things: Iterable[Change | OneSided]) -> str:
    """All of them in a few words; vectors by the names of their tensors."""
    things = list(things)
    matrices = [one.place for one in things if one.place.role]
    told = [places(matrices)] if matrices else []
    return listed([*told, *(one.tensors[0] for one in things if not one.place.role)])


def alone(lone: Iterable[OneSided]) -> str:
    """Sentences about what one of the two models has alone."""
    lone = list(lone)
    sides = (("This model", "derived"), ("The base", "base"))
    own = ((which, [one for one in lone if one.side == side]) for which, side in sides)
    return " ".join(f"{which} alone has {named(some)}." for which, some in own if some)


def places(of: Iterable[Place]) -> str:
    """Places of matrices in a few words: "layer 3 Q"; "Q and V of layers 0-5"."""
    of = list(of)
    return of[0].words() if len(of) == 1 else labelled((place, label_of(place)) for place in of)


def counted(some: Sequence[Change], all_of: Sequence[Change], what: str = "changed") -> str:
    """How many, and which: "12 of 14 changed matrices (Q and V of layers 0-5)"."""
    noun = "matrix" if len(all_of) == 1 else "matrices"
    return f"{len(some):,} of {len(all_of):,} {what} {noun}".replace("  ", " ") + f" ({named(some)})"


def nothing_else(result: DiffResult, changes: Collection[Change], *others: Kind) -> bool:
    """Whether all of both models was compared, and but for ``changes`` all is unchanged or of kinds ``others``."""
    keys = {change.place.key for change in changes if change.is_matrix}
    return (
        not result.partial
        and not result.one_sided
        and not any(change.resized for change in result.changes)
        and all(
            change.kind in ("unchanged", *others)
            for change in result.changes
            if not change.is_matrix or change.place.key not in keys
        )
    )


def casts_of(changes: Iterable[Change]) -> list[str]:
    """Ways of rounding of which all ``changes`` are the results: the fewest that tell each, as far as these are known,
    the most common first.
    """
    left = [change.entries.casts for change in changes if change.entries is not None and change.entries.casts]
    found: list[str] = []
    while left:
        found.append(Counter(way for ways in left for way in ways).most_common(1)[0][0])
        left = [ways for ways in left if found[-1] not in ways]
    return found


def cast_of(changes: Iterable[Change]) -> str:
    """The precision to which all of ``changes`` went from a finer one; "" where there is no such."""
    pairs = {
        (change.entries.precision_base, change.entries.precision_derived) if change.entries is not None else ("", "")
        for change in changes
    }
    to = {after for _, after in pairs}
    rank = {name: number for number, name in enumerate(PRECISIONS)}
    coarser = all(before in rank and after in rank and rank[after] < rank[before] for before, after in pairs)
    return to.pop() if len(to) == 1 and coarser else ""


def common(things: Iterable[int]) -> str:
    """Of numbers: the one that there is, or from which to which they go."""
    known = sorted(set(things))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def typical(numbers: Iterable[float]) -> str:
    """Median and largest of ``numbers``: "0.98, at most 1.1"; one number where they look the same."""
    known = sorted(numbers)
    middle, most = f"{median(known):.3g}", f"{known[-1]:.3g}"
    return middle if middle == most else f"{middle} in the median, {most} at most"


def vectors(number: int) -> str:
    """Norms and biases, counted."""
    return plural(number, *VECTORS)

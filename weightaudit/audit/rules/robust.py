"""Which of many values stand out: robust z-scores about a running median, on the log scale.

`outliers` sees intervals of logarithms only; what they are the logarithms of is for `standing_out` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

CONSISTENT = 0.6745
"""Third quartile of the normal distribution: MAD/0.6745 estimates a standard deviation (Iglewicz & Hoaglin 1993)."""
NEIGHBOURS = 2
"""Values on each side that a value is compared to."""
LONG = 12
"""From as many values on, two at each end count as ends; below, one does."""
RARE = 10
"""At most one in ten (or one at all) stands out: more are a pattern, such as every sixth layer of another kind."""
MAX_OUTLIERS = 30
"""And no more than this many, which also bounds the work on a file with very many layers."""


def outliers(
    low: Sequence[float],
    high: Sequence[float],
    *,
    limit: float,
    floor: float,
    end_floor: float | None,
    ordered: bool = True,
) -> dict[int, float]:
    """Index → robust z-score of the values that stand out; {} where so many do that it is a pattern.

    ``low``, ``high``: certified ends of each value's logarithm. Each value is compared to the median of its two
    neighbours on each side where they are ``ordered`` by depth, so that a smooth trend stands out nowhere, and to the
    median of all others where not. z = 0.6745·d/MAD, d the distance from that median to the nearer end, so that a wide
    interval cannot make an outlier; MAD the median distance of the others, and at least ``floor``, or ``end_floor`` for
    the first and last values, whose own kind of layer is nothing odd; None judges those not at all. The farthest is
    taken out first and the rest compared anew, so that one outlier neither makes nor hides another.
    """
    middle = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    ends = _ends(len(middle)) if ordered else set()
    kept = list(range(len(middle)))
    found: dict[int, float] = {}
    while len(kept) > 2:
        reference = _references(middle, kept, ordered)
        score = {}
        for i in kept:
            least = end_floor if i in ends else floor
            if least is not None:
                score[i] = max(low[i] - reference[i], reference[i] - high[i], 0.0) / least
        if not score:
            break
        farthest = max(score, key=score.__getitem__)
        others = [i for i in kept if i != farthest]
        without = _references(middle, others, ordered)
        spread = median([abs(middle[i] - without[i]) for i in others if i not in ends] or [0.0])
        least = end_floor if farthest in ends and end_floor is not None else floor
        z = CONSISTENT * score[farthest] * least / max(spread, least)
        if z <= limit:
            break
        found[farthest] = z
        kept = others
        if len(found) > min(MAX_OUTLIERS, max(1, len(middle) // RARE)):
            return {}
    return dict(sorted(found.items()))


def _ends(count: int) -> set[int]:
    reach = 2 if count >= LONG else 1
    return {*range(reach), *range(count - reach, count)}


def _references(middle: Sequence[float], kept: Sequence[int], ordered: bool) -> dict[int, float]:
    """Each kept index → the median of those it is compared to, itself left out."""
    if not ordered:
        # Leaving one of many out hardly moves their median, and doing it for each would take a sort for each.
        centre = median(middle[i] for i in kept)
        return dict.fromkeys(kept, centre)
    near = {}
    for place, i in enumerate(kept):
        before, after = kept[max(0, place - NEIGHBOURS) : place], kept[place + 1 : place + 1 + NEIGHBOURS]
        near[i] = median(middle[j] for j in (*before, *after))
    return near

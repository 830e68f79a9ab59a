"""The rule for weights that grow beyond all measure, as they do where a run diverges and no entry is infinite yet.

Weights grow in training, those that start small by much, so neither size nor growth tells alone: both must hold.
Entries of about 1 in the root mean square are far from what any initialisation or trained model has in its layers, some
0.01 to 0.2; the change that an adapter makes starts at zero, grows by thousands of times and stays below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from weightaudit.records import Finding
from weightaudit.training.medians import RoleMedian

ID, TITLE = "exploding-weights", "The weights of a role grow beyond all measure"
LARGE = 1.0
"""Root mean square of a matrix's entries, in the median of a role's layers, above which it is large."""
GROWTH = 10.0
"""Times its least value so far, above which it has grown: a model may be made with large weights."""
ADVICE = (
    "The run diverges: go on from a checkpoint of before with a smaller learning rate, a warm-up or clipped gradients."
)


def explosion_findings(stack: str, role: str, medians: Iterable[RoleMedian]) -> list[tuple[int, Finding]]:
    """The first step at which a role's weights are large and have grown, until they are small again."""
    found: list[tuple[int, Finding]] = []
    least, least_step, told = math.inf, 0, False
    for one in medians:
        if not math.isfinite(one.entry):
            continue
        large = one.entry > max(LARGE, GROWTH * least) and least > 0
        if large and not told:
            found.append((one.step, _finding(stack, role, one, least_step, least)))
        told = large
        if 0 < one.entry < least:
            least, least_step = one.entry, one.step
    return found


def _finding(stack: str, role: str, one: RoleMedian, least_step: int, least: float) -> Finding:
    return Finding(
        ID,
        "error",
        TITLE,
        stack=stack,
        role=role,
        value=one.entry,
        threshold=max(LARGE, GROWTH * least),
        advice=ADVICE,
        detail=f"At step {one.step:,} the entries of {f'{stack} {role}'.strip()} are {one.entry:.3g} in the root mean "
        f"square (median over the layers), above {LARGE:g} and {GROWTH:g} times what they were at step "
        f"{least_step:,}: {least:.3g}.",
    )

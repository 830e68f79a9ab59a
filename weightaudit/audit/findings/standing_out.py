"""Layers and experts whose norm or stable rank is unlike that of their neighbours."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from weightaudit.audit.findings.evidence import Evidence
from weightaudit.audit.findings.robust import outliers
from weightaudit.audit.findings.rule import Hit, Rule
from weightaudit.audit.findings.words import where
from weightaudit.records import LayerRow, Spectrum

LEAST = 6
"""Layers of a role, or experts of a layer, below which none stands out."""
LIMIT = 8.0
"""Robust z-score above which a value stands out (dimensionless)."""


@dataclass(frozen=True)
class Quantity:
    """What is compared: its name, its certified ends, and how far values may lie apart (natural logarithms).

    ``floor`` is the least MAD, ``end_floor`` that for the first and last layers, None to leave those alone.
    """

    name: str
    ends: Callable[[Spectrum], tuple[float, float]]
    floor: float
    end_floor: float | None


NORM = Quantity("Frobenius norm", lambda s: (s.frobenius_norm, s.frobenius_norm), floor=0.1, end_floor=0.3)
STABLE_RANK = Quantity("stable rank", lambda s: (s.stable_rank_lower, s.stable_rank), floor=0.2, end_floor=None)


def _standing_out(quantity: Quantity, rule: Rule, evidence: Evidence) -> Iterator[Hit]:
    for rows, ordered in _series(evidence):
        ends = [quantity.ends(row.spectrum) for row in rows]
        low, high = [math.log(a) for a, _ in ends], [math.log(b) for _, b in ends]
        found = outliers(low, high, limit=LIMIT, floor=quantity.floor, end_floor=quantity.end_floor, ordered=ordered)
        for i, z in found.items():
            others = median(math.exp(value) for j, value in enumerate(low) if j not in found)
            peers = "layers of its role" if ordered else "experts of its layer"
            yield rule.of_row(
                rows[i],
                f"The {quantity.name} of {where(rows[i].matrix)} is {ends[i][0]:.4g}; the {len(rows) - 1} other "
                f"{peers} have {others:.4g} in the median. Its robust z-score is {z:.0f}.",
                value=z,
            )


def _series(evidence: Evidence) -> Iterator[tuple[Sequence[LayerRow], bool]]:
    """Rows to be compared with one another, and whether by depth: one role over the layers, or a layer's experts.

    Only matrices of one shape are compared. A layer of experts is no single value and is not compared with others.
    """
    groups: dict[tuple[object, ...], list[LayerRow]] = defaultdict(list)
    for row in evidence.measured:
        matrix = row.matrix
        if matrix.layer is not None:
            layer = None if matrix.expert is None else matrix.layer
            groups[matrix.stack, matrix.role, matrix.shape, layer].append(row)
    for rows in groups.values():
        if len(rows) >= LEAST:
            yield rows, rows[0].matrix.expert is None


_SPREAD = (
    "Robust z-score 0.6745·d/MAD (Iglewicz & Hoaglin 1993) of the logarithm, d the distance of the nearer end of its "
    "interval from the median of the two neighbours on each side (of all experts of the layer, for experts), MAD the "
    "median distance of the others"
)
_CLAIMED = (
    *("nonfinite", "zero-matrix", "dead-rows", "dead-columns", "at-limit", "subnormals"),
    *("near-rank-one", "untrained", "duplicate"),
)

RULES = (
    Rule(
        id="outlier-norm",
        title="A norm unlike that of the other layers",
        severity="warning",
        measures=f"{_SPREAD}, at least {NORM.floor:g} ({NORM.end_floor:g} for the first and last layers). From {LEAST} "
        "matrices of one role and shape on; where more than one in ten stand out, that is a pattern and no finding.",
        threshold=LIMIT,
        source="Of 1,500 generated profiles each of 6 to 48 layers (smooth drift, first and last layers up to 3 times "
        "off, scatter of 5 to 10 %, normal or Student t with 5 degrees) at most 0.2 % have a finding. A layer times 10 "
        "is found in 98 to 100 % of those of 12 layers or more, in half of those of 6. MiniLM-L6 has none.",
        advice="Compare this layer with the checkpoint that it comes from: look for a scale applied twice or left out, "
        "or a layer of another model.",
        check=partial(_standing_out, NORM),
        yields_to=_CLAIMED,
    ),
    Rule(
        id="outlier-stable-rank",
        title="A stable rank unlike that of the other layers",
        severity="warning",
        measures=f"{_SPREAD}, at least {STABLE_RANK.floor:g}. From {LEAST} matrices of one role and shape on, the "
        "first and last layers not judged; where more than one in ten stand out, that is a pattern and no finding.",
        threshold=LIMIT,
        source="Of 1,500 generated profiles each of 6 to 48 layers (smooth drift, first and last layers up to 10 times "
        "off) at most 0.2 % have a finding where the scatter is 10 to 20 %, 0.9 % where it is 40 %. A stable rank "
        "divided by 20 is found in 84 to 100 % of those of 12 layers or more at 10 to 20 % scatter, in a third at 40 %."
        " MiniLM-L6 has none.",
        advice="Look at the layer's leading singular values (--spectrum): a low rank is a collapse or a large "
        "update in few directions, a high one weights that lost their structure.",
        check=partial(_standing_out, STABLE_RANK),
        yields_to=(*_CLAIMED, "outlier-norm"),
    ),
)

"""Layers and experts whose norm or stable rank is unlike that of their neighbours."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.needs import Unmet, every_matrix
from weightaudit.audit.rules.robust import outliers
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import where
from weightaudit.records import LayerRow, Spectrum

MIN_LAYERS = 6
"""Layers of a role, or experts of a layer, below which none stands out."""
Z_THRESHOLD = 8.0
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


def _standing_out(quantity: Quantity, rule: Rule, context: RuleContext) -> Iterator[Match]:
    for points, peers, ordered in _series(context):
        ends = [_ends(quantity, rows) for rows in points]
        low, high = [math.log(a) for a, _ in ends], [math.log(b) for _, b in ends]
        found = outliers(
            low, high, limit=Z_THRESHOLD, floor=quantity.floor, end_floor=quantity.end_floor, ordered=ordered
        )
        for i, z in found.items():
            others = median(ends[j][0] for j in range(len(ends)) if j not in found)
            rows = points[i]
            name = where(replace(rows[0].matrix, expert=None)) if len(rows) > 1 else where(rows[0].matrix)
            name += f" (median of {len(rows):,} experts)" if len(rows) > 1 else ""
            yield rule.of_rows(
                rows,
                f"The {quantity.name} of {name} is {ends[i][0]:.4g}; the {len(points) - 1:,} other {peers} have "
                f"{others:.4g} in the median. Its robust z-score is {z:.0f}.",
                value=z,
            )


def _close_ends(quantity: Quantity, context: RuleContext) -> Iterator[Unmet]:
    """That both ends of an interval lie closer than values that do not stand out may."""
    layered = [row for row in context.measured if row.matrix.layer is not None]
    wide = [row for row in layered if math.log(_width(*quantity.ends(row.spectrum))) > quantity.floor]
    if wide:
        yield Unmet(
            f"The intervals of {len(wide):,} of {len(layered):,} matrices are too wide. Scan with a smaller --tol.",
            partly=len(wide) < len(layered),
        )


def _width(low: float, high: float) -> float:
    return high / low if low > 0 else math.inf


def _enough_layers(context: RuleContext) -> Iterator[Unmet]:
    """That so many layers were measured as are compared, where the model has so many."""
    if not context.restricted:
        return
    layers: dict[tuple[object, ...], set[int]] = defaultdict(set)
    for matrix in context.map.matrices:
        if matrix.layer is not None:
            layers[matrix.stack, matrix.role, matrix.shape, matrix.expert is None].add(matrix.layer)
    comparable = any(len(numbers) >= MIN_LAYERS for numbers in layers.values())
    if comparable and not any(True for _ in _series(context)):
        yield Unmet(f"--roles or --layers left fewer than the {MIN_LAYERS} layers of a role that it takes.")


def _ends(quantity: Quantity, rows: Sequence[LayerRow]) -> tuple[float, float]:
    """Both ends of the quantity, the median over ``rows``."""
    ends = [quantity.ends(row.spectrum) for row in rows]
    if len(ends) == 1:
        return ends[0]
    return median(low for low, _ in ends), median(high for _, high in ends)


def _series(context: RuleContext) -> Iterator[tuple[Sequence[Sequence[LayerRow]], str, bool]]:
    """What to compare with one another, what it is called, and whether by depth; only matrices of one shape are.

    One role over the layers, where the experts of a layer together are one value; and the experts of each layer.
    """
    roles: dict[tuple[object, ...], dict[int, list[LayerRow]]] = defaultdict(lambda: defaultdict(list))
    for row in context.measured:
        matrix = row.matrix
        if matrix.layer is not None:
            roles[matrix.stack, matrix.role, matrix.shape, matrix.expert is None][matrix.layer].append(row)
    for layers in roles.values():
        if len(layers) >= MIN_LAYERS:
            yield list(layers.values()), "layers of its role", True
        for rows in layers.values():
            if len(rows) >= MIN_LAYERS:
                yield [[row] for row in rows], "experts of its layer", False


_SPREAD = (
    "Robust z-score 0.6745·d/MAD (Iglewicz & Hoaglin 1993) of the logarithm, d the distance of the nearer end of its "
    "interval from the median of the two neighbours on each side, MAD the median distance of the others"
)
_WHICH = (
    f"From {MIN_LAYERS} layers with matrices of one role and shape on; experts beside all others of their layer too, "
    "and by depth in the median. Where more than one in ten stand out, that is a pattern and no finding."
)
_SUPPRESSED_BY = (
    *("nonfinite", "zero-matrix", "dead-rows", "dead-columns", "at-limit", "subnormals"),
    *("rank-collapse", "near-rank-one", "magnitude", "untrained-model", "untrained", "duplicate"),
)

RULES = (
    Rule(
        id="outlier-norm",
        title="A norm unlike that of the other layers",
        severity="warning",
        measures=f"{_SPREAD}, at least {NORM.floor:g} ({NORM.end_floor:g} for the first and last layers). {_WHICH}",
        threshold=Z_THRESHOLD,
        source="Of 1,500 generated profiles each of 6 to 48 layers (smooth drift, first and last layers up to 3 times "
        "off, scatter of 5 to 10 %, normal or Student t with 5 degrees) at most 0.2 % have a finding. A layer times 10 "
        "is found in 98 to 100 % of those of 12 layers or more, in half of those of 6. MiniLM-L6 has none.",
        advice="Compare this layer with the checkpoint that it comes from: look for a scale applied twice or left out, "
        "or a layer of another model.",
        check=partial(_standing_out, NORM),
        needs=(every_matrix, _enough_layers),
        suppressed_by=_SUPPRESSED_BY,
    ),
    Rule(
        id="outlier-stable-rank",
        title="A stable rank unlike that of the other layers",
        severity="warning",
        measures=f"{_SPREAD}, at least {STABLE_RANK.floor:g}. The first and last layers are not judged. {_WHICH}",
        threshold=Z_THRESHOLD,
        source="Of 1,500 generated profiles each of 6 to 48 layers (smooth drift, first and last layers up to 10 times "
        "off) at most 0.2 % have a finding where the scatter is 10 to 20 %, 0.9 % where it is 40 %. A stable rank "
        "divided by 20 is found in 84 to 100 % of those of 12 layers or more at 10 to 20 % scatter, in a third at 40 %."
        " MiniLM-L6 has none.",
        advice="Look at the layer's leading singular values (--spectrum): a low rank is a collapse or a large "
        "update in few directions, a high one weights that lost their structure.",
        check=partial(_standing_out, STABLE_RANK),
        needs=(every_matrix, _enough_layers, partial(_close_ends, STABLE_RANK)),
        suppressed_by=(*_SUPPRESSED_BY, "outlier-norm"),
    ),
)

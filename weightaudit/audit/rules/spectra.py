"""Spectra that no healthy model has: one direction holding nearly everything, norms apart by an order."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from weightaudit.audit.aggregates import norm_ratios
from weightaudit.audit.rules.context import TOKEN_ROLES, RuleContext
from weightaudit.audit.rules.needs import Unmet, every_matrix
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed, where
from weightaudit.records import OTHER, LayerRow
from weightaudit.text import printable

LEAST_SIDE = 16
"""Rows and columns that a matrix needs for its rank to mean something."""
NEARLY_ONE = 1.05
"""Stable rank up to which a matrix is nearly of rank one."""
LEAST_LAYERS = 3
"""Layers for a median that one bad layer does not move."""
COLLAPSED = 1.5
"""Stable rank up to which one direction holds at least two thirds of a matrix's energy."""
WIDE = 64
"""Rows and columns of a matrix in which that is no chance of a small one."""
MANY_LAYERS, MOSTLY = 4, 0.5
"""Layers of a role, and share of its layers, from which on their collapse is one of the model."""


def _wide_of_layers(context: RuleContext) -> list[LayerRow]:
    """What may collapse."""
    return [row for row in context.measured if row.matrix.layer is not None and min(row.matrix.shape) >= WIDE]


def _large_maps(context: RuleContext) -> list[LayerRow]:
    """What may have nearly rank one: all but tables, and small ones."""
    tables = (*TOKEN_ROLES, OTHER)  # what is of no known role may be one
    return [row for row in context.measured if min(row.matrix.shape) >= LEAST_SIDE and row.matrix.role not in tables]


def _collapse(rule: Rule, context: RuleContext) -> Iterator[Match]:
    layered = _wide_of_layers(context)
    roles: dict[tuple[str, str, str], list[LayerRow]] = defaultdict(list)
    for row in layered:
        roles[row.matrix.place.population].append(row)
    collapsed: dict[str, list[tuple[str, list[LayerRow], int]]] = defaultdict(list)
    for (stack, role, _), rows in roles.items():
        low = [row for row in rows if row.spectrum.stable_rank <= COLLAPSED]
        if len({row.matrix.layer for row in low}) >= MANY_LAYERS and len(low) >= MOSTLY * len(rows):
            collapsed[stack].append((role, low, len(rows)))
    for stack, found in collapsed.items():
        those = [row for _, low, _ in found for row in low]
        said = listed(f"{len(low):,} of {of:,} {role}" for role, low, of in found)
        ranks = median(row.spectrum.stable_rank for row in those)
        told = {row.matrix.key for row in those}
        others = [row.spectrum.stable_rank for row in layered if row.matrix.key not in told]
        beside = f"; the other matrices of layers have {median(others):.4g}" if others else ""
        where_ = f" of {printable(stack)} layers" if stack else " of layers"
        yield rule.of_rows(
            those,
            f"One direction holds at least two thirds of the energy of {said}{where_}: the stable rank of these is "
            f"{ranks:.4g} in the median{beside}.",
            value=ranks,
        )


def _near_rank_one(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for row in _large_maps(context):
        rank = row.spectrum.stable_rank
        if rule.threshold is not None and rank <= rule.threshold:
            least, most = math.floor(1000 / rank) / 1000, math.ceil(1e4 * rank) / 1e4
            yield rule.of_row(
                row,
                f"One direction of {where(row.matrix)} holds at least {least:.1%} of its energy: the stable rank is "
                f"at most {most:.4f}, of {min(row.matrix.shape):,}.",
                value=rank,
            )


def _told_apart(
    threshold: float, looked_at: Callable[[RuleContext], list[LayerRow]], context: RuleContext
) -> Iterator[Unmet]:
    """That no interval of what is ``looked_at`` has the ``threshold`` inside."""
    judged = [row.spectrum for row in looked_at(context)]
    undecided = [one for one in judged if one.stable_rank_lower <= threshold < one.stable_rank]
    if undecided:
        yield Unmet(
            f"The stable ranks of {len(undecided):,} of {len(judged):,} matrices may be above {threshold:g} or below. "
            "Scan with a smaller --tol.",
            partly=len(undecided) < len(judged),
        )


def _enough_layers(context: RuleContext) -> Iterator[Unmet]:
    """That so many layers were measured as are needed for a median, where the model has so many."""
    if context.restricted and len(norm_ratios(context.rows)) < LEAST_LAYERS:
        yield Unmet(f"--roles or --layers left fewer than {LEAST_LAYERS} layers with QKV, M1 and M2.")


def _norm_preservation(rule: Rule, context: RuleContext) -> Iterator[Match]:
    told = {row.matrix.place.module for row in context.rows if ("matrix", row.matrix.key) in context.suppressed}
    rows = [row for row in context.rows if row.matrix.layer is not None and row.matrix.place.module not in told]
    ratios = norm_ratios(rows)
    if rule.threshold is not None and len(ratios) >= LEAST_LAYERS and median(ratios) > rule.threshold:
        yield rule.of_model(
            f"The largest of the Frobenius norms of QKV, M1 and M2 is {median(ratios):.1f} times the smallest in the "
            f"median of {len(ratios):,} layers.",
            value=median(ratios),
        )


RULES = (
    Rule(
        id="rank-collapse",
        title="Stable ranks that collapsed over many layers",
        severity="warning",
        measures=f"The upper end of the stable rank of matrices of layers with at least {WIDE} rows and columns: a "
        f"role of which at least {MANY_LAYERS} layers, and {MOSTLY:.0%} of all that were measured, are at the "
        "threshold or below. All such roles of a stack are one finding.",
        threshold=COLLAPSED,
        source="Of the roles of MiniLM-L6, SmolLM2-135M and a chemical ALBERT no layer comes that low: the least is "
        "3.9 (Q of the first layer of SmolLM2-135M), the least median of a role 24 (M2 of MiniLM-L6). Of 200,000 drawn "
        "roles each of 4 to 30 layers (Student t with 5 degrees, the widest scatter measured, 0.51 of the logarithm) "
        "none has it around a median of 24 or 10, at most 3 around 5.",
        advice="Training has driven these layers to one direction, or something has put one beside the weights: look "
        "at weight decay and learning rate, at a merge or an adapter of too large a scale, and compare with an earlier "
        "checkpoint. Such layers can be stored as thin factors, if the model is as good as it should be.",
        check=_collapse,
        needs=(every_matrix, partial(_told_apart, COLLAPSED, _wide_of_layers)),
        suppressed_by=("at-limit", "magnitude"),
    ),
    Rule(
        id="near-rank-one",
        title="A matrix of nearly rank one",
        severity="warning",
        measures="The upper end of the stable rank of matrices other than tables of tokens or positions, with at least "
        f"{LEAST_SIDE} rows and columns.",
        threshold=NEARLY_ONE,
        source="At 1.05 one direction holds 95 % of the energy. The lowest we measured in trained layers is 9.9 "
        "(MiniLM-L6) and 14.5 (an ALBERT); embeddings, whose rows share a mean, come down to 1.97 and are left out.",
        advice="Look for a collapsed run, a constant fill, or an outer product in the place of the weights.",
        check=_near_rank_one,
        needs=(every_matrix, partial(_told_apart, NEARLY_ONE, _large_maps)),
        suppressed_by=("at-limit", "magnitude", "rank-collapse"),
    ),
    Rule(
        id="norm-preservation",
        title="Norms within a layer are not of one order",
        severity="info",
        measures="The largest over the smallest Frobenius norm of QKV, M1 and M2 in a layer; the median over at least "
        f"{LEAST_LAYERS} layers.",
        threshold=10.0,
        source="The paper that this tool follows observes the three of one order in all the models it measures. "
        "MiniLM-L6 has 1.5.",
        advice="Nothing by itself. Where other models of the family have it near 1, look for a scale left in or out by "
        "a conversion.",
        check=_norm_preservation,
        needs=(every_matrix, _enough_layers),
        suppressed_by=("magnitude",),
    ),
)

"""Largest entries in one output channel of many layers: single numbers that a model depends on."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.records import LayerRow, Peak
from weightaudit.text import ranges

LEAST_LAYERS = 4
"""Layers whose largest entries share a channel, at least."""
SHARE = 1 / 3
"""Share of the layers that these are more than."""
OUTLYING = 10.0
"""How many times the root mean square an entry must be; the largest of ten million normal ones is 5.3 times."""


def _same_channel(rule: Rule, context: RuleContext) -> Iterator[Match]:
    layers: dict[str, list[LayerRow]] = defaultdict(list)
    for row in context.measured:
        if row.matrix.key in context.peaks:
            layers[row.matrix.stack].append(row)
    for rows in layers.values():
        channels = Counter(_peak(context, row).row for row in rows if _outlying(row) >= OUTLYING)
        if not channels:
            continue
        channel, count = channels.most_common(1)[0]
        if count < LEAST_LAYERS or count <= SHARE * len(rows):
            continue
        those = [row for row in rows if _peak(context, row).row == channel and _outlying(row) >= OUTLYING]
        most = max(those, key=_outlying)
        numbers = ranges([row.matrix.layer for row in those if row.matrix.layer is not None])
        yield rule.of_rows(
            those,
            f"The largest entry of M2 lies in output channel {channel:,} in {count:,} of {len(rows):,} layers "
            f"({numbers}). The most outlying is that of layer {most.matrix.layer} at input "
            f"{_peak(context, most).col:,}: {_outlying(most):.0f} times the root mean square of its matrix.",
            value=count / len(rows),
        )


def _peak(context: RuleContext, row: LayerRow) -> Peak:
    return context.peaks[row.matrix.key]


def _outlying(row: LayerRow) -> float:
    """The largest entry over the root mean square of all."""
    rows, cols = row.matrix.shape
    return row.spectrum.max_abs * math.sqrt(rows * cols) / row.spectrum.frobenius_norm


RULES = (
    Rule(
        id="super-weight",
        title="Largest entries in one output channel over many layers",
        severity="info",
        measures="The output channel of the largest entry of M2 in each layer, where that entry is at least "
        f"{OUTLYING:g} times the root mean square: the share of layers that have the commonest. From {LEAST_LAYERS} "
        "such layers on; experts are not looked at.",
        threshold=SHARE,
        source="SmolLM2-135M has channel 507 in 24 of 30 layers (entries of 12 to 30 times the root mean square), "
        "MiniLM-L6 channel 99 in 4 of 6 (79 to 175 times). On the former, one such entry set to zero was reported to "
        "raise the loss by 3.5. Channels drawn at random reach it in 8 of 200,000 models of 12 layers of width "
        "64, in none of 12 layers of width 768.",
        advice="Nothing is wrong. But a few numbers may carry much of the model: keep these entries when pruning, keep "
        "the channel in higher precision when quantising, and compare the loss before and after.",
        check=_same_channel,
        suppressed_by=("untrained-model", "untrained", "magnitude"),
    ),
)

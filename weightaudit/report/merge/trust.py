"""What the numbers of a merge check are worth: said wherever they are shown.

The figures are those of the experiment ``weightaudit paper transfer``, whose report is in reports/paper/transfer; a
test holds them against it.
"""

from __future__ import annotations

SETS = 12
SPEARMAN, LEAST, MOST = 0.54, 0.36, 0.81
COSINE, OPPOSED = 0.13, -0.16
SIDES = 72
"""Percent of pairs."""
AUC, POOLED, AUC_OF_SIZES = 0.78, 0.52, 0.72
SUGGESTED, SUM, HALF = 0.28, 0.32, 0.30
"""Mean shares of the gain that are lost."""

TRUST = (
    f"D ranks models, and the two sides of a pair, within one recipe, and moderately: over {SETS} sets of small "
    f"fine-tuned transformers its rank correlation with what a sum lost was {SPEARMAN:.2f} on average ({LEAST:.2f} to "
    f"{MOST:.2f}; cosine {COSINE:.2f}, sign conflict {OPPOSED:.2f}), and it told the side that lost more in {SIDES} % "
    f"of pairs. Over models made in different ways it said nothing (AUC {POOLED:.2f}): do not compare adapters with "
    "whole fine-tunes. A small D does not mean safe. Merge, then evaluate."
)
WHY = (
    "These numbers are computed from weights alone. What they are worth was measured on models small enough to be "
    "trained, merged and evaluated by the hundred: fine-tunes of one base on tasks of their own, whole, with weight "
    "decay, three times as long, and by adapters, merged in all pairs; and networks in the source paper's own setting "
    "(weightaudit paper transfer; docs/merge-check.md has the table).",
    f"Within a set of models made alike, D told which of them lose more than a quarter of what they had gained with an "
    f"AUC of {AUC:.2f}; the mere ratio of the updates' sizes did with {AUC_OF_SIZES:.2f}, cosine and sign conflict "
    f"hardly at all. Over all recipes together D's AUC was {POOLED:.2f}, a coin's. At the suggested weights "
    f"{SUGGESTED:.2f} of the gain was lost on average, at weights of 1 {SUM:.2f}, at one half {HALF:.2f}; of adapters "
    "one half lost less than both.",
    "What D cannot see: whether two tasks contradict each other on the same inputs, what a nonlinearity makes of it, "
    "and which matrices do the damage. Nothing here was measured on models of billions of parameters.",
)

"""What can be said of a merge beforehand, judged over sets of models that were made alike.

The source argues that a sum keeps a task where the other weights do little on its activations, and measures it on small
networks (section 6.2). Whether the number that weights alone give for that predicts what is lost, is asked here. All
thresholds were fixed after trials with one other seed, before the seeds that are reported were run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from weightaudit.paper.judging import LEVEL, Spread, above, all_of, below, spread
from weightaudit.paper.results import Claim, Numbers
from weightaudit.paper.transfer.predictors import PREDICTORS
from weightaudit.paper.transfer.scores import LOST, SetScores

SOURCE = "Section 6.2, of trained models"
PREDICTS = 0.3
"""Correlation from which on a number predicts at all."""
CHANCE = 0.3
"""Correlation up to which it is as good as chance."""
TELLS = 0.65
"""Area under the curve from which on it tells who loses much."""
SIDES = 0.6
"""Share of pairs of which it tells the side that loses more."""
_JUDGED = (
    f"true where the {LEVEL:.0%} Student interval over sets (recipe × seed) lies on that side, false where on the "
)
_JUDGED += "other"


def claims(scores: Sequence[SetScores], pooled: dict[int, float]) -> tuple[Claim, ...]:
    """Every claim; ``pooled`` is the area under D's curve over all recipes of the transformers, by seed."""
    tuned = [one for one in scores if one.part == "transformers"]
    sums = [one for one in scores if one.part == "sums"]
    return (
        _predicts("disturbance-predicts", "disturbance D", "disturbance", tuned, "fine-tunes of one base"),
        _predicts("first-layer-predicts-sums", "D of the first layer", "first_layer", sums, "networks of the source"),
        _predicts("contamination-predicts-sums", "contamination κ", "contamination", sums, "networks of the source"),
        _beyond_cosine(tuned),
        _by_chance("cosine", "cosine of two updates", tuned),
        _by_chance("opposed", "share of signs in conflict", tuned),
        _tells(tuned),
        _sides(tuned),
        _pooled(tuned, pooled),
        _suggested(tuned),
    )


def _correlations(scores: Iterable[SetScores], name: str) -> Spread:
    return spread([one.by[name].correlation for one in scores])


def _predicts(id: str, what: str, name: str, scores: Sequence[SetScores], of: str) -> Claim:
    found = _correlations(scores, name)
    return Claim(
        id=id,
        text=f"Before {of} are added up, the {what} tells which of them lose more of what they had gained.",
        source=SOURCE,
        numbers={**found.numbers("Spearman"), **_by_set(scores, name), **_of_others(scores)},
        tolerance=f"the mean of Spearman's correlation with the share lost is above {PREDICTS:g}; {_JUDGED}",
        outcome=above(found, PREDICTS),
        why=f"Spearman {found} over {found.draws} sets",
    )


def _beyond_cosine(scores: Sequence[SetScores]) -> Claim:
    found = spread([one.beyond_cosine[0] for one in scores])
    clear = sum(one.beyond_cosine[1] > 0.0 for one in scores)
    return Claim(
        id="disturbance-beyond-cosine",
        text="It tells more than the cosine of the two updates does.",
        source=SOURCE,
        numbers={**found.numbers("difference of correlations"), "sets whose own interval is above 0": clear},
        tolerance=f"the mean difference is above 0; {_JUDGED}",
        outcome=above(found, 0.0),
        why=f"by {found}; in {clear} of {len(scores)} sets the set's own interval lies above 0",
    )


def _by_chance(name: str, what: str, scores: Sequence[SetScores]) -> Claim:
    found = _correlations(scores, name)
    return Claim(
        id=f"{name}-predicts-not",
        text=f"The {what} says next to nothing of what is lost.",
        source=SOURCE,
        numbers={**found.numbers("Spearman"), **_by_set(scores, name)},
        tolerance=f"the mean of Spearman's correlation lies between {-CHANCE:g} and {CHANCE:g}; {_JUDGED}",
        outcome=all_of([below(found, CHANCE), above(found, -CHANCE)]),
        why=f"Spearman {found} over {found.draws} sets",
    )


def _tells(scores: Sequence[SetScores]) -> Claim:
    found = spread([one.by["disturbance"].auc for one in scores])
    others = {name: spread([one.by[name].auc for one in scores]) for name in ("cosine", "opposed", "size_ratio")}
    numbers: Numbers = dict(found.numbers("AUC"))
    for name, other in others.items():
        numbers |= other.numbers(f"AUC of {name}")
    return Claim(
        id="disturbance-tells-who-loses-much",
        text=f"Within a recipe D tells which models lose more than {LOST:.0%} of their gain.",
        source=SOURCE,
        numbers=numbers,
        tolerance=f"the mean area under its curve is above {TELLS:g}; {_JUDGED}",
        outcome=above(found, TELLS),
        why=f"AUC {found}; cosine {others['cosine']}, sign conflict {others['opposed']}, size ratio "
        f"{others['size_ratio']}",
    )


def _sides(scores: Sequence[SetScores]) -> Claim:
    found = spread([one.side for one in scores])
    return Claim(
        id="disturbance-tells-the-side",
        text="Of a pair D tells which of the two loses more.",
        source=SOURCE,
        numbers={**found.numbers("share of pairs"), "by set": [one.side for one in scores]},
        tolerance=f"the mean share of pairs told right is above {SIDES:g}; {_JUDGED}",
        outcome=above(found, SIDES),
        why=f"right in {found} of the pairs",
    )


def _pooled(scores: Sequence[SetScores], pooled: dict[int, float]) -> Claim:
    within = {
        seed: float(np.nanmean([one.by["disturbance"].auc for one in scores if one.seed == seed])) for seed in pooled
    }
    found = spread([pooled[seed] - within[seed] for seed in pooled])
    return Claim(
        id="recipes-do-not-compare",
        text="D of models that were made by other recipes is not to be compared: over all recipes it tells less.",
        source=SOURCE,
        numbers={
            **found.numbers("AUC over all recipes less the mean within"),
            "over all": [*pooled.values()],
            "within": [*within.values()],
        },
        tolerance=f"the mean difference over seeds is below 0; {_JUDGED.replace('sets (recipe × seed)', 'seeds')}",
        outcome=below(found, 0.0),
        why=f"AUC over all recipes less the mean within: {found}",
    )


def _suggested(scores: Sequence[SetScores]) -> Claim:
    over = {way: spread([one.lost["suggested"] - one.lost[way] for one in scores]) for way in ("sum", "half")}
    numbers: Numbers = {}
    for way, found in over.items():
        numbers |= found.numbers(f"share lost at suggested weights less at {way}")
    for way in ("sum", "half", "suggested"):
        numbers |= {f"mean share lost, {way}": [one.lost[way] for one in scores]}
    return Claim(
        id="suggested-weights-lose-less",
        text="At the weights that disturb a pair the least, less is lost than at 1 and 1, and than at 0.5 and 0.5.",
        source=SOURCE,
        numbers=numbers,
        tolerance=f"the mean share lost is below that at either; {_JUDGED}",
        outcome=all_of([below(found, 0.0) for found in over.values()]),
        why=f"against 1 and 1: {over['sum']}; against 0.5 and 0.5: {over['half']}",
    )


def _of_others(scores: Sequence[SetScores]) -> Numbers:
    """What each predictor comes to, the one of the claim among them."""
    return {f"Spearman of {label}: mean": _correlations(scores, name).mean for name, label in PREDICTORS.items()}


def _by_set(scores: Sequence[SetScores], name: str) -> Numbers:
    return {
        "set": [f"{one.name}, seed {one.seed}" for one in scores],
        "Spearman": [one.by[name].correlation for one in scores],
        "lower end": [one.by[name].low for one in scores],
        "upper end": [one.by[name].high for one in scores],
    }

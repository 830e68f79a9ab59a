"""The source's four hypotheses of merging (section 6.2), and two of its remarks, judged from draws.

Its words "nearly as well", "poorly" and "much smaller" are made decidable here by numbers of ours, fixed before the
experiments were run, though after first small trials. A draw counts by the mean over the two networks of a pair.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from weightaudit.paper.figure3.merging import MergingConfig
from weightaudit.paper.judging import LEVEL, Spread, above, all_of, below, spread
from weightaudit.paper.results import Claim, Numbers, Outcome

ORTHOGONAL, NEAR = "orthogonal inputs", "nearly orthogonal inputs"
OTHER_LABELS, SAME_TASK = "same inputs, other labels", "same task, another start"

CHANCE = math.log(2)
"""Loss of f = 0."""
WELL = 0.95
"""Kept share from which a merged network works nearly as well. The kept share is (ln 2 − its loss) / (ln 2 − the own
network's loss): of what training has gained over f = 0, what is left after merging."""
POORLY = 0.5
"""Kept share below which a merged network works poorly."""
LOW = 0.1
"""Stable rank over full rank that is much smaller. An i.i.d. random square matrix has 1/4."""
LEARNT = 0.1
"""A network whose loss is not this share below ln 2 has not learnt its task, and nothing can be kept of it."""

_JUDGED = f"true where the {LEVEL:.0%} Student interval over the draws lies on that side, false where on the other"


def claims(points: pd.DataFrame, config: MergingConfig, *, dimension: int, source: str) -> tuple[Claim, ...]:
    """Every claim, from `merging.merge_all`'s rows. ``dimension`` is that of the inputs."""
    there = set(points["pair"])
    found = [_works(points, config, ORTHOGONAL, source)]
    if NEAR in there:
        found.append(_works(points, config, NEAR, source))
    found += [
        _fails(points, config, OTHER_LABELS, source),
        _fails(points, config, SAME_TASK, source),
        _needs_decay(points, config, source),
        _low_stable_rank(points, config, dimension, source),
        _not_average(points, config, source),
    ]
    return tuple(found)


def notes(points: pd.DataFrame, config: MergingConfig) -> tuple[str, ...]:
    """Networks that have not learnt their task, and training that diverged."""
    final = points[points["step"] == config.steps]
    idle = final[~(final["own_loss"] < (1 - LEARNT) * CHANCE)]
    found = []
    if len(idle):
        where = ", ".join(f"{count} at λ = {decay:g}" for decay, count in idle.groupby("lambda").size().items())
        found.append(
            f"Networks that have not learnt their own task ({where}, counted once a pair) are marked, and left out of "
            "the shares kept."
        )
    lost = int((~np.isfinite(final["own_loss"])).sum())
    if lost:
        found.append(f"The training of {lost} networks diverged; a smaller step size may help.")
    return tuple(found)


def kept(rows: pd.DataFrame, model: str) -> pd.Series[float]:
    """Kept share of ``model`` ("sum", "average") on each row's task; NaN where the own network has not learnt it."""
    gained = CHANCE - rows["own_loss"]
    shares: pd.Series[float] = (CHANCE - rows[f"{model}_loss"]) / gained.where(gained > LEARNT * CHANCE)
    return shares


def gap(rows: pd.DataFrame, model: str) -> pd.Series[float]:
    """Loss of ``model`` minus the own network's."""
    gaps: pd.Series[float] = rows[f"{model}_loss"] - rows["own_loss"]
    return gaps


def at(points: pd.DataFrame, pair: str, decay: float, step: int) -> pd.DataFrame:
    """The rows of a pair's networks at that λ and step, all draws."""
    rows: pd.DataFrame = points[(points["pair"] == pair) & (points["lambda"] == decay) & (points["step"] == step)]
    return rows


def by_draw(values: pd.Series[float], rows: pd.DataFrame) -> np.ndarray:
    """Mean over the two networks of the pair, one value a draw; NaN where one of them has none."""
    _, of = np.unique(rows["draw"].to_numpy(), return_inverse=True)
    means: np.ndarray = np.bincount(of, values.to_numpy(np.float64)) / np.bincount(of)
    return means


def _kept(rows: pd.DataFrame, model: str = "sum") -> Spread:
    """What ``model`` keeps, over the draws."""
    return spread(by_draw(kept(rows, model), rows))


def _wider(rows: pd.DataFrame, reference: pd.DataFrame) -> Spread:
    """By how much the sum's gap is wider than at the ``reference``, paired over draws."""
    return spread(by_draw(gap(rows, "sum"), rows) - by_draw(gap(reference, "sum"), reference))


def _works(points: pd.DataFrame, config: MergingConfig, pair: str, source: str) -> Claim:
    rows = at(points, pair, config.decay, config.steps)
    shares = _kept(rows)
    name = "orthogonal" if pair == ORTHOGONAL else "nearly-orthogonal"
    first = _first_working(points, config, pair)
    return Claim(
        id=f"sum-works-{name}",
        text=f"Adding the weights of networks trained on tasks with {pair} gives a network that does nearly as well on "
        "both tasks.",
        source=f"{source}, hypothesis 1",
        numbers={"λ": config.decay, **_numbers(rows, shares), "works from step": first},
        tolerance=f"the kept share of the sum is above {WELL:g} at the end, at λ = {config.decay:g}; {_JUDGED}",
        outcome=above(shares, WELL),
        why=f"the sum keeps {shares} of what its parts had gained; {_losses(rows)}",
    )


def _fails(points: pd.DataFrame, config: MergingConfig, pair: str, source: str) -> Claim:
    rows, reference = (at(points, one, config.decay, config.steps) for one in (pair, ORTHOGONAL))
    shares, wider = _kept(rows), _wider(rows, reference)
    told = {
        OTHER_LABELS: ("other-labels", "on the same inputs with different labels", "hypothesis 2"),
        SAME_TASK: ("same-task", "on the very same task from different starts", "hypothesis 2, taken literally"),
    }
    name, what, which = told[pair]
    return Claim(
        id=f"sum-fails-{name}",
        text=f"Adding the weights of two networks trained {what} gives one that does poorly.",
        source=f"{source}, {which}",
        numbers={"λ": config.decay, **_numbers(rows, shares), **wider.numbers("gap beyond that of orthogonal inputs")},
        tolerance=f"the kept share of the sum is below {POORLY:g} at the end, at λ = {config.decay:g}, and its gap in "
        f"loss above that on orthogonal inputs (paired over draws); {_JUDGED}",
        outcome=all_of([below(shares, POORLY), above(wider, 0)]),
        why=f"the sum keeps {shares} of what its parts had gained; {_losses(rows)}",
    )


def _needs_decay(points: pd.DataFrame, config: MergingConfig, source: str) -> Claim:
    without, with_decay = (at(points, ORTHOGONAL, decay, config.steps) for decay in (0.0, config.decay))
    bare, decayed, closed = _kept(without), _kept(with_decay), _wider(without, with_decay)
    leaks = {state: _leaks(rows) for state, rows in (("without decay", without), ("with decay", with_decay))}
    final = points[(points["pair"] == ORTHOGONAL) & (points["step"] == config.steps)]
    gaps = [spread(by_draw(gap(rows, "sum"), rows)) for _, rows in final.groupby("lambda")]
    return Claim(
        id="weight-decay-enables",
        text="Without enough weight decay the sum is clearly worse than its parts; with it, it is not.",
        source=f"{source}, hypothesis 3",
        numbers={
            **bare.numbers("kept share without decay"),
            **decayed.numbers("kept share with decay"),
            **closed.numbers("gap without decay minus gap with"),
            "λ": [float(decay) for decay in sorted(set(final["lambda"]))],
            "gap by λ: mean": [one.mean for one in gaps],
            "gap by λ: standard deviation": [one.sd for one in gaps],
            **_by_layer("leaks", leaks),
        },
        tolerance=f"at the end, on orthogonal inputs: the kept share of the sum is below {WELL:g} at λ = 0 and above "
        f"it at λ = {config.decay:g}, and the gap at λ = 0 is the wider (paired over draws); {_JUDGED}",
        outcome=all_of([below(bare, WELL), above(decayed, WELL), above(closed, 0)]) if config.decay else "inconclusive",
        why=f"kept without decay {bare}, with {decayed}; the gap closes by {closed}; to each layer's output "
        f"the other network adds in norm {_listed(leaks['without decay'])} of it without decay, "
        f"{_listed(leaks['with decay'])} with",
    )


def _leaks(rows: pd.DataFrame) -> list[Spread]:
    """What the other network adds to each layer, from the first on."""
    return [spread(by_draw(rows[name], rows)) for name in rows.columns if name.startswith("leak_")]


def _by_layer(what: str, states: Mapping[str, list[Spread]]) -> Numbers:
    """The means over draws in each state, layer by layer, then the standard deviations."""
    means: Numbers = {f"{what} {state}: mean": [one.mean for one in found] for state, found in states.items()}
    return means | {f"{what} {state}: standard deviation": [one.sd for one in found] for state, found in states.items()}


def _listed(found: list[Spread]) -> str:
    return ", ".join(map(str, found))


def _low_stable_rank(points: pd.DataFrame, config: MergingConfig, dimension: int, source: str) -> Claim:
    widths = (dimension, *[config.width] * config.hidden_layers)
    full = [min(pair) for pair in itertools.pairwise(widths)]  # the last matrix is a row, of rank one
    states = {
        "at the start": at(points, ORTHOGONAL, config.decay, 0),
        "without decay": at(points, ORTHOGONAL, 0.0, config.steps),
        "with decay": at(points, ORTHOGONAL, config.decay, config.steps),
    }
    first = _first_working(points, config, ORTHOGONAL)
    if first is not None:
        states["when the sum first works"] = at(points, ORTHOGONAL, config.decay, first)
    ranks = {
        state: [by_draw(rows[f"stable_rank_{k + 1}"], rows) for k in range(len(full))] for state, rows in states.items()
    }
    low = [spread(values / most) for values, most in zip(ranks["with decay"], full, strict=True)]
    lower = [spread(a - b) for a, b in zip(ranks["without decay"], ranks["with decay"], strict=True)]
    told = {state: [spread(one) for one in values] for state, values in ranks.items()}
    outcome: Outcome = all_of([*(below(one, LOW) for one in low), *(above(one, 0) for one in lower)])
    return Claim(
        id="low-stable-rank",
        text="With weight decay the stable ranks of the hidden matrices are much smaller than their full ranks when "
        "merging works.",
        source=f"{source}, hypothesis 4",
        numbers={
            "full ranks": list(full),
            "λ": config.decay,
            "the sum works from step": first,
            **_by_layer("stable ranks", told),
            "share of full rank: upper ends": [one.high for one in low],
        },
        tolerance=f"at the end, at λ = {config.decay:g}, for every matrix but the last (which has one row): the stable "
        f"rank is below {LOW:g} of the full rank, and below that at λ = 0 (paired over draws); {_JUDGED}",
        outcome=outcome if full and config.decay else "inconclusive",
        why="; ".join(f"{state} {_listed(values)}" for state, values in told.items())
        + f", of {', '.join(map(str, full))}",
    )


def _not_average(points: pd.DataFrame, config: MergingConfig, source: str) -> Claim:
    rows = at(points, ORTHOGONAL, config.decay, config.steps)
    average = _kept(rows, "average")
    better = spread(by_draw(kept(rows, "sum"), rows) - by_draw(kept(rows, "average"), rows))
    errors = {model: spread(by_draw(rows[f"{model}_error"], rows)) for model in ("sum", "average")}
    return Claim(
        id="sum-not-average",
        text="Weights are to be added, not averaged: the average does clearly worse.",
        source="Section 7",
        numbers={
            "λ": config.decay,
            **average.numbers("kept share of the average"),
            **better.numbers("kept share of the sum minus that of the average"),
            **{f"classification error of the {model}: mean": error.mean for model, error in errors.items()},
        },
        tolerance=f"at the end, at λ = {config.decay:g}, on orthogonal inputs: the kept share of the average is below "
        f"{WELL:g}, and below that of the sum (paired over draws); {_JUDGED}",
        outcome=all_of([below(average, WELL), above(better, 0)]),
        why=f"the average keeps {average}, {better} less than the sum; but it is the sum scaled by "
        f"2^-{config.hidden_layers + 1}, so both put the same points on the wrong side ({errors['sum'].mean:.2%})",
    )


def _first_working(points: pd.DataFrame, config: MergingConfig, pair: str) -> int | None:
    """The first measured step from which on the mean kept share at the config's λ stays at `WELL` or above."""
    first = None
    along = points[(points["pair"] == pair) & (points["lambda"] == config.decay)]
    for step, rows in along.groupby("step"):
        works = _kept(rows).mean >= WELL
        first = (int(str(step)) if first is None else first) if works else None
    return first


def _numbers(rows: pd.DataFrame, shares: Spread) -> Numbers:
    found: Numbers = dict(shares.numbers("kept share"))
    for model in ("own", "sum", "average"):
        loss, error = (spread(by_draw(rows[f"{model}_{what}"], rows)) for what in ("loss", "error"))
        found |= {f"{model} loss: mean": loss.mean, f"{model} loss: standard deviation": loss.sd}
        found |= {f"{model} classification error: mean": error.mean}
    return found


def _losses(rows: pd.DataFrame) -> str:
    own, merged = (spread(by_draw(rows[f"{model}_loss"], rows)) for model in ("own", "sum"))
    return f"loss {own} before, {merged} after merging, over {own.draws} draws"

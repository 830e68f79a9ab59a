"""Theorem 2: summing deep ReLU networks that gradient flow has brought to a stationary point (section 5).

Measured are its conclusion, the step of its proof that hidden activations become orthogonal (Corollary 2), and the
conclusion where that step is true by construction: for networks whose hidden units are disjoint.
"""

from __future__ import annotations

import itertools
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.paper import nets
from weightaudit.paper.charts import Chart
from weightaudit.paper.data import Task, generator_for
from weightaudit.paper.judging import all_of, spread
from weightaudit.paper.lemmas.common import BAND, EQUAL, HELD, by_draw, last, line, table, vanishes
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.flow import Flow, gradient_flow
from weightaudit.paper.lemmas.stationarity import joined
from weightaudit.paper.lemmas.tasks import both, largest_overlap, two_tasks
from weightaudit.paper.nets import Weights
from weightaudit.paper.results import Claim, Numbers, Outcome, Result

INDEPENDENT, DISJOINT = "independent starts", "disjoint hidden units"
FRACTIONS = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""When a flow is measured, of its length."""
SETTLING = 0.25
"""Until then, of its length, a flow is integrated with the looser tolerance."""
EXACT = 1e-6
"""The same where nothing but the start's decay, e^{−λt}, stands in the way."""
ORTHOGONAL = 1e-12
"""Largest inner product of orthogonal unit vectors, after rounding."""
KEPT = 0.5
"""An activation that has less than this of its share left since the last recorded time is on its way to zero."""


def check(config: LemmasConfig, progress: Progress) -> Result:
    """Integrate, measure, judge."""
    first, second = two_tasks(config, separable=True)
    depths, widths, decays = (
        dict.fromkeys(values) for values in (config.relu_depths, config.relu_widths, config.flow_decays)
    )
    grid = [
        *itertools.product((INDEPENDENT,), depths, widths, decays),
        *itertools.product((DISJOINT,), depths, (min(widths),), decays),
    ]
    progress.start("deep ReLU flows", len(grid) * len(FRACTIONS) * 2 * config.draws)
    tables = []
    for case, depth, width, decay in grid:
        flow = _flow(config, case, depth, width, decay, first, second, progress)
        tables.append(measured(flow, case, decay, first, second, config.flow_stationary))
    points = pd.concat(tables, ignore_index=True)
    return Result(points, (theorem_2(points), corollary_2(points), _disjoint(points)), _charts(points))


def measured(flow: Flow, case: str, decay: float, first: Task, second: Task, stationary: float) -> pd.DataFrame:
    """A row per time and draw. ``flow`` has the first task's networks, then the second's.

    ``assumptions_hold`` for Theorem 2: inputs of the two tasks orthogonal; both networks' mean |ℓ'| y f positive now or
    before (Assumption 1); in every hidden layer and for every input of its own the active units are those of the
    recorded time before, there are some, and the smallest positive activation's share of ‖h‖ keeps up (Assumption 2);
    both networks stationary.
    """
    draws = len(first.x)
    x, y = both(first, second)
    swapped = torch.cat([second.x, first.x])
    overlap = largest_overlap(first.x, second.x).amax(1)
    had_margin = torch.zeros(2 * draws, dtype=torch.bool)
    before: list[Tensor] | None = None
    tables = []
    for time, weights in zip(flow.times, flow.weights, strict=True):
        loss, gradients, scores = nets.loss_and_gradients(weights, x, y, "relu")
        theta, slope = joined(weights), joined(gradients)
        residual = (decay * theta + slope).norm(dim=1) / (decay * theta.norm(dim=1))
        had_margin |= (torch.sigmoid(-y * scores) * y * scores).mean(1) > 0
        shares = [h / h.norm(dim=1, keepdim=True) for h in nets.hidden(weights, x, "relu")]
        smallest = torch.stack([_smallest_positive(share) for share in shares]).amin(0)
        settled = _settled(shares, before)
        before = shares

        own, other = nets.picked(weights, slice(0, draws)), nets.picked(weights, slice(draws, None))
        merged = nets.forward([W.repeat(2, 1, 1) for W in nets.summed(own, other)], x, "relu")
        gap = _both((merged - scores).square().sum(1)).sqrt() / _both(scores.square().sum(1)).sqrt()
        cosines = [(s[:draws].mT @ s[draws:]).nan_to_num(0.0).mean((1, 2)) for s in shares]
        permuted = [(s[:draws].sum(1)[:, :, None] * s[draws:].sum(1)[:, None, :] / s.shape[1]) for s in shares]
        unseen = (weights[0] @ swapped.mT).norm(dim=(1, 2)) / (weights[0] @ x.mT).norm(dim=(1, 2))
        still = residual <= stationary
        fine = _all(still & had_margin & settled)
        columns = {
            "part": "deep ReLU",
            "case": case,
            "depth": len(weights),
            "width": weights[0].shape[1],
            "draw": range(draws),
            "lambda": decay,
            "time": time,
            HELD: fine & (overlap <= ORTHOGONAL),
            "stationary": _all(still),
            "positive_margin": _all(had_margin),
            "activations_settled": _all(settled),
            "relative_gap": gap,
            "hidden_cosine": torch.stack(cosines).amax(0),
            "hidden_cosine_permuted": torch.stack([p.nan_to_num(0.0).mean((1, 2)) for p in permuted]).amax(0),
            "first_layer_leak": _worse(unseen),
            "same_sign": _both((merged.sign() == scores.sign()).double().mean(1)) / 2,
            "loss": _both(loss) / 2,
            "merged_loss": _both(nets.mean_loss(merged, y)) / 2,
            "overlap": overlap,
            "residual": _worse(residual),
            "smallest_activation": -_worse(-smallest),
        }
        tables.append(table(columns))
    return pd.concat(tables, ignore_index=True)


def theorem_2(points: pd.DataFrame) -> Claim:
    """Whether the sum acts as each network does on that network's task."""
    of_case = points[points["case"] == INDEPENDENT]
    outcome, why, numbers = _judged(of_case, "relative_gap", EQUAL)
    end = last(of_case, "time")
    for column, name in (
        ("loss", "own loss"),
        ("merged_loss", "loss of the sum"),
        ("same_sign", "share of outputs whose sign the sum keeps"),
        ("first_layer_leak", "‖W_1x'‖ of the other task's inputs over that of its own"),
    ):
        numbers |= spread(by_draw(end, column)).numbers(f"{name}, at the end")
    return Claim(
        id="deep-relu-merging",
        text="At stationary points of gradient flow with a small λ > 0, summed ReLU networks equal each network on its "
        "own task where the tasks' inputs are orthogonal",
        source="Theorem 2",
        numbers=numbers,
        tolerance="‖f_(A+B) − f_A‖/‖f_A‖ over the training inputs of A, with B's alike: 95 % interval of the mean over "
        f"draws below {EQUAL:g} for every depth, width and λ, at the last time, on draws where the assumptions hold",
        outcome=outcome,
        why=f"{why}; the sum keeps the sign of {end['same_sign'].mean():.3%} of the outputs",
    )


def corollary_2(points: pd.DataFrame) -> Claim:
    """Whether the hidden activations of the two networks become orthogonal, as the proof needs."""
    outcome, why, numbers = _judged(points[points["case"] == INDEPENDENT], "hidden_cosine", EQUAL)
    end = last(points[points["case"] == INDEPENDENT], "time")
    reordered = spread(by_draw(end, "hidden_cosine_permuted"))
    numbers |= reordered.numbers("mean over all orders of one network's units")
    return Claim(
        id="hidden-activations-orthogonal",
        text="The hidden activations of one network on its inputs and of the other on its own become orthogonal",
        source="Lemma 8, Corollary 2",
        numbers=numbers,
        tolerance="mean cosine over pairs of inputs, in the hidden layer where it is largest: 95 % interval of the "
        f"mean over draws below {EQUAL:g} for every depth, width and λ, on the same draws",
        outcome=outcome,
        why=f"{why}; over all orders of one network's units, which training does not tell apart, the mean is "
        f"{reordered.mean:.3g}, as activations are not negative",
    )


def _disjoint(points: pd.DataFrame) -> Claim:
    """The theorem's last step, with that of Corollary 2 granted by construction."""
    of_case = points[points["case"] == DISJOINT]
    granted = of_case.assign(**{HELD: of_case["stationary"] & (of_case["hidden_cosine"] <= ORTHOGONAL)})
    outcome, why, numbers = _judged(granted, "relative_gap", EXACT)
    return Claim(
        id="deep-relu-merging-disjoint",
        text="Where the hidden activations are orthogonal, summed ReLU networks equal each network on its own task",
        source="Theorem 2, its proof given Corollary 2",
        numbers=numbers,
        tolerance=f"judged as Theorem 2, with {EXACT:g}, on networks whose hidden units are disjoint from the start",
        outcome=outcome,
        why=why,
    )


def _judged(points: pd.DataFrame, column: str, threshold: float) -> tuple[Outcome, str, Numbers]:
    """Whether ``column`` lies below ``threshold`` at the end for every depth, width and λ; why, and the numbers."""
    end = last(points, "time")
    held = end[end[HELD]]
    outcomes: list[Outcome] = []
    numbers: Numbers = {"runs": len(end), "runs where the assumptions hold": len(held)}
    means: list[float] = []
    for (depth, width, decay), of_group in end.groupby(["depth", "width", "lambda"]):
        found, outcome = vanishes(of_group[of_group[HELD]], column, threshold)
        outcomes.append(outcome)
        numbers |= found.numbers(f"{column}, K = {depth}, width {width}, λ = {decay:g}")
        numbers[f"draws, K = {depth}, width {width}, λ = {decay:g}"] = found.draws
        means.append(found.mean)
    known = [mean for mean in means if mean == mean]
    what = column.replace("_", " ")
    seen = f"the mean {what} is {min(known):.3g} to {max(known):.3g}" if known else f"no {what} could be judged"
    why = f"{seen} over {len(outcomes)} settings; the assumptions hold in {len(held)} of {len(end)} runs"
    return all_of(outcomes), why, numbers


def _flow(
    config: LemmasConfig,
    case: str,
    depth: int,
    width: int,
    decay: float,
    first: Task,
    second: Task,
    progress: Progress,
) -> Flow:
    widths = (2 * config.dimension, *[width] * (depth - 1), 1)
    weights = nets.initialise(
        widths,
        2 * config.draws,
        generator=generator_for(config.seed, "lemmas", "deep ReLU", depth, width),
        dtype=torch.float64,
        scale=config.scale,
    )
    start = disjoint(weights) if case == DISJOINT else weights
    length = config.lifetimes / decay
    early, late = (
        [fraction * length for fraction in FRACTIONS if (fraction <= SETTLING) == is_early]
        for is_early in (True, False)
    )

    x, y = both(first, second)
    flow = partial(
        gradient_flow, x=x, y=y, decay=decay, activation="relu", most=config.evaluations, reached=progress.advance
    )
    # While units still find their place the flow slides along kinks, where a tight tolerance costs without end.
    before = flow(start, times=early, rtol=config.relu_rtol)
    after = flow(before.weights[-1], times=[time - early[-1] for time in late], rtol=config.relu_rtol_late)
    return Flow((*early, *late), before.weights + after.weights, before.evaluations + after.evaluations)


def disjoint(weights: Weights) -> Weights:
    """The first half of the networks keeps the first half of each hidden layer's units, the others the second.

    What the others of its units would weigh is zero, and stays so: a ReLU's unit without inputs learns nothing.
    """
    networks = weights[0].shape[0]
    kept = []
    for k, W in enumerate(weights):
        W = W.clone()
        rows, cols = W.shape[1], W.shape[2]
        if k < len(weights) - 1:
            W[: networks // 2, rows // 2 :] = 0
            W[networks // 2 :, : rows // 2] = 0
        if k:
            W[: networks // 2, :, cols // 2 :] = 0
            W[networks // 2 :, :, : cols // 2] = 0
        kept.append(W)
    return kept


def _smallest_positive(shares: Tensor) -> Tensor:
    """(nets, h, n) → (nets,), the smallest positive entry; infinite where there is none."""
    return torch.where(shares > 0, shares, torch.inf).amin((1, 2))


def _settled(shares: list[Tensor], before: list[Tensor] | None) -> Tensor:
    """Whether positive activations are where they were and of a size that lasts, for every input and layer; (nets,)."""
    settled = torch.full((shares[0].shape[0],), before is not None)
    for now, then in zip(shares, before or shares, strict=True):
        same = ((now > 0) == (then > 0)).all(2).all(1)
        some = (now > 0).any(1).all(1)
        settled &= same & some & (_smallest_positive(now) >= KEPT * _smallest_positive(then))
    return settled


def _both(values: Tensor) -> Tensor:
    """The sum over a draw's two networks: (2·draws,) → (draws,)."""
    return values.view(2, -1).sum(0)


def _all(holds: Tensor) -> Tensor:
    """Whether it holds for both of a draw's networks: (2·draws,) → (draws,)."""
    return holds.view(2, -1).all(0)


def _worse(values: Tensor) -> Tensor:
    """The larger over a draw's two networks: (2·draws,) → (draws,)."""
    return values.view(2, -1).amax(0)


def _charts(points: pd.DataFrame) -> tuple[Chart, ...]:
    """The gap and the hidden cosine along the flow, at the smallest λ, by depth, width and kind of start."""
    shown = points[points["lambda"] == points["lambda"].min()]
    return tuple(
        Chart(
            f"{title}, λ = {shown['lambda'].min():g}",
            "t",
            label,
            tuple(
                line(group, "time", column, f"{case}, K = {depth}, width {width}")
                for (case, depth, width), group in shown.groupby(["case", "depth", "width"], sort=False)
                if column == "relative_gap" or case == INDEPENDENT
            ),
            log_y=column == "relative_gap",
            caption=BAND,
        )
        for column, title, label in (
            ("relative_gap", "Theorem 2: summed ReLU networks", "relative gap to the own network"),
            ("hidden_cosine", "Corollary 2: hidden activations", "cosine between the two networks"),
        )
    )

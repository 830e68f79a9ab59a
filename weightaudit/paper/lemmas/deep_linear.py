"""Theorem 1: deep linear networks under gradient flow from a balanced start (section 5, appendix B.3).

Two networks on tasks with orthogonal inputs; inputs of the first are leant towards the second by a growing ε. The bound
is on ⟨w', x⟩, which is what summing end-to-end vectors adds to f_w(x); what summing layer by layer adds is measured
beside it, and no statement bounds that.
"""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.paper import nets
from weightaudit.paper.charts import Chart
from weightaudit.paper.data import Task, generator_for
from weightaudit.paper.judging import all_of, spread
from weightaudit.paper.lemmas import bounds
from weightaudit.paper.lemmas.common import (
    EQUAL,
    HELD,
    ROUNDING,
    by_draw,
    counted,
    decided,
    last,
    nearest_to_bound,
    sides_at_end,
    sides_charts,
    table,
    tally,
    vanishes,
)
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.flow import Flow, balanced, end_to_end, gradient_flow, imbalance
from weightaudit.paper.lemmas.tasks import both, largest_overlap, tests_by_epsilon, two_tasks
from weightaudit.paper.nets import Weights
from weightaudit.paper.results import Claim, Numbers, Outcome, Result

FRACTIONS = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""When a flow is measured, of its length."""
BALANCED = 1e-9
"""A state whose relative imbalance is at most this counts as balanced; the solver's tolerance is below."""
STARTS = ("balanced", "Gaussian")
"""The second does not meet the theorem's assumption; it shows how far the bound reaches without."""


def check(config: LemmasConfig, progress: Progress) -> Result:
    """Integrate, measure, judge."""
    first, second = two_tasks(config)
    tests = tests_by_epsilon(config, first, second)
    progress.start("deep linear flows", len(STARTS) * len(set(config.flow_decays)) * len(FRACTIONS) * 2 * config.draws)
    tables = [
        measured(name, _flow(config, name, decay, first, second, progress), decay, first, second, tests)
        for name in STARTS
        for decay in dict.fromkeys(config.flow_decays)
    ]
    points = pd.concat(tables, ignore_index=True)
    return Result(points, (theorem_1(points), layer_by_layer(points), _balance(points)), _charts(points))


def measured(
    start: str, flow: Flow, decay: float, first: Task, second: Task, tests: list[tuple[float, Tensor]]
) -> pd.DataFrame:
    """A row per time, ε and draw. ``flow`` has the first task's networks, then the second's.

    Of the test inputs a row has the one whose |⟨w', x⟩| comes nearest to the bound.
    """
    draws = range(len(first.x))
    others = [nets.picked(weights, slice(len(draws), None)) for weights in flow.weights]
    owns = [nets.picked(weights, slice(0, len(draws))) for weights in flow.weights]
    depth = len(others[0])
    vectors = [end_to_end(weights) for weights in others]
    imbalances = [imbalance(weights) for weights in others]
    objectives = [_objective(weights, second, decay) for weights in others]
    norms = torch.stack(vectors).norm(dim=2)
    at_first, norm, least = objectives[0].tolist(), norms[0].tolist(), norms.amin(0).tolist()
    radius = [bounds.end_to_end_radius(objective, decay, depth) for objective in at_first]
    tables = []
    for epsilon, x in tests:
        overlap = largest_overlap(x, second.x)
        begin = _products(vectors[0], x)
        for t, time in enumerate(flow.times):
            left = _products(vectors[t], x)
            scores = nets.forward(owns[t], x, "linear")
            layerwise = nets.forward(nets.summed(owns[t], others[t]), x, "linear") - scores
            right = [
                bounds.linear_flow_bound(time, decay, depth, begin[i], norm[i], radius[i], overlap[i]) for i in draws
            ]
            by_convergence = [
                bounds.linear_flow_bound_by_convergence(
                    time, decay, depth, begin[i], least[i], at_first[i], radius[i], overlap[i]
                )
                for i in draws
            ]
            sides = nearest_to_bound(left, rhs=torch.stack(right), rhs_by_convergence=torch.stack(by_convergence))
            columns = {
                "part": "deep linear",
                "case": start,
                "draw": draws,
                "lambda": decay,
                "epsilon": epsilon,
                "time": time,
                HELD: imbalances[0] <= BALANCED,
                "imbalance": imbalances[t],
                "objective": objectives[t],
                "overlap": overlap.amax(1),
                **sides,
                "relative_gap": left.norm(dim=1) / scores.norm(dim=1),
                "layerwise_relative_gap": layerwise.norm(dim=1) / scores.norm(dim=1),
                "score": scores.abs().mean(1),
                "norm": norms[t],
            }
            tables.append(table(columns))
    return pd.concat(tables, ignore_index=True)


def theorem_1(points: pd.DataFrame) -> Claim:
    """Whether the two-term bound holds."""
    holds = points["failing"] == 0
    held = points[points[HELD]]
    ratio = float((held["lhs"] / held["rhs"]).max())
    numbers: Numbers = {**counted(points, holds), "largest left/right": ratio, **sides_at_end(held, "time")}
    by_convergence = held["lhs"] > held["rhs_by_convergence"] * (1 + ROUNDING)
    numbers["failures of the bound by the source's own route"] = int(by_convergence.sum())
    return Claim(
        id="deep-linear-merging",
        text="Under gradient flow from a balanced start, adding the other task's end-to-end vector changes the output "
        "at x by an exponentially decaying term plus one in ε",
        source="Theorem 1",
        numbers=numbers,
        tolerance="both sides (constants rebuilt) at every test input, ε, λ and recorded time, where the start's "
        f"relative imbalance is at most {BALANCED:g}; relative slack {ROUNDING:g}",
        outcome=decided(points[points["case"] == STARTS[0]], holds, by=("lambda", "epsilon")),
        why=f"{tally(points, holds)}; the left side reaches {ratio:.3g} of the right one",
    )


def layer_by_layer(points: pd.DataFrame) -> Claim:
    """Whether the sum that the experiments make, layer by layer, is as harmless on orthogonal inputs."""
    of_case = last(points[points[HELD] & (points["epsilon"] == 0)], "time")
    outcomes: list[Outcome] = []
    numbers: Numbers = {}
    means: list[float] = []
    for decay, of_decay in of_case.groupby("lambda"):
        found, outcome = vanishes(of_decay, "layerwise_relative_gap", EQUAL)
        outcomes.append(outcome)
        numbers |= found.numbers(f"relative gap at the end, λ = {decay:g}")
        numbers |= spread(by_draw(of_decay, "relative_gap")).numbers(f"the same end to end, λ = {decay:g}")
        means.append(found.mean)
    return Claim(
        id="deep-linear-merging-by-layer",
        text="The same where the networks are summed layer by layer, on inputs orthogonal to the other task's",
        source="Theorem 1, read of sums of layers",
        numbers=numbers,
        tolerance="‖f_(θ+θ') − f_θ‖/‖f_θ‖ over inputs with ε = 0 at the last time: 95 % interval of the mean over "
        f"draws below {EQUAL:g} for every λ",
        outcome=all_of(outcomes),
        why=f"its mean is {min(means):.3g} to {max(means):.3g}; balanced layers keep the directions between them that "
        "they start with, and nothing makes those of two networks orthogonal"
        if means
        else "no flow from a balanced start was measured at ε = 0",
    )


def _balance(points: pd.DataFrame) -> Claim:
    """Whether balance at the start is kept, which the theorem's proof takes from Arora et al. (2018)."""
    held = points[points[HELD]]
    kept = points["imbalance"] <= BALANCED
    gaussian = points[(points["case"] == STARTS[1]) & (points["time"] == 0)]
    numbers: Numbers = {
        **counted(points, kept),
        "largest imbalance along the flow": float(held["imbalance"].max()),
        **spread(by_draw(gaussian, "imbalance")).numbers("imbalance of Gaussian starts"),
    }
    return Claim(
        id="balance-kept",
        text="Layers that are balanced at the start, W_{k+1}ᵀW_{k+1} = W_kW_kᵀ, stay so along the flow",
        source="Theorem 4 (Arora et al. 2018)",
        numbers=numbers,
        tolerance=f"imbalance relative to the largest ‖W_k‖² at most {BALANCED:g} at every recorded time",
        outcome=decided(points[points["case"] == STARTS[0]], kept, by=("lambda",)),
        why=f"it stays below {float(held['imbalance'].max()):.2g}; Gaussian starts are not balanced",
    )


def _flow(config: LemmasConfig, start: str, decay: float, first: Task, second: Task, progress: Progress) -> Flow:
    widths = (2 * config.dimension, *[config.width] * (config.depth - 1), 1)
    generator = generator_for(config.seed, "lemmas", "deep linear", start)
    weights = (
        balanced(widths, 2 * config.draws, generator=generator, norm=config.start_norm)
        if start == STARTS[0]
        else nets.initialise(widths, 2 * config.draws, generator=generator, dtype=torch.float64, scale=config.scale)
    )
    times = [fraction * config.lifetimes / decay for fraction in FRACTIONS]
    return gradient_flow(
        weights,
        *both(first, second),
        decay,
        times,
        "linear",
        rtol=config.linear_rtol,
        most=config.evaluations,
        reached=progress.advance,
    )


def _objective(weights: Weights, task: Task, decay: float) -> Tensor:
    """L_λ, (nets,)."""
    loss = nets.mean_loss(nets.forward(weights, task.x, "linear"), task.y)
    return loss + decay / 2 * nets.norms(weights).square().sum(1)


def _products(vectors: Tensor, x: Tensor) -> Tensor:
    """|⟨w, x⟩|: (draws, d), (draws, m, d) → (draws, m)."""
    return (x @ vectors[:, :, None]).squeeze(-1).abs()


def _charts(points: pd.DataFrame) -> tuple[Chart, ...]:
    """Both sides along the flow at the smallest ε, and against ε at the end."""
    held = points[points[HELD]]
    if held.empty:
        return ()
    titles = ("Theorem 1: deep linear, at the end", "Theorem 1: along the flow")
    return sides_charts(
        held, "time", titles=titles, what="t", left="|⟨w', x⟩|", label="change of the output", log_x=False
    )

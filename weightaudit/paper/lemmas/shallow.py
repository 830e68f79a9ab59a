"""Lemma 5 and Corollary 1: shallow ReLU networks with fixed output weights, trained by gradient descent (section 5).

Two networks, W on one task and W' on another whose inputs are orthogonal to the first's. Inputs x of the first task are
leant towards the second by a growing ε, and both sides of both bounds are measured along the training of W'.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.paper import nets
from weightaudit.paper.charts import Chart
from weightaudit.paper.data import Task, generator_for
from weightaudit.paper.judging import spread
from weightaudit.paper.lemmas import bounds
from weightaudit.paper.lemmas.common import (
    HELD,
    ROUNDING,
    by_draw,
    counted,
    decided,
    last,
    nearest_to_bound,
    recorded,
    sides_at_end,
    sides_charts,
    table,
    tally,
)
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.tasks import largest_overlap, tests_by_epsilon, two_tasks
from weightaudit.paper.results import Claim, Numbers, Result

ROUNDED = 1e-13
"""What a score of order 1 may be off by."""
TOLERANCE = f"both sides at every test input, ε, λ and recorded step; relative slack for rounding {ROUNDING:g}"


@dataclass(frozen=True)
class Run:
    """The two networks of every draw at one λ: a (draws, h); step → W and step → W', (draws, h, 2d)."""

    decay: float
    rate: float
    output: Tensor
    own: dict[int, Tensor]
    other: dict[int, Tensor]


def check(config: LemmasConfig, progress: Progress) -> Result:
    """Train, measure, judge."""
    first, second = two_tasks(config)
    tests = tests_by_epsilon(config, first, second)
    progress.start("shallow ReLU networks", 2 * len(set(config.shallow_decays)) * config.shallow_steps)
    tables = [
        measured(run, x, largest_overlap(x, second.x), epsilon)
        for run in _runs(config, first, second, progress)
        for epsilon, x in tests
    ]
    points = pd.concat(tables, ignore_index=True)
    return Result(points, (lemma_5(points), corollary_1(points)), _charts(points))


def measured(run: Run, x: Tensor, overlap: Tensor, epsilon: float) -> pd.DataFrame:
    """A row per recorded step and draw. ``x``: (draws, m, d); ``overlap``: max_i |⟨x, x'_i⟩| as measured, (draws, m).

    Of the m test inputs a row has the one whose left side of Lemma 5 comes nearest to the right one (``lhs``, ``rhs``),
    the one whose gap, less what may be rounding, comes nearest to Corollary 1's bound (``gap``, ``gap_rhs``), and the
    number that fail.
    """
    output, size = run.output[:, None, :], run.output.norm(dim=1, keepdim=True)
    starts = (run.other[0] @ x.mT).norm(dim=1)
    tables = []
    for step, foreign in run.other.items():
        own = run.own[step]
        lengths = (foreign @ x.mT).norm(dim=1)  # ‖W'x‖, (draws, m)
        scores = nets.forward([own, output], x, "relu")
        gaps = (nets.forward([own + foreign, output], x, "relu") - scores).abs()
        # A difference of two scores is rounded as these are.
        certain = (gaps - ROUNDED * (1 + scores.abs())).clamp(min=0)
        limits = bounds.shallow_length_bound(starts, run.decay, run.rate, step, size, overlap)
        gap = nearest_to_bound(certain, rhs=bounds.merging_gap_bound(size, lengths))
        columns = {
            "part": "shallow",
            "case": "shallow ReLU",
            "draw": range(len(x)),
            "lambda": run.decay,
            "epsilon": epsilon,
            "step": step,
            # Of ε the lemma asks to bound the overlaps, which the measured overlap does by itself.
            HELD: 0 < run.rate * run.decay <= 1,
            "overlap": overlap.amax(1),
            **nearest_to_bound(lengths, rhs=limits),
            "gap": gap["lhs"],
            "gap_rhs": gap["rhs"],
            "gap_failing": gap["failing"],
            "gap_largest": gaps.amax(1),
            "score": scores.abs().mean(1),
        }
        tables.append(table(columns))
    return pd.concat(tables, ignore_index=True)


def lemma_5(points: pd.DataFrame) -> Claim:
    """Whether the left side stays below the right one."""
    holds = points["failing"] == 0
    ratio = float((points["lhs"] / points["rhs"]).max())
    numbers: Numbers = {**counted(points, holds), "largest left/right": ratio, **sides_at_end(points, "step")}
    return Claim(
        id="shallow-relu-length",
        text="After T steps with weight decay ‖W'x‖ ≤ (1−ηλ)^T‖W'_0x‖ + ‖a‖ε/λ for every input x whose inner products "
        "with the training inputs are at most ε",
        source="Lemma 5",
        numbers=numbers,
        tolerance=TOLERANCE,
        outcome=decided(points, holds, by=("lambda", "epsilon")),
        why=f"{tally(points, holds)}; the left side reaches {ratio:.6g} of the right one",
    )


def corollary_1(points: pd.DataFrame) -> Claim:
    """Whether the merged network's output differs by no more than the length allows."""
    holds = points["gap_failing"] == 0
    ratio = float((points["gap"] / points["gap_rhs"]).max())
    numbers: Numbers = {**counted(points, holds), "largest left/right": ratio}
    for epsilon, of_epsilon in last(points, "step").groupby("epsilon"):
        numbers |= spread(by_draw(of_epsilon, "gap_largest")).numbers(f"largest gap at the end, ε = {epsilon:g}")
    numbers |= spread(by_draw(last(points, "step"), "score")).numbers("|f_W(x)| at the end")
    return Claim(
        id="shallow-relu-merging",
        text="Adding the other task's weights changes the output at x by at most ‖a‖‖W'x‖",
        source="Corollary 1",
        numbers=numbers,
        tolerance=TOLERANCE,
        outcome=decided(points, holds, by=("lambda", "epsilon")),
        why=f"{tally(points, holds)}; the gap reaches {ratio:.3g} of the bound",
    )


def _runs(config: LemmasConfig, first: Task, second: Task, progress: Progress) -> list[Run]:
    """One per λ, all from the same starts: a of ±1/√h, so that ‖a‖ = 1; Gaussian W_0 and W'_0."""
    h = config.shallow_width
    generator = generator_for(config.seed, "lemmas", "shallow")
    signs, pairs = [], []
    for _ in range(config.draws):
        signs.append(torch.randint(0, 2, (h,), generator=generator).double() * 2 - 1)
        widths = (2 * config.dimension, h)
        pairs.append(nets.initialise(widths, 2, generator=generator, dtype=torch.float64, scale=config.scale)[0])
    output, (own, other) = torch.stack(signs) / h**0.5, torch.stack(pairs, dim=1)
    runs = []
    for decay in dict.fromkeys(config.shallow_decays):
        trained = [_descent(W, output, task, config, decay, progress) for W, task in ((own, first), (other, second))]
        runs.append(Run(decay, config.shallow_rate, output, *trained))
    return runs


def _descent(
    W: Tensor, output: Tensor, task: Task, config: LemmasConfig, decay: float, progress: Progress
) -> dict[int, Tensor]:
    """Step → W, by gradient descent on W alone: a neither learns nor decays."""
    states = {0: W}
    for before, step in itertools.pairwise(recorded(config.shallow_steps)):
        for _ in range(step - before):
            gradient, _ = nets.gradients([W, output[:, None, :]], task.x, task.y, "relu")
            W = (1 - config.shallow_rate * decay) * W - config.shallow_rate * gradient
        states[step] = W
        progress.advance(step - before)
    return states


def _charts(points: pd.DataFrame) -> tuple[Chart, ...]:
    """Both sides of Lemma 5 against ε at the end, and along training at the smallest ε."""
    titles = ("Lemma 5: shallow ReLU, at the end", "Lemma 5: along training")
    return sides_charts(points, "step", titles=titles, what="step", left="‖W'x‖", label="length", log_x=True)

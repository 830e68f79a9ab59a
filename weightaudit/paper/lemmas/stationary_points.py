"""Lemmas 1 to 4: what holds where gradient descent with weight decay has become stationary (section 4).

Judged on `stationarity.descents`. Why each should hold is in docs/derivations.md.
"""

from __future__ import annotations

import pandas as pd

from weightaudit.audit import Progress
from weightaudit.paper.charts import Chart, Series
from weightaudit.paper.judging import spread
from weightaudit.paper.lemmas.common import BAND, HELD, ROUNDING, by_draw, counted, decided, last, line, tally
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.stationarity import CASES, GENERIC, LINEAR, STATIONARY, SUM_ROUNDING, descents
from weightaudit.paper.results import Claim, Numbers, Result

FACTOR = 10.0
"""By how much σ₂/σ₁, and max/min of the norms less 1, may exceed the tolerance on ‖λθ+∇L‖/‖λθ‖, to which they are
proportional; for rank one and equal norms √K is what can come."""
NEAR = 0.01
"""How far λ‖W_k‖² may be from mean |ℓ'| y f, relatively, at a point that counts as nearly stationary (Lemma 4)."""


def check(config: LemmasConfig, progress: Progress) -> Result:
    """Descend, measure, judge."""
    points = descents(config, progress)
    return Result(points, claims(points, config), charts(points))


def claims(points: pd.DataFrame, config: LemmasConfig) -> tuple[Claim, ...]:
    """The four lemmas, in order."""
    judges = (alignment, rank_one, norm_preservation, low_rank)
    return tuple(judge(points, config) for judge in judges)


def alignment(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Lemma 1, judged at the end of the runs in which every recorded step descended as the descent lemma says."""
    runs = points.groupby(["case", "draw", "lambda"])["sufficient_descent"].transform("all")
    end = last(points.assign(**{HELD: runs & ~points["collapsed"]}), "step")
    aligned = (end["residual"] <= config.stationary) & (1 - end["cosine"] <= config.stationary)
    numbers: Numbers = {}
    for case in CASES:
        of_case = end[end["case"] == case.name]
        numbers |= spread(by_draw(of_case, "residual")).numbers(f"{case.name}: ‖λθ+∇L‖/‖λθ‖ at the end")
        numbers |= spread(by_draw(of_case, "cosine")).numbers(f"{case.name}: cos(θ, −∇L) at the end")
        numbers[f"{case.name}: runs that descended throughout"] = int(of_case[HELD].sum())
        numbers[f"{case.name}: runs"] = len(of_case)
    judged_on, generic = _smooth(end), end[end["case"] == GENERIC.name]
    held = judged_on[judged_on[HELD]]
    count = int(aligned[held.index].sum())
    return Claim(
        id="alignment",
        text="Gradient descent with weight decay on a smooth objective ends at λθ = −∇L(θ): weights and negative "
        "gradient point in one direction",
        source="Lemma 1",
        numbers=numbers,
        tolerance=f"‖λθ+∇L‖/‖λθ‖ and 1 − cos(θ, −∇L) at most {config.stationary:g} at the last step, for linear "
        "networks and for ReLU networks on separable inputs, in runs all of whose recorded steps descended as η ≤ 1/β "
        "promises",
        outcome=decided(judged_on, aligned, by=("case", "lambda")),
        why=f"{count} of {len(held)} such runs are aligned; of {len(generic)} runs of ReLU networks on generic inputs, "
        f"which meet kinks, {int(generic[HELD].sum())} descended throughout, {int(aligned[generic.index].sum())} are",
    )


def rank_one(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Lemma 2, judged at the stationary points of linear networks."""
    linear = points[points["case"] == LINEAR.name]
    limit = FACTOR * config.stationary
    holds = linear["sigma_ratio"] <= limit
    numbers: Numbers = {**counted(linear, holds)}
    for case in CASES:
        of_case = last(points[points["case"] == case.name], "step")
        numbers |= spread(by_draw(of_case, "sigma_ratio")).numbers(f"{case.name}: largest σ₂/σ₁ at the end")
    numbers["points where σ₂ exceeds ‖λW+∂L/∂W‖/λ"] = int((linear["rank_one_excess"] > SUM_ROUNDING).sum())
    return Claim(
        id="rank-one",
        text="Every weight matrix of a deep linear network tends to rank one",
        source="Lemma 2",
        numbers=numbers,
        tolerance=f"σ₂/σ₁ of every matrix at most {limit:g} where ‖λθ+∇L‖/‖λθ‖ ≤ {config.stationary:g}",
        outcome=decided(linear, holds, by=("lambda",)),
        why=tally(linear, holds),
    )


def norm_preservation(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Lemma 3, judged at stationary points, of linear networks and of ReLU networks on separable inputs."""
    judged_on = _smooth(points)
    limit = FACTOR * config.stationary
    holds = judged_on["norm_spread"] - 1 <= limit
    numbers: Numbers = {**counted(judged_on, holds)}
    for case in CASES:
        of_case = points[points["case"] == case.name]
        for when, rows in (("start", of_case[of_case["step"] == 0]), ("end", last(of_case, "step"))):
            rows = rows.assign(excess=rows["norm_spread"] - 1)[~rows["collapsed"]]
            numbers |= spread(by_draw(rows, "excess")).numbers(f"{case.name}: max/min − 1 at the {when}")
    generic = last(points[(points["case"] == GENERIC.name) & ~points["collapsed"]], "step")
    return Claim(
        id="norm-preservation",
        text="The Frobenius norms of all layers of a homogeneous network become equal",
        source="Lemma 3",
        numbers=numbers,
        tolerance=f"largest over smallest ‖W_k‖_F at most 1 + {limit:g} where ‖λθ+∇L‖/‖λθ‖ ≤ {config.stationary:g}, "
        "for linear networks and for ReLU networks on separable inputs",
        outcome=decided(judged_on, holds, by=("case", "lambda")),
        why=f"{tally(judged_on, holds)}; {int(generic[STATIONARY].sum())} of {len(generic)} ReLU networks on generic "
        f"inputs become stationary, but all end within {generic['norm_spread'].max() - 1:.2g} of it",
    )


def low_rank(points: pd.DataFrame, config: LemmasConfig) -> Claim:
    """Lemma 4, judged at stationary points, by both right sides (`bounds.low_rank_bound`).

    All its proof needs of stationarity is λ‖W_k‖² = mean |ℓ'| y f, which kinks do not disturb: so it is also reported
    where that holds nearly, which it does for ReLU networks that never become stationary.
    """
    holds = low_rank_holds(points, config)
    judged_on = _smooth(points)
    numbers: Numbers = {**counted(judged_on, holds[judged_on.index])}
    near = points[(points["radial_residual"] <= NEAR) & ~points["collapsed"]]
    numbers["nearly stationary points, all cases"] = len(near)
    numbers["failures among these"] = int((~holds[near.index]).sum())
    for case in CASES:
        end = last(points[points["case"] == case.name], "step")
        for decay in sorted({end["lambda"].min(), end["lambda"].max()}):
            rows = end[end["lambda"] == decay]
            for column, name in (("lhs", "mean σ₁/‖W‖_F"), ("rhs", "bound"), ("rhs_loss", "bound by the loss")):
                numbers |= spread(by_draw(rows, column)).numbers(f"{case.name}, λ = {decay:g}: {name} at the end")
    margin = (judged_on["lhs"] / judged_on["rhs"])[judged_on[HELD]]
    nearest = f"; the left side is at least {margin.min():.3g} times the right one" if len(margin) else ""
    return Claim(
        id="low-rank",
        text="The mean over layers of σ₁(W_k)/‖W_k‖_F is at least (λω^{2−K}/(B·mean|ℓ'|))^{1/K}, also with the loss in "
        "place of mean|ℓ'|",
        source="Lemma 4",
        numbers=numbers,
        tolerance=f"both sides wherever ‖λθ+∇L‖/‖λθ‖ ≤ {config.stationary:g} (norms are then equal by Lemma 3; their "
        f"geometric mean is taken); relative slack {config.stationary:g} for what is left of the residual",
        outcome=decided(judged_on, holds[judged_on.index], by=("case", "lambda")),
        why=f"{tally(judged_on, holds[judged_on.index])}{nearest}; among all {len(near)} nearly stationary points it "
        f"fails at {numbers['failures among these']}",
    )


def low_rank_holds(points: pd.DataFrame, config: LemmasConfig) -> pd.Series[bool]:
    """Whether the left side reaches both right sides, with the slack that near stationarity leaves."""
    slack = max(config.stationary, ROUNDING)
    return points["lhs"] >= points[["rhs", "rhs_loss"]].max(axis=1) * (1 - slack)


def charts(points: pd.DataFrame) -> tuple[Chart, ...]:
    """A panel for each lemma, in order."""
    linear = points[points["case"] == LINEAR.name]
    ratios = tuple(
        line(of_decay, "step", "sigma_ratio", f"λ = {decay:g}", group=f"{decay:g}")
        for decay, of_decay in linear.groupby("lambda")
    )
    excess = points.assign(excess=points["norm_spread"] - 1)
    return (
        _by_case(points, "residual", "Lemma 1: distance from alignment", "‖λθ+∇L‖/‖λθ‖"),
        _along_training("Lemma 2: deep linear networks", "largest σ₂/σ₁", ratios),
        _by_case(excess, "excess", "Lemma 3: spread of norms over layers", "max/min of ‖W_k‖_F, less 1"),
        _both_sides(points),
    )


def _smooth(points: pd.DataFrame) -> pd.DataFrame:
    """Those of networks whose descent stays off the kinks."""
    return points[points["case"] != GENERIC.name]


def _by_case(points: pd.DataFrame, column: str, title: str, label: str) -> Chart:
    """A column along training at the middle λ."""
    decays = sorted(points["lambda"].unique())
    decay = decays[len(decays) // 2]
    shown = points[points["lambda"] == decay]
    series = tuple(line(shown[shown["case"] == case.name], "step", column, case.name) for case in CASES)
    return _along_training(f"{title}, λ = {decay:g}", label, series)


def _along_training(title: str, label: str, series: tuple[Series, ...]) -> Chart:
    return Chart(title, "step", label, series, log_x=True, log_y=True, caption=BAND)


def _both_sides(points: pd.DataFrame) -> Chart:
    """Left side of Lemma 4 against its right side at the end of every run; hollow where not stationary."""
    points = last(points, "step")
    series = [
        Series(
            case.name,
            of_case["rhs"].tolist(),
            of_case["lhs"].tolist(),
            style="points",
            marked=[not value for value in of_case[STATIONARY].tolist()],
        )
        for case in CASES
        for of_case in [points[(points["case"] == case.name) & points["lhs"].notna()]]
    ]
    ends = [0.0, max(1.0, float(points["rhs"].fillna(0.0).max()))]
    series.append(Series("equal", ends, ends, style="dashed"))
    return Chart(
        "Lemma 4: both sides",
        "lower bound",
        "mean σ₁/‖W‖_F",
        tuple(series),
        caption="All draws and λ, at the last step; hollow where not stationary.",
    )

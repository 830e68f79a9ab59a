"""Descents to a stationary point, measured on the way: what the checks of Lemmas 1 to 4 share (section 4)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.paper import nets
from weightaudit.paper.data import generator_for
from weightaudit.paper.lemmas import bounds
from weightaudit.paper.lemmas.common import HELD, recorded, table
from weightaudit.paper.lemmas.config import LemmasConfig
from weightaudit.paper.lemmas.tasks import tasks
from weightaudit.paper.nets import Activation, Weights
from weightaudit.paper.training import descend


@dataclass(frozen=True)
class Case:
    """A kind of network on a kind of data."""

    name: str
    activation: Activation
    separable: bool


LINEAR = Case("linear", "linear", separable=False)
SEPARABLE = Case("ReLU, separable", "relu", separable=True)
GENERIC = Case("ReLU, generic", "relu", separable=False)
"""Solutions lie on kinks, where a constant step cannot make the gradient vanish; on separable inputs descent stays off
them in the end."""
CASES = (LINEAR, SEPARABLE, GENERIC)

COLLAPSED = 1e-3
"""A network whose ‖θ‖ is below this times its start's is on its way to zero, where no statement says anything."""
SUM_ROUNDING = 1e-12
"""What sums of float64 numbers of order 1 may be off by."""

STATIONARY = "stationary"
"""Column of every row: not collapsed, and ‖λθ+∇L‖/‖λθ‖ within the tolerance. What Lemmas 2 to 4 assume."""


def descents(config: LemmasConfig, progress: Progress) -> pd.DataFrame:
    """One row per case, draw, λ and recorded step; columns as `measured` makes them."""
    frames = [_descent(config, case, progress) for case in CASES]
    return pd.concat(frames, ignore_index=True)


def _descent(config: LemmasConfig, case: Case, progress: Progress) -> pd.DataFrame:
    task = tasks(config, separable=case.separable)
    widths = (config.dimension, *[config.width] * (config.depth - 1), 1)
    start = nets.initialise(
        widths,
        config.draws,
        generator=generator_for(config.seed, "lemmas", "descent"),
        dtype=torch.float64,
        scale=config.scale,
    )
    decays = tuple(dict.fromkeys(config.decays))
    several = len(decays)
    weights = nets.repeated(start, several)
    x, y = task.x.repeat_interleave(several, 0), task.y.repeat_interleave(several, 0)
    decay = torch.tensor(decays, dtype=torch.float64).repeat(config.draws)
    start_size = _sizes(weights)
    progress.start(f"descents to stationary points: {case.name}", config.steps)
    tables = []
    for before, step in itertools.pairwise([0, *recorded(config.steps)]):
        weights = descend(weights, x, y, rate=config.rate, decay=decay, steps=step - before, activation=case.activation)
        progress.advance(step - before)
        found = measured(weights, x, y, decay, case.activation, config.rate)
        found["collapsed"] = _sizes(weights) < COLLAPSED * start_size
        draw = torch.arange(len(decay)) // several
        where = {"part": "descent", "case": case.name, "draw": draw, "lambda": decay, "step": step}
        tables.append(table({**where, **found}))
    frame = pd.concat(tables, ignore_index=True)
    stationary = ~frame["collapsed"] & (frame["residual"] <= config.stationary)
    return frame.assign(**{STATIONARY: stationary, HELD: stationary})


def measured(
    weights: Weights, x: Tensor, y: Tensor, decay: Tensor, activation: Activation, rate: float
) -> dict[str, Tensor]:
    """What Lemmas 1 to 4 speak of, (nets,) each. Float64; ``x`` (nets, n, d), ``y`` (nets, n), ``decay`` (nets,).

    - ``loss``, ``objective``: L and L_λ
    - ``cosine``: cos(θ, −∇L); ``residual``: ‖λθ+∇L‖/‖λθ‖, 0 at a stationary point (Lemma 1)
    - ``sufficient_descent``: whether one more step lowers L_λ by (η/2)‖∇L_λ‖², which the descent lemma gives for a
      β-smooth objective and η ≤ 1/β, and which is all that the proof of Lemma 1 takes from these
    - ``sigma_ratio``: the largest σ₂/σ₁ of all matrices but the last, a row (Lemma 2)
    - ``rank_one_excess``: max_k (σ₂(W_k) − ‖λW_k+∂L/∂W_k‖/λ)/σ₁(W_k), not above 0 for linear networks at any point
    - ``norm_spread``: largest over smallest ‖W_k‖_F (Lemma 3)
    - ``radial_residual``: max_k |1 − mean|ℓ'|yf / (λ‖W_k‖²)|, at most ‖λW_k+∂L/∂W_k‖/(λ‖W_k‖)
    - ``lhs``, ``rhs``, ``rhs_loss``: both sides of Lemma 4, the right one with mean|ℓ'| and with L
    """
    loss, gradients, scores = nets.loss_and_gradients(weights, x, y, activation)
    depth = len(weights)
    theta, gradient = joined(weights), joined(gradients)
    slope = decay[:, None] * theta + gradient
    size = theta.norm(dim=1)
    objective = loss + decay / 2 * size**2
    stepped = [W - rate * (decay[:, None, None] * W + G) for W, G in zip(weights, gradients, strict=True)]
    after = nets.mean_loss(nets.forward(stepped, x, activation), y) + decay / 2 * _sizes(stepped) ** 2
    allowed = objective - rate / 2 * slope.norm(dim=1) ** 2 + SUM_ROUNDING

    norms = nets.norms(weights)
    values = [_singular_values(W) for W in weights]
    spectral = torch.stack([v[:, 0] for v in values], dim=1)
    misfits = [
        (decay[:, None, None] * W + G).flatten(1).norm(dim=1) / decay for W, G in zip(weights, gradients, strict=True)
    ]
    second = [
        (v[:, 1] / v[:, 0], (v[:, 1] - misfit) / v[:, 0]) for v, misfit in zip(values[:-1], misfits, strict=False)
    ]

    slopes = torch.sigmoid(-y * scores)  # |ℓ'(y f)|
    pull = (slopes * y * scores).mean(1)
    radius = x.norm(dim=-1).amax(-1)
    omega = norms.log().mean(1).exp()
    sides = [
        (
            bounds.inverse_stable_rank_mean(spectral[i].tolist(), norms[i].tolist()),
            *(
                bounds.low_rank_bound(decay[i].item(), omega[i].item(), depth, radius[i].item(), s[i].item())
                for s in (slopes.mean(1), loss)
            ),
        )
        for i in range(len(decay))
    ]
    left, right, right_loss = torch.tensor(sides, dtype=torch.float64).unbind(1)
    return {
        "loss": loss,
        "objective": objective,
        "cosine": -(theta * gradient).sum(1) / (size * gradient.norm(dim=1)),
        "residual": slope.norm(dim=1) / (decay * size),
        "sufficient_descent": after <= allowed,
        "sigma_ratio": torch.stack([ratio for ratio, _ in second]).amax(0),
        "rank_one_excess": torch.stack([excess for _, excess in second]).amax(0),
        "norm_spread": norms.amax(1) / norms.amin(1),
        "radial_residual": (1 - pull[:, None] / (decay[:, None] * norms**2)).abs().amax(1),
        "lhs": left,
        "rhs": right,
        "rhs_loss": right_loss,
    }


def _singular_values(W: Tensor) -> Tensor:
    """(nets, min(rows, cols)), descending; NaN for matrices of a run that has diverged, which LAPACK refuses."""
    finite = W.isfinite().flatten(1).all(1)
    values: Tensor = torch.linalg.svdvals(torch.where(finite[:, None, None], W, 0.0))
    return torch.where(finite[:, None], values, torch.nan)


def joined(tensors: Weights) -> Tensor:
    """θ of each network as one vector, (nets, parameters)."""
    return torch.cat([tensor.flatten(1) for tensor in tensors], dim=1)


def _sizes(weights: Weights) -> Tensor:
    size: Tensor = joined(weights).norm(dim=1)
    return size

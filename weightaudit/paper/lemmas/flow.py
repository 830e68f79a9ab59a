"""Gradient flow with weight decay, dθ/dt = −∇L(θ) − λθ (the source, eq. 1), by scipy's adaptive Runge–Kutta solvers.

Also what its deep linear case needs (section 5 and appendix B.3): balanced starts, and how balanced a state is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.integrate import DOP853, RK45
from torch import Tensor

from weightaudit.errors import WeightauditError
from weightaudit.paper.nets import Activation, Weights, gradients, picked

Vector = npt.NDArray[np.float64]

SMOOTH = DOP853
"""Order 8, for smooth right sides: linear networks."""
KINKED = RK45
"""Order 5: at a ReLU's kinks a higher order gains nothing."""


PARAMETERS_PER_GROUP = 8192
"""Parameters of networks that are integrated as one system, at most, if it is more than one network. A dot product of
as many is not yet cut among threads by the BLAS under numpy, so its rounding does not depend on their number."""


@dataclass(frozen=True)
class Flow:
    """States along a gradient flow: ``weights[i]`` is the batch of networks at ``times[i]``, float64."""

    times: tuple[float, ...]
    weights: tuple[Weights, ...]
    evaluations: int


def gradient_flow(
    start: Weights,
    x: Tensor,
    y: Tensor,
    decay: Tensor | float,
    times: Sequence[float],
    activation: Activation,
    *,
    rtol: float,
    atol: float | None = None,
    most: int,
    reached: Callable[[int], None] | None = None,
) -> Flow:
    """Integrate dW_k/dt = −∂L/∂W_k − λW_k from t = 0 and keep the states at ``times``.

    ``start``: W_k (nets, out_k, in_k); ``x``: (nets, n, d), ``y``: (nets, n) of ±1, float64; ``decay``: λ ≥ 0, one
    or (nets,); ``times``: increasing, ≥ 0. Networks go in groups (`PARAMETERS_PER_GROUP`) that share step sizes:
    the solver keeps a step's estimated error below ``atol + rtol·|θ|``, in root mean square over a group's entries;
    without an ``atol`` that is a thousandth of ``rtol``.
    ``reached`` hears how many networks have got to the next of ``times``.

    Raises WeightauditError where the solver gives up, or where ``most`` evaluations of a group's gradients do not
    suffice.
    """
    networks, size = len(x), sum(W[0].numel() for W in start)
    decays = torch.as_tensor(decay, dtype=torch.float64).expand(networks)
    atol = rtol * 1e-3 if atol is None else atol
    width = max(1, PARAMETERS_PER_GROUP // size)
    groups: list[list[Weights]] = []
    evaluations = 0
    for group in (slice(i, i + width) for i in range(0, networks, width)):
        states = _System(picked(start, group), x[group], y[group], decays[group], activation)
        groups.append(states.at(times, rtol, atol, most, reached))
        evaluations += states.evaluations
    weights = [[torch.cat(layers) for layers in zip(*of_time, strict=True)] for of_time in zip(*groups, strict=True)]
    return Flow(tuple(times), tuple(weights), evaluations)


class _System:
    """The networks of a group as one vector for the solver, layer after layer."""

    def __init__(self, start: Weights, x: Tensor, y: Tensor, decay: Tensor, activation: Activation) -> None:
        self._x, self._y, self._activation = x, y, activation
        self._shapes = [W.shape for W in start]
        self._decays = _flat([decay[:, None, None].expand_as(W) for W in start])
        self._state = _flat([W.double() for W in start])
        self.evaluations = 0

    def at(
        self, times: Sequence[float], rtol: float, atol: float, most: int, reached: Callable[[int], None] | None
    ) -> list[Weights]:
        """The states at ``times``. To be called once."""
        solver_class = SMOOTH if self._activation == "linear" else KINKED
        kept: list[Weights] = []
        step: float | None = None
        for begin, end in itertools.pairwise((0.0, *times)):
            if end > begin:
                # Stepped by hand, because solve_ivp keeps the state of every step.
                first = None if step is None else min(step, end - begin)
                solver: Any = solver_class(
                    self._velocity, begin, self._state, end, rtol=rtol, atol=atol, first_step=first
                )
                while solver.status == "running":
                    if self.evaluations > most:
                        raise _stopped(solver.t, f"{most} evaluations did not suffice")
                    before = solver.h_abs
                    message = solver.step()
                if solver.status != "finished":
                    raise _stopped(solver.t, message)
                self._state = solver.y
                # Carried over, so that stopping costs little; the last step was cut short to end here.
                step = max(before, solver.h_abs)
            kept.append([W.clone() for W in self._unpacked(self._state)])
            if reached is not None:
                reached(len(self._x))
        return kept

    def _velocity(self, _: float, state: Vector) -> Vector:
        self.evaluations += 1
        moved: Vector = -_flat(gradients(self._unpacked(state), self._x, self._y, self._activation))
        moved -= self._decays * state
        return moved

    def _unpacked(self, state: Vector) -> Weights:
        pieces = torch.split(torch.from_numpy(state), [shape.numel() for shape in self._shapes])
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]


def balanced(widths: Sequence[int], nets: int, *, generator: torch.Generator, norm: float) -> Weights:
    """Float64 starts with W_{k+1}ᵀW_{k+1} = W_kW_kᵀ for k < K and every ‖W_k‖_F = ``norm`` (Arora et al. 2018).

    With a scalar output that means W_k = ω u_k u_{k−1}ᵀ with unit vectors, here uniform on their spheres, and u_K = 1.
    ``widths``: (input dimension, hidden widths …, 1). Drawn network by network.

    Example:
        >>> weights = balanced((5, 3, 1), 2, generator=torch.Generator().manual_seed(0), norm=0.5)
        >>> imbalance(weights).max().item() < 1e-15
        True
    """
    drawn = [
        [torch.randn(width, generator=generator, dtype=torch.float64) for width in widths[:-1]] for _ in range(nets)
    ]
    units = [torch.stack([v / v.norm() for v in of_layer]) for of_layer in zip(*drawn, strict=True)]
    units.append(torch.ones(nets, 1, dtype=torch.float64))
    return [norm * above[:, :, None] * below[:, None, :] for below, above in itertools.pairwise(units)]


def imbalance(weights: Weights) -> Tensor:
    """max_k ‖D_k‖_F / max_k ‖W_k‖_F² with D_k = W_{k+1}ᵀW_{k+1} − W_kW_kᵀ, (nets,): 0 where balanced. For K ≥ 2.

    Along the flow of linear networks D_k(t) = e^{−2λt} D_k(0), whatever the data.
    """
    gaps = [
        (upper.mT @ upper - lower @ lower.mT).flatten(1).norm(dim=1) for lower, upper in itertools.pairwise(weights)
    ]
    sizes = [W.flatten(1).norm(dim=1) ** 2 for W in weights]
    return torch.stack(gaps).amax(0) / torch.stack(sizes).amax(0)


def end_to_end(weights: Weights) -> Tensor:
    """w = (W_K … W_1)ᵀ of linear networks with scalar output, (nets, d): f(x) = ⟨w, x⟩ (section 5)."""
    product = weights[0]
    for W in weights[1:]:
        product = W @ product
    return product.squeeze(-2)


def _flat(tensors: Sequence[Tensor]) -> Vector:
    flat: Vector = torch.cat([tensor.reshape(-1) for tensor in tensors]).numpy()
    return flat


def _stopped(time: float, cause: str) -> WeightauditError:
    return WeightauditError("gradient flow", f"stopped at t = {time:g}: {cause}", "Loosen the tolerance or shorten it")

"""The settings of all checks. The paper proves these statements and runs no experiment on them: all sizes are ours."""

from __future__ import annotations

from dataclasses import dataclass

from weightaudit.paper.settings import setting


@dataclass(frozen=True)
class LemmasConfig:
    """Sizes, step sizes and tolerances. Float64 throughout; λ is never 0, as no statement speaks of λ = 0."""

    seed: int = setting(0, origin="ours", least=0, about="seed of inputs, labels and starts")
    draws: int = setting(8, origin="ours", least=1, about="independent draws of inputs, labels and starts")
    depth: int = setting(3, origin="ours", least=2, most=6, about="weight matrices of a deep network, K")
    width: int = setting(10, origin="ours", least=2, about="units of a hidden layer")
    dimension: int = setting(10, origin="ours", least=2, about="dimension of one task's inputs")
    points: int = setting(20, origin="ours", least=2, about="training points of one task, n")
    scale: float = setting(1.4, origin="ours", above=0, about="Gaussian starts have standard deviation scale/√inputs")

    rate: float = setting(0.5, origin="ours", above=0, about="step size η of gradient descent to stationarity")
    steps: int = setting(10_000, origin="ours", least=10, unit="steps", about="length of that descent")
    decays: tuple[float, ...] = setting(
        (0.005, 0.01, 0.02, 0.04), origin="ours", least=1e-6, about="weight decays λ of that descent"
    )
    push: float = setting(
        1.2, origin="ours", above=1, about="how far separable inputs are moved along their label's direction; > 1"
    )
    stationary: float = setting(
        1e-6, origin="ours", above=0, most=0.1, about="a point counts as stationary if ‖λθ+∇L‖/‖λθ‖ is at most this"
    )

    shallow_width: int = setting(50, origin="ours", least=1, about="hidden units of the shallow network")
    shallow_rate: float = setting(0.5, origin="ours", above=0, about="its step size η")
    shallow_steps: int = setting(4000, origin="ours", least=10, unit="steps", about="length of its descent")
    shallow_decays: tuple[float, ...] = setting(
        (0.005, 0.01, 0.02), origin="ours", least=1e-6, about="its weight decays λ"
    )
    epsilons: tuple[float, ...] = setting(
        (0.0, 0.001, 0.01, 0.1, 0.5),
        origin="ours",
        least=0,
        most=1,
        about="how far inputs lean on the other task's: max |⟨x', x_i⟩|",
    )

    lifetimes: float = setting(20.0, origin="ours", above=0, unit="1/λ", about="how long a gradient flow runs")
    flow_decays: tuple[float, ...] = setting(
        (0.03, 0.01, 0.003), origin="ours", least=1e-6, about="weight decays λ of the gradient flows"
    )
    start_norm: float = setting(1.0, origin="ours", above=0, about="‖W_k‖ of balanced starts")
    linear_rtol: float = setting(1e-10, origin="ours", above=0, about="solver's relative tolerance, linear networks")
    relu_rtol: float = setting(
        1e-4, origin="ours", above=0, about="solver's relative tolerance, ReLU networks at first"
    )
    relu_rtol_late: float = setting(1e-6, origin="ours", above=0, about="the same for the last three quarters")
    flow_stationary: float = setting(
        1e-3, origin="ours", above=0, most=0.1, about="what ‖λθ+∇L‖/‖λθ‖ a stationary point of ReLU flows may have"
    )
    relu_depths: tuple[int, ...] = setting((2, 3), origin="ours", least=2, about="weight matrices of the ReLU flows")
    relu_widths: tuple[int, ...] = setting((20, 80), origin="ours", least=2, about="hidden widths of the ReLU flows")
    evaluations: int = setting(200_000, origin="ours", least=100, about="gradients a flow may compute")

"""The gradient flow against solutions in closed form, laws that hold whatever the data, and an independent equation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import simpson, solve_ivp
from torch import Tensor

from weightaudit.errors import WeightauditError
from weightaudit.paper import nets
from weightaudit.paper.lemmas import flow
from weightaudit.paper.lemmas.flow import Flow, balanced, end_to_end, gradient_flow, imbalance
from weightaudit.paper.nets import Activation, Weights

TIGHT: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-13, "most": 100_000}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(networks: int = 3, n: int = 7, d: int = 4) -> tuple[Tensor, Tensor]:
    x = torch.randn(networks, n, d, generator=seeded(1), dtype=torch.float64)
    y = torch.where(torch.randn(networks, n, generator=seeded(2)) > 0, 1.0, -1.0).double()
    return x / x.norm(dim=-1, keepdim=True), y


def gaussian(widths: tuple[int, ...], networks: int = 3, scale: float = 1.3) -> Weights:
    return nets.initialise(widths, networks, generator=seeded(3), dtype=torch.float64, scale=scale)


def decays(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_one_point_one_layer_in_closed_form() -> None:
    # z = y⟨w, x⟩ has dz/dt = ‖x‖²/(1 + e^z), so z + e^z grows by ‖x‖²t; the loss is log(1 + e^{−z}).
    x = torch.tensor([[[0.6, 0.8]]], dtype=torch.float64) * 1.5
    y = torch.tensor([[-1.0]], dtype=torch.float64)
    start = [torch.tensor([[[0.5, 0.7]]], dtype=torch.float64)]
    times = (0.0, 0.3, 2.0, 50.0)
    found = gradient_flow(start, x, y, decays(0.0), times, "linear", **TIGHT)
    z0 = (y * nets.forward(start, x, "linear")).item()
    for time, weights in zip(times, found.weights, strict=True):
        z = (y * nets.forward(weights, x, "linear")).item()
        assert z + np.exp(z) == pytest.approx(z0 + np.exp(z0) + 2.25 * time, rel=1e-9)


def test_without_a_pull_weights_decay_exponentially() -> None:
    x, y = data()
    start = gaussian((4, 5, 1))
    found = gradient_flow(start, torch.zeros_like(x), y, decays(0.0, 0.1, 2.0), (3.0,), "linear", **TIGHT)
    for W0, W in zip(start, found.weights[0], strict=True):
        for i, decay in enumerate((0.0, 0.1, 2.0)):
            torch.testing.assert_close(W[i], W0[i] * np.exp(-3 * decay), rtol=1e-9, atol=1e-12)


def test_a_relu_networks_first_layer_forgets_what_is_orthogonal_to_its_inputs() -> None:
    # ∂L/∂W_1 has rows in the span of the inputs, so W_1 x' decays as e^{−λt} for x' orthogonal to it.
    x, y = data()
    x[:, :, 2:] = 0
    unseen = torch.tensor([0.0, 0.0, 0.6, 0.8], dtype=torch.float64)
    start = gaussian((4, 6, 5, 1))
    found = gradient_flow(start, x, y, decays(0.5, 1.0, 0.2), (0.5, 4.0), "relu", rtol=1e-8, atol=1e-12, most=100_000)
    for time, weights in zip(found.times, found.weights, strict=True):
        left = torch.exp(-decays(0.5, 1.0, 0.2) * time)[:, None]
        torch.testing.assert_close(weights[0] @ unseen, (start[0] @ unseen) * left, rtol=1e-6, atol=1e-9)


def test_imbalance_of_linear_layers_decays_whatever_the_data() -> None:
    # D_k(t) = e^{−2λt} D_k(0), from Gaussian starts.
    x, y = data()
    start, decay = gaussian((4, 5, 3, 1)), decays(0.3, 0.05, 0.0)
    found = gradient_flow(start, x, y, decay, (2.0,), "linear", **TIGHT)
    for k in range(2):
        before, after = (W[k + 1].mT @ W[k + 1] - W[k] @ W[k].mT for W in (start, found.weights[0]))
        assert before.norm() > 0.1
        torch.testing.assert_close(after, before * torch.exp(-4 * decay)[:, None, None], rtol=1e-7, atol=1e-9)


def end_to_end_velocity(w: Any, x: Any, y: Any, decay: float, depth: int) -> Any:
    """Equation 4 in numpy: −λKw − ‖w‖^{2−2/K}(I + (K−1)ŵŵᵀ)∇L(w)."""
    gradient = (-y / (1 + np.exp(y * (x @ w)))) @ x / len(y)
    norm = np.linalg.norm(w)
    along = w * (w @ gradient) / norm**2
    return -decay * depth * w - norm ** (2 - 2 / depth) * (gradient + (depth - 1) * along)


@pytest.mark.parametrize("widths", [(4, 5, 1), pytest.param((4, 5, 3, 1), marks=pytest.mark.slow), (4, 3, 3, 3, 1)])
def test_balanced_networks_follow_the_end_to_end_equation(widths: tuple[int, ...]) -> None:
    depth, decay = len(widths) - 1, 0.05
    x, y = data()
    start = balanced(widths, 3, generator=seeded(4), norm=0.9)
    found = gradient_flow(start, x, y, decays(decay, decay, decay), (6.0,), "linear", **TIGHT)
    assert imbalance(found.weights[0]).max() < 1e-9
    for i in range(3):
        solution = solve_ivp(
            lambda _, w, i=i: end_to_end_velocity(w, x[i].numpy(), y[i].numpy(), decay, depth),
            (0, 6.0),
            end_to_end(start)[i].numpy(),
            rtol=1e-10,
            atol=1e-12,
        )
        np.testing.assert_allclose(end_to_end(found.weights[0])[i].numpy(), solution.y[:, -1], rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_the_identity_behind_theorem_1() -> None:
    """⟨w_t,x'⟩ = e^{−λt}(‖w_t‖/‖w_0‖)^{1−1/K}⟨w_0,x'⟩ − ∫ e^{−λ(t−s)}(‖w_t‖‖w_s‖)^{1−1/K}⟨∇L(w_s),x'⟩ ds."""
    decay, end = 0.2, 5.0
    x, y = data(1)
    times = np.linspace(0, end, 161)
    start = balanced((4, 3, 3, 1), 1, generator=seeded(5), norm=1.1)
    found = gradient_flow(start, x, y, decays(decay), times.tolist(), "linear", **TIGHT)
    w = np.stack([end_to_end(weights)[0].numpy() for weights in found.weights])
    probe = np.array([0.3, -0.5, 0.1, 0.8])
    inputs, labels = x[0].numpy(), y[0].numpy()
    pull = np.array([((-labels / (1 + np.exp(labels * (inputs @ v)))) @ inputs / len(labels)) @ probe for v in w])
    norms = np.linalg.norm(w, axis=1)
    first = np.exp(-decay * end) * (norms[-1] / norms[0]) ** (2 / 3) * (w[0] @ probe)
    rest = simpson(np.exp(-decay * (end - times)) * (norms[-1] * norms) ** (2 / 3) * pull, x=times)
    assert abs(rest) > 0.01
    assert w[-1] @ probe == pytest.approx(first - rest, rel=1e-7)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_networks_do_not_depend_on_their_company(activation: Activation, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    start, decay = gaussian((4, 5, 1)), decays(0.3, 0.1, 0.02)
    tolerances: dict[str, Any] = {"rtol": 1e-7, "atol": 1e-9, "most": 50_000}  # a ReLU's kinks make tighter ones slow
    together = gradient_flow(start, x, y, decay, (0.3, 1.0), activation, **tolerances)
    monkeypatch.setattr(flow, "PARAMETERS_PER_GROUP", 60)  # two networks of 25 parameters, then one
    heard: list[int] = []
    apart = gradient_flow(start, x, y, decay, (0.3, 1.0), activation, **tolerances, reached=heard.append)
    assert heard == [2, 2, 1, 1]
    for a, b in zip(together.weights, apart.weights, strict=True):
        for A, B in zip(a, b, strict=True):
            assert A.shape == B.shape
            torch.testing.assert_close(A, B, rtol=1e-3, atol=1e-4)


def test_times_are_kept_as_asked_for_and_the_start_as_it_was() -> None:
    x, y = data()
    start = gaussian((4, 5, 1))
    copies = [W.clone() for W in start]
    found = gradient_flow(
        start, x, y, decays(0.1, 0.1, 0.1), (0.0, 0.0, 1.0), "relu", rtol=1e-6, atol=1e-9, most=10_000
    )
    assert isinstance(found, Flow)
    assert found.times == (0.0, 0.0, 1.0)
    assert found.evaluations > 0
    for W, copy, kept, moved in zip(start, copies, found.weights[1], found.weights[2], strict=True):
        assert torch.equal(W, copy)
        assert torch.equal(kept, copy)
        assert not torch.equal(moved, copy)


def test_a_flow_that_takes_too_long_says_so() -> None:
    x, y = data()
    with pytest.raises(WeightauditError, match="20 evaluations did not suffice"):
        gradient_flow(gaussian((4, 5, 1)), x, y, decays(0.1, 0.1, 0.1), (1e6,), "relu", rtol=1e-6, atol=1e-9, most=20)


def test_balanced_starts_are_balanced_and_of_the_norm_asked_for() -> None:
    weights = balanced((6, 4, 3, 1), 2, generator=seeded(), norm=0.7)
    assert [tuple(W.shape) for W in weights] == [(2, 4, 6), (2, 3, 4), (2, 1, 3)]
    torch.testing.assert_close(nets.norms(weights), torch.full((2, 3), 0.7, dtype=torch.float64))
    assert imbalance(weights).max() < 1e-15
    assert imbalance(gaussian((6, 4, 3, 1))).min() > 0.1
    # ‖w‖ = ω^K, which Theorem 1's constant uses.
    torch.testing.assert_close(end_to_end(weights).norm(dim=1), torch.full((2,), 0.7**3, dtype=torch.float64))
    alone = balanced((6, 4, 3, 1), 1, generator=seeded(), norm=0.7)
    assert torch.equal(alone[0][0], weights[0][0])


def test_imbalance_by_hand() -> None:
    # W_2ᵀW_2 = diag(4, 0), W_1W_1ᵀ = diag(1, 1): the difference has norm √10, the larger square norm is 4.
    lower, upper = torch.eye(2)[None], torch.tensor([[[2.0, 0.0]]])
    assert imbalance([lower, upper]).item() == pytest.approx(np.sqrt(10) / 4)


def test_the_end_to_end_vector_is_what_the_network_computes() -> None:
    x, _ = data()
    weights = gaussian((4, 5, 3, 1))
    products = (x @ end_to_end(weights)[:, :, None]).squeeze(-1)
    torch.testing.assert_close(products, nets.forward(weights, x, "linear"))

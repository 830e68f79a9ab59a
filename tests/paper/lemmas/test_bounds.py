"""The bounds' formulas against numbers worked out by hand, and against the recursions that their proofs unroll."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from weightaudit.paper.lemmas import bounds


def test_the_mean_inverse_stable_rank_by_hand() -> None:
    # Singular values (3, 4) and (1, 0): 4/5 and 1.
    assert bounds.inverse_stable_rank_mean([4.0, 1.0], [5.0, 1.0]) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("decay", "norm", "depth", "radius", "slope", "expected"),
    [
        (0.5, 2.0, 3, 1.0, 2.0, 0.5),  # (0.5 / 2 / 2)^{1/3} = (1/8)^{1/3}
        (0.09, 7.0, 2, 0.5, 2.0, 0.3),  # norms cancel at depth 2: √(0.09 / 1)
        (0.16, 0.5, 4, 4.0, 10.0, 0.016**0.25),  # (0.16 · 4 / 40)^{1/4}
    ],
)
def test_lemma_4_by_hand(decay: float, norm: float, depth: int, radius: float, slope: float, expected: float) -> None:
    assert bounds.low_rank_bound(decay, norm, depth, radius, slope) == pytest.approx(expected)


def test_lemma_4_is_an_equality_for_aligned_layers_of_rank_one_and_a_single_input() -> None:
    # Then λω² = s·B·ω^K exactly, and every σ₁/‖W‖ is 1.
    omega, radius, slope, depth = 1.7, 2.5, 0.3, 5
    decay = slope * radius * omega ** (depth - 2)
    assert bounds.low_rank_bound(decay, omega, depth, radius, slope) == pytest.approx(1.0)


def test_lemma_4_says_nothing_of_zero_and_is_out_of_reach_without_a_slope() -> None:
    assert math.isnan(bounds.inverse_stable_rank_mean([1.0, 0.0], [1.0, 0.0]))
    assert bounds.low_rank_bound(0.1, 1e-200, 6, 1.0, 0.5) == pytest.approx(0.2 ** (1 / 6) * 1e-200 ** (-4 / 6))
    assert math.isnan(bounds.low_rank_bound(0.1, 0.0, 3, 1.0, 0.5))
    assert bounds.low_rank_bound(0.1, 1.0, 3, 1.0, 0.0) == math.inf


def test_lemma_5_by_hand() -> None:
    # (1 − 0.5)³ · 8 + 2 · 0.25 / 0.5
    assert bounds.shallow_length_bound(8.0, 0.5, 1.0, 3, 2.0, 0.25) == pytest.approx(2.0)
    assert bounds.shallow_length_bound(8.0, 0.5, 1.0, 0, 2.0, 0.0) == 8.0


def test_lemma_5_bounds_the_recursion_of_its_proof_and_is_its_limit() -> None:
    rate, decay, a, epsilon, length = 0.3, 0.2, 1.5, 0.07, 4.0
    start = length
    for step in range(1, 400):
        length = (1 - rate * decay) * length + rate * a * epsilon
        assert length <= bounds.shallow_length_bound(start, decay, rate, step, a, epsilon)
    assert length == pytest.approx(bounds.shallow_length_bound(start, decay, rate, 400, a, epsilon), rel=1e-9)


def test_corollary_1_by_hand() -> None:
    assert bounds.merging_gap_bound(2.0, 0.75) == 1.5


def test_the_radius_by_hand() -> None:
    # (2 · 1.5 / (0.25 · 3))^{3/2} = 4^{3/2}
    assert bounds.end_to_end_radius(1.5, 0.25, 3) == pytest.approx(8.0)


def test_theorem_1_by_hand() -> None:
    # K = 2: √(4/1) · 3 at t = 0, and 4 · 0.25 / 0.5.
    assert bounds.linear_flow_bound(0.0, 0.5, 2, 3.0, 1.0, 4.0, 0.25) == pytest.approx(8.0)
    # t = ln 4 / λ quarters the first term alone.
    assert bounds.linear_flow_bound(math.log(4) / 0.5, 0.5, 2, 3.0, 1.0, 4.0, 0.25) == pytest.approx(3.5)
    # K = 3: (8/1)^{2/3} · 5 + 8^{4/3} · 0.5 / 2
    assert bounds.linear_flow_bound(0.0, 2.0, 3, 5.0, 1.0, 8.0, 0.5) == pytest.approx(24.0)


def test_theorem_1_with_one_layer_is_the_linear_predictor_of_section_5() -> None:
    # dw/dt = −λw − ∇L: |⟨w_t, x'⟩| ≤ e^{−λt}|⟨w_0, x'⟩| + ε/λ, whatever the norms.
    assert bounds.linear_flow_bound(2.0, 0.5, 1, 3.0, 0.1, 99.0, 0.2) == pytest.approx(3 / math.e + 0.4)


def test_the_sources_own_route_by_hand() -> None:
    # K = 2, G = exp(1 · 0.5 / (2 · 0.5 · 2 · 1)) = e^{1/4}; terms 3 and 2 · 4 · 0.25 / 0.5.
    bound = bounds.linear_flow_bound_by_convergence(0.0, 0.5, 2, 3.0, 1.0, 0.5, 4.0, 0.25)
    assert bound == pytest.approx(7 * math.exp(0.25))
    later = bounds.linear_flow_bound_by_convergence(2 * math.log(3) / 0.5, 0.5, 2, 3.0, 1.0, 0.5, 4.0, 0.25)
    assert later == pytest.approx(5 * math.exp(0.25))


def test_the_sources_own_route_overflows_to_a_bound_that_says_nothing() -> None:
    assert bounds.linear_flow_bound_by_convergence(0.0, 1e-4, 3, 1.0, 0.1, 1.0, 1.0, 0.0) == math.inf


@pytest.mark.parametrize(
    "bound",
    [
        lambda start, epsilon: bounds.shallow_length_bound(start, 0.5, 0.3, 7, start, epsilon),
        lambda start, epsilon: bounds.merging_gap_bound(start, epsilon),
        lambda start, epsilon: bounds.linear_flow_bound(1.5, 0.3, 3, start, 0.7, 2.0, epsilon),
        lambda start, epsilon: bounds.linear_flow_bound_by_convergence(1.5, 0.3, 3, start, 0.7, 0.2, 2.0, epsilon),
        lambda start, epsilon: bounds.linear_flow_bound_by_convergence(1.5, 1e-4, 3, start, 0.1, 1.0, 2.0, epsilon),
    ],
)
def test_several_inputs_have_the_bounds_that_each_has_alone(bound: Callable[[Any, Any], Any]) -> None:
    starts, epsilons = [0.0, 0.1, 3.0, 1 / 3], [0.0, 0.2, 1 / 7, 0.0]
    together: Tensor = bound(torch.tensor(starts, dtype=torch.float64), torch.tensor(epsilons, dtype=torch.float64))
    assert together.tolist() == [bound(start, epsilon) for start, epsilon in zip(starts, epsilons, strict=True)]

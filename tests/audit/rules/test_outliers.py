"""Layers and experts unlike the others: what stands out, and what in trained models only looks as if."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tests.audit.rules.healthy import changed, evidence, found, model, norms, row, scaled
from weightaudit.audit.rules import RuleContext, run_rules
from weightaudit.audit.rules.robust import outliers


def profile(values: list[float], ranks: list[float] | None = None) -> RuleContext:
    """One role over the layers."""
    ranks = ranks or [20.0] * len(values)
    pairs = enumerate(zip(values, ranks, strict=True))
    return evidence([row("M1", i, (768, 768), norm, rank) for i, (norm, rank) in pairs])


@pytest.mark.parametrize("factor", [0.1, 10.0])
@pytest.mark.parametrize("layer", [2, 6, 9])
def test_a_scaled_matrix_is_found_alone(layer: int, factor: float) -> None:
    (finding,) = run_rules(changed(evidence(), f"/{layer}//V", scaled(factor)))
    assert (finding.id, finding.layer, finding.role) == ("outlier-norm", layer, "V")
    assert finding.value is not None
    assert finding.value > 8
    assert f"The Frobenius norm of layer {layer} V is" in finding.detail


def test_a_low_stable_rank_is_found_alone() -> None:
    (finding,) = run_rules(changed(evidence(), "/6//O", norms(25.0, 2.0)))
    assert (finding.id, finding.layer, finding.role) == ("outlier-stable-rank", 6, "O")


def test_both_at_once_are_one_finding() -> None:
    assert found(changed(evidence(), "/6//O", norms(500.0, 1.5))) == [("outlier-norm", 6, "O")]


@pytest.mark.parametrize(
    ("layers", "seeds"), [(6, 2), (12, 2), *(pytest.param(n, 5, marks=pytest.mark.slow) for n in (6, 12, 40))]
)
def test_sound_models_have_none(layers: int, seeds: int) -> None:
    assert [run_rules(evidence(model(layers, seed))) for seed in range(seeds)] == [()] * seeds


def test_a_trend_is_no_outlier() -> None:
    assert found(profile([math.exp(i / 3) for i in range(24)], [2.0 * 1.2**i for i in range(24)])) == []


def test_first_and_last_layers_are_their_own_kind() -> None:
    inside = [20.0] * 22
    assert found(profile([80.0, *inside, 5.0], [1.5, *inside, 500.0])) == []
    assert found(profile([2000.0, *inside, 20.0])) == [("outlier-norm", 0, "M1")]


def test_a_pattern_is_no_outlier() -> None:
    assert found(profile([80.0 if i % 6 == 5 else 20.0 for i in range(30)])) == []


def test_few_layers_say_nothing() -> None:
    assert found(profile([20.0, 20.0, 900.0, 20.0, 20.0])) == []


def test_only_one_shape_is_compared() -> None:
    wide = [row("M1", 7 + i, (768, 6000), 300.0, 20.0) for i in range(2)]
    assert found(evidence([*profile([20.0] * 7).rows, *wide])) == []


def test_an_expert_is_compared_with_those_of_its_layer() -> None:
    experts = [row("M1", layer, (64, 256), 1.0 + layer, 5.0, expert=e) for layer in (0, 1) for e in range(64)]
    (finding,) = run_rules(changed(evidence(experts), "/1/17/M1", scaled(10)))
    assert (finding.id, finding.layer, finding.expert) == ("outlier-norm", 1, 17)
    assert "the 63 other experts of its layer have 2 in the median" in finding.detail


def test_experts_scaled_together_are_a_layer_that_stands_out() -> None:
    shown = evidence([row("M1", layer, (64, 256), 1.0, 5.0, expert=e) for layer in range(12) for e in range(8)])
    for expert in range(8):
        shown = changed(shown, f"/5/{expert}/M1", scaled(10))
    (finding,) = run_rules(shown)
    assert (finding.id, finding.layer, finding.expert, finding.role) == ("outlier-norm", 5, None, "M1")
    assert finding.detail.startswith(
        "The Frobenius norm of layer 5 M1 (median of 8 experts) is 10; the 11 other layers"
    )


def test_an_interval_that_stayed_wide_makes_no_outlier() -> None:
    low, high = [0.0] * 20, [0.1] * 20
    limits: dict[str, Any] = {"limit": 8.0, "floor": 0.1, "end_floor": None}
    low[9], high[9] = -3.0, 3.0
    assert outliers(low, high, **limits) == {}
    low[9] = 2.9
    assert list(outliers(low, high, **limits)) == [9]
    assert outliers(low, high, **limits)[9] == pytest.approx(0.6745 * (2.9 - 0.05) / 0.1)


def test_generated_profiles() -> None:
    """The rates that the rules' sources state, on fewer profiles."""
    rng = random.Random(5)
    false = missed = 0
    for _ in range(200):
        a, b = rng.uniform(-0.75, 0.75), rng.uniform(-0.75, 0.75)
        depth = [2 * i / 23 - 1 for i in range(24)]
        values = [a * t + b * t * t + rng.gauss(0, 0.1) for t in depth]
        values[0] += rng.uniform(-1.1, 1.1)
        values[-1] += rng.uniform(-1.1, 1.1)
        false += bool(outliers(values, values, limit=8.0, floor=0.1, end_floor=0.3))
        bad = rng.randrange(2, 22)
        values[bad] += rng.choice((-1, 1)) * math.log(10)
        missed += list(outliers(values, values, limit=8.0, floor=0.1, end_floor=0.3)) != [bad]
    assert (false, missed) == (0, 0)

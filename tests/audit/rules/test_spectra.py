"""Rank one, norms apart, and matrices as random as at the start: by real arrays through `measure`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import truncnorm

from tests.audit.rules.healthy import SOUND, changed, evidence, found, norms, row, scaled
from tests.support.factory import matrix
from weightaudit.audit.rules import run_rules
from weightaudit.audit.rules.untrained import HIGHEST, LOWEST, edge_statistic
from weightaudit.records import LayerRow
from weightaudit.spectral import measure

Array = np.ndarray


def measured(values: Array, role: str = "M1", layer: int | None = 0, dead_rows: int = 0) -> LayerRow:
    entries = replace(SOUND, dead_rows=dead_rows)
    place = matrix(role, layer, values.shape, f"{layer}.{role}")
    return LayerRow(place, replace(measure(values, name=place.key), entries=entries), place.key)


INITIAL: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.normal(0, 0.02, shape),
    "uniform": lambda rng, shape: rng.uniform(-0.1, 0.1, shape),
    "truncated normal": lambda rng, shape: truncnorm.rvs(-2, 2, scale=0.02, size=shape, random_state=rng),
    "float16": lambda rng, shape: rng.normal(0, 0.02, shape).astype(np.float16),
}
SHAPES = [(16, 16), (24, 40), (200, 30), (256, 256), (1024, 256), (300, 3000)]


@pytest.mark.parametrize("law", INITIAL)
def test_initial_weights_are_untrained(law: str) -> None:
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        assert found(evidence([measured(INITIAL[law](rng, shape))])) == [("untrained", 0, "M1")], shape


def test_a_row_for_padding_changes_nothing() -> None:
    values = np.random.default_rng(2).normal(0, 1, (60, 40))
    values[0] = 0
    assert found(evidence([measured(values, "EMBED", None, dead_rows=1)])) == [("untrained", None, "EMBED")]


def trained(rng: np.random.Generator, rows: int, cols: int, power: float = 0.5) -> Array:
    """A matrix whose singular values fall as a power of their number."""
    u, _, v = np.linalg.svd(rng.normal(size=(rows, cols)), full_matrices=False)
    return (u * np.arange(1, len(v) + 1) ** -power) @ v


@pytest.mark.parametrize("shape", [(64, 64), (64, 200), (256, 256)])
def test_what_has_a_spectrum_of_its_own_is_trained(shape: tuple[int, int]) -> None:
    assert run_rules(evidence([measured(trained(np.random.default_rng(3), *shape))])) == ()


def test_heavy_tails_are_trained() -> None:
    """One entry too large for normal ones; it moves σ₁ by less than the law's own width."""
    values = np.random.default_rng(4).normal(0, 1, (256, 256))
    assert found(evidence([measured(values)])) == [("untrained", 0, "M1")]
    values[3, 5] = 9.0
    row = measured(values)
    assert row.spectrum.spectral_norm < 1.01 * measured(np.where(values == 9, 0, values)).spectrum.spectral_norm
    assert run_rules(evidence([row])) == ()


def test_small_and_wide_intervals_cannot_tell() -> None:
    rng = np.random.default_rng(5)
    assert run_rules(evidence([measured(rng.normal(size=(15, 400)))])) == ()
    sure = measured(rng.normal(size=(512, 512)))
    assert found(evidence([sure])) == [("untrained", 0, "M1")]
    wide = replace(sure, spectrum=replace(sure.spectrum, spectral_norm_upper=1.2 * sure.spectrum.spectral_norm))
    assert run_rules(evidence([wide])) == ()


def test_an_untrained_model_is_one_finding() -> None:
    rng = np.random.default_rng(6)
    fresh = [measured(rng.normal(size=(32, 32)), role, layer) for layer in range(4) for role in ("Q", "M1", "M2")]
    (every,) = run_rules(evidence(fresh))
    assert (every.id, every.layer, every.role) == ("untrained", None, "")
    assert every.detail.startswith("All matrices that are large enough to tell cannot be told from random")
    others = [measured(trained(rng, 64, 64), role, layer) for layer in range(4, 6) for role in ("Q", "M1", "M2")]
    (most,) = run_rules(evidence([*fresh, *others]))
    assert most.detail.startswith("12 of 18 matrices")
    assert [one.layer for one in run_rules(evidence([*fresh[:3], *others]))] == [0, 0, 0]


def test_zeros_of_an_untrained_model_are_how_it_starts() -> None:
    rng = np.random.default_rng(9)
    fresh = [measured(rng.normal(size=(32, 32)), "M1", layer) for layer in range(4)]
    zeros = [measured(np.zeros((32, 32)), "M2", layer) for layer in range(2)]
    (every,) = run_rules(evidence([*fresh, *zeros]))
    assert every.id == "untrained"
    assert every.detail.endswith("2 are all zero, as some start: layer 0 M2 and layer 1 M2.")
    apart = [measured(trained(rng, 64, 64), "M1", layer) for layer in range(4)]
    assert found(evidence([*apart, *zeros])) == [("zero-matrix", 0, "M2"), ("zero-matrix", 1, "M2")]


def test_the_statistic_follows_the_law() -> None:
    """Tracy–Widom: mean −1.21, standard deviation 1.27; at this size somewhat narrower (exact: 1.1)."""
    rng = np.random.default_rng(7)
    values = []
    for _ in range(400):
        a = rng.normal(size=(64, 64))
        values.append(edge_statistic(64, 64, float(np.linalg.norm(a)), float(np.linalg.norm(a, 2))))
    assert -1.45 < np.mean(values) < -0.9
    assert 0.95 < np.std(values) < 1.35
    assert LOWEST < min(values) < max(values) < HIGHEST


def test_rank_one() -> None:
    rng = np.random.default_rng(8)
    values = np.outer(rng.normal(size=64), rng.normal(size=96)) + 0.01 * rng.normal(size=(64, 96))
    (finding,) = run_rules(evidence([measured(values)]))
    assert (finding.id, finding.threshold) == ("near-rank-one", 1.05)
    assert finding.value == pytest.approx(1.0, abs=0.02)
    said = re.search(r"at least ([\d.]+)% of its energy: the stable rank is at most ([\d.]+),", finding.detail)
    assert said
    assert finding.value is not None
    assert float(said[1]) / 100 <= 1 / finding.value
    assert finding.value <= float(said[2])
    assert run_rules(evidence([measured(values, "EMBED", None)])) == ()  # rows of a table share a mean
    assert run_rules(evidence([measured(values[:15])])) == ()
    assert found(changed(evidence(), "/3//M1", norms(60.0, 1.06, width=0.02))) == [("outlier-stable-rank", 3, "M1")]


def test_norms_of_another_order_in_every_layer() -> None:
    shown = evidence()
    for layer in range(12):
        shown = changed(shown, f"/{layer}//M2", scaled(0.01))
    (finding,) = run_rules(shown)
    assert (finding.id, finding.severity, finding.layer) == ("norm-preservation", "info", None)
    assert finding.value is not None
    assert finding.value > 50
    assert "in the median of 12 layers" in finding.detail


def test_one_bad_layer_is_not_the_model() -> None:
    shown = changed(evidence(), "/5//M2", scaled(0.01))
    assert found(shown) == [("outlier-norm", 5, "M2")]


def test_two_layers_have_no_median() -> None:
    rows = [
        row(role, layer, (768, 768), norm, 20.0)
        for layer in (0, 1)
        for role, norm in zip(("QKV", "M1", "M2"), (1, 1, 99), strict=True)
    ]
    assert run_rules(evidence(rows)) == ()
    assert math.isclose(rows[2].spectrum.frobenius_norm, 99)

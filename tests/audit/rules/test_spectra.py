"""Rank one, norms apart, and matrices as random as at the start: by real arrays through `measure`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.audit.rules.healthy import changed, evidence, found, norms, row, scaled
from tests.support.covering import some_of
from tests.support.factory import matrix
from weightaudit.audit.rules import run_rules
from weightaudit.audit.rules.untrained import DISPERSION, HIGHEST, KURTOSIS, LOWEST, edge_statistic, judge
from weightaudit.records import LayerRow
from weightaudit.spectral import measure

Array = np.ndarray


def measured(values: Array | torch.Tensor, role: str = "M1", layer: int | None = 0) -> LayerRow:
    rows, cols = values.shape
    place = matrix(role, layer, (rows, cols), f"{layer}.{role}")
    return LayerRow(place, measure(values, name=place.key), place.key)


INITIAL: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array | torch.Tensor]] = {
    "normal": lambda rng, shape: rng.normal(0, 0.02, shape),
    "uniform": lambda rng, shape: rng.uniform(-0.1, 0.1, shape),
    "truncated normal": lambda rng, shape: truncated(rng, shape),
    "Xavier": lambda rng, shape: rng.uniform(-1, 1, shape) * math.sqrt(6 / sum(shape)),
    "float16": lambda rng, shape: rng.normal(0, 0.02, shape).astype(np.float16),
    "bfloat16": lambda rng, shape: torch.from_numpy(rng.normal(0, 0.02, shape)).bfloat16(),
    "orthogonal": lambda rng, shape: orthogonal(rng, shape),
    "orthogonal in bfloat16": lambda rng, shape: torch.from_numpy(orthogonal(rng, shape)).bfloat16(),
}
SHAPES = [(16, 16), (24, 40), (200, 30), (256, 256)]
LARGE = [(1024, 256), (300, 3000)]


def truncated(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Within two deviations: what lies beyond is drawn again."""
    values = rng.normal(0, 1, shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.normal(0, 1, int(beyond.sum()))
    return 0.02 * values


def orthogonal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """As `torch.nn.init.orthogonal_` makes it: the columns or rows, the fewer of them, are orthonormal."""
    values = torch.empty(shape, dtype=torch.float64)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return torch.nn.init.orthogonal_(values, gain=1.4, generator=generator).numpy()


@pytest.mark.parametrize(
    ("law", "shapes"),
    [*((law, SHAPES) for law in INITIAL), *(pytest.param(law, LARGE, marks=pytest.mark.slow) for law in INITIAL)],
)
def test_initial_weights_are_untrained(law: str, shapes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(1)
    for shape in shapes:
        assert found(evidence([measured(INITIAL[law](rng, shape))])) == [("untrained", 0, "M1")], shape


def test_a_row_for_padding_changes_nothing() -> None:
    values = np.random.default_rng(2).normal(0, 1, (60, 40))
    values[0] = 0
    assert found(evidence([measured(values, "EMBED", None)])) == [("untrained", None, "EMBED")]


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
    assert (every.id, every.severity, every.layer, every.role) == ("untrained-model", "error", None, "")
    assert every.detail.startswith("This model looks as it was initialised: in all matrices that are large enough")
    others = [measured(trained(rng, 64, 64), role, layer) for layer in range(4, 6) for role in ("Q", "M1", "M2")]
    (most,) = run_rules(evidence([*fresh, *others]))
    assert (most.id, most.severity, most.layer) == ("untrained", "warning", None)
    assert most.detail.startswith(
        "These 12 matrices look as they were initialised: nothing in Q, M1 and M2 of layers 0-3"
    )
    (layer,) = run_rules(evidence([*fresh[:3], *others]))
    assert (layer.id, layer.layer, layer.role) == ("untrained", 0, "")
    (role,) = run_rules(evidence([*fresh[:7:3], *others]))
    assert (role.id, role.layer, role.role) == ("untrained", None, "Q")
    assert " nothing in Q of layers 0-2 stands out" in role.detail
    assert found(evidence([fresh[0], fresh[4], *others])) == [("untrained", 0, "Q"), ("untrained", 1, "M1")]


def test_a_part_that_was_asked_for_is_not_the_model() -> None:
    rng = np.random.default_rng(18)
    fresh = [measured(rng.normal(size=(32, 32)), "V", layer) for layer in range(6)]
    assert found(evidence(fresh)) == [("untrained-model", None, "")]
    assert found(replace(evidence(fresh), restricted=True)) == [("untrained", None, "V")]


def test_nearly_all_layers_are_the_whole_model() -> None:
    """Whatever the embedding is: a loader that found no name in the layers may still have found that."""
    rng = np.random.default_rng(10)
    fresh = [measured(rng.normal(size=(32, 32)), "M1", layer) for layer in range(40)]
    apart = [measured(trained(rng, 64, 64), "M2", layer) for layer in range(3)]
    embedding = measured(trained(rng, 200, 64), "EMBED", None)
    assert found(evidence([embedding, *fresh, *apart[:2]])) == [("untrained-model", None, "")]
    assert found(evidence([embedding, *fresh, *apart])) == [("untrained", None, "M1")]
    assert found(evidence([measured(rng.normal(size=(200, 64)), "EMBED", None)])) == [("untrained", None, "EMBED")]


def test_zeros_of_an_untrained_model_are_how_it_starts() -> None:
    rng = np.random.default_rng(9)
    fresh = [measured(rng.normal(size=(32, 32)), "M1", layer) for layer in range(4)]
    zeros = [measured(np.zeros((32, 32)), "M2", layer) for layer in range(2)]
    (every,) = run_rules(evidence([*fresh, *zeros]))
    assert every.id == "untrained-model"
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


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_statistic_is_the_same_at_any_scale(scale: float) -> None:
    assert edge_statistic(64, 64, 64 * scale, 17 * scale) == pytest.approx(edge_statistic(64, 64, 64.0, 17.0))


def _far(row: LayerRow) -> tuple[float, float, float]:
    judgement = judge(row)
    assert judgement is not None
    return judgement.rows, judgement.cols, judgement.kurtosis


@pytest.mark.parametrize(
    "law", some_of([law for law in INITIAL if "orthogonal" not in law], "normal", "uniform", "truncated normal")
)
def test_norms_of_random_rows_and_columns_vary_as_they_should(law: str) -> None:
    """The variances are what they are worked out to be, to the deviation that they are given in, whatever the law."""
    rng = np.random.default_rng(11)
    found = np.array([_far(measured(INITIAL[law](rng, (60, 90)))) for _ in range(60)])
    assert np.all(np.abs(found[:, :2].mean(axis=0)) < 0.7)  # ± 0.13 each, and the kurtosis is estimated too
    assert np.all((found[:, :2].std(axis=0) > 0.6) & (found[:, :2].std(axis=0) < 1.4))
    assert np.abs(found[:, :2]).max() < DISPERSION
    assert found[:, 2].max() < KURTOSIS


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(16, 16), (16, 64), (64, 16), (100, 1000), (512, 512), (2048, 256), (1024, 4096)])
def test_no_random_matrix_is_missed(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(12)
    for law, make in INITIAL.items():
        for _ in range(min(1000, max(2, 1_000_000 // (shape[0] * shape[1])))):
            judgement = judge(measured(make(rng, shape)))
            assert judgement is not None
            assert judgement.random, law


@pytest.mark.parametrize("along", [0, 1])
def test_rows_and_columns_of_their_own_sizes_are_trained(along: int) -> None:
    """The largest singular value alone says nothing: it lies where that of random entries does."""
    rng = np.random.default_rng(13)
    sizes = np.exp(0.3 * rng.normal(size=(192, 576)[along]))
    values = rng.normal(size=(192, 576)) * (sizes[:, None] if along == 0 else sizes[None, :])
    flat = rng.uniform(-1, 1, size=(192, 576))  # lighter tails, so that the kurtosis does not tell
    judgement = judge(measured(np.where(np.abs(values) < 2, values, flat)))
    assert judgement is not None
    assert judgement.kurtosis < KURTOSIS
    assert abs((judgement.rows, judgement.cols)[along]) > DISPERSION
    assert abs((judgement.rows, judgement.cols)[1 - along]) < DISPERSION
    assert not judgement.random


def test_heavier_tails_than_an_initialisation_has_are_trained() -> None:
    """Student's t with 8 degrees: rows, columns and σ₁ are as those of random entries."""
    values = np.random.default_rng(14).standard_t(8, size=(300, 400)).clip(-6, 6)
    judgement = judge(measured(values))
    assert judgement is not None
    assert max(abs(judgement.rows), abs(judgement.cols)) < DISPERSION
    assert LOWEST <= judgement.edge <= HIGHEST
    assert judgement.kurtosis > KURTOSIS
    assert run_rules(evidence([measured(values)])) == ()


def test_an_orthogonal_start_is_told_as_one_and_a_flat_spectrum_is_not() -> None:
    rng = np.random.default_rng(15)
    (finding,) = run_rules(evidence([measured(orthogonal(rng, (64, 200)))]))
    assert finding.detail == (
        "This matrix looks as it was initialised: all singular values of layer 0 M1 are the same, as an orthogonal "
        "start has them."
    )
    u, _, v = np.linalg.svd(rng.normal(size=(64, 200)), full_matrices=False)
    assert run_rules(evidence([measured((u * np.linspace(1, 0.8, 64)) @ v)])) == ()


def test_a_message_begins_in_plain_words() -> None:
    (finding,) = run_rules(evidence([measured(np.random.default_rng(16).normal(size=(64, 80)))]))
    assert finding.detail.startswith(
        "This matrix looks as it was initialised: nothing in layer 0 M1 stands out from random numbers (σ₁² lies "
    )


def test_entries_of_one_magnitude_have_no_law() -> None:
    """Signs alone: the kurtosis is 1, and any two rows have the same norm."""
    values = np.sign(np.random.default_rng(17).normal(size=(64, 64)))
    assert run_rules(evidence([measured(values)])) == ()


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


def collapsed(rows: int, cols: int, rank: float, rng: np.random.Generator) -> Array:
    """Of this stable rank: one direction beside all others alike."""
    count = min(rows, cols)
    sigma = np.full(count, math.sqrt((rank - 1) / (count - 1)))
    sigma[0] = 1
    left, right = (np.linalg.qr(rng.standard_normal((size, count)))[0] for size in (rows, cols))
    return (left * sigma) @ right.T


def ranked(*ranks: float, role: str = "Q", shape: tuple[int, int] = (80, 64)) -> list[LayerRow]:
    rng = np.random.default_rng(3)
    return [measured(collapsed(*shape, rank, rng), role, layer) for layer, rank in enumerate(ranks)]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (ranked(1.45, 1.45, 1.45, 1.45), [("rank-collapse", None, "Q")]),
        (ranked(1.45, 1.45, 1.45, 1.45, 20, 20, 20, 20), [("rank-collapse", None, "Q")]),
        (ranked(1.45, 1.45, 1.45, 1.45, 20, 20, 20, 20, 20), []),
        (ranked(1.45, 1.45, 1.45, 20), []),
        (ranked(1.55, 1.55, 1.55, 1.55), []),
        (ranked(1.45, 1.45, 1.45, 1.45, shape=(80, 63)), []),
        (ranked(1.01, 1.01, 1.01, 1.01), [("rank-collapse", None, "Q")]),
        ([*ranked(1.3, 1.3, 1.3, 1.3), *ranked(9, 1.3, 1.3, 1.3, 1.3, role="M1")], [("rank-collapse", None, "")]),
    ],
)
def test_a_collapse_is_of_many_layers_of_a_role(rows: list[LayerRow], told: list[object]) -> None:
    assert [one for one in found(evidence(rows)) if one[0] in ("rank-collapse", "near-rank-one")] == told


def test_a_collapse_says_where_and_how_the_others_are() -> None:
    rows = [*ranked(1.3, 1.3, 1.3, 1.3, 30), *ranked(30, 40, 50, 30, 30, role="M1")]
    (finding,) = [one for one in run_rules(evidence(rows)) if one.id == "rank-collapse"]
    assert finding.severity == "warning"
    assert "4 of 5 Q of layers" in finding.detail
    assert "1.3 in the median; the other matrices of layers have 30." in finding.detail

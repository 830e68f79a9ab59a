"""What the Krylov route estimates beside what all singular values say; real weights beside numpy's decomposition."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weightaudit as wa
from tests.spectral.planted import SPECTRA, planted
from tests.support.minilm import minilm_directory, needs_minilm
from tests.support.rxnmapper import rxnmapper_directory
from tests.support.smollm2 import smollm2_file
from weightaudit.records import LayerRow, Spectrum
from weightaudit.spectral import measure
from weightaudit.spectral.full.shuffling import LARGEST_SHUFFLED

Floats = NDArray[np.float64]

REAL = {"MiniLM": minilm_directory, "rxnmapper": rxnmapper_directory, "SmolLM2": smollm2_file}


def effective_ranks(sigma: Floats) -> tuple[float, float]:
    """Participation ratio and entropy rank."""
    p = sigma[sigma > 0] / sigma.sum()
    return float(np.square(sigma).sum() ** 2 / (sigma**4).sum()), math.exp(-float((p * np.log(p)).sum()))


def close(estimated: Spectrum, sigma: Floats, *, ratio: float, entropy: float, nuclear: float) -> None:
    """Each estimate is within that share of what all singular values say."""
    detail = estimated.detail
    assert detail is not None
    participation, rank = effective_ranks(sigma)
    assert detail.participation_ratio == pytest.approx(participation, rel=ratio)
    assert detail.entropy_effective_rank == pytest.approx(rank, rel=entropy)
    assert detail.nuclear_norm == pytest.approx(sigma.sum(), rel=nuclear)
    assert detail.schatten_4 == pytest.approx((sigma**4).sum() ** 0.25, rel=ratio)
    for value, bound in zip(detail.singular_values, detail.residual_bounds, strict=True):
        assert np.abs(sigma - value).min() <= bound + 1e-12 * sigma[0]


def some(among: Iterable[str], *kept: str) -> list[Any]:
    """All of them, slow but for those that are ``kept``."""
    return [pytest.param(one, marks=[] if one in kept else pytest.mark.slow) for one in among]


@pytest.mark.parametrize("spectrum", some(SPECTRA, "heavy-tailed", "rank one"))
def test_planted(spectrum: str) -> None:
    W = planted(300, 200, spectrum)
    full = measure(W, spectrum="full", method="krylov")
    assert full.full is not None
    sigma = np.array(full.full.singular_values)
    sigma[np.square(sigma) <= full.full.squared_error] = 0.0
    close(full, sigma, ratio=0.1, entropy=0.3, nuclear=0.2)


@pytest.mark.parametrize("spectrum", some(SPECTRA, "geometric", "rank one"))
def test_norms_from_all_values(spectrum: str) -> None:
    W = planted(90, 60, spectrum)
    found, sigma = measure(W, spectrum="full"), np.linalg.svd(W, compute_uv=False)
    assert found.full is not None
    assert found.detail is not None
    assert found.detail.nuclear_norm == pytest.approx(sigma.sum(), rel=1e-6)
    assert found.detail.schatten_4 == pytest.approx((sigma**4).sum() ** 0.25, rel=1e-9)
    assert found.detail.nuclear_norm_error == found.detail.participation_ratio_error == 0.0
    assert math.sqrt(sum(np.square(found.full.singular_values))) == pytest.approx(found.frobenius_norm)


def _spiked(rng: np.random.Generator) -> Floats:
    return rng.standard_normal((240, 180)) + 3.0 * np.outer(rng.standard_normal(240), rng.standard_normal(180))


MADE: dict[str, Callable[[np.random.Generator], Floats]] = {
    "normal": lambda rng: rng.standard_normal((240, 180)),
    "heavy tails": lambda rng: rng.standard_t(3, (240, 180)),
    "wide": lambda rng: rng.standard_normal((180, 240)) * np.linspace(1.0, 3.0, 240),
    "geometric": lambda rng: np.linalg.qr(rng.standard_normal((240, 180)))[0] * np.geomspace(1.0, 1e-2, 180),
    "a spike": _spiked,
}


@pytest.mark.parametrize("kind", some(MADE, "heavy tails"))
def test_errors_hold_as_often_as_they_say(kind: str) -> None:
    """±3.18 standard errors is 95 % of Student's t of three degrees of freedom: four columns."""
    rng = np.random.default_rng(8)
    within = []
    for seed in range(12):
        W = MADE[kind](rng)
        detail = measure(W, method="krylov", spectrum=True, seed=seed).detail
        sigma = np.linalg.svd(W, compute_uv=False).astype(np.float64)
        assert detail is not None
        assert detail.estimated
        participation, rank = effective_ranks(sigma)
        within += [
            abs(detail.entropy_effective_rank - rank) <= 3.18 * detail.entropy_effective_rank_error,
            abs(detail.participation_ratio - participation) <= 3.18 * detail.participation_ratio_error,
            abs(detail.nuclear_norm - sigma.sum()) <= 3.18 * detail.nuclear_norm_error,
            abs(detail.schatten_4 - (sigma**4).sum() ** 0.25) <= 3.18 * detail.schatten_4_error,
        ]
        assert 0.0 < detail.nuclear_norm_error < 0.2 * detail.nuclear_norm
    assert np.mean(within) > 0.85


@pytest.mark.slow
@needs_minilm
def test_real_weights() -> None:
    """A layer of MiniLM: all singular values, and the estimates beside them."""
    directory = minilm_directory()
    assert directory is not None
    seen = 0
    for row, sigma in real(directory, layers=(5,), roles=("Q", "O", "M1")):
        holds(row, sigma)
        close(row.spectrum, sigma, ratio=0.1, entropy=0.12, nuclear=0.12)
        seen += 1
    assert seen == 3


def real(directory: Path, **chosen: Any) -> Iterator[tuple[LayerRow, Floats]]:
    """The rows of a scan by the Krylov route with all singular values, and numpy's."""
    report = wa.scan(directory, spectrum="full", method="krylov", **chosen)
    matrices = {matrix.key: matrix for matrix in wa.matrices(directory)}
    for row in report.rows:
        yield row, np.linalg.svd(matrices[row.matrix.key].load().double().numpy(), compute_uv=False)


def holds(row: LayerRow, sigma: Floats) -> None:
    full = row.spectrum.full
    assert full is not None
    found = np.array(full.singular_values)
    assert np.abs(found**2 - sigma**2).max() <= full.squared_error + 1e-13 * len(sigma) * sigma[0] ** 2
    np.testing.assert_allclose(found[: len(found) // 2], sigma[: len(sigma) // 2], rtol=1e-9)
    single = 4 * row.matrix.parameters > LARGEST_SHUFFLED  # whose products may be summed in float32
    assert np.square(full.shuffled).sum() == pytest.approx(np.square(found).sum(), rel=1e-5 if single else 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("model", REAL)
def test_whole_models(model: str) -> None:
    directory = REAL[model]()
    if directory is None:
        pytest.skip(f"{model} is not installed")
    seen = 0
    for row, sigma in real(directory):
        holds(row, sigma)
        seen += 1
    assert seen >= 8

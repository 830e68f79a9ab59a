"""What the Krylov route estimates beside what all singular values say; real weights beside numpy's decomposition."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
from weightaudit.report.full_columns import schatten_norm
from weightaudit.spectral import measure

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
    assert schatten_norm(estimated, 1.0, len(sigma)) == pytest.approx(sigma.sum(), rel=nuclear)
    assert schatten_norm(estimated, 4.0, len(sigma)) == pytest.approx((sigma**4).sum() ** 0.25, rel=ratio)
    for value, bound in zip(detail.singular_values, detail.residual_bounds, strict=True):
        assert np.abs(sigma - value).min() <= bound + 1e-12 * sigma[0]


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_planted(spectrum: str) -> None:
    W = planted(300, 200, spectrum)
    full = measure(W, spectrum="full", method="krylov")
    assert full.full is not None
    sigma = np.array(full.full.singular_values)
    sigma[np.square(sigma) <= full.full.squared_error] = 0.0
    close(full, sigma, ratio=0.1, entropy=0.3, nuclear=0.2)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_norms_from_all_values(spectrum: str) -> None:
    W = planted(90, 60, spectrum)
    found, sigma = measure(W, spectrum="full"), np.linalg.svd(W, compute_uv=False)
    assert schatten_norm(found, 1.0, 60) == pytest.approx(sigma.sum(), rel=1e-6)
    assert schatten_norm(found, 4.0, 60) == pytest.approx((sigma**4).sum() ** 0.25, rel=1e-9)
    assert found.full is not None
    assert math.sqrt(sum(np.square(found.full.singular_values))) == pytest.approx(found.frobenius_norm)


@needs_minilm
def test_real_weights() -> None:
    """Two layers of MiniLM: all singular values, and the estimates beside them."""
    directory = minilm_directory()
    assert directory is not None
    seen = 0
    for row, sigma in real(directory, layers=(1, 5), roles=("Q", "O", "M1")):
        holds(row, sigma)
        close(row.spectrum, sigma, ratio=0.1, entropy=0.12, nuclear=0.12)
        seen += 1
    assert seen == 6


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
    assert np.square(full.shuffled).sum() == pytest.approx(np.square(found).sum(), rel=1e-9)


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

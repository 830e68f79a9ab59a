"""Advice on a trained model: the certified error of each cut beside that of the matrix itself in float64."""

from __future__ import annotations

import numpy as np
import pytest

import weightaudit as wa
from tests.support.minilm import minilm_directory, needs_minilm


@pytest.mark.slow  # as of matrices that are made, in test_compression
@needs_minilm
@pytest.mark.parametrize(("roles", "layers", "matrices"), [("Q", "5", 1), ("Q,O,M2", "0,5", 6)])
def test_the_error_of_a_cut_matrix_lies_in_its_interval(roles: str, layers: str, matrices: int) -> None:
    directory = minilm_directory()
    assert directory is not None
    report = wa.scan(str(directory), spectrum="full", roles=roles, layers=layers)
    found = report.compressibility()
    asked = {one.row.matrix.key for one in found.matrices}
    dense = {m.key: m.load().double().numpy() for m in wa.matrices(str(directory)) if m.key in asked}
    assert len(found.matrices) == matrices
    for one in found.matrices:
        matrix = dense[one.row.matrix.key]
        u, sigma, v = np.linalg.svd(matrix, full_matrices=False)
        held = np.cumsum(sigma**2) / np.sum(sigma**2)
        for cut in one.cuts:
            assert cut.rank == int(np.argmax(held >= cut.share)) + 1
            error = float(np.linalg.norm(matrix - (u[:, : cut.rank] * sigma[: cut.rank]) @ v[: cut.rank]))
            assert cut.error_lower <= error <= cut.error_upper
            assert cut.error_upper <= cut.error_lower * 1.001
        ranks = dict(one.row.spectrum.full.energy_ranks) if one.row.spectrum.full else {}
        assert ranks == {cut.share: cut.rank for cut in one.cuts}
    assert set(report.rank_pattern(by="alpha", r=4).ranks.values()) <= set(range(1, 17))
    assert len(report.unfrozen_parameters(by="alpha", share=0.5).modules) <= 3

"""Ranks that compress: the energy that they hold and the error of cutting there, beside numpy's in float64."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from tests.advice.made import spectrum_of, with_rows
from weightaudit import ScanReport
from weightaudit.records import CoverageEntry, LayerRow, Part, RoleMatrix

RNG = np.random.default_rng(7)


def decaying(rows: int, cols: int, rate: float) -> np.ndarray:
    """A matrix whose singular values fall by ``rate`` each."""
    left, _ = np.linalg.qr(RNG.standard_normal((rows, min(rows, cols))))
    right, _ = np.linalg.qr(RNG.standard_normal((cols, min(rows, cols))))
    return (left * rate ** np.arange(min(rows, cols))) @ right.T


MATRICES = {"tall": decaying(40, 24, 0.8), "wide": decaying(16, 50, 0.5), "flat": RNG.standard_normal((30, 30))}


def scan(**measured: bool | int) -> ScanReport:
    rows = [
        LayerRow(
            RoleMatrix("", i, None, "Q", (Part(f"{name}.weight"),), dense.shape, "float32"),
            spectrum_of(dense, **measured),  # type: ignore[arg-type]  # its own keywords
        )
        for i, (name, dense) in enumerate(MATRICES.items())
    ]
    return with_rows(
        rows, [CoverageEntry(f"{name}.weight", d.shape, "float32", d.size, "analysed") for name, d in MATRICES.items()]
    )


def cut_error(dense: np.ndarray, rank: int) -> float:
    """‖W − W_r‖_F of the matrix itself."""
    u, s, v = np.linalg.svd(dense)
    return float(np.linalg.norm(dense - (u[:, :rank] * s[:rank]) @ v[:rank]))


def test_whole_spectra_tell_every_rank_and_its_error() -> None:
    for one in scan(full=True).compressibility().matrices:
        dense = MATRICES[one.row.matrix.tensors[0].removesuffix(".weight")]
        sigma = np.linalg.svd(dense, compute_uv=False)
        held = np.cumsum(sigma**2) / np.sum(sigma**2)
        assert one.source == "all singular values"
        for cut in one.cuts:
            assert cut.rank == int(np.argmax(held >= cut.share)) + 1
            assert cut.parameters == cut.rank * sum(dense.shape)
            assert cut.error_lower <= cut_error(dense, cut.rank) <= cut.error_upper
            assert cut.error_upper <= cut.error_lower * (1 + 1e-6)
            assert cut.error_upper <= math.sqrt(1 - cut.share) * float(np.linalg.norm(dense))


def test_leading_values_tell_where_they_hold_enough() -> None:
    found = {one.row.matrix.tensors[0]: one for one in scan(leading=8).compressibility().matrices}
    assert found["flat.weight"].source == "unknown"
    assert [cut.rank for cut in found["flat.weight"].cuts] == [None] * 3
    wide = found["wide.weight"]
    assert wide.source == "leading singular values"
    for cut in wide.cuts:
        assert cut.rank is not None
        assert cut.error_lower <= cut_error(MATRICES["wide"], cut.rank) <= cut.error_upper
    assert [cut.rank is not None for cut in found["tall.weight"].cuts] == [True, True, False]


def test_tables_say_the_same() -> None:
    found = scan(full=True).compressibility()
    frame = found.frame
    assert len(frame) == 9
    read = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [int(line["rank"]) for line in read] == list(frame["rank"])
    for line, (_, own) in zip(read, frame.iterrows(), strict=True):
        assert float(line["error_lower"]) <= own.error_lower <= own.error_upper <= float(line["error_upper"])
        assert int(line["saving"]) == own.rows * own.cols - own["rank"] * (own.rows + own.cols)
    text = found.to_markdown()
    assert "rank 2, saves 83.5 %" in text  # of 16 × 50
    assert "saves nothing" in text


def test_what_is_not_known_says_how_it_would_be() -> None:
    found = scan().compressibility()
    assert found.frame["rank"].isna().all()
    assert found.to_markdown().count("scan with --spectrum full") == 9


@pytest.mark.parametrize(("norm", "said"), [(0.0, "all zero"), (math.nan, "not finite")])
def test_a_matrix_without_energy_has_no_rank(norm: float, said: str) -> None:
    matrix = RoleMatrix("", 0, None, "Q", (Part("w"),), (4, 4), "float32")
    spectrum = replace(spectrum_of(np.eye(4), full=True), frobenius_norm=norm, full=None)
    found = with_rows([LayerRow(matrix, spectrum)], []).compressibility()
    assert found.matrices[0].source == "unknown"
    assert found.to_markdown().count(said) == 3
    assert "--spectrum" not in found.to_markdown()


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e100, 1e200])
def test_no_scale_of_the_weights_leaves_the_range_of_numbers(scale: float) -> None:
    """Of those whose squares do, no rank but the whole one is known to do, and that is said."""
    dense = MATRICES["tall"] * scale
    matrix = RoleMatrix("", 0, None, "Q", (Part("w"),), dense.shape, "float64")
    spectrum = replace(spectrum_of(MATRICES["tall"], full=True), frobenius_norm=cut_error(MATRICES["tall"], 0) * scale)
    assert spectrum.full
    values = tuple(scale * sigma for sigma in spectrum.full.singular_values)
    error = math.nextafter(spectrum.full.squared_error * scale * scale, math.inf)
    full = replace(spectrum.full, singular_values=values, squared_error=error)
    (one,) = with_rows([LayerRow(matrix, replace(spectrum, full=full))], []).compressibility().matrices
    for cut in one.cuts:
        assert cut.rank is not None
        assert cut.error_lower <= cut_error(MATRICES["tall"], cut.rank) * scale + 1e-10 * scale
        assert cut.error_upper >= cut_error(MATRICES["tall"], cut.rank) * scale - 1e-10 * scale


def test_a_norm_that_is_not_exact_makes_no_rank_too_low() -> None:
    """The share is of the least energy that the singular values leave possible, as those of a product have room."""
    matrix = RoleMatrix("", 0, None, "Q", (Part("w"),), (100, 100), "float32")
    spectrum = spectrum_of(np.eye(100), full=True)
    assert spectrum.full
    loose = replace(spectrum, full=replace(spectrum.full, squared_error=0.06))
    (one,) = with_rows([LayerRow(matrix, loose)], []).compressibility().matrices
    # Of σ² from 0.94 to 1.06 those that are left hold at most a tenth of the least sum, 94; of 100 it would be nine.
    assert [cut.rank for cut in one.cuts] == [92, 96, 100]


def test_a_scan_that_was_asked_for_all_is_not_told_to_be() -> None:
    asked = replace(scan(), options={"spectrum": "full"})
    assert asked.compressibility().to_markdown().count("not all singular values are known") == 9
    assert "--spectrum" not in asked.compressibility().to_markdown()

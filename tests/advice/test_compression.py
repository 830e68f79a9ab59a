"""Ranks that compress: the energy that they hold and the error of cutting there, beside numpy's in float64."""

from __future__ import annotations

import csv
import io
import math

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


@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_a_matrix_without_energy_has_no_rank(bad: np.ndarray) -> None:
    matrix = RoleMatrix("", 0, None, "Q", (Part("w"),), (4, 4), "float32")
    from dataclasses import replace

    spectrum = replace(spectrum_of(np.eye(4), full=True), frobenius_norm=float(np.linalg.norm(bad)), full=None)
    (one,) = with_rows([LayerRow(matrix, spectrum)], []).compressibility().matrices
    assert one.source == "unknown"

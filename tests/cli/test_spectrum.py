"""`weightaudit scan --spectrum`: more in the JSON and on the page, the same in every table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import weightaudit as wa
from tests.support.running import CommandLine
from weightaudit.report.spectra import SPECTRAL


def test_asked_and_not_asked(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    written = {}
    for name, words in {"plain": (), "asked": ("--spectrum",)}.items():
        csv, js, html = (tmp_path / f"{name}.{kind}" for kind in ("csv", "json", "html"))
        outputs = ("--csv", csv, "--json", js, "--out", html)
        assert (
            weightaudit("scan", tiny_checkpoints["bert"], *outputs, "--layers", "0", "--method", "krylov", *words).code
            == 0
        )
        written[name] = (csv.read_bytes(), json.loads(js.read_text()), html.read_text())
    (plain_csv, plain, plain_page), (asked_csv, asked, asked_page) = written["plain"], written["asked"]
    header = plain_csv.splitlines()[0].split(b",")
    columns, passes = len(header), header.index(b"passes")
    table, asked_table = ([line.split(b",")[:columns] for line in of.splitlines()] for of in (plain_csv, asked_csv))
    for line, asked_line in zip(table[1:], asked_table[1:], strict=True):
        assert int(line.pop(passes)) <= int(asked_line.pop(passes))  # estimates want some
    assert asked_table == table
    for row, asked_row in zip(plain["layers"], asked["layers"], strict=True):
        assert {name: asked_row[name] for name in row} == {**row, "passes": asked_row["passes"]}
    assert asked["layers"][0].keys() - plain["layers"][0].keys() == {column.name for column in SPECTRAL}
    assert "spectra" not in plain
    assert 'id="spectra"' not in plain_page
    assert 'id="spectra"' in asked_page
    assert asked["options"]["spectrum"] is True
    keys = ("stack", "layer", "expert", "role")
    assert [[entry[key] for key in keys] for entry in asked["spectra"]] == [
        [row[key] for key in keys] for row in [{**row, "stack": row["stack"] or ""} for row in asked["layers"]]
    ]
    assert all(entry["estimated"] for entry in asked["spectra"])


def test_spectra_are_those_of_the_weights(tiny_checkpoints: dict[str, Path]) -> None:
    path = str(tiny_checkpoints["gpt2"])
    report = wa.scan(path, method="exact", spectrum=True)
    for row, matrix in zip(report.rows, wa.matrices(path), strict=False):
        assert row.matrix.key == matrix.key
        sigma = torch.linalg.svdvals(matrix.load().double()).numpy()
        detail = row.spectrum.detail
        assert detail
        assert not detail.estimated
        known = sigma[: len(detail.singular_values)]
        np.testing.assert_allclose(detail.singular_values, known, rtol=1e-10, atol=1e-12 * sigma[0])
        assert np.isclose(detail.participation_ratio, (sigma**2).sum() ** 2 / (sigma**4).sum())
    assert all(row.spectrum.detail is None for row in wa.scan(path).rows)

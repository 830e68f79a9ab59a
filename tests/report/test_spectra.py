"""Spectra in the report: there where they were asked for, nowhere else, and a bound is never called an estimate."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.report.spectra import asked, of_roles
from tests.support import factory
from tests.support.browser import DOCUMENT, SHORT, needs_chromium, opened
from tests.support.browser import asked as answered
from tests.support.covering import some_of
from weightaudit import ScanReport
from weightaudit.records import LayerRow, SpectrumDetail
from weightaudit.report.html import page
from weightaudit.report.html.method import reproduce_command
from weightaudit.report.html.payload import payload
from weightaudit.report.spectra import SPECTRAL, STEPS


def document(report: ScanReport, folder: Path) -> dict[str, list[dict[str, object]]]:
    report.write(folder / "r.json")
    read: dict[str, list[dict[str, object]]] = json.loads((folder / "r.json").read_text("utf-8"))
    return read


@pytest.mark.parametrize("name", some_of(factory.SMALL, "one_layer", "seq2seq"))
def test_nothing_of_spectra_unless_asked(name: str, tmp_path: Path) -> None:
    report = factory.SMALL[name]()
    assert "spectra" not in document(report, tmp_path)
    assert 'id="spectra"' not in page(report)
    assert payload(report)["spectra"] is None
    assert "--spectrum" not in reproduce_command(report)


def test_json_holds_full_precision(tmp_path: Path) -> None:
    report = asked(factory.bert(2))
    told = document(report, tmp_path)
    for entry, row in zip(told["spectra"], report.rows, strict=True):
        detail = row.spectrum.detail
        assert detail
        assert (entry["stack"], entry["layer"], entry["role"]) == (row.matrix.stack, row.matrix.layer, row.matrix.role)
        assert entry["singular_values"] == list(detail.singular_values)
        assert entry["residual_bounds"] == list(detail.residual_bounds)
        assert entry["density"] == [list(pair) for pair in detail.density]
        assert entry["entropy_effective_rank"] == detail.entropy_effective_rank
        assert entry["participation_ratio"] == detail.participation_ratio
        assert entry["estimated"] is (row.spectrum.method == "krylov")


def test_a_matrix_without_a_spectrum_is_left_out(tmp_path: Path) -> None:
    report = asked(factory.all_nan())
    assert document(report, tmp_path)["spectra"] == []
    assert "No matrix has a finite spectrum" in page(report)


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_tables_have_columns_of_their_own_behind_all_others(extension: str, tmp_path: Path) -> None:
    report, path = asked(factory.bert(2)), tmp_path / f"r{extension}"
    report.write(path)
    frame = pd.read_csv(path) if extension == ".csv" else pd.read_parquet(path)
    expected = [*factory.bert().layers.columns, *(column.name for column in SPECTRAL)]
    assert list(frame.columns) == expected == list(report.layers.columns)
    detail = report.rows[0].spectrum.detail
    assert detail is not None
    assert frame.participation_ratio[0] == pytest.approx(detail.participation_ratio, rel=1e-8)
    assert frame.sigma_1[0] == pytest.approx(detail.singular_values[0], rel=1e-8)


def test_section_says_what_is_certified_and_repeats_the_option() -> None:
    report = asked(factory.bert(2))
    text = page(report)
    assert '<section id="spectra"' in text
    assert '<a href="#spectra">Spectra</a>' in text
    assert "<strong>estimates</strong> from a random start, not certified" in text
    assert reproduce_command(report).endswith("--spectrum --out report.html")


def test_bounds_in_the_page_hold_for_its_rounded_values() -> None:
    report = asked(factory.bert(3))
    data = payload(report)["spectra"]
    for i, row in enumerate(report.rows):
        detail = row.spectrum.detail
        assert detail
        told = zip(data["values"][i], data["bounds"][i], strict=True)
        for (value, bound), true, radius in zip(told, detail.singular_values, detail.residual_bounds, strict=True):
            assert abs(value - true) + radius <= bound * (1 + 1e-15)


@pytest.mark.parametrize("length", [1, 2, 127, 128, 129, 500])
def test_distribution_in_the_page_is_right_where_it_steps(length: int) -> None:
    report = factory.one_layer()
    density = tuple((float(i), 1 / length) for i in range(length))
    first = report.rows[0]
    spectrum = replace(first.spectrum, detail=SpectrumDetail((), (), density, 2.0, 2.0, True))
    rows = (LayerRow(first.matrix, spectrum), *report.rows[1:])
    data = payload(replace(report, rows=rows, options={"spectrum": True}))["spectra"]
    nodes, shares = data["nodes"][0], data["cumulative"][0]
    assert len(nodes) <= STEPS
    assert (nodes[-1], shares[-1]) == (length - 1, 1.0)
    assert shares == pytest.approx([(node + 1) / length for node in nodes], abs=1e-5)
    assert data["values"][1:] == [None] * (len(rows) - 1)


@pytest.mark.browser
@needs_chromium
@pytest.mark.parametrize(
    ("name", "plots"),
    [
        pytest.param(name, plots, marks=pytest.mark.slow)
        for name, plots in (("all_nan", 0), ("hostile", 7), ("seq2seq", 12), ("embeddings_only", 2))
    ],
)
def test_page_draws_without_a_complaint(name: str, plots: int, tmp_path: Path) -> None:
    asked(factory.ALL[name]()).write(tmp_path / "page.html")
    dom, console = opened(tmp_path / "page.html")
    assert console == []
    check_drawn(dom, plots)


def check_drawn(dom: str, plots: int) -> None:
    assert 'data-ready="true"' in dom
    assert len(re.findall(r'class="[^"]*js-plotly-plot', dom)) == plots


@pytest.mark.browser
@needs_chromium
def test_one_matrix_is_chosen_and_named(tmp_path: Path) -> None:
    report = asked(of_roles(factory.bert(3), "Q", "M1", "M2"))
    report.write(tmp_path / "page.html")
    told = answered(
        tmp_path / "page.html",
        """
        for (const node of document.querySelectorAll("#plots .plot:not(#plot-frobenius-0)"))
          node.remove();  // other tests look at them
        for (const node of document.querySelectorAll(".plot")) {
          node.scrollIntoView();
          for (let i = 0; i < 1000 && !node._fullLayout; i++) await new Promise((end) => setTimeout(end, 50));
        }
        """
        + DOCUMENT
        + """
        const choice = document.querySelector("#spectrum-choice select");
        const kind = () => document.getElementById("spectrum-kind").textContent;
        const leading = document.getElementById("spectrum-leading");
        const density = document.getElementById("spectrum-density");
        answer.options = [...choice.options].map((option) => option.text);
        answer.start = [choice.selectedOptions[0].text, kind()];
        choice.value = String(answer.options.indexOf("layer 2 · M1"));
        choice.dispatchEvent(new Event("change"));
        answer.kind = kind();
        answer.values = [...leading.data[0].y];
        answer.bars = [...leading.data[0].error_y.array];
        answer.last = density.data[0].y.at(-1);
        answer.numbers = document.getElementById("spectrum-numbers").textContent;
        document.querySelector("#spectrum-choice button:last-child").click();
        answer.next = choice.selectedOptions[0].text;
        answer.hover = document.getElementById("plot-frobenius-0").data[0].hovertext[0];
        """,
        height=SHORT,
    )
    check_drawn(told["document"], 5)
    assert len(told["options"]) == len(report.rows)
    assert told["start"] == ["layer 0 · Q", "(exact up to rounding)"]
    row = next(row for row in report.rows if (row.matrix.layer, row.matrix.role) == (2, "M1"))
    assert row.spectrum.detail
    assert told["kind"] == "(estimate)"
    assert told["values"] == pytest.approx(row.spectrum.detail.singular_values, rel=1e-5)
    assert told["bars"] == pytest.approx(row.spectrum.detail.residual_bounds, rel=1e-2, abs=1e-4)
    assert told["last"] == 1
    assert "(estimate)" in str(told["numbers"])
    assert told["next"] == "layer 2 · M2"
    assert "participation ratio" in str(told["hover"])
    assert "(exact)" in str(told["hover"])

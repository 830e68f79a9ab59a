"""Whole spectra in a scan's page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.report import spectra
from tests.report.full_spectra import SPIKES, asked
from tests.support import factory
from tests.support.browser import NARROW, WIDE, needs_chromium
from tests.support.browser import asked as answered
from weightaudit import ScanReport
from weightaudit.cli.summary import summary_text
from weightaudit.report.full_spectra import full_payload, power_law_words
from weightaudit.report.html import page
from weightaudit.report.html.payload import payload
from weightaudit.report.markdown import markdown
from weightaudit.report.scales import ends_of
from weightaudit.report.style import FULL_LINES

MOST_BYTES = 1500
"""Of one matrix in the page, however many singular values it has."""


@pytest.mark.parametrize("report", [factory.bert(2), spectra.asked(factory.bert(2))])
def test_nothing_unless_asked(report: ScanReport) -> None:
    assert full_payload(report) is None
    assert payload(report)["full"] is None
    text = page(report)
    assert "spectrum-eigenvalues" not in text.split("<script", 1)[0]
    assert "plot-alpha-0" not in text.split("<script", 1)[0]


def test_a_matrix_is_small_in_the_page() -> None:
    told = full_payload(asked(factory.bert(2)))
    assert told
    assert all(len(json.dumps(one, separators=(",", ":"))) < MOST_BYTES for one in told)


def test_a_matrix_without_a_whole_spectrum_is_null() -> None:
    report = asked(factory.bert(2))
    first = report.rows[0]
    rows = (replace(first, spectrum=replace(first.spectrum, full=None)), *report.rows[1:])
    told = full_payload(replace(report, rows=rows))
    assert told
    assert told[0] is None
    assert None not in told[1:]


def test_what_is_no_number_is_null() -> None:
    report = asked(factory.one_layer())
    first = report.rows[0]
    assert first.spectrum.full
    assert first.spectrum.full.tail
    tail = replace(first.spectrum.full.tail, alpha_upper=float("inf"), hill_alpha=float("nan"))
    spectrum = replace(first.spectrum, full=replace(first.spectrum.full, tail=tail, bulk=None))
    told = full_payload(replace(report, rows=(replace(first, spectrum=spectrum), *report.rows[1:])))
    assert told
    assert told[0]
    assert told[0]["bulk"] is None
    assert (told[0]["tail"]["alpha_upper"], told[0]["tail"]["hill_alpha"]) == (None, None)


def test_the_axis_of_alpha_has_room_for_its_intervals() -> None:
    row = asked(factory.one_layer()).rows[0]
    assert row.spectrum.full
    assert row.spectrum.full.tail
    tail = row.spectrum.full.tail
    assert list(ends_of(row, FULL_LINES[0])) == [tail.alpha_lower, tail.alpha, tail.alpha_upper]


@pytest.mark.browser
@needs_chromium
@pytest.mark.parametrize("width", [WIDE, pytest.param(NARROW, marks=pytest.mark.slow)])
def test_the_eigenvalues_of_the_chosen_matrix_and_alphas_are_drawn(width: int, tmp_path: Path) -> None:
    report = asked(spectra.of_roles(factory.bert(2), "Q", "K"))
    report.write(tmp_path / "page.html")
    told = answered(
        tmp_path / "page.html",
        """
        for (const node of document.querySelectorAll("#plots .plot")) node.remove();  // other tests look at them
        document.getElementById("plot-alpha-0").scrollIntoView();
        const last = document.getElementById("spectrum-eigenvalues");
        for (let i = 0; i < 1000 && !last._fullLayout; i++) await new Promise((end) => setTimeout(end, 50));
        const traces = document.getElementById("plot-alpha-0").data;
        answer.legend = traces.filter((trace) => trace.showlegend !== false).map((trace) => trace.name);
        const line = traces.find((trace) => trace.legendgroup === "Q" && trace.x.length > 1);
        answer.y = line.y;
        answer.colours = line.marker.color;
        answer.own = line.line.color;
        answer.above = line.error_y.array;
        answer.below = line.error_y.arrayminus;
        answer.hover = line.hovertext;
        const plot = document.getElementById("spectrum-eigenvalues");
        const said = (id) => document.getElementById(id).textContent;
        const drawn = () => ({
          names: plot.data.map((trace) => trace.name),
          types: [plot.layout.xaxis.type, plot.layout.yaxis.type],
          dash: plot.data.at(-1).line.dash,
          label: plot.querySelector(".main-svg").getAttribute("aria-label"),
          heights: plot.data[0].y.length,
        });
        answer.bulk = said("spectrum-bulk");
        answer.tail = said("spectrum-tail");
        answer.log = drawn();
        document.querySelector('[data-scale-of="eigenvalues"] [data-scale="linear"]').click();
        answer.linear = drawn();
        document.querySelector("#spectrum-choice button:last-child").click();
        answer.next = said("spectrum-tail");
        answer.after = drawn();
        answer.wide = document.documentElement.scrollWidth > window.innerWidth;
        """,
        width=width,
    )
    first = next(i for i, row in enumerate(report.rows) if row.matrix.layer is not None)
    tails = [row.spectrum.full.tail for row in report.rows[first : first + 2] if row.spectrum.full]
    fits = [tail.fits for tail in tails if tail]
    assert [str(told[name]).startswith("Power law: α = ") for name in ("tail", "next")] == fits
    assert [str(told[name]).startswith("No power law: ") for name in ("tail", "next")] == [not one for one in fits]
    assert str(told["bulk"]).startswith(f"{SPIKES} of 300 eigenvalues are spikes")
    assert told["log"]["types"] == ["log", "log"]
    assert told["linear"]["types"] == told["after"]["types"] == ["linear", "linear"]
    expected = ["eigenvalues", f"{SPIKES} spikes", "shuffled entries", "Marchenko–Pastur", "Marchenko–Pastur edge"]
    assert told["log"]["names"][:6] == [*expected, "Tracy–Widom"]
    assert [told[name]["dash"] == "solid" for name in ("log", "after")] == fits
    assert all(word in told["log"]["label"] for word in ("logarithmic axes", "spikes", "ower law"))
    assert told["wide"] is False
    check_alphas(told, report)


def check_alphas(told: dict[str, Any], report: ScanReport) -> None:
    """By layer, what fits told from what does not."""
    tails = [row.spectrum.full.tail for row in report.rows if row.matrix.role == "Q" and row.spectrum.full]
    known = [tail for tail in tails if tail]
    assert told["y"] == pytest.approx([tail.alpha for tail in known], rel=1e-5)
    assert [colour == told["own"] for colour in told["colours"]] == [tail.fits for tail in known]
    assert len(set(told["colours"])) == 2
    assert told["above"] == pytest.approx([0.6] * len(known), rel=1e-4)
    assert told["below"] == pytest.approx([0.4] * len(known), rel=1e-4)
    assert ["no power law fits" in text for text in told["hover"]] == [not tail.fits for tail in known]
    assert "hollow: no power law fits" in told["legend"]
    assert len(set(told["legend"])) == len(told["legend"])


def test_without_entries_to_shuffle_nothing_is_said_of_them(tmp_path: Path) -> None:
    report = asked(factory.one_layer())
    rows = tuple(
        replace(row, spectrum=replace(row.spectrum, full=row.spectrum.full and replace(row.spectrum.full, shuffled=())))
        for row in report.rows
    )
    told = full_payload(replace(report, rows=rows))
    assert told
    assert all(one and one["bulk"]["shuffledSpikes"] is None and not any(one["log"]["shuffled"]) for one in told)


def test_how_many_power_laws_fit() -> None:
    report = asked(factory.bert(2))
    tails = [row.spectrum.full.tail for row in report.rows if row.spectrum.full]
    alphas = sorted(tail.alpha for tail in tails if tail and tail.fits)
    said = power_law_words(report.rows)
    assert said.startswith(f"a power law fits the eigenvalues of {len(alphas)} of {len(tails)} matrices, median α ")
    assert float(said.rpartition(" ")[2]) == pytest.approx(median(alphas), rel=5e-3)
    assert said in " ".join(summary_text(report).split())
    assert f" A{said[1:]}." in markdown(report)


def test_no_power_law_is_counted_where_none_was_fitted() -> None:
    assert power_law_words(factory.bert(2).rows) == ""
    assert "power law" not in markdown(factory.bert(2))


def test_none_that_fits_has_no_median() -> None:
    report = asked(factory.bert(1))
    misfits = [
        row for row in report.rows if row.spectrum.full and row.spectrum.full.tail and not row.spectrum.full.tail.fits
    ]
    assert power_law_words(misfits) == f"a power law fits the eigenvalues of 0 of {len(misfits)} matrices"

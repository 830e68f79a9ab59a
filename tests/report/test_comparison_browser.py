"""The comparison page in a real browser: 6 to 40 models, the table, the lines, and hostile names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.report import comparison_factory as models
from tests.support.browser import TALL, asked, needs_chromium, opened
from weightaudit.report.comparison import ModelEntry, write_index

pytestmark = [pytest.mark.browser, needs_chromium]
ASIDE = """
const status = () => document.querySelector("#table .pager [role=status]").textContent;
const body = document.querySelector("#table tbody");
"""
STARTED = """
answer.start = [status(), body.rows.length];
answer.drawn = document.getElementById("overlay-status").textContent;
answer.traces = document.getElementById("overlay").data.length;
"""
TABLED = """
const set = (node, value, event) => { node.value = value; node.dispatchEvent(new Event(event)); };
const head = document.querySelector('#table th[data-column="stable_rank"] button');
const first = () => body.rows[0].querySelector("td.c-stable_rank").textContent;
head.click();
answer.most = first();
head.click();
answer.least = first();
const [family, state] = document.querySelectorAll("#table select");
set(document.querySelector("#table input"), "GPT2 0010", "input");
answer.words = status();
set(document.querySelector("#table input"), "", "input");
set(state, [...state.options].find((option) => option.text === "Failed").value, "change");
answer.failed = [status(), body.rows[0].textContent];
"""


def written(entries: list[ModelEntry], folder: Path) -> Path:
    write_index(entries, folder, title="models")
    return folder / "index.html"


@pytest.mark.parametrize(
    ("count", "failures"), [pytest.param(6, 0, marks=pytest.mark.slow), pytest.param(40, 3, marks=pytest.mark.slow)]
)
def test_page_draws_without_a_complaint(count: int, failures: int, tmp_path: Path) -> None:
    dom, console = opened(written(models.models(count, failures), tmp_path))
    assert console == []
    check_drawn(dom, count, failures)


def check_drawn(dom: str, count: int, failures: int) -> None:
    assert 'data-ready="true"' in dom
    assert len(re.findall(r'class="trace scatter tracem\d+"', dom)) == min(60, count - failures)
    assert f"1–{count} of {count}<" in dom
    assert dom.count('class="count bad">failed<') == failures
    assert len(re.findall(r'<a href="\./org-\d--[^"]*/report.html">', dom)) == count - failures


def test_the_table_sorts_and_filters_and_lines_follow_it_and_come_forward(tmp_path: Path) -> None:
    """Of more models than lines are drawn of."""
    entries = models.models(70, failures=3)
    answer = asked(
        written(entries, tmp_path),
        ASIDE
        + STARTED
        + """
        answer.document = document.documentElement.outerHTML;
        const lines = () => [...document.querySelectorAll("#overlay .scatterlayer .trace")]
          .filter((line) => /^tracem[0-9]+$/.test(line.classList[2]));  // not what is said of all
        const width = (line) => parseFloat(line.querySelector("path.js-line").style.strokeWidth);
        const list = () => [...document.querySelectorAll("#overlay-models button")];
        const plot = document.getElementById("overlay");
        const colour = (i) => plot.data.find((trace) => trace.uid === "m" + i).line.color;
        list()[4].focus();
        answer.forward = lines().filter((line) => !line.style.filter).map((line) => [line.classList[2], width(line)]);
        list()[4].blur();
        answer.back = lines().filter((line) => line.style.filter).length;
        answer.families = [...document.querySelectorAll("#overlay-families button")].length;
        answer.family = [colour(0), colour(10), colour(20)];
        list()[4].click();
        list()[7].click();
        answer.kept = list().filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.dataset.model);
        answer.apart = new Set([colour(4), colour(7), colour(0)]).size;
        answer.others = new Set([colour(0), colour(1), colour(2)]).size;
        document.querySelector("#overlay-status button").click();
        answer.title = document.getElementById("overlay-title").textContent;
        [...document.querySelectorAll("#overlay-role button")].find((b) => b.textContent === "GATE").click();
        document.querySelectorAll("#overlay-metric button")[3].click();
        answer.retitled = document.getElementById("overlay-title").textContent;
        answer.gates = plot.data.length;
        """
        + TABLED,
        height=TALL,
    )
    check_drawn(answer["document"], 70, 3)
    check_table(answer, entries, 3)
    assert answer["forward"] == [["tracem4", 3.5]]
    assert answer["back"] == 0
    assert answer["families"] == 9
    assert len(set(answer["family"])) == 1  # three of one family
    assert answer["kept"] == ["4", "7"]
    assert (answer["apart"], answer["others"]) == (3, 1)
    assert answer["title"] == "Stable rank of Q over depth"
    assert answer["retitled"] == "Frobenius norm ÷ the model's median of GATE over depth"
    gated = ("llama", "mixtral", "qwen2")
    assert answer["gates"] == sum(entry.family in gated for entry in entries)


@pytest.mark.slow
@pytest.mark.parametrize("many", [120, 200, 1000, 5000])
def test_hundreds_and_thousands_can_be_sorted_and_filtered(many: int, tmp_path: Path) -> None:
    once = [models.model(i) for i in range(100)]
    entries = [once[i % 100] for i in range(many - 10)] + [models.failed(i, models.REASONS[0]) for i in range(10)]
    answer = asked(
        written(entries, tmp_path),
        ASIDE + STARTED + TABLED,
        height=TALL,
    )
    check_table(answer, entries, 10)


def check_table(answer: dict[str, Any], entries: list[ModelEntry], failures: int) -> None:
    """What the scripts above told of the models' page."""
    ranks = [float(entry.metrics["stable_rank"] or 0) for entry in entries if entry.status == "done"]
    many, read = len(entries), len(entries) - failures
    assert answer["start"] == [f"1–{min(many, 100)} of {many:,}", min(many, 100)]
    assert answer["drawn"].startswith(f"60 of {read:,} models drawn. Shaded: 10 to 90 % of all {read:,}")
    assert answer["traces"] == 63
    assert float(answer["most"]) == pytest.approx(max(ranks), rel=1e-3)
    assert float(answer["least"]) == pytest.approx(min(ranks), rel=1e-3)
    named = sum("gpt2" in entry.name and "0010" in entry.name for entry in entries)
    assert named == max(1, many // 100)
    assert answer["words"] == f"1–{named} of {named}"
    assert answer["failed"][0] == f"1–{failures} of {failures}"
    assert models.REASONS[0] in answer["failed"][1]


def test_no_element_comes_from_a_name(tmp_path: Path) -> None:
    answer = asked(
        written(models.hostile(), tmp_path),
        """
        const plot = document.getElementById("overlay");
        Plotly.Fx.hover(plot, [{ curveNumber: 0, pointNumber: 0 }]);
        answer.elements = document.querySelectorAll("img, body svg[onload], [onerror]").length;
        answer.title = document.title;
        answer.hover = plot.querySelector(".hoverlayer").textContent;
        answer.cell = document.querySelector("#table td.c-name a").textContent;
        answer.leads = [...document.querySelectorAll("#table a")].map((a) => new URL(a.href).protocol);
        answer.text = document.body.textContent;
        """,
        height=TALL,
    )
    assert answer["elements"] == 0
    assert answer["title"] == "models · weightaudit"
    assert models.HOSTILE + "0" in answer["hover"]
    assert answer["cell"] == models.HOSTILE + "0"
    assert set(answer["leads"]) == {"file:"}
    assert "bidi\\u202eevil\\x07" in answer["text"]

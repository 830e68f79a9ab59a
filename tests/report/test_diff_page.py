"""A difference's page: its story told without a script, its scripts in a browser, no name that runs."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from tests.support import diffs
from tests.support.browser import NARROW, TALL, WIDE, asked, needs_chromium
from weightaudit.records import ELSEWHERE, Change, DiffResult, Place, SpectrumDetail
from weightaudit.report import write
from weightaudit.report.diff.body import body
from weightaudit.report.diff.columns import change_norm
from weightaudit.report.diff.composition import composition
from weightaudit.report.diff.kinds import KINDS
from weightaudit.report.diff.page import page
from weightaudit.report.diff.payload import STEPS, payload
from weightaudit.report.diff.verdict import change_name
from weightaudit.report.html.findings import grouped
from weightaudit.report.page_constants import BETWEEN


def shown(result: DiffResult) -> str:
    """What the page says before its scripts run, as plain text."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body(result, grouped(result)))).split())


def test_the_story_of_a_fine_tune_stands_in_the_page() -> None:
    said = shown(diffs.full())
    assert "All 37 matrices changed: 36 dense (Q, K, V, O, M1 and M2) and 1 few rows (EMBED)." in said
    assert "Weight decay shrank every matrix alike" in said
    assert "by c = 0.000166" in said
    assert re.search(r"What moved most .* layer 5 · M2 0\.731 % dense 100 %", said)
    assert "Only in the" not in said
    assert "Only in the" in shown(diffs.resized())
    assert "POOLER" in shown(diffs.resized())
    assert "0.3002 × org/p + 0.7001 × org/q" in shown(diffs.merged())


def test_nothing_is_cut_of_what_the_page_explains() -> None:
    method = shown(diffs.lora()).rpartition("How it was computed")[2]
    assert "…" not in method
    assert all(style.meaning in method for style in KINDS.values())


@pytest.mark.parametrize("name", diffs.ALL)
def test_the_parts_of_an_update_add_up(name: str) -> None:
    result = diffs.ALL[name]()
    made = composition(result.matrices, result.summary.decay)
    sizes = [change_norm(one) ** 2 for one in result.matrices if one.kind not in ELSEWHERE and one.kind != "not finite"]
    assert made.total == pytest.approx(sum(sizes))
    assert all(value >= 0 for value in made.parts.values())


def test_what_updates_are_made_of() -> None:
    lora = composition(diffs.lora().matrices, None)
    assert lora.parts["directions"] > 0.9 * lora.total
    assert "Largest directions measured" in shown(diffs.lora())  # noise has largest ones, and none that leads
    assert lora.parts["shrink"] == 0
    cast = composition(diffs.cast().matrices, None)
    assert cast.parts["rounding"] == cast.total > 0
    full = diffs.full()
    made = composition(full.matrices, full.summary.decay)
    dense = [one.entries for one in full.matrices if one.kind == "dense" and one.entries is not None]
    assert made.parts["shrink"] == pytest.approx(sum(1.66e-4**2 * facts.base_sq for facts in dense))
    moved = composition(diffs.moved().matrices, None)
    assert (moved.matrices, moved.left_out, moved.total) == (0, 18, 0)


def test_every_kind_has_its_own_look_on_either_paper() -> None:
    for paper in ("light", "dark"):
        assert len({getattr(style, paper) for style in KINDS.values()}) == len(KINDS)


def test_findings_lead_to_their_rows() -> None:
    finding = replace(diffs.lora().findings[0], layer=2, role="Q", id="diff-x")
    vector = replace(finding, layer=None, role="", tensors=("encoder.layer.1.output.norm.weight",))
    result = replace(diffs.lora(), findings=(finding, vector))
    data = payload(result, grouped(result))
    names = [change_name(result.changes[i]) for i in data["findings"]["row"]]
    assert names == ["layer 2 Q", "encoder.layer.1.output.norm.weight"]
    said = body(result, grouped(result))
    assert '"#layer-2-Q"' in said
    assert f'"#m-{data["findings"]["row"][1]}">encoder.layer.1.output.norm.weight</a>' in said  # it has no place
    assert "the whole model" not in shown(result)
    alone = replace(result, findings=(vector,))
    assert f"<span>{vector.tensors[0]}</span></li>" in body(alone, grouped(alone))  # beneath the verdict too


def test_a_finding_on_the_whole_model_is_on_no_vector() -> None:
    """Neither has a place: a vector is told by its tensors."""
    result = diffs.full()
    (group,) = grouped(result)
    assert group.rows == ((),)
    assert "the whole model" in shown(result)
    vector = len(result.matrices)
    finding = replace(result.findings[0], tensors=result.changes[vector].tensors)
    (group,) = grouped(replace(result, findings=(finding,)))
    assert group.rows == ((vector,),)


def test_all_singular_values_as_they_are_estimated() -> None:
    """Each with how many are no smaller, in few steps; what is zero is none."""
    change = diffs.change(Place(layer=0, role="Q"), "dense", 0.01)
    assert change.spectrum is not None
    density = ((0.0, 0.5), *((0.01 * (i + 1), 0.4 / 29) for i in range(29)), (3.0, 0.1))
    detail = SpectrumDetail((), (), density, 1.0, 1.0, True)
    told = replace(change, spectrum=replace(change.spectrum, detail=detail))
    ((*_, none),) = payload(diffs.result_of([change]), [])["spectra"]
    ((*_, steps),) = payload(diffs.result_of([told]), [])["spectra"]
    count = min(change.shape)
    assert none == []
    assert len(steps) == STEPS
    assert steps[0] == [pytest.approx(0.1 * count, rel=1e-3), 3.0]
    assert steps[-1] == [pytest.approx(0.5 * count, rel=1e-3), 0.01]
    assert steps == sorted(steps)
    assert [value for _, value in steps] == sorted((value for _, value in steps), reverse=True)


def test_the_page_grows_little_by_the_row() -> None:
    """A mixture's 5,000 rows have to fit a page that opens at once."""
    few, many = (len(page(diffs.lora(layers))) for layers in (10, 110))
    assert (many - few) / (100 * 8) < 500


def many(number: int = 5000) -> DiffResult:
    changes: list[Change] = [
        diffs.change(
            Place(layer=i // 100, expert=i % 50, role="M1" if i % 100 < 50 else "M2"), "dense", 0.01 + i * 1e-6
        )
        for i in range(number)
    ]
    return diffs.result_of(changes)


@needs_chromium
@pytest.mark.parametrize(
    "name",
    [
        "hostile",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("lora", "odd", "mixture", "resized", "500", "5000")),
    ],
)
def test_a_browser_draws_the_page(name: str, tmp_path: Path) -> None:
    result = many(int(name)) if name.isdigit() else diffs.ALL[name]()
    path = tmp_path / "diff.html"
    write(result, path)
    answer = asked(
        path,
        """
        for (const button of document.querySelectorAll("#heat-choice button")) button.click();
        answer.ready = document.documentElement.dataset.ready;
        answer.title = document.title;
        answer.rows = document.querySelectorAll("#layers tbody tr").length;
        answer.heats = document.querySelectorAll("#heat .main-svg").length;
        answer.hosts = document.querySelectorAll("#heat .plot").length;
        answer.wide = document.documentElement.scrollWidth > window.innerWidth;
        answer.markup = document.querySelectorAll("#layers img, #layers svg, main script, main b b").length;
        """,
        height=TALL,
    )
    assert answer["ready"] == "true"
    assert answer["title"] != "pwned"
    assert answer["rows"] == min(100, len(result.changes))
    assert answer["heats"] >= answer["hosts"]
    assert not answer["wide"]
    assert answer["markup"] == 0


KNOWN = (1, 2, 5, 15)
"""How many singular values are known of a matrix."""


@needs_chromium
@pytest.mark.parametrize("width", [WIDE, pytest.param(NARROW, marks=pytest.mark.slow)])
def test_singular_values_are_counted_and_named(width: int, tmp_path: Path) -> None:
    """In whole numbers, however few; lines among them, where nothing else lies."""
    changes: list[Change] = []
    for layer, known in enumerate(KNOWN):
        change = diffs.change(Place(layer=layer, role="Q"), "dense", 0.01)
        assert change.ranks is not None
        ranks = replace(change.ranks, singular_values=change.ranks.singular_values[:known])
        changes.append(replace(change, ranks=ranks))
    changes.append(diffs.change(Place(layer=len(KNOWN), role="Q"), "dense", 0.01))
    path = tmp_path / "diff.html"
    write(diffs.result_of(changes), path)
    told = asked(
        path,
        """
        const choice = document.querySelector("#spectrum-choice select");
        const plot = document.getElementById("spectrum-leading");
        const box = (node) => node.getBoundingClientRect();
        for (const node of document.querySelectorAll("#heat .plot")) node.remove();  // other tests look at them
        plot.scrollIntoView();
        for (let i = 0; i < 1000 && !plot._fullLayout; i++) await new Promise((end) => setTimeout(end, 50));
        answer.seen = [];
        for (const option of choice.options) {
          choice.value = option.value;
          choice.dispatchEvent(new Event("change"));
          await new Promise((end) => requestAnimationFrame(() => setTimeout(end)));
          const buttons = box(plot.querySelector(".modebar-container > .modebar"));
          const floor = box(plot.querySelector(".nsewdrag")).bottom;
          answer.seen.push({
            of: option.text,
            ticks: [...plot.querySelectorAll(".xtick text")].map((one) => one.textContent),
            names: [...plot.querySelectorAll(".annotation")].map((node) => [
              node.textContent,
              box(node).right < buttons.left || box(node).top > buttons.bottom,
              box(node).bottom < floor + 1,
            ]),
          });
        }
        """,
        width=width,
    )["seen"]
    assert [one["of"] for one in told] == [f"layer {layer} · Q" for layer in range(len(changes))]
    for one, known in zip(told, KNOWN, strict=False):
        assert [int(tick) for tick in one["ticks"]] == [number for number in (1, 2, 5, 10) if number <= max(known, 4)]
    assert told[-1]["names"] == [["edge of rounding", True, True], ["white noise of this size", True, True]]


@needs_chromium
def test_rows_are_filtered_opened_and_led_to(tmp_path: Path) -> None:
    path = tmp_path / "diff.html"
    write(diffs.lora(), path)
    answer = asked(
        path,
        """
        const count = () => document.querySelectorAll("#layers tbody tr").length;
        const pick = (label, value) => {
          const node = document.querySelector(`#layers [aria-label="${label}"]`);
          node.value = value;
          node.dispatchEvent(new Event(node.tagName === "SELECT" ? "change" : "input"));
          return count();
        };
        answer.all = count();
        answer.changed = pick("Kind", "changed");
        answer.vectors = pick("Kind", "") && pick("Role", "vectors");
        answer.searched = pick("Role", "") && pick("Filter the table", "layer 3 low rank");
        window.location.hash = "#m-3";
        window.dispatchEvent(new HashChangeEvent("hashchange"));
        answer.opened = document.querySelector("#layers .detail strong").textContent;
        """,
    )
    assert (answer["all"], answer["changed"], answer["vectors"], answer["searched"]) == (49, 12, 12, 2)
    assert answer["opened"] == change_name(diffs.lora().changes[3], BETWEEN)

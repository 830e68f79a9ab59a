"""Heads of attention in reports: the page's section and data, and in a browser the map, its choice and its leads."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import weightaudit as wa
from tests.support.browser import asked, needs_chromium
from tests.support.page import Reader
from tests.support.tiny import tiny
from weightaudit import ScanReport
from weightaudit.records import Heads, SkippedAttention
from weightaudit.report.heads import HEAD_COLUMNS
from weightaudit.report.html.heads import heads_payload
from weightaudit.report.html.payload import payload


@cache
def scanned(model_type: str) -> ScanReport:
    return wa.scan(tiny(model_type), heads=True)


def test_the_map_has_every_number_of_every_head() -> None:
    report = scanned("t5")
    told = heads_payload(report)["heads"]
    assert [(one["stack"], one["attention"]) for one in told["maps"]] == [
        ("encoder", "self"),
        ("decoder", "self"),
        ("decoder", "cross"),
    ]
    assert report.heads is not None
    for one in told["maps"]:
        rows = [r for r in report.heads.rows if (r.stack, r.attention) == (one["stack"], one["attention"])]
        for row in rows:
            assert row.logit is not None
            shown = one["numbers"]["logit"][one["layers"].index(row.layer)][row.head]
            assert row.logit.spectral_norm_upper <= shown <= row.logit.spectral_norm_upper * 1.001


def test_numbers_that_no_head_has_are_no_choice() -> None:
    names = [choice["name"] for choice in heads_payload(scanned("bert"))["heads"]["choices"]]
    assert "logit" in names
    assert "bound" not in names


def test_a_page_without_heads_has_neither_data_nor_section() -> None:
    report = wa.scan(tiny("llama"))
    assert "heads" not in payload(report)
    assert 'id="heads"' not in report.to_html()


def test_the_section_says_how_the_numbers_are_made_and_what_is_left_out() -> None:
    text = Reader(scanned("llama").to_html()).text
    assert "1/√head_dim = 0.2500" in text
    assert "model.layers.*.input_layernorm" in text
    assert "decoder.block.*.layer.0.layer_norm" in Reader(scanned("t5").to_html()).text
    assert "none is known to come right before it" in Reader(scanned("bert").to_html()).text


@pytest.mark.slow
def test_several_norms_are_named() -> None:
    several = Reader(scanned("deepseek_v3").to_html()).text
    assert "model.layers.*.self_attn.q_a_layernorm, model.layers.*.self_attn.kv_a_layernorm" in several


@pytest.mark.parametrize("model_type", ["t5", pytest.param("bart", marks=pytest.mark.slow)])
def test_no_two_elements_of_the_page_have_one_id(model_type: str) -> None:
    ids = re.findall(r' id="([^"]*)"', scanned(model_type).to_html())
    assert "heads" in ids
    assert len(ids) == len(set(ids))


def test_attentions_that_were_not_taken_apart_are_listed_and_hostile_words_are_shown_harmlessly() -> None:
    odd = tuple(SkippedAttention("", layer, "self", "<script>alert(1)</script>\u202e") for layer in range(30))
    report = replace(scanned("llama"), heads=Heads(skipped=odd))
    page = report.to_html()
    assert "<script>alert" not in page
    reader = Reader(page)
    assert "30 attentions whose heads are not known" in reader.text
    assert "and 10 more" in reader.text
    assert heads_payload(report) == {}


def test_the_json_says_unknown_numbers_as_null() -> None:
    report = scanned("bert")
    told = json.loads(report.to_json())["heads"]
    assert report.heads is not None
    assert told["rows"][0]["logit_bound"] is None
    assert math.isnan(report.heads.rows[0].logit_bound)
    assert told["attentions"][0]["scale_source"] == "1/√head_dim"


def test_the_table_of_heads_has_its_columns() -> None:
    frame = scanned("llama").heads_frame
    assert list(frame.columns) == [column.name for column in HEAD_COLUMNS]
    assert len(frame) == 8
    assert frame.logit_spectral_norm.le(frame.logit_spectral_norm_upper).all()
    assert frame.kv_head.tolist() == [0, 0, 1, 1] * 2


@pytest.mark.browser
@needs_chromium
def test_the_map_is_drawn_chosen_and_leads_to_the_layer(tmp_path: Path) -> None:
    scanned("t5").to_html(tmp_path / "page.html")
    answer = asked(
        tmp_path / "page.html",
        """
        for (const node of document.querySelectorAll("#plots .plot")) node.remove();  // other tests look at them
        document.getElementById("heads").scrollIntoView();
        const last = document.getElementById("plot-head-map-2");
        for (let i = 0; i < 1000 && !last._fullLayout; i++) await new Promise((end) => setTimeout(end, 50));
        const drawn = () => [...document.querySelectorAll("#heads .plot")].map((node) => node.data?.[0].z.flat());
        const words = () => document.querySelector("#plot-head-map-0 .main-svg").getAttribute("aria-label");
        answer.first = drawn();
        answer.words = words();
        const buttons = [...document.querySelectorAll("#heads-choice button")];
        buttons.find((one) => one.textContent.startsWith("What it writes")).click();
        answer.second = drawn();
        answer.other = words();
        answer.pressed = buttons.filter((one) => one.getAttribute("aria-pressed") === "true").length;
        const node = document.getElementById("plot-head-map-1");
        node.emit("plotly_click", { points: [{ customdata: node.data[0].customdata[0][1] }] });
        await new Promise((end) => setTimeout(end, 100));
        answer.hash = location.hash;
        """,
    )
    assert [len(cells) for cells in answer["first"]] == [8, 8, 8]
    assert answer["first"] != answer["second"]
    assert answer["words"].startswith("encoder: Map to logits of each head by layer")
    assert "What it writes (OV)" in answer["other"]
    assert answer["pressed"] == 1
    assert answer["hash"] == "#filter=decoder+layer+1&role=Q"

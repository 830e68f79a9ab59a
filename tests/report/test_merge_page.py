"""A merge check as a page, tables, Markdown and findings: what to try first, and never without what it is worth."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import diffs
from tests.support.browser import TALL, asked, needs_chromium
from tests.support.covering import some_of
from tests.support.factory import HOSTILE_NAMES
from tests.support.merges import merge_check_result
from weightaudit.api import MergeReport
from weightaudit.cli.merge_check_summary import merge_check_text
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.errors import UsageError
from weightaudit.records import Adapter, Finding, MergeCheckResult, ModelIdentity
from weightaudit.report import write
from weightaudit.report.formats import writer_of
from weightaudit.report.html.findings import grouped
from weightaudit.report.merge import payload as payloads
from weightaudit.report.merge import trust
from weightaudit.report.merge.body import body
from weightaudit.report.merge.columns import NAMES
from weightaudit.report.merge.page import page
from weightaudit.report.merge.trust import TRUST

CASES = {
    "two": lambda: merge_check_result(),
    "four": lambda: merge_check_result(4, weights=(1, 0.5, 0, -1)),
    "eight": lambda: merge_check_result(8, 2),
    "a merge": lambda: merge_check_result(3, merged=True),
    "hostile": lambda: merge_check_result(len(HOSTILE_NAMES[:8]), names=HOSTILE_NAMES[:8]),
}


def written(result: MergeCheckResult, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    writer_of(kind)(result, file, **options)
    return file.getvalue().decode()


def shown(result: MergeCheckResult) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body(result, grouped(result)))).split())


def test_what_it_is_worth_is_said_everywhere() -> None:
    result = merge_check_result()
    for text in (
        shown(result),
        written(result, ".md"),
        written(result, ".json"),
        written(result, ".xml"),
        merge_check_text(result),
    ):
        said = " ".join(text.replace("\\", "").split())
        for words in ("ranks models", "does not mean safe", "Merge, then evaluate"):
            assert words in said
    assert json.loads(written(result, ".json"))["trust"] == TRUST


def test_its_figures_are_those_of_the_experiment() -> None:
    folder = Path(__file__).parents[2] / "reports" / "paper" / "transfer"
    claims = {one["id"]: one["numbers"] for one in json.loads((folder / "verdict.json").read_text("utf-8"))["claims"]}
    predicts, tells, pooled = (
        claims[name] for name in ("disturbance-predicts", "disturbance-tells-who-loses-much", "recipes-do-not-compare")
    )
    correlations = predicts["Spearman"]
    assert (len(correlations), round(predicts["Spearman: mean"], 2)) == (trust.SETS, trust.SPEARMAN)
    assert (round(min(correlations), 2), round(max(correlations), 2)) == (trust.LEAST, trust.MOST)
    assert round(claims["cosine-predicts-not"]["Spearman: mean"], 2) == trust.COSINE
    assert round(claims["opposed-predicts-not"]["Spearman: mean"], 2) == trust.OPPOSED
    assert round(100 * claims["disturbance-tells-the-side"]["share of pairs: mean"]) == trust.SIDES
    assert (round(tells["AUC: mean"], 2), round(tells["AUC of size_ratio: mean"], 2)) == (trust.AUC, trust.AUC_OF_SIZES)
    assert round(sum(pooled["over all"]) / len(pooled["over all"]), 2) == trust.POOLED
    lost = claims["suggested-weights-lose-less"]
    for value, way in ((trust.SUGGESTED, "suggested"), (trust.SUM, "sum"), (trust.HALF, "half")):
        shares = lost[f"mean share lost, {way}"]
        assert value == round(sum(shares) / len(shares), 2)


def test_the_story() -> None:
    said = shown(merge_check_result(names=("math", "code"), notes=("One thing.",)))
    assert re.search(r"Merged at weights 1 and 1, (math|code) is disturbed the most", said)
    assert re.search(r"Try first: weights \d\.\d\d for math and \d\.\d\d for code", said)
    assert "6 matrices; 1 table of tokens left out" in said
    assert "One thing." in said
    assert "not which layers do the damage" in said
    assert "predicted next to nothing" in said
    assert said.index("What did not predict, or less than D") < said.index("Sign conflict")
    judged = shown(merge_check_result(2, merged=True))
    assert "In the merge merged" in judged
    assert "The nearest linear merge is 0.5 × org/math and 0.5 × org/code" in judged


def test_means_by_role_and_layer() -> None:
    result = merge_check_result(names=("math", "code"))
    said = shown(result)
    for words, some in (
        ("M1 3", [one for one in result.counted if one.place.role == "M1"]),
        ("layer 2 2", [one for one in result.counted if one.place.layer == 2]),
    ):
        effects = [one.interactions.effect(0, (1, 1)) for one in some]
        D, kappa = (sum(getattr(e, name) for e in effects) / len(effects) for name in ("disturbance", "contamination"))
        assert f"{words} {D:.3g} {kappa:.3g} " in said


def test_nothing_to_say() -> None:
    result = merge_check_result(layers=0)
    assert "No matrix that counts was changed" in shown(result)
    for kind in (".csv", ".json", ".md", ".xml", ".sarif", ".html"):
        assert written(result, kind)
    with pytest.raises(UsageError, match="no weights are suggested"):
        written(result, ".yaml")


@pytest.mark.parametrize("name", some_of(CASES, "two", "four", "a merge"))
def test_tables(name: str) -> None:
    result = CASES[name]()
    models = len(result.models)
    rows = list(csv.DictReader(io.StringIO(written(result, ".csv"))))
    alone = models > 2 or result.merged is not None
    assert len(rows) == len(result.meetings) * models * (models if alone else 1)
    assert tuple(rows[0]) == NAMES
    frame = MergeReport(**vars(result)).meetings_frame
    assert list(frame.columns) == list(NAMES)
    assert len(frame) == len(rows)
    for row, (_, told) in zip(rows, frame.iterrows(), strict=True):
        if row["disturbance"]:
            assert float(row["disturbance"]) == pytest.approx(told.disturbance, rel=1e-8)
            rho, kappa = float(row["retention"]), float(row["contamination"])
            assert math.hypot(rho - 1, kappa) == pytest.approx(told.disturbance, rel=1e-6, abs=1e-9)
        assert (row["counted"] == "true") == (row["role"] != "EMBED") == bool(row["disturbance"])
        others = 1 if row["cosine"] else models - 1
        assert bool(row["cosine"]) <= (row["weights"] != "")
        assert row["others"].count(";") >= others - 1
    said = json.loads(written(result, ".json"))
    assert len(said["meetings"]) == len(result.meetings)
    assert len(said["meetings"][1]["on_inputs"]) == models


@pytest.mark.parametrize("name", ["two", "four"])
def test_a_configuration_for_mergekit(name: str) -> None:
    result = CASES[name]()
    said = yaml.safe_load(written(result, ".yaml"))
    assert said["merge_method"] == "task_arithmetic"
    assert said["base_model"] == f"org/base@{'0' * 40}"
    assert [one["model"] for one in said["models"]] == [one.location for one in result.models]
    assert [one["parameters"]["weight"] for one in said["models"]] == pytest.approx(result.summary.suggested, abs=1e-4)
    assert said["parameters"]["normalize"] is False


def test_mergekits_names() -> None:
    """Without a base a linear merge; an adapter is put on it; a name is text, whatever is in it."""
    plain = merge_check_result(base=None)
    assert yaml.safe_load(written(plain, ".yaml"))["merge_method"] == "linear"
    assert "base_model" not in yaml.safe_load(written(plain, ".yaml"))
    lora = ModelIdentity("lora", "", "./lora: {a: b}", (), adapter=Adapter("LoRA", "org/base", 8, 16.0))
    result = merge_check_result(models=2)
    with_adapter = MergeReport(**{**vars(result), "models": (lora, result.models[1])})
    said = yaml.safe_load(written(with_adapter, ".yaml"))
    assert said["models"][0]["model"] == f"org/base@{'0' * 40}+./lora: {{a: b}}"
    with pytest.raises(UsageError, match="Give --base"):
        written(MergeReport(**{**vars(with_adapter), "base": None}), ".yaml")


def test_formats_that_there_are_not() -> None:
    with pytest.raises(UsageError, match="it is no format of this report"):
        writer_of(".yaml")(diffs.full(), io.BytesIO())
    with pytest.raises(UsageError, match="no report format"):
        writer_of(".doc")


@pytest.mark.parametrize("name", CASES)
def test_the_terminal(name: str) -> None:
    text = merge_check_text(CASES[name](), TerminalStyle("ascii"))
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    text.encode("ascii")


def test_no_name_is_markup() -> None:
    result = CASES["hostile"]()
    html = page(result)
    assert "<script>alert" not in html
    assert html.count("<script") == 3
    assert "=HYPERLINK" not in re.findall(r"^=.*", written(result, ".csv"), re.MULTILINE)


def test_findings_lead_to_their_matrices() -> None:
    finding = Finding("merge-not-finite", "warning", "Entries", detail="One.", layer=1, role="Q")
    result = merge_check_result(findings=(finding,), rules=("merge-not-finite",))
    said = body(result, grouped(result))
    assert 'href="#layer-1-Q"' in said
    assert '<span id="layer-1-Q">layer 1' in said


def test_many_matrices_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a page stays a page; it says so."""
    result = merge_check_result(4, 12)
    monkeypatch.setattr(payloads, "MOST_NUMBERS", 900)
    kept = payloads.shown_meetings(result)
    assert 5 <= len(kept) < len(result.counted)
    assert f"Of 24 matrices {len(kept)}, evenly spaced" in shown(result)


@needs_chromium
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "hostile")) for name in CASES])
def test_a_browser_draws_the_page_and_moves_the_weights(name: str, tmp_path: Path) -> None:
    result = CASES[name]()
    path = tmp_path / "merge.html"
    write(result, path)
    answer = asked(
        path,
        """
        const cells = () => [...document.querySelectorAll("#standings tr")].map((row) => row.children[1].textContent);
        answer.before = cells();
        const range = document.querySelector("#weights input");
        range.value = "0.25";
        range.dispatchEvent(new Event("input"));
        answer.moved = cells();
        document.querySelector("#weight-choices button").click();
        answer.suggested = cells();
        for (const select of document.querySelectorAll("#pair-choice select")) {
          select.selectedIndex = 1;
          select.dispatchEvent(new Event("change"));
        }
        answer.ready = document.documentElement.dataset.ready;
        const maps = [0, 1].map((side) => document.getElementById(`plot-meet-${side}`)?.data?.[0]);
        answer.brightest = maps.map((map) => map?.zmax);
        answer.most = Math.max(...maps.flatMap((map) => map?.z.flat() ?? []));
        answer.drawn = document.querySelectorAll("figure .main-svg").length;
        answer.trust = document.querySelector(".trust").textContent;
        answer.wide = document.documentElement.scrollWidth > window.innerWidth;
        answer.title = document.title;
        answer.markup = document.querySelectorAll("main img, main script").length;
        """,
        height=TALL,
    )
    assert answer["ready"] == "true"
    assert len(answer["before"]) == len(result.models)
    assert answer["before"] != answer["moved"] != answer["suggested"]
    digits = [f"{one.disturbance:.2g}" for one in result.summary.suggested_standings]
    assert [f"{float(text):.2g}" for text in answer["suggested"]] == digits
    assert answer["drawn"] >= 3
    assert answer["brightest"] == [answer["most"]] * 2
    assert "does not mean safe" in answer["trust"]
    assert not answer["wide"]
    assert answer["title"] != "pwned"
    assert answer["markup"] == 0

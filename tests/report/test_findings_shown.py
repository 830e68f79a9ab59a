"""The verdict and the findings of a page: in words, by rule, each place leading to its matrix."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import cycle, islice

import pytest

from tests.support import factory
from tests.support.page import Reader, read
from weightaudit import ScanReport
from weightaudit.records import Finding, NotJudged, Suppressed
from weightaudit.report import html
from weightaudit.report.html import findings
from weightaudit.report.html.anchors import Places, placed
from weightaudit.report.html.findings import FOLDED, OPEN, findings_payload, grouped


@cache
def judged() -> Reader:
    """The page of the report that most tests look at."""
    return read(factory.judged())


def numbers_of(report: ScanReport, layer: int | None, role: str) -> list[int]:
    return [i for i, row in enumerate(report.rows) if (row.matrix.layer, row.matrix.role) == (layer, role)]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (factory.judged(), "2 errors, 24 warnings and 1 info"),
        (replace(factory.judged(), findings=factory.judged().findings[2:4]), "2 warnings"),
        (factory.clean(), "No error and no warning"),
        (replace(factory.judged(), findings=factory.judged().findings[-1:]), "No error and no warning, 1 info"),
        (factory.bert(), "No rules were checked"),
    ],
)
def test_the_verdict_in_words(report: ScanReport, said: str) -> None:
    text = read(report).text
    assert said in text[: text.index("Summary")]
    checked = "7 rules checked" in text
    assert checked == bool(report.rules)
    # Nobody takes a clean verdict for a guarantee, nor a missing one for a clean one.
    assert ("they do not say how well the model works" in text) == checked
    assert ("measured, not judged" in text) == (not checked)


def test_the_verdict_says_where() -> None:
    """A lone finding's place, else how many; a fifth rule is named rather than counted, a sixth is not."""
    report = factory.judged()
    top = judged().text.split("Summary")[0]
    assert "NaN or infinite entries layer 3 · M1 Tensors that the config describes are missing layer 11 A norm" in top
    assert "A norm unlike its neighbours' 24 places The weights are a pickle 7 rules checked" in top
    twice = Finding(
        "duplicate", "warning", "Twice", tensors=("bert.pooler.dense.weight", report.rows[3].matrix.tensors[0])
    )
    five, six = (
        (*report.findings, *(replace(twice, id=f"more-{i}", title=f"Rule {i}") for i in range(n))) for n in (1, 2)
    )
    assert "Rule 0 2 matrices The weights are a pickle" in read(replace(report, findings=five)).text
    assert "Rule 0 2 matrices and 2 more rules" in read(replace(report, findings=six)).text


def test_what_qualifies_the_verdict_is_told_beneath_it() -> None:
    report = factory.judged()
    first, *others = report.findings
    shown = replace(
        report,
        findings=(replace(first, baseline_state="unchanged"), *others),
        partial=("--roles",),
        not_judged=(NotJudged("missing", "No <b>config</b>.", False),),
        suppressed=(Suppressed(first, "nonfinite:<i>"),),
        gate={"severity": ["pickle=error"], "min_coverage": 0.9, "baseline": None},
    )
    text = read(shown).text
    top = text[: text.index("Summary")]
    assert "Partial: --roles: " in top
    assert "Not judged by missing: No <b>config</b>." in top
    assert "Suppressed: 1 finding, by nonfinite:<i> (1)." in top
    assert "known to the baseline" in text
    assert "--severity pickle=error --min-coverage 0.9" in text
    assert "Partial" not in judged().text


def test_findings_are_told_by_rule() -> None:
    report = factory.judged()
    groups = grouped(report)
    ids = ["nonfinite", "missing", "outlier-norm", "pickle"]
    assert [(group.id, len(group.findings)) for group in groups] == list(zip(ids, (1, 1, 24, 1), strict=True))
    page = judged()
    articles = [a["id"] for tag, a in page.tags if tag == "article"]
    assert articles == [f"finding-{i}" for i in range(4)]
    assert page.text.count("Compare it with its neighbours") == 1
    assert "24 places · rule outlier-norm · threshold 4 · show them in the table" in page.text
    assert "1 place · rule nonfinite · threshold 0 · show it in the table" in page.text
    assert "value 4.5" in page.text
    assert "value 22.66" in read(replace(report, findings=(replace(report.findings[2], value=22.6649),))).text
    assert f"and {24 - OPEN} more" in page.text
    assert "the whole model model.bin can run code" in page.text
    assert "bert.encoder.layer.11.output.3 and 1 more tensor" in page.text


def test_every_place_leads_to_its_row() -> None:
    report = factory.judged()
    page = judged()
    linked = {str(a["href"]) for tag, a in page.tags if tag == "a" and "href" in a}
    (nan,) = numbers_of(report, 3, "M1")
    expected = {f"#layer-{layer}-{role}" for layer in range(12) for role in "QK"}
    assert {"#layer-3-M1"} | expected <= linked
    told = findings_payload(grouped(report))
    assert sorted(told["row"]) == sorted(
        [nan, *(i for layer in range(12) for role in "QK" for i in numbers_of(report, layer, role))]
    )


def test_thousands_of_findings_do_not_bloat_the_page() -> None:
    few, many = factory.judged_mixture(2, 8), factory.judged_mixture(2, 64)
    assert len(many.findings) == 128
    text = html.page(many)
    assert text.count("<li>") - html.page(few).count("<li>") < OPEN + FOLDED
    assert f"{128 - OPEN - FOLDED:,} further places are not listed here" in text
    assert '<a href="#rule=untrained">show them in the table</a>' in text


def test_many_findings_about_all_experts_of_one_tensor_do_not_bloat_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 findings each is about every row: they are found once, and not all marked."""
    rows = tuple(
        replace(row, matrix=factory.matrix("M1", 0, (8, 8), "fused", expert=expert))
        for expert, row in enumerate(islice(cycle(factory.mixture(2, 8).rows), 200))
    )
    told = tuple(
        Finding("duplicate", "warning", "Twice", role="M1", tensors=("fused",), detail=f"{i}") for i in range(20)
    )
    report = replace(factory.judged(), rows=rows, findings=told)
    looked = 0
    fits = Places._fits

    def counted(places: Places, finding: Finding, row: int) -> bool:
        nonlocal looked
        looked += 1
        return fits(places, finding, row)

    monkeypatch.setattr(Places, "_fits", counted)
    monkeypatch.setattr(findings, "MARKS", 1000)
    (group,) = grouped(report)
    assert [len(rows) for rows in group.rows] == [200] * 20
    assert looked == 200
    payload = findings_payload([group])
    assert len(payload["row"]) == len(payload["group"]) == 1000


def test_a_finding_about_several_matrices_links_to_each() -> None:
    report = factory.bert()
    rows = [row for row in report.rows if row.matrix.layer in (2, 5) and row.matrix.role in ("M1", "M2")]
    tensors = tuple(name for row in rows for name in row.matrix.tensors)
    everywhere = Finding("duplicate", "warning", "Twice", tensors=tensors)
    in_layer = replace(everywhere, layer=5)
    places = Places(placed(report))
    expected = [i for layer in (2, 5) for role in ("M1", "M2") for i in numbers_of(report, layer, role)]
    assert list(places.of(everywhere)) == expected
    assert list(places.of(in_layer)) == expected[2:]
    assert places.of(replace(everywhere, tensors=("not.there",))) == ()
    text = read(replace(report, findings=(everywhere,), rules=factory.RULES)).text
    assert "several places layer 2 · M1 , layer 2 · M2 , layer 5 · M1 , layer 5 · M2" in text


def test_equal_places_are_told_apart_by_their_tensors() -> None:
    report = factory.guessed()
    twins = replace(report, rows=(report.rows[0], replace(report.rows[0], matrix=replace(report.rows[0].matrix))))
    other = factory.matrix("M1", 0, (96, 24), "blocks.0.other")
    twins = replace(twins, rows=(twins.rows[0], replace(twins.rows[1], matrix=other)))
    finding = Finding("x", "info", "x", layer=0, role="M1", tensors=("blocks.0.other",))
    assert Places(placed(twins)).of(finding) == (1,)


def test_what_is_worth_a_look_names_matrix_interval_and_command() -> None:
    report = factory.bert()
    lowest = min((row for row in report.rows if row.matrix.layer is not None), key=lambda row: row.spectrum.stable_rank)
    text = read(report).text
    look = text[text.index("Worth a look") :]
    place = f"layer {lowest.matrix.layer} · {lowest.matrix.role}"
    ends = re.search(rf"Lowest stable rank in a layer: {place} , ([0-9.]+) – ([0-9.]+) of 768", look)
    assert ends
    assert float(ends[1]) <= lowest.spectrum.stable_rank_lower <= lowest.spectrum.stable_rank <= float(ends[2])
    assert f"--roles {lowest.matrix.role} --layers {lowest.matrix.layer} --method auto --tol 0.01" in look


def test_the_command_for_an_expert_says_that_it_measures_the_others_too() -> None:
    report = factory.mixture(2, 8)
    experts = replace(report, rows=tuple(row for row in report.rows if row.matrix.expert is not None))
    others = "Measured again, with the layer's other experts, by weightaudit scan"
    assert others in read(experts).text
    assert others not in read(factory.bert()).text

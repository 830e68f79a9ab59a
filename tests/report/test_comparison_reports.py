"""Finished reports read back and put together: what is matched, what differs, what is refused."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support import factory
from tests.support.page import Reader
from weightaudit import ScanReport
from weightaudit.errors import UsageError
from weightaudit.records import LayerRow
from weightaudit.report.comparison.apart import Apart, apart_by_reports
from weightaudit.report.comparison.differences import COMPARED, HEADER, difference
from weightaudit.report.comparison.model_summary import finding_counts, metrics, profiles
from weightaudit.report.comparison.read import Finished, finished, read_finished
from weightaudit.report.comparison.write import put_together, titles


def told(report: Finished) -> str:
    """All of it but the page, comparable although NaN is not itself."""
    return repr(replace(report, page=None, log=None))


@pytest.mark.parametrize("name", ["bert", "all_nan", "seq2seq", "mixture", "guessed", "hostile"])
def test_json_parquet_and_scan_say_the_same(name: str, tmp_path: Path) -> None:
    report = factory.SMALL[name]()
    made = finished(report)
    assert made.metrics == metrics(report)
    assert made.profiles == profiles(report)
    assert made.findings == finding_counts(report)
    if name != "hostile":  # a lone surrogate is spelt out in Parquet, and a pair of them in JSON is one character
        for kind in ("json", "parquet"):
            report.write(tmp_path / f"r.{kind}")
            read = read_finished(tmp_path / f"r.{kind}")
            assert read is not None
            assert told(read) == told(made)


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_reports_from_before_there_were_rules_are_unchecked(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"r.{kind}"
    factory.judged().write(path)
    now = read_finished(path)
    assert now is not None
    assert (now.rules, now.findings) == (len(factory.RULES), {"error": 2, "warning": 24, "info": 1})
    if kind == "json":
        said = json.loads(path.read_text("utf-8"))
        assert said.pop("verdict") == "errors"
        assert said.pop("rules") == list(factory.RULES)
        for finding in said["findings"]:
            del finding["detail"]
        path.write_text(json.dumps(said), encoding="utf-8")
    else:
        table = pq.read_table(path)
        later = (b"weightaudit.rules", b"weightaudit.verdict")
        kept = {key: value for key, value in table.schema.metadata.items() if key not in later}
        assert len(kept) == len(table.schema.metadata) - 2
        pq.write_table(table.replace_schema_metadata(kept), path)
    before = read_finished(path)
    assert before is not None
    assert told(before) == told(replace(now, rules=0))


def test_pages_are_found(tmp_path: Path) -> None:
    report, folder = factory.bert(), tmp_path / "model"
    folder.mkdir()
    report.to_parquet(folder / "layers.parquet")
    report.to_html(folder / "report.html")
    (folder / "log.txt").write_text("scanned")
    report.to_json(tmp_path / "lone.json")
    read, lone = read_finished(folder), read_finished(tmp_path / "lone.json")
    assert read is not None
    assert lone is not None
    assert (read.page, read.log) == (folder / "report.html", folder / "log.txt")
    assert (lone.page, lone.log) == (None, None)
    out = tmp_path / "some where"
    out.mkdir()
    put_together([read, lone], out)
    page = Reader((out / "index.html").read_text("utf-8"))
    models = json.loads(page.scripts[0])["models"]
    assert models["link"] == ["../model/report.html", ""]
    assert "differences.csv" in page.text
    assert "bert-base-uncased@86b5e09344 · bert-base-uncased@86b5e09344 (2)" in page.text


def test_what_is_no_report_is_left_to_be_scanned(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {}, "weight_map": {}}')
    (tmp_path / "model.bin").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    for name in ("model.safetensors.index.json", "model.bin", "folder", "nowhere/at-all"):
        assert read_finished(tmp_path / name) is None


def spoilt(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        factory.bert(1).to_json(path)
        said = json.loads(path.read_text())
        change(said)
        path.write_text(json.dumps(said))

    return write


def of_a_table(path: Path) -> None:
    factory.bert(1).to_parquet(path)
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("r.json", lambda path: path.write_text("{"), "cannot be read"),
        ("r.json", lambda path: path.write_text("[" * 100_000), "cannot be read"),
        ("r.parquet", lambda path: path.write_bytes(b"PAR1"), "cannot be read"),
        ("all.parquet", of_a_table, "not the whole report of one model"),
        ("r.json", spoilt(lambda said: said.pop("layers")), "not the whole report of one model"),
        ("r.json", spoilt(lambda said: said.update(schema=99)), "another version"),
        ("r.json", spoilt(lambda said: said.update(model=7)), "no valid report"),
        ("r.json", spoilt(lambda said: said["layers"][0].update(layer="3")), "layer is no Int64"),
        ("r.json", spoilt(lambda said: said["layers"][0].pop("rows")), "no valid report"),
        ("r.json", spoilt(lambda said: said["summary"].update(parameters="many")), "no valid report"),
        ("r.json", spoilt(lambda said: said.update(layers=7)), "no valid report"),
        ("r.csv", lambda path: factory.bert(1).to_csv(path), r"Name its \.json or \.parquet"),
    ],
)
def test_bad_reports_are_told(name: str, write: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(UsageError, match=said):
        read_finished(tmp_path / name)


def test_a_batchs_folders(tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text("{}")
    with pytest.raises(UsageError, match="directory of a whole batch"):
        read_finished(tmp_path)
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "outcome.json").write_text("{}")
    with pytest.raises(UsageError, match="scan of this model failed"):
        read_finished(tmp_path / "failed")


def differences(tmp_path: Path, *reports: ScanReport) -> list[dict[str, str]]:
    put_together([finished(report) for report in reports], tmp_path)
    with (tmp_path / "differences.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert not lines or tuple(lines[0]) == HEADER
    return lines


def changed(report: ScanReport, **numbers: float) -> ScanReport:
    """``report`` under another name, with other numbers in its first row."""
    first, *rest = report.rows
    rows = (LayerRow(first.matrix, replace(first.spectrum, **numbers)), *rest)  # type: ignore[arg-type]
    return replace(report, identity=replace(report.identity, name="other"), rows=rows)


def test_differences_of_equal_reports_are_none(tmp_path: Path) -> None:
    report = factory.bert()
    lines = differences(tmp_path, report, report)
    assert len(lines) == len(report.rows)
    assert {line["match"] for line in lines} == {"both"}
    assert {line[f"{name}_difference"] for line in lines for name in COMPARED} == {"0"}
    assert {line["stable_rank_intervals_apart"] for line in lines} == {"false"}
    report.to_csv(tmp_path / "layers.csv")
    with (tmp_path / "layers.csv").open(newline="") as file:
        for line, row in zip(lines, csv.DictReader(file), strict=True):
            assert [line[name] for name in ("stack", "layer", "expert", "role")] == [
                row[name] for name in ("stack", "layer", "expert", "role")
            ]
            assert [line[f"{name}_b"] for name in COMPARED] == [row[name] for name in COMPARED]
            assert line["shape_a"] == f"{row['rows']}x{row['cols']}"


def test_differences_are_relative_and_signed(tmp_path: Path) -> None:
    report = factory.bert()
    first = report.rows[0].spectrum
    rank = first.stable_rank
    other = changed(
        report, frobenius_norm=0.75 * first.frobenius_norm, stable_rank=2 * rank, stable_rank_lower=1.9 * rank
    )
    line, *rest = differences(tmp_path, report, other)
    assert float(line["frobenius_norm_difference"]) == pytest.approx(-0.25)
    assert float(line["stable_rank_difference"]) == pytest.approx(1)
    assert line["stable_rank_intervals_apart"] == "true"
    assert (line["model_a"], line["model_b"]) == (report.identity.name, "other")
    assert {one["stable_rank_difference"] for one in rest} == {"0"}
    back, *_ = differences(tmp_path, other, report)
    assert float(back["stable_rank_difference"]) == pytest.approx(-0.5)


def places(said: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Where each value lies in ``said``; of a list only its first."""
    yield path
    if isinstance(said, dict):
        for name in said:
            yield from places(said[name], *path, name)
    elif isinstance(said, list) and said:
        yield from places(said[0], *path, 0)


ODD: tuple[Any, ...] = ([], [1], {}, {"x": 1}, "x", 7, 10**400, None)


@pytest.mark.parametrize("each", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_whatever_is_in_a_place_is_read_or_refused(tmp_path: Path, each: int) -> None:
    """In each place every ``each``-th of what is odd there, others than before; for a number one too large."""
    path = tmp_path / "r.json"
    report = factory.judged()
    replace(report, rows=report.rows[:2], findings=report.findings[:1], coverage_entries=()).write(path)
    there = json.loads(path.read_text("utf-8"))
    there["record"] = firsts(there["record"])  # of which nothing is read here
    for number, place in enumerate(list(places(there))):
        was = reduce(getitem, place, there)
        above = reduce(getitem, place[:-1], there)
        for odd in (*ODD[number % each :: each], *([10**400] * (type(was) in (int, float)))):
            if place:
                above[place[-1]] = odd
            path.unlink()  # what is written over has to reach the disk
            path.write_text(json.dumps(there if place else odd))
            with suppress(UsageError):
                read_finished(path)
        if place:
            above[place[-1]] = was


def firsts(said: Any) -> Any:
    """The same with lists of one at most, in each of which an odd value lies."""
    if isinstance(said, dict):
        return {key: firsts(value) for key, value in said.items()}
    return [firsts(value) for value in said[:1]] if isinstance(said, list) else said


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (4, 5, "0.25"),
        (-4, -5, "-0.25"),
        (0, 0, "0"),
        (0, 1, ""),
        (math.nan, 1, ""),
        (1, math.inf, ""),
        (3, 4, "0.333333333"),
    ],
)
def test_difference(a: float, b: float, said: str) -> None:
    assert difference(a, b) == said


def test_what_has_no_partner_is_said(tmp_path: Path) -> None:
    shallow, deep = factory.seq2seq(2), factory.seq2seq(3)
    lines = differences(tmp_path, shallow, deep)
    matches = {match: [line for line in lines if line["match"] == match] for match in ("both", "only a", "only b")}
    assert len(matches["both"]) == len(shallow.rows)
    assert not matches["only a"]
    assert {line["layer"] for line in matches["only b"]} == {"2"}
    assert {line["stack"] for line in matches["only b"]} == {"encoder", "decoder"}
    for line in matches["only b"]:
        assert line["tensors_a"] == line["stable_rank_a"] == line["stable_rank_difference"] == ""
        assert line["stable_rank_b"] != ""
        assert line["stable_rank_intervals_apart"] == ""
    assert {line["match"] for line in differences(tmp_path, deep, shallow)} == {"both", "only a"}


def test_the_first_against_each_of_the_others(tmp_path: Path) -> None:
    report, names = factory.mixture(2, 4), ("a", "b", "c")
    three = [replace(report, identity=replace(report.identity, name=name)) for name in names]
    lines = differences(tmp_path, *three)
    assert [(line["model_a"], line["model_b"]) for line in lines[:: len(report.rows)]] == [("a", "b"), ("a", "c")]
    assert len(lines) == 2 * len(report.rows)


def test_several_in_one_place_are_partners_in_their_order(tmp_path: Path) -> None:
    report = factory.guessed()
    row = report.rows[0]
    twins = replace(report, rows=(row, row, row))
    lines = differences(tmp_path, twins, replace(report, rows=(row, row)))
    assert [line["match"] for line in lines] == ["both", "both", "only a"]


def test_no_formula_comes_from_a_name(tmp_path: Path) -> None:
    hostile = replace(factory.hostile(), identity=replace(factory.hostile().identity, name="=1+1"))
    lines = differences(tmp_path, hostile, hostile)
    assert lines[0]["model_a"] == "'=1+1"
    assert not any(value.startswith(("=", "+", "@")) for line in lines for value in line.values())


def test_titles_are_unique() -> None:
    report = finished(factory.bert())
    other, lone = replace(report, revision="b" * 40), replace(report, name="x", revision="")
    assert titles([report, other, lone, lone]) == [
        "bert-base-uncased@86b5e09344",
        "bert-base-uncased@bbbbbbbbbb",
        "x",
        "x (2)",
    ]
    assert titles([report, lone]) == ["bert-base-uncased", "x"]
    assert titles([lone] * 3 + [replace(lone, name="x (4)")] + [lone] * 2) == [
        *("x", "x (2)", "x (3)", "x (4)", "x (5)", "x (6)"),
    ]


def test_a_folder_that_moved_is_still_a_report(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    factory.bert().to_parquet(tmp_path / "a" / "layers.parquet")
    shutil.move(tmp_path / "a", tmp_path / "b")
    read = read_finished(tmp_path / "b")
    assert read is not None
    assert (read.name, read.page) == ("bert-base-uncased", None)


@pytest.mark.parametrize(
    ("change", "identical"),
    [
        ({}, None),
        ({"frobenius_norm": 5.0 * (1 + 1e-12)}, None),  # the same squares, added up on another machine
        ({"frobenius_norm": 5.0 * (1 + 1e-8)}, False),
        ({"frobenius_norm": math.nan, "max_abs": math.nan}, None),
        ({"max_abs": 0.75}, False),
        ({"zeros": 1}, False),
        ({"zeros": None}, None),  # of a product, of which no entry is read
        ({"nonfinite": 2}, False),
        ({"rows": 9}, False),
        ({"dtype": "bfloat16", "spectral_norm": 2.1, "method": "exact"}, None),  # the same numbers, measured otherwise
        ({"layer": 1}, None),  # nothing stands beside it
    ],
    ids=str,
)
def test_what_reports_show_of_two_matrices(change: dict[str, Any], identical: bool | None) -> None:
    row: dict[str, Any] = {"stack": "", "layer": 0, "expert": None, "role": "Q", "rows": 8, "cols": 4, "nonfinite": 0}
    row |= {"dtype": "float32", "frobenius_norm": 5.0, "spectral_norm": 2.0, "max_abs": 0.5, "method": "krylov"}
    row["zeros"] = 0
    told = apart_by_reports([row], [{**row, **change}])
    assert told.identical is identical
    assert ("differ in 1 of 1 matrix; vectors are not known" in told.words) == (identical is False)
    assert math.isnan(told.relative)


def test_the_page_says_how_far_weights_are_apart(tmp_path: Path) -> None:
    reports = [finished(factory.bert()) for _ in range(3)]
    known = Apart(False, (1, 40), (2, 9), 0.25, 2.0)
    first, second = put_together(reports, tmp_path, apart={2: known})
    assert (first.apart.identical, second.apart) == (None, known)
    page = Reader((tmp_path / "index.html").read_text("utf-8"))
    assert "weights cannot be told to be identical: a report has norms and no entries." in page.text
    assert "weights differ in 1 of 40 matrices and 2 of 9 vectors: relative difference 0.25, at most 2." in page.text

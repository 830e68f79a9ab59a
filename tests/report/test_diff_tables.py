"""A difference as CSV, JSON, Parquet, Markdown, SARIF and JUnit: the same numbers everywhere, and no name that runs."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

from tests.support import diffs, factory
from tests.support.covering import some_of
from weightaudit.errors import OutputError, UsageError
from weightaudit.own_reports import is_own
from weightaudit.records import SCHEMA, DiffResult, Place
from weightaudit.report import write
from weightaudit.report.atomic_write import EXTENSIONS
from weightaudit.report.diff.columns import CHANGES, NAMES
from weightaudit.report.diff.tables import changes_frame, document
from weightaudit.report.formats import writer_of

DESIGNED = (
    *("stack", "layer", "expert", "role", "tensors", "rows", "cols", "dtype_base", "dtype_derived", "precision_base"),
    *("precision_derived", "kind", "changed", "rows_changed", "frobenius_norm", "relative", "spectral_norm"),
    *("spectral_norm_upper", "stable_rank", "stable_rank_lower", "floor_relative", "above_floor", "rank", "rank_rest"),
    *("flatness", "cosine", "shrink", "row_lift", "col_lift", "novelty", "new_directions", "intruders", "bits"),
    *("group", "even", "block", "moved_from", "passes", "converged"),
)
"""Columns in the order that readers rely on."""


def written(result: DiffResult, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    writer_of(kind)(result, file, **options)
    return file.getvalue()


def csv_rows(result: DiffResult) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(result, ".csv").decode(), newline="")))


def test_a_negative_weight_of_a_recipe_is_a_number() -> None:
    """It is no stranger's name, before which a spreadsheet would need a guard."""
    change = diffs.merged().changes[1]
    assert change.recipe is not None
    negated = replace(change, recipe=replace(change.recipe, weights=(-0.7, 0.25, -1e-9)))
    (row,) = csv_rows(diffs.result_of([negated]))
    assert row["recipe"] == "-0.7;0.25;-1e-9"


@pytest.mark.parametrize("name", some_of(diffs.ALL, "merged", "odd", "hostile"))
def test_every_format_of_every_difference(name: str, tmp_path: Path) -> None:
    result = diffs.ALL[name]()
    for extension in EXTENSIONS:
        path = tmp_path / f"diff{extension}"
        write(result, path)
        first = path.read_bytes()
        assert is_own(path), extension
        write(result, path)
        assert path.read_bytes() == first
    with pytest.raises(UsageError, match="no report format"):
        writer_of(".txt")


def test_the_columns_keep_their_order() -> None:
    assert [name for name in NAMES if name in DESIGNED] == list(DESIGNED)
    assert len(set(NAMES)) == len(NAMES)


def test_what_a_merged_adapter_says() -> None:
    rows = csv_rows(diffs.lora())
    assert len(rows) == 37 + 12
    changed = [row for row in rows if row["kind"] == "low rank"]
    assert {row["role"] for row in changed} == {"Q", "V"}
    assert {row["rank"] for row in changed} == {"8"}
    assert {row["converged"] for row in changed} == {"true"}
    still = next(row for row in rows if row["kind"] == "unchanged")
    assert (still["relative"], still["changed"], still["spectral_norm"], still["passes"]) == ("0", "0", "", "")
    vector = rows[-1]
    assert (vector["role"], vector["rows"], vector["cols"], vector["rank"]) == ("", "384", "", "")


@pytest.mark.parametrize("name", ["lora", "full"])
def test_printed_ends_are_rounded_outwards(name: str) -> None:
    result = diffs.ALL[name]()
    told = 0
    for row, change in zip(csv_rows(result), result.changes, strict=True):
        if change.spectrum is None:
            continue
        for column, low in (("spectral_norm", True), ("spectral_norm_upper", False)):
            printed, true = Fraction(row[column]), Fraction(getattr(change.spectrum, column))
            assert printed <= true if low else printed >= true
            told += printed != true
        assert Fraction(row["stable_rank_lower"]) <= Fraction(change.spectrum.stable_rank_lower)
        assert Fraction(row["stable_rank"]) >= Fraction(change.spectrum.stable_rank)
    assert told


@pytest.mark.parametrize("name", some_of(diffs.ALL, "merged", "odd", "hostile"))
def test_frame_and_json_hold_the_same(name: str) -> None:
    result = diffs.ALL[name]()
    frame = changes_frame(result)
    said = json.loads(written(result, ".json"))
    assert said.pop("record").keys() == {"diff"}
    assert said == document(result)
    assert list(frame.columns) == list(NAMES)
    for i, one in enumerate(said["changes"]):
        for column in CHANGES:
            value, cell = one[column.name], frame[column.name].iloc[i]
            if column.dtype == "float64":
                assert value == cell or (value is None and not math.isfinite(cell))
            elif column.dtype == "string":
                assert cell == value.encode("utf-8", "backslashreplace").decode()
            else:
                assert value == cell or (value is None and pd.isna(cell))


def test_the_json_says_what_the_whole_is(tmp_path: Path) -> None:
    result = diffs.lora()
    said = json.loads(written(result, ".json"))
    assert said["schema"] == SCHEMA
    assert (said["base"]["name"], said["derived"]["name"]) == ("org/base", "org/lora")
    assert said["summary"]["kinds"] == {"unchanged": 25, "low rank": 12}
    assert said["findings"][0]["id"] == "diff-lora"
    low = next(one for one in said["changes"] if one["kind"] == "low rank")
    assert len(low["singular_values"]) == 16
    assert low["edge"] > 0
    write(result, tmp_path / "d.parquet")
    metadata = pq.read_schema(tmp_path / "d.parquet").metadata
    assert json.loads(metadata[b"weightaudit.summary"]) == said["summary"]
    assert b"weightaudit.changes" not in metadata
    sides = json.loads(written(diffs.resized(), ".json"))["one_sided"]
    assert [(one["side"], one["role"], one["tensors"]) for one in sides] == [
        ("derived", "POOLER", ["pooler.dense.weight"]),
        ("base", "", ["cls.bias"]),
    ]


def test_numbers_that_are_unknown() -> None:
    nan, zero, product, scalar = csv_rows(diffs.odd())
    assert (nan["relative"], nan["frobenius_norm"], nan["cosine"], nan["nonfinite"]) == ("", "", "", "3")
    assert (zero["relative"], zero["floor_relative"], zero["above_floor"], zero["shrink"]) == ("inf", "", "inf", "")
    assert (product["changed"], product["rank"], product["precision_base"]) == ("", "4", "")
    assert float(product["frobenius_norm"]) > 0
    assert (scalar["rows"], scalar["cols"]) == ("", "")
    assert json.loads(written(diffs.odd(), ".json"))["changes"][1]["relative"] is None


def test_no_name_runs_in_a_spreadsheet() -> None:
    for row in csv_rows(diffs.hostile()):
        for cell in row.values():
            assert not cell.startswith(("=", "+", "@")), cell
    formula = next(row for row in csv_rows(diffs.hostile()) if "HYPERLINK" in row["role"])
    assert all("'=HYPERLINK" in formula[name] for name in ("role", "tensors", "tensors_base", "moved_from"))


def test_markdown_names_what_was_done() -> None:
    text = written(diffs.lora(), ".md").decode()
    assert "**12 of 37 matrices changed: low rank 8 (Q and V). All 12 vectors are unchanged.**" in text
    assert "| Q | 6 | 1.39 % – 2.87 % | low rank 8 |" in text
    assert "What to do" in text
    tokens = MarkdownIt("commonmark").enable("table").parse(written(diffs.hostile(), ".md").decode())
    inline = [child for token in tokens for child in token.children or ()]
    assert not [
        one for one in inline if one.type in ("link_open", "image", "html_inline") and one.content != "<!-- -->"
    ]
    assert [one.content for one in tokens if one.type == "html_block"] == ["<!-- weightaudit -->\n"]


def test_sarif_and_junit_tell_of_the_derived_model() -> None:
    log = json.loads(written(diffs.unrelated(), ".sarif"))
    (run,) = log["runs"]
    (found,) = run["results"]
    assert (found["ruleId"], found["level"]) == ("diff-unrelated", "error")
    assert run["properties"]["model"] == "org/derived"
    address = found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert address == "model.safetensors"
    suite = ElementTree.fromstring(written(diffs.unrelated(), ".xml"))
    assert (suite.get("tests"), suite.get("failures")) == ("7", "1")
    assert ElementTree.fromstring(written(diffs.unrelated(), ".xml", fail_on="never")).get("failures") == "0"
    assert ElementTree.fromstring(written(diffs.hostile(), ".xml")).tag == "testsuites"


def test_neither_model_is_overwritten(tmp_path: Path) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"x")
    (weights.parent / "config.json").write_text("{}")
    result = diffs.lora()
    local = replace(diffs.identity("x"), location=str(weights.parent))
    for here in (replace(result, base=local), replace(result, derived=local), replace(result, parents=(local,))):
        with pytest.raises(OutputError):
            write(here, weights.parent / "config.json", ".json")
    assert (weights.parent / "config.json").read_text() == "{}"


def test_places_of_hostile_names_stay_apart() -> None:
    frame = changes_frame(diffs.hostile())
    assert len(frame) == 2 * len(factory.HOSTILE_NAMES)
    assert frame["moved_from"].iloc[0] == Place(role=factory.HOSTILE_NAMES[0]).words()

"""The numbers on paper: CSV, JSON, Parquet and the frames say the same, exactly and safely."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report import spectra
from tests.support import factory
from tests.support.covering import some_of
from weightaudit import ScanReport
from weightaudit.records import LayerRow, NotJudged, SourceFile, Suppressed
from weightaudit.report import table_files
from weightaudit.report.columns import COLUMNS, NAMES, number_text
from weightaudit.report.comparison.read import read_finished
from weightaudit.report.table_files import LONGEST_KEPT, csv_line, guarded
from weightaudit.report.tables import document, write_csv, write_parquet

PLAN = """
model revision stack layer expert role tensors rows cols dtype parameters
frobenius_norm spectral_norm spectral_norm_upper stable_rank stable_rank_lower norm_ratio
method passes converged nonfinite zeros max_abs
"""
PLANNED = PLAN.split()


def written(report: ScanReport, folder: Path, extension: str) -> bytes:
    path = folder / f"report{extension}"
    report.write(path)
    return path.read_bytes()


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_columns_are_the_planned_ones_in_order() -> None:
    assert list(NAMES) == PLANNED


@pytest.mark.parametrize("name", some_of(factory.SMALL, "judged_mixture", "all_nan", "hostile"))
def test_every_report_has_the_columns_in_every_format(name: str, tmp_path: Path) -> None:
    report = factory.SMALL[name]()
    assert list(report.layers.columns) == PLANNED
    rows = read_csv(written(report, tmp_path, ".csv"))
    assert len(rows) == len(report.rows)
    assert list(rows[0]) == PLANNED
    assert all(list(row) == PLANNED for row in json.loads(written(report, tmp_path, ".json"))["layers"])
    written(report, tmp_path, ".parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "report.parquet"), report.layers)


@pytest.mark.parametrize("extension", [".csv", ".json", ".parquet"])
def test_same_report_same_bytes(extension: str, tmp_path: Path) -> None:
    first, second = (written(factory.hostile(), tmp_path, extension) for _ in range(2))
    assert first == second


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_directed_rounding_holds_the_truth_and_is_tight(value: float) -> None:
    down, nearest, up = (Decimal(number_text(value, r)) for r in ("down", "nearest", "up"))
    exact = Decimal(value)
    assert down <= exact <= up
    assert down <= nearest <= up
    assert float(down) <= value <= float(up)
    for printed in (down, nearest, up):
        assert len(printed.as_tuple().digits) <= 9 or printed == printed.to_integral_value()
        assert abs(printed - exact) <= Decimal("1e-8") * exact


@given(st.floats(min_value=1e-300, max_value=1e300), st.floats(min_value=1, max_value=1e4))
def test_printed_interval_holds_the_true_one(frob: float, rank: float) -> None:
    measured = factory.spectrum(frob, rank, width=0.003)
    row = LayerRow(factory.matrix("Q", 0, (4, 3), "q"), measured)
    identity = factory.embeddings_only().identity
    text = {column.name: column.text(column.value(identity, row)) for column in COLUMNS}
    assert Decimal(text["spectral_norm"]) <= Decimal(measured.spectral_norm)
    assert Decimal(text["spectral_norm_upper"]) >= Decimal(measured.spectral_norm_upper)
    assert Decimal(text["stable_rank"]) >= Decimal(measured.stable_rank)
    assert Decimal(text["stable_rank_lower"]) <= Decimal(measured.stable_rank_lower)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (1000.0, "1000"),
        (0.1, "0.1"),
        (123456789.0, "123456789"),
        (1234567894.0, "1.23456789e+9"),
        (1e-7, "1e-7"),
        (math.nan, ""),
        (math.inf, "inf"),
        (1 / 3, "0.333333333"),
    ],
)
def test_number_text(value: float, text: str) -> None:
    assert number_text(value) == text


def test_csv_line_by_line(tmp_path: Path) -> None:
    lines = written(factory.embeddings_only(), tmp_path, ".csv").decode().split("\n")
    assert lines[0] == ",".join(PLANNED)
    assert lines[1] == (
        "org/embeddings,86b5e0934494bd15c9632b12f734a8a67f723594,,,,EMBED,wte.weight,500,32,float32,16000,"
        "12,6,6,4,4,2,exact,1,true,0,0,0.2"
    )
    assert lines[2:] == [""]


def test_unknown_numbers_are_empty_in_csv_and_null_in_json(tmp_path: Path) -> None:
    report = factory.all_nan()
    row = read_csv(written(report, tmp_path, ".csv"))[0]
    assert [row["frobenius_norm"], row["stable_rank"], row["expert"], row["stack"]] == ["", "", "", ""]
    assert (row["layer"], row["converged"], row["nonfinite"]) == ("0", "false", "3")
    text = written(report, tmp_path, ".json").decode()
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert strict["layers"][0]["frobenius_norm"] is None
    assert text.endswith("}\n")


def test_frame_types_and_precision() -> None:
    frame = factory.bert().layers
    kinds = {name: str(frame[name].dtype) for name in ("layer", "expert", "rows", "converged", "frobenius_norm")}
    assert kinds == {
        "layer": "Int64",
        "expert": "Int64",
        "rows": "int64",
        "converged": "bool",
        "frobenius_norm": "float64",
    }
    assert frame.spectral_norm.tolist() == [row.spectrum.spectral_norm for row in factory.bert().rows]
    assert frame.layer.isna().sum() == 4
    qkv = frame[frame.role == "QKV"].iloc[0]
    assert qkv.tensors.split(";") == [
        f"bert.encoder.layer.0.attention.self.{name}.weight" for name in ("query", "key", "value")
    ]


def test_coverage_frame_has_every_tensor() -> None:
    report = factory.bert()
    frame = report.coverage
    assert frame.tensor.tolist() == [item.tensor for item in report.coverage_entries]
    assert frame["shape"].tolist() == [item.shape for item in report.coverage_entries]
    assert set(frame.status) == {"analysed", "ignored", "tied", "unmapped"}
    by_name = frame.set_index("tensor")
    assert by_name.loc["bert.encoder.layer.0.attention.self.query.weight", "roles"] == "Q;QKV"


def test_json_says_where_the_model_came_from_and_how_it_was_computed(tmp_path: Path) -> None:
    told = json.loads(written(factory.guessed(), tmp_path, ".json"))
    assert told["schema"] == 1
    assert told["model"] == "acme/novel"
    assert told["source"]["files"][1] == {"name": "model.safetensors", "bytes": 440449768}
    assert told["architecture"] == {
        "family": "structural",
        "model_type": "structural",
        "guessed": True,
        "nearest": ["llama", "mistral"],
        "dimensions": {},
    }
    assert told["options"] == factory.OPTIONS
    assert told["versions"] == factory.VERSIONS
    keys = "id severity title stack layer expert role tensors value threshold advice detail"
    assert list(told["findings"][0]) == keys.split()
    assert told["coverage"][0] == {
        "tensor": "blocks.0.up",
        "shape": [96, 24],
        "dtype": "float32",
        "parameters": 2304,
        "status": "analysed",
        "detail": "",
        "roles": ["M1"],
        "buffer": False,
        "file": "",
    }


def test_parquet_metadata_carry_the_schema_version(tmp_path: Path) -> None:
    written(factory.bert(), tmp_path, ".parquet")
    metadata = pq.read_schema(tmp_path / "report.parquet").metadata
    assert metadata[b"weightaudit.schema"] == b"1"
    assert json.loads(metadata[b"weightaudit.options"]) == factory.OPTIONS


def _kept(path: Path) -> dict[str, Any]:
    said = pq.read_schema(path).metadata
    return {key.decode(): json.loads(text) for key, text in said.items() if key.startswith(b"weightaudit.")}


def test_parquet_metadata_do_not_grow_with_the_tensors(tmp_path: Path) -> None:
    """What has an item for each tensor or matrix stays out: pyarrow reads no file whose metadata are too long."""
    report = spectra.asked(factory.bert(2))
    many = replace(report, coverage_entries=tuple(factory.entry(f"tensor.{i}", (4, 4)) for i in range(200)))
    sizes = []
    for one in (report, many):
        written(one, tmp_path, ".parquet")
        kept = _kept(tmp_path / "report.parquet")
        assert {f"weightaudit.{key}" for key in ("coverage", "layers", "spectra")}.isdisjoint(kept)
        told = json.loads(written(one, tmp_path, ".json"))
        assert len(told["coverage"]) == len(one.coverage_entries)
        assert len(told["spectra"]) > 0
        assert {f"weightaudit.{key}": value for key, value in told.items()}.items() >= kept.items()
        sizes.append(pq.ParquetFile(tmp_path / "report.parquet").metadata.serialized_size)
    assert sizes[1] == sizes[0]


@pytest.mark.parametrize("longest", [8_000, pytest.param(LONGEST_KEPT, marks=pytest.mark.slow)])
def test_no_value_of_the_parquet_metadata_is_too_long(
    longest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "LONGEST_KEPT", longest)
    report = factory.bert()
    files = tuple(SourceFile(f"model-{i:06}-of-100000.safetensors", 10) for i in range(longest // 80))
    report = replace(report, identity=replace(report.identity, files=files), notes=("n" * longest,))
    written(report, tmp_path, ".parquet")
    kept = _kept(tmp_path / "report.parquet")
    assert "weightaudit.notes" not in kept
    assert max(len(json.dumps(value)) for value in kept.values()) <= longest
    assert read_finished(tmp_path / "report.parquet") is not None


def test_hostile_names_survive_csv_and_json(tmp_path: Path) -> None:
    report = factory.hostile()
    told = json.loads(written(report, tmp_path, ".json"))
    assert [row["tensors"] for row in told["layers"]] == list(factory.HOSTILE_NAMES)
    names = [row["tensors"] for row in read_csv(written(report, tmp_path, ".csv"))]
    for name, stored in zip(factory.HOSTILE_NAMES, names, strict=True):
        if name[0] == "=":
            assert stored == "'" + name
        elif "\ud800" in name:
            assert stored == name.replace("\ud800", "\\ud800")
        else:
            assert stored == name


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "safe;=1+1", 'safe"\n=1'])
def test_no_cell_starts_a_formula(name: str) -> None:
    cells = guarded(name).replace('"', ";").replace("\n", ";").split(";")
    assert not any(cell[:1] in ("=", "+", "-", "@", "\t") for cell in cells if cell)


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_csv_line_reads_back(cells: list[str]) -> None:
    line = csv_line(cells)
    if "\x00" not in line:  # the csv module of Python 3.10 refuses NUL
        assert next(csv.reader(io.StringIO(line, newline=""))) == cells


def test_how_it_was_judged_is_in_the_json_alone() -> None:
    """What a gate adds moves no byte of the tables, nor of Parquet's metadata."""
    report = factory.judged()
    first, *others = report.findings
    gate = {"severity": None, "min_coverage": 0.9, "baseline": None}
    judged = replace(
        report,
        partial=("--roles",),
        not_judged=(NotJudged("missing", "No config.", True),),
        suppressed=(Suppressed(first, "nonfinite"),),
        gate=gate,
    )
    said = document(judged)
    assert (said["partial"], said["gate"]) == (["--roles"], gate)
    assert said["not_judged"] == [{"rule": "missing", "reason": "No config.", "partly": True}]
    assert [(one["id"], one["suppressed_by"]) for one in said["suppressed"]] == [(first.id, "nonfinite")]
    for write in (write_csv, write_parquet):
        before, after = io.BytesIO(), io.BytesIO()
        write(report, before)
        write(judged, after)
        assert before.getvalue() == after.getvalue()
    assert all("baseline_state" not in one for one in document(report)["findings"])
    beside = replace(report, findings=(replace(first, baseline_state="new"), *others))
    assert document(beside)["findings"][0]["baseline_state"] == "new"

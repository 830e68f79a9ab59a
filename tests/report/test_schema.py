"""The schema of the JSON report, and the page of columns: made from the code, as they lie in docs, and true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import weightaudit as wa
from tests.support import factory
from tests.support.covering import some_of
from weightaudit.records.scan import SCHEMA
from weightaudit.report import columns_page, json_schema
from weightaudit.report.columns import COLUMNS

DOCS = Path(__file__).parents[2] / "docs"
REPORTS = ("clean", "judged", "all_nan", "guessed", "hostile", "seq2seq", "mixture", "embeddings_only")
DEFAULT = ("judged", "all_nan", "hostile", "guessed")


def problems(said: dict[str, Any]) -> list[str]:
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    return [f"{list(one.path)}: {one.message}" for one in validator(json_schema.schema()).iter_errors(said)]


def test_docs_have_what_the_code_makes() -> None:
    assert json.loads((DOCS / "scan.schema.json").read_text("utf-8")) == json_schema.schema()
    assert (DOCS / "columns.md").read_text("utf-8") == columns_page.page()


@pytest.mark.parametrize("name", some_of(REPORTS, *DEFAULT))
def test_a_report_is_as_the_schema_says(name: str) -> None:
    said = json.loads(factory.SMALL[name]().to_json())
    assert problems(said) == []


def test_every_key_is_described() -> None:
    said = json.loads(factory.judged().to_json())
    described = json_schema.schema()["properties"]
    assert said.keys() <= described.keys()
    assert said["layers"][0].keys() <= described["layers"]["items"]["properties"].keys()


@pytest.mark.parametrize("options", [{}, {"spectrum": True}, {"base": "gpt2"}])
def test_real_reports_are(options: dict[str, Any], tiny_checkpoints: dict[str, Path]) -> None:
    options = {name: str(tiny_checkpoints["gpt2"]) if name == "base" else value for name, value in options.items()}
    report = wa.scan(tiny_checkpoints["gpt2"], **options)
    assert problems(json.loads(report.to_json())) == []


def test_the_schema_refuses_what_is_otherwise() -> None:
    said = json.loads(factory.one_layer().to_json())
    changes: tuple[dict[str, Any], ...] = (
        {"schema": SCHEMA + 1},
        {"verdict": "fine"},
        {"findings": [{}]},
        {"layers": [{**said["layers"][0], "rows": "many"}]},
        {"coverage": [{**said["coverage"][0], "status": "odd"}]},
    )
    for change in changes:
        assert problems({**said, **change}), change


def test_the_page_of_columns_has_each_with_its_unit() -> None:
    lines = columns_page.page().splitlines()
    for column in COLUMNS:
        assert any(line.startswith(f"| `{column.name}` | ") for line in lines)
    assert "| `max_abs` | largest finite absolute value of an entry | number | weight |" in lines


def test_spectral_columns_are_those_of_the_spectra(tiny_checkpoints: dict[str, Path]) -> None:
    report = wa.scan(tiny_checkpoints["gpt2"], spectrum=True, method="exact")
    frame = report.layers
    for place, row in enumerate(report.rows):
        assert row.spectrum.detail is not None
        assert frame.sigma_1[place] == row.spectrum.detail.singular_values[0]
        assert frame.participation_ratio[place] == row.spectrum.detail.participation_ratio
    assert list(frame.columns) == report.to_csv().splitlines()[0].split(",")
    plain = wa.scan(tiny_checkpoints["gpt2"], method="exact").layers
    assert list(plain.columns) == [column.name for column in COLUMNS]

"""Reports read back: whole, and every byte of what they are written as again; nothing in the file is believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightaudit as wa
from tests.api.made import REPORTS
from tests.support import factory
from tests.support.covering import some_of
from tests.support.examples import at_most
from weightaudit.errors import UsageError, WeightauditError
from weightaudit.records.scan import SCHEMA

SAME = ("to_json", "to_csv", "to_parquet", "to_html", "to_sarif", "to_markdown", "to_junit")


@pytest.mark.parametrize(
    "name", some_of(REPORTS, "judged", "mixture", "all_nan", "diff merged", "diff odd", "merge check")
)
def test_it_is_written_again_as_the_same_bytes(name: str, tmp_path: Path) -> None:
    report = REPORTS[name]
    path = tmp_path / "report.json"
    report.to_json(path)
    again = wa.load(path)
    assert type(again) is type(report)
    for way in SAME:
        assert getattr(again, way)() == getattr(report, way)(), way
    assert repr(again) == repr(report)
    assert again.findings == report.findings


@pytest.mark.parametrize("spectrum", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_real_scan_comes_back(spectrum: bool, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    report = wa.scan(tiny_checkpoints["gpt2"], spectrum=spectrum, ignore="untrained", severity="outlier-norm=info")
    report.to_json(tmp_path / "r.json")
    again = wa.load(tmp_path / "r.json")
    assert isinstance(again, wa.ScanReport)
    assert again.rows == report.rows
    assert again.map == report.map
    assert again.identity == report.identity
    assert again.coverage_entries == report.coverage_entries
    assert again.layers.equals(report.layers)
    assert all(getattr(again, way)() == getattr(report, way)() for way in SAME)


def test_a_loaded_matrix_is_bound_to_no_checkpoint(tmp_path: Path) -> None:
    factory.clean().to_json(tmp_path / "r.json")
    again = wa.load(tmp_path / "r.json")
    assert isinstance(again, wa.ScanReport)
    with pytest.raises(RuntimeError, match="not bound to a checkpoint"):
        again.rows[0].matrix.load()


def test_a_shortened_report_is_one(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(JUDGED)
    report = wa.load(tmp_path / "r.json")
    assert isinstance(report, wa.ScanReport)
    assert len(report.rows) == len(report.findings) == 5


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda said: {name: value for name, value in said.items() if name != key}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda said: [said], "it is no report of weightaudit"),
        (_without("schema"), "it is no report of weightaudit"),
        (_without("record"), "another version of weightaudit wrote it"),
        (lambda said: {**said, "schema": 99}, "another version of weightaudit wrote it"),
        (lambda said: {**said, "record": {"other": {}}}, "it is no valid report"),
        (lambda said: {**said, "record": {"scan": {}}}, "it is no valid report"),
        (lambda said: {**said, "record": 5}, "it is no valid report"),
    ],
)
def test_what_is_no_report_is_told(change: Callable[[dict[str, Any]], Any], cause: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(change(json.loads(factory.one_layer().to_json()))))
    with pytest.raises(UsageError, match=cause) as error:
        wa.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("value", [5, True, None, [], {}])
def test_a_name_that_is_no_text_is_told(value: object, tmp_path: Path) -> None:
    said = json.loads(JUDGED)
    said["record"]["scan"]["identity"]["name"] = value
    (tmp_path / "r.json").write_text(json.dumps(said))
    with pytest.raises(UsageError, match="it is no valid report"):
        wa.load(tmp_path / "r.json")


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(factory.clean().to_csv())
    for path, cause in (
        (tmp_path / "r.csv", "it cannot be read"),
        (tmp_path / "none", "no such file"),
        (tmp_path, "it is (a directory|not a plain file)"),
    ):
        with pytest.raises(UsageError, match=cause):
            wa.load(path)


def _shortened(said: Any, most: int) -> Any:
    """The same with lists of so many at most: what can be wrong with one row can be with any."""
    if isinstance(said, dict):
        return {key: _shortened(value, most) for key, value in said.items()}
    return [_shortened(value, most) for value in said[:most]] if isinstance(said, list) else said


JUDGED = json.dumps(_shortened(json.loads(factory.judged().to_json()), 5))
SHORT = json.dumps({"schema": SCHEMA, "record": _shortened(json.loads(JUDGED)["record"], 2)})
VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just([]) | st.just({})
)


@at_most(40)
@given(data=st.data())
def test_any_change_is_told_or_harmless(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever value somewhere in the record is another: an error of ours, or a report that can be written."""
    said = json.loads(SHORT)
    inside: Any = said["record"]
    while True:
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        key = data.draw(st.sampled_from(keys))
        deeper = inside[key]
        if isinstance(deeper, (dict, list)) and deeper and data.draw(st.integers(0, 5)):
            inside = deeper
            continue
        inside[key] = data.draw(VALUES)
        break
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_text(json.dumps(said))
    try:
        report = wa.load(path)
    except WeightauditError:
        return
    assert repr(report)

"""Reports as Python has them: text without a path, tables, charts, one line in a prompt, a card in a notebook."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import weightaudit as wa
from tests.api.made import REPORTS
from tests.support import factory
from tests.support.covering import in_turn
from weightaudit.errors import OutputError, UsageError

TEXTS = {"csv": "to_csv", "json": "to_json", "sarif": "to_sarif", "md": "to_markdown", "xml": "to_junit"}


@pytest.mark.parametrize(("name", "kind"), in_turn(tuple(REPORTS), tuple(TEXTS)))
def test_text_buffer_and_file_are_the_same(name: str, kind: str, tmp_path: Path) -> None:
    to = getattr(REPORTS[name], TEXTS[kind])
    path, text, data = tmp_path / f"r.{kind}", io.StringIO(), io.BytesIO()
    said = to()
    assert to(path) is None
    to(text)
    to(data)
    assert said == path.read_bytes().decode() == text.getvalue() == data.getvalue().decode()
    assert said


def test_parquet_without_a_path_is_bytes() -> None:
    frame = pd.read_parquet(io.BytesIO(factory.clean().to_parquet()))
    assert len(frame) == len(factory.clean().rows)


@pytest.mark.parametrize("name", REPORTS)
def test_findings_are_a_table(name: str) -> None:
    report = REPORTS[name]
    frame = report.findings_frame
    assert len(frame) == len(report.findings)
    assert list(frame["id"]) == [one.id for one in report.findings]
    assert str(frame["layer"].dtype) == "Int64"


@pytest.mark.parametrize("name", REPORTS)
def test_a_prompt_shows_one_line(name: str) -> None:
    shown = repr(REPORTS[name])
    assert len(shown) < 300
    assert shown.isprintable()
    assert shown.startswith(f"<{type(REPORTS[name]).__name__} ")


def test_the_line_says_what_matters() -> None:
    assert repr(factory.clean()) == f"<ScanReport {factory.clean().identity.name}: 88 matrices, clean>"
    assert "2 errors, 24 warnings and 1 info" in repr(factory.judged())


class Elements(HTMLParser):
    """What a browser would see of a card."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in ("polyline", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "polyline":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", REPORTS)
def test_a_card_is_sound_markup_without_scripts(name: str) -> None:
    report = REPORTS[name]
    card = report._repr_html_()
    page = Elements()
    page.feed(card)
    page.close()
    assert page.open == []
    assert not {"script", "style", "link", "img", "iframe", "a"} & set(page.seen)
    assert "verdict" in page.text
    assert len(card) < 60_000
    if report.findings:
        assert report.findings[0].severity in page.text


def test_a_card_has_a_profile_for_each_role() -> None:
    report = factory.bert()
    roles = {row.matrix.role for row in report.rows if row.matrix.layer is not None}
    assert report._repr_html_().count("<polyline") == len(roles)


def test_a_line_by_layer_has_the_tables_numbers() -> None:
    report = factory.bert()
    figure = report.plot("stable_rank")
    lines = {line.name: line for line in figure.data}
    frame = report.layers
    for role in ("Q", "M1"):
        rows = frame[(frame.role == role) & frame.layer.notna()]
        assert list(lines[role].x) == list(rows.layer)
        np.testing.assert_array_equal(lines[role].y, rows.stable_rank)
        low = np.array(lines[role].y) - np.array(lines[role].error_y.arrayminus)
        np.testing.assert_allclose(low, rows.stable_rank_lower)
    assert figure.layout.yaxis.type == "log"


def test_the_interval_of_a_norm_goes_up() -> None:
    report = factory.bert()
    line = report.plot("spectral_norm").data[0]
    rows = report.layers[(report.layers.role == line.name) & report.layers.layer.notna()]
    np.testing.assert_allclose(np.array(line.y) + np.array(line.error_y.array), rows.spectral_norm_upper)


def test_a_heat_map_has_roles_by_layers_and_gaps_where_numbers_are_unknown() -> None:
    report = factory.all_nan()
    heat = report.plot("frobenius_norm", "heat map").data[0]
    assert all(cell is None for line in heat.z for cell in line)
    heat = factory.bert().plot("frobenius_norm", "heat map").data[0]
    assert np.array(heat.z).shape == (len(heat.y), 12)


def test_a_mixture_is_drawn_by_its_medians() -> None:
    report = factory.mixture()
    line = next(line for line in report.plot("frobenius_norm").data if line.name == "M1")
    frame = report.layers[report.layers.role == "M1"]
    np.testing.assert_allclose(line.y, frame.groupby("layer").frobenius_norm.median())
    assert line.error_y.array is None


def test_spectra_are_drawn_where_they_were_asked_for(tiny_checkpoints: dict[str, Path]) -> None:
    report = wa.scan(tiny_checkpoints["gpt2"], spectrum=True, method="exact")
    line = report.plot(kind="spectrum").data[0]
    assert list(line.y) == sorted(line.y, reverse=True)
    with pytest.raises(UsageError, match="Scan with spectrum=True"):
        factory.clean().plot(kind="spectrum")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("stable_rnk",), r"number 'stable_rnk': no column of numbers is called so. Did you mean stable_rank\?"),
        (("role",), "no column of numbers is called so"),
        (("stable_rank", "pie"), "Choose 'lines', 'heat map', 'spectrum' and 'esd'"),
    ],
)
def test_what_cannot_be_drawn_is_told(asked: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        factory.clean().plot(*asked)  # type: ignore[arg-type]


def test_a_model_without_layers_has_no_chart() -> None:
    with pytest.raises(UsageError, match="no matrix of this report is in a layer"):
        factory.embeddings_only().plot()


def test_options_at_once_and_by_name(tiny_checkpoints: dict[str, Path]) -> None:
    config = wa.AuditConfig(roles=("Q", "K"), tol=1e-3)
    report = wa.scan(tiny_checkpoints["bert"], config=config, roles="V")
    assert report.options["tol"] == 1e-3
    assert {row.matrix.role for row in report.rows} == {"V"}
    assert json.loads(report.to_json())["options"]["roles"] == ["V"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"tol": 1}, "config: a dict is no AuditConfig"),
        (wa.AuditConfig(spectrum=True), "config: spectrum: diff has no such option"),
    ],
)
def test_a_config_that_does_not_fit_is_told(config: Any, said: str, tiny_checkpoints: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=said):
        wa.diff(tiny_checkpoints["bert"], tiny_checkpoints["bert"], config=config)


def test_models_side_by_side(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    first = wa.scan(tiny_checkpoints["gpt2"])
    second = wa.scan(tiny_checkpoints["phi"])
    second.to_json(tmp_path / "second.json")
    both = wa.compare([first, tmp_path / "second.json"])
    assert repr(both) == "<Comparison of 2: gpt2, phi>"
    assert list(both.summary.index) == ["gpt2", "phi"]
    assert both.summary.loc["gpt2", "parameters"] == first.summary["parameters"]
    assert set(both.differences["match"]) == {"both", "only a", "only b"}
    both.write(tmp_path / "page")
    assert (tmp_path / "page" / "index.html").is_file()
    assert len(pd.read_csv(tmp_path / "page" / "differences.csv")) == len(both.differences)
    with pytest.raises(UsageError, match="Name another"):
        wa.compare([first])


def test_files_that_only_say_that_they_take_text(tmp_path: Path) -> None:
    report = factory.clean()
    with tempfile.NamedTemporaryFile("w+", dir=tmp_path) as named, tempfile.SpooledTemporaryFile(mode="w+") as spooled:
        for file in (named, spooled):
            report.to_csv(file)
            file.seek(0)
            assert file.read() == report.to_csv()
    with tempfile.NamedTemporaryFile(dir=tmp_path) as raw, gzip.open(tmp_path / "r.gz", "w") as packed:
        report.to_json(raw)
        report.to_json(cast(Any, packed))
        raw.seek(0)
        assert raw.read().decode() == report.to_json()
    with (tmp_path / "r").open("w") as text, pytest.raises(UsageError, match="opened for text"):
        report.to_parquet(cast(Any, text))
    with pytest.raises(UsageError, match=r"there is no such severity\. Choose error, warning, info and never"):
        report.to_junit(fail_on="bogus")  # type: ignore[call-overload]


@pytest.mark.parametrize("call", [wa.compare, wa.merge_check, lambda models: wa.merge(models, "out")])
@pytest.mark.parametrize("models", ["gpt2", Path("gpt2"), {"x": 1}, factory.clean(), 5])
def test_one_model_is_no_list(call: Any, models: Any) -> None:
    with pytest.raises(UsageError, match="is no list of models"):
        call(models)


def test_a_comparison_is_written_over_no_model_and_no_batch(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_checkpoints["gpt2"], model)
    before = sorted(path.name for path in model.iterdir())
    both = wa.compare(cast(Any, (path for path in (model, model))))
    with pytest.raises(OutputError):
        both.write(model)
    assert sorted(path.name for path in model.iterdir()) == before
    wa.batch([model], tmp_path / "batch", workers=0)
    with pytest.raises(OutputError, match="it is a batch's directory"):
        both.write(tmp_path / "batch")

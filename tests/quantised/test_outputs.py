"""What every output says of a quantised model, and what a gate does with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import weightaudit as wa
from tests.quantised.toy import SCHEME, UNREAD, WHY, Toy, quantised
from tests.support.browser import asked, needs_chromium
from tests.support.models import tiny_model
from tests.support.running import CommandLine
from weightaudit.batches import aggregate
from weightaudit.batches.results import Results, content_of
from weightaudit.checkpoint.codecs import CODECS
from weightaudit.report.columns import NAMES
from weightaudit.report.layout import LAYERS_CSV, LAYERS_PARQUET
from weightaudit.report.quantisation import QUANTISATION

MORE = [column.name for column in QUANTISATION]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "toy", Toy())


def written(report: wa.ScanReport, folder: Path) -> tuple[list[dict[str, str]], dict[str, object], pd.DataFrame]:
    """Its CSV, its JSON, its Parquet."""
    for kind in ("csv", "json", "parquet"):
        report.write(folder / f"report.{kind}")
    with open(folder / "report.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((folder / "report.json").read_text("utf-8")), pd.read_parquet(folder / "report.parquet")


def test_facts_have_columns_of_their_own(tmp_path: Path) -> None:
    report = wa.scan(quantised("bert", tmp_path / "m"))
    rows, told, frame = written(report, tmp_path)
    for columns in (list(rows[0]), list(told["layers"][0]), list(frame.columns)):  # type: ignore[index]
        assert columns == [*NAMES, *MORE]
    layer = next(row for row in rows if row["role"] == "M1" and row["layer"] == "1")
    assert [layer[name] for name in ("format", "code_bits", "group", "symmetric", "act_order")] == [
        "toy",
        "8",
        "row",
        "yes",
        "",
    ]
    # 40 rows of 24 codes of a byte and a float32 scale.
    assert float(layer["bits_per_weight"]) == pytest.approx(8 * (24 + 4) / 24)
    assert float(layer["extreme_share"]) >= 40 / (40 * 24)
    assert (layer["zero_scales"], layer["wrapped_zeros"]) == ("0", "")
    qkv = next(row for row in rows if row["role"] == "QKV")
    assert (qkv["format"], qkv["extreme_share"]) == ("toy", "")
    assert float(qkv["bits_per_weight"]) == pytest.approx(8 * (24 + 4) / 24)
    plain = next(row for row in rows if row["role"] == "EMBED")
    assert [plain[name] for name in MORE] == [""] * len(MORE)
    assert frame["format"].notna().sum() == sum(row["format"] == "toy" for row in rows) > 10


def test_a_model_that_is_not_quantised_has_none_of_them(tmp_path: Path) -> None:
    tiny_model("bert", tmp_path / "m")
    report = wa.scan(tmp_path / "m")
    rows, told, frame = written(report, tmp_path)
    assert list(rows[0]) == list(told["layers"][0]) == list(frame.columns) == list(NAMES)  # type: ignore[index]
    assert not any({"scheme", "parts", "stored_bytes"} & entry.keys() for entry in told["coverage"])  # type: ignore[attr-defined]
    assert "scheme" not in report.coverage.columns


def test_every_stored_tensor_is_accounted_for(tmp_path: Path) -> None:
    stored: list[str] = []
    report = wa.scan(quantised("bert", tmp_path / "m", left="query", change=lambda tensors: stored.extend(tensors)))
    told = written(report, tmp_path)[1]["coverage"]
    named = [name for entry in told for name in entry.get("parts") or [entry["tensor"]]]  # type: ignore[attr-defined]
    assert sorted(named) == sorted(stored)
    assert set(report.summary["dtypes"]) == {"float32", "toy 8 bits", "EXL9 3 bits"}
    assert sum(report.summary["dtypes"].values()) == report.summary["parameters"]


def test_what_was_measured_passes_a_gate(tmp_path: Path, weightaudit: CommandLine) -> None:
    model = quantised("bert", tmp_path / "m")
    done = weightaudit("scan", model, "--fail-on", "error", "--out", tmp_path / "r.html", "--out", tmp_path / "r.md")
    assert done.code == 0
    assert "Quantised: toy, 8 bits, a scale per row: 12 tensors." in done.stdout
    assert "Quantised: toy, 8 bits, a scale per row: 12 tensors" in (tmp_path / "r.md").read_text("utf-8")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert '<section id="quantisation"' in page
    assert "toy, 8 bits, a scale per row" in page


def test_what_was_not_read_is_said_and_stops_a_gate_below_the_threshold(
    tmp_path: Path, weightaudit: CommandLine
) -> None:
    some = quantised("bert", tmp_path / "some", left="query")
    done = weightaudit("scan", some, "--fail-on", "error")
    assert done.code == 0
    assert f"{UNREAD.label}: 2 tensors, not measured: {WHY}" in " ".join(done.stdout.split())
    strict = weightaudit("scan", some, "--fail-on", "error", "--min-coverage", "0.99")
    assert strict.code != 0
    report = wa.scan(some, min_coverage=0.99)
    (finding,) = [one for one in report.findings if one.id == "low-coverage"]
    assert f"EXL9 3 bits is not read: {WHY}." in finding.detail
    nearly_all = quantised("bert", tmp_path / "most", left="layer")
    assert weightaudit("scan", nearly_all, "--fail-on", "error").code != 0
    assert "low-coverage" in {one.id for one in wa.scan(nearly_all).findings}


def test_conv1d_that_is_encoded_is_not_misshapen(tmp_path: Path) -> None:
    """GPT-2's own files are (in, out), whatever quantises it writes (out, in)."""
    tiny_model("gpt2", tmp_path / "twin")
    twin = {(row.matrix.layer, row.matrix.role): row for row in wa.scan(tmp_path / "twin").rows}
    report = wa.scan(quantised("gpt2", tmp_path / "m"))
    assert report.map.discrepancies == ()
    assert len(report.rows) == len(twin)
    for row in report.rows:
        same = twin[row.matrix.layer, row.matrix.role]
        assert row.matrix.shape == same.matrix.shape
        assert row.spectrum.frobenius_norm == pytest.approx(same.spectrum.frobenius_norm, rel=0.01)


def test_conv1d_of_a_family_that_is_not_known(tmp_path: Path) -> None:
    report = wa.scan(quantised("gpt2", tmp_path / "m", config={"model_type": "nobodys"}))
    shapes = {row.matrix.role: row.matrix.shape for row in report.rows if row.matrix.layer == 0}
    assert report.map.guessed
    assert shapes["M1"] == (40, 24)
    assert shapes["M2"] == (24, 40)


def test_a_wrong_shape_is_one_when_it_is_encoded_too(tmp_path: Path) -> None:
    def turn(stored: dict[str, torch.Tensor]) -> None:
        name = "transformer.h.0.mlp.c_fc.weight"
        stored[f"{name}.codes"] = stored[f"{name}.codes"].T.contiguous()
        stored[f"{name}.row_scale"] = torch.ones(24)

    report = wa.scan(quantised("gpt2", tmp_path / "m", change=turn))
    assert {one.id for one in report.findings} >= {"misshapen"}


def test_what_is_not_read_is_neither_missing_nor_misshapen(tmp_path: Path) -> None:
    def cut(stored: dict[str, torch.Tensor]) -> None:
        for name in [one for one in stored if one.endswith(".exl")]:
            stored[name] = stored[name][:, :7].contiguous()

    report = wa.scan(quantised("gpt2", tmp_path / "m", left="c_fc", change=cut))
    assert report.map.discrepancies == ()


def test_a_quantised_model_that_lacks_a_layer(tmp_path: Path) -> None:
    def drop(stored: dict[str, torch.Tensor]) -> None:
        for name in [one for one in stored if ".layer.1." in one]:
            del stored[name]

    report = wa.scan(quantised("bert", tmp_path / "m", left="query", change=drop))
    assert "missing" in {one.id for one in report.findings if one.severity == "error"}


@pytest.mark.parametrize("family", ["bert", "phi"])
def test_scales_of_activations_are_ignored(family: str, tmp_path: Path) -> None:
    names = ("input_scale", "activation_scale", "k_scale", "v_scale", "q_scale", "input_amax", "output_scale")

    def add(stored: dict[str, torch.Tensor]) -> None:
        modules = [name[: -len(".weight.codes")] for name in stored if name.endswith(".weight.codes")]
        stored |= {f"{modules[0]}.{name}": torch.ones(1, 1) for name in names}
        embedding = next(name for name in stored if "embed" in name and stored[name].ndim == 2)
        stored[f"{embedding}_scale"] = torch.ones(stored[embedding].shape[0], 1)

    report = wa.scan(quantised(family, tmp_path / "m", change=add))
    scales = {entry.tensor: entry for entry in report.coverage_entries if entry.tensor.endswith(("scale", "amax"))}
    assert len(scales) == len(names) + 1
    assert {entry.status for entry in scales.values()} == {"ignored"}
    assert {entry.detail for entry in scales.values()} == {
        "scale of activations",
        "scale of a weight that is not quantised",
    }
    assert "unmapped" not in {one.id for one in report.findings}


def test_zero_scales_are_found_in_the_facts(tmp_path: Path) -> None:
    def zero(stored: dict[str, torch.Tensor]) -> None:
        stored["bert.encoder.layer.0.attention.self.query.weight.row_scale"][3] = 0

    report = wa.scan(quantised("bert", tmp_path / "m", change=zero))
    (finding,) = [one for one in report.findings if one.id == "zero-scales"]
    assert finding.detail == "1 of 24 scales of layer 0 Q is zero."


def test_a_batch_joins_both(tmp_path: Path) -> None:
    """Blank cells where a model is not quantised, in whatever order they come."""
    quantised("bert", tmp_path / "a")
    tiny_model("bert", tmp_path / "b")
    quantised("gpt2", tmp_path / "c")
    parts = {}
    for name in "bac":
        report, folder = wa.scan(tmp_path / name), tmp_path / "out" / name
        folder.mkdir(parents=True)
        for file in (LAYERS_CSV, LAYERS_PARQUET):
            report.write(folder / file)
        parts[name] = Results(folder, {file: content_of(folder / file) for file in (LAYERS_CSV, LAYERS_PARQUET)})
    attempts, unreadable = aggregate._join_layers(parts, tmp_path / "out")
    attempts.conclude()
    assert unreadable == {}
    with open(tmp_path / "out" / "all.csv", encoding="utf-8", newline="") as joined:
        assert {len(line) for line in csv.reader(joined)} == {len(NAMES) + len(MORE)}
    frames = [pd.read_csv(tmp_path / "out" / "all.csv"), pd.read_parquet(tmp_path / "out" / "all.parquet")]
    assert [list(frame["model"].unique()) for frame in frames] == [["b", "a", "c"]] * 2
    for frame in frames:
        assert list(frame.columns) == [*NAMES, *MORE]
        formats = {name: set(own["format"].dropna()) for name, own in frame.groupby("model")}
        assert formats == {"a": {SCHEME.format}, "b": set(), "c": {SCHEME.format}}
        assert frame.loc[frame["model"] == "b", MORE].isna().all(axis=None)


def test_a_comparison_takes_both(tmp_path: Path, weightaudit: CommandLine) -> None:
    tiny_model("bert", tmp_path / "plain")
    for model in (quantised("bert", tmp_path / "q"), tmp_path / "plain"):
        for kind in ("json", "parquet"):
            wa.scan(model).write(tmp_path / f"{model.name}.{kind}")
    for kind in ("json", "parquet"):
        done = weightaudit("compare", tmp_path / f"q.{kind}", tmp_path / f"plain.{kind}", "--out", tmp_path / kind)
        assert done.code == 0, done.stderr


@pytest.mark.browser
@needs_chromium
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """The section, the way to it, and the columns in the table of matrices."""
    wa.scan(quantised("bert", tmp_path / "m", left="query")).write(tmp_path / "page.html")
    said = asked(
        tmp_path / "page.html",
        """
        answer.section = [...document.querySelectorAll("#quantisation td")].map((cell) => cell.innerText);
        answer.ways = [...document.querySelectorAll("nav a")].map((way) => way.getAttribute("href"));
        answer.heads = [...document.querySelectorAll("#layers th")].map((head) => head.innerText);
        answer.wide = document.documentElement.scrollWidth - innerWidth;
        """,
    )
    assert said["section"][:5] == ["toy, 8 bits, a scale per row", "10", "10", "7,296", "9.193"]
    assert said["section"][8:] == ["EXL9, 3 bits", "2", "0", "1,152", "8.000", "—", "—", f"no: {WHY}"]
    assert "#quantisation" in said["ways"]
    assert [head for head in said["heads"] if head in ("Format", "Bits a weight", "Extreme codes", "Act order")] == [
        "Format",
        "Bits a weight",
        "Extreme codes",
    ]
    assert said["wide"] <= 0


def test_what_is_not_quantised_has_no_such_section(tmp_path: Path) -> None:
    tiny_model("bert", tmp_path / "m")
    wa.scan(tmp_path / "m").write(tmp_path / "page.html")
    assert (
        "quantisation" not in (tmp_path / "page.html").read_text("utf-8").partition("<body")[2].partition("<script")[0]
    )


def test_sarif_notes_name_the_formats(tmp_path: Path) -> None:
    wa.scan(quantised("bert", tmp_path / "m", left="query")).write(tmp_path / "r.sarif")
    (run,) = json.loads((tmp_path / "r.sarif").read_text("utf-8"))["runs"]
    notes = [one["message"]["text"] for one in run["invocations"][0]["toolExecutionNotifications"]]
    assert notes[:2] == [
        "quantised: toy, 8 bits, a scale per row: 10 tensors",
        f"quantised: EXL9, 3 bits: 2 tensors, not measured: {WHY}",
    ]


def _same(stored: dict[str, torch.Tensor]) -> None:
    pass


def _other_codes(stored: dict[str, torch.Tensor]) -> None:
    for name, tensor in stored.items():
        if name.endswith(".codes"):
            stored[name] = -tensor


def _plain(stored: dict[str, torch.Tensor]) -> None:
    for name in [one[: -len(".codes")] for one in stored if one.endswith(".codes")]:
        stored[name] = stored.pop(f"{name}.codes") * stored.pop(f"{name}.row_scale")[:, None]


@pytest.mark.parametrize(
    ("change", "said"),
    [(_same, ""), (_other_codes, "12 tensors of other values"), (_plain, "12 tensors quantised otherwise")],
)
def test_another_set_of_weights_is_compared_by_what_it_stands_for(
    change: Callable[[dict[str, torch.Tensor]], None], said: str, tmp_path: Path
) -> None:
    model = quantised("bert", tmp_path / "m")
    beside = load_file(model / "model.safetensors")
    change(beside)
    torch.save(beside, model / "pytorch_model.bin")
    found = [one.detail for one in wa.scan(model, roles=["EMBED"]).findings if one.id == "two-sets"]
    assert len(found) == bool(said)
    assert said in "".join(found)

"""What a comparison says of a model: its numbers, its profiles over depth, where its report is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

import weightaudit as wa
from tests.batches.checkpoints import corrupt, random_model
from weightaudit import ScanReport
from weightaudit.batches import BatchResult
from weightaudit.batches.aggregate import UNFINISHED, entries
from weightaudit.batches.manifest import read_manifest
from weightaudit.batches.outcome import read_outcome
from weightaudit.records import LayerRow
from weightaudit.report.comparison import SUMMARY_NAMES
from weightaudit.report.comparison.model_summary import metrics, profiles


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ScanReport:
    return wa.scan(random_model(tmp_path_factory.mktemp("deep"), "gpt2", 3, layers=5), threads=1)


def test_metrics_are_the_summary(report: ScanReport) -> None:
    found = metrics(report)
    assert tuple(found) == SUMMARY_NAMES
    assert (found["layers"], found["hidden"], found["dtypes"]) == (5, 24, "float32")
    layers = report.layers[report.layers.layer.notna()]
    for role in ("Q", "M2", "QKV"):
        inverse = 1 / layers[layers.role == role].stable_rank
        assert found[f"stable_rank_{role}"] == pytest.approx(1 / inverse.mean())
    assert found["stable_rank"] == report.summary["stable_rank_harmonic_mean"]["all"]
    assert found["parameters"] == report.summary["parameters"]


def test_profiles_are_the_rows_over_depth(report: ScanReport) -> None:
    found = profiles(report)
    assert set(found) == {"Q", "K", "V", "O", "QKV", "M1", "M2"}
    rows = report.layers[report.layers.role == "M1"].sort_values("layer")
    depths, ranks = zip(*found["M1"]["stable_rank"], strict=True)
    assert depths == tuple(i / 4 for i in range(5))
    assert ranks == pytest.approx(tuple(rows.stable_rank), rel=1e-5)
    assert [value for _, value in found["M1"]["frobenius_norm"]] == pytest.approx(list(rows.frobenius_norm), rel=1e-5)


def test_profiles_of_some_layers_keep_their_depth(report: ScanReport) -> None:
    some = replace(report, rows=tuple(row for row in report.rows if row.matrix.layer in (1, 4)))
    assert [depth for depth, _ in profiles(some)["Q"]["stable_rank"]] == [0.25, 1.0]


def test_profiles_of_experts_stacks_and_odd_numbers(report: ScanReport) -> None:
    row = next(row for row in report.rows if row.matrix.role == "Q" and row.matrix.layer == 0)

    def at(stack: str, layer: int, expert: int | None, value: float) -> LayerRow:
        matrix = replace(row.matrix, stack=stack, layer=layer, expert=expert)
        return LayerRow(matrix, replace(row.spectrum, stable_rank=value, frobenius_norm=2 * value))

    rows = [at("", 0, expert, value) for expert, value in enumerate((1.0, 5.0, 3.0, float("nan")))]
    rows += [at("encoder", 0, None, 1.5), at("decoder", 0, None, 2.5), at("decoder", 3, None, float("nan"))]
    found = profiles(replace(report, rows=tuple(rows)))
    assert found["Q"]["stable_rank"] == [(0.0, median((1.0, 5.0, 3.0)))]
    assert found["encoder Q"]["frobenius_norm"] == [(0.0, 3.0)]
    assert found["decoder Q"]["stable_rank"] == [(0.0, 2.5)]


def test_entries_of_a_batch(batch: Callable[..., BatchResult], few: list[Path], tmp_path: Path) -> None:
    bad = corrupt(few[0], tmp_path / "a b")
    batch([few[0], f'"{bad}"', few[1]])
    out = tmp_path / "out"
    (out / few[1].name / "outcome.json").unlink()
    listed = read_manifest(out).models
    done, failed, unfinished = entries(listed, {one.folder: read_outcome(out / one.folder) for one in listed})
    assert (done.name, done.status, done.reason) == (few[0].name, "done", "")
    assert (out / done.link).is_file()
    assert (out / done.log).is_file()
    assert done.link.endswith("/report.html")
    assert tuple(done.metrics) == SUMMARY_NAMES
    report = wa.scan(few[0], threads=1)
    assert done.metrics == metrics(report)
    assert done.profiles.keys() == profiles(report).keys()
    assert (failed.name, failed.status, failed.link, failed.log) == ("a b", "failed", "", "a-b/log.txt")
    assert failed.reason
    assert (unfinished.status, unfinished.reason) == ("failed", UNFINISHED)

"""Directories joined: shards of one list, batches of several."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.batches.checkpoints import corrupt
from tests.batches.pools import Recorded
from tests.support.covering import some_of
from weightaudit import api
from weightaudit.batches import BatchResult, merge
from weightaudit.batches.aggregate import UNFINISHED
from weightaudit.batches.manifest import read_manifest
from weightaudit.batches.outcome import finished
from weightaudit.batches.results import RESULTS
from weightaudit.config import AuditConfig
from weightaudit.errors import CheckpointError, UsageError

Batch = Callable[..., BatchResult]
Earlier = Callable[..., None]
JOINED = ("all.csv", "all.parquet", "summary.csv")


def test_shards_merged_are_the_whole(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    models = [*few[:3], corrupt(few[0], tmp_path / "bad")]
    batch(models, tmp_path / "whole")
    parts = [tmp_path / f"part{i}" for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        batch(models, part, shard=(i, 3))
    result = merge([parts[2], parts[0], parts[1]], tmp_path / "merged")
    assert result.models == [path.name for path in models]
    assert list(result.failed) == ["bad"]
    assert result.missing == []
    for name in JOINED:
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    for path in few[:3]:
        for name in RESULTS:
            assert (tmp_path / "merged" / path.name / name).is_file()
    # It is a batch's directory like any other: nothing is left to do in it, and it can be merged again.
    pool = Recorded()
    batch(models, tmp_path / "merged", pool=pool)
    assert pool.sent == []
    merge([tmp_path / "merged"], tmp_path / "again")
    assert (tmp_path / "again" / "all.csv").read_bytes() == (tmp_path / "whole" / "all.csv").read_bytes()


def test_a_new_title_is_brought_along(earlier: Earlier, few: list[Path], tmp_path: Path) -> None:
    earlier(few[:2], tmp_path / "a")
    merge([tmp_path / "a"], tmp_path / "merged")
    manifest = read_manifest(tmp_path / "a")
    first = replace(manifest.models[0], title="renamed")
    replace(manifest, models=(first, *manifest.models[1:])).write(tmp_path / "a")
    merge([tmp_path / "a"], tmp_path / "merged")
    outcome = finished(tmp_path / "merged" / first.folder)
    assert outcome is not None
    assert outcome.title == "renamed"


def test_files_are_linked_or_copied(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(few[:1], tmp_path / "a")
    source = tmp_path / "a" / few[0].name / "report.html"
    merge([tmp_path / "a"], tmp_path / "linked")
    assert (tmp_path / "linked" / few[0].name / "report.html").samefile(source)

    def no_links(*names: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    merge([tmp_path / "a"], tmp_path / "copied")
    copy = tmp_path / "copied" / few[0].name / "report.html"
    assert not copy.samefile(source)
    assert copy.read_bytes() == source.read_bytes()
    # A scan in the merged directory leaves the other as it was.
    before = source.read_bytes()
    batch(few[:1], tmp_path / "linked", base=AuditConfig(seed=1))
    assert source.read_bytes() == before


def test_several_lists_come_one_after_the_other(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    batch([few[3], few[1]], tmp_path / "a")
    batch([few[0], few[1], few[2]], tmp_path / "b")
    result = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert result.models == [few[i].name for i in (3, 1, 0, 2)]
    with (tmp_path / "c" / "summary.csv").open(newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == result.models


def test_what_is_missing_is_told(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    for part in (1, 3):
        batch(few, tmp_path / f"part{part}", shard=(part, 4))
    (tmp_path / "part1" / few[4].name / "outcome.json").unlink()
    result = merge([tmp_path / "part1", tmp_path / "part3"], tmp_path / "merged")
    assert result.missing == ["2/4", "4/4"]
    assert result.models == [few[0].name, few[2].name, few[4].name]
    assert result.failed == {few[4].name: UNFINISHED}
    with (tmp_path / "merged" / "summary.csv").open(newline="") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == ["", "", UNFINISHED]


def test_of_two_the_finished_one_is_taken(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    model = corrupt(few[0], tmp_path / "model")
    batch([model], tmp_path / "a")
    shutil.copy(few[0] / "model.safetensors", model)
    batch([model], tmp_path / "b")
    for order in (("a", "b"), ("b", "a")):
        out = tmp_path / "-".join(order)
        assert merge([tmp_path / name for name in order], out).failed == {}
        assert (out / "model" / "layers.csv").is_file()


def test_two_different_scans_of_a_model_are_refused(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path
) -> None:
    earlier(few[:2], tmp_path / "a")
    batch(few[:2], tmp_path / "b", base=AuditConfig(seed=1))
    with pytest.raises(UsageError, match=f"{few[0].name}: .* hold different scans of it"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")


def test_two_models_of_one_name_are_refused(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """Whatever became of them: neither may stand for the other."""
    shutil.copytree(few[0], tmp_path / "x" / "model")
    shutil.copytree(few[1], tmp_path / "y" / "model")
    (tmp_path / "z").mkdir()
    corrupt(few[2], tmp_path / "z" / "model")
    for name in ("x", "y", "z"):
        batch([tmp_path / name / "model"], tmp_path / f"of {name}")
    shutil.copytree(tmp_path / "of y", tmp_path / "unfinished y")
    (tmp_path / "unfinished y" / "model" / "outcome.json").unlink()
    for one, other in (("of x", "of y"), ("of z", "of y"), ("of y", "of z"), ("of x", "unfinished y")):
        with pytest.raises(UsageError, match="model: two different models have this name") as refused:
            merge([tmp_path / one, tmp_path / other], tmp_path / "c")
        for name in (one, other):
            assert f"{tmp_path / name[-1] / 'model'} in {tmp_path / name}" in str(refused.value)
    assert not (tmp_path / "c").exists()


def test_two_names_of_one_folder_are_kept_apart(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    for name in ("model", "Model"):
        shutil.copytree(few[0], tmp_path / name)
        batch([tmp_path / name], tmp_path / f"of {name}")
    result = merge([tmp_path / "of model", tmp_path / "of Model"], tmp_path / "merged")
    assert result.models == ["model", "Model"]
    batch([tmp_path / "model", tmp_path / "Model"], tmp_path / "whole")
    for name in JOINED:
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_wish_is_another_scan_though_one_failed(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    batch([f"{few[0]} layers=7"], tmp_path / "a")  # there is no such layer
    batch([few[0]], tmp_path / "b")
    with pytest.raises(UsageError, match=f"{few[0].name}: .* hold different scans of it"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")


def test_manifests_that_do_not_say_which_models_are_read(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """As they were before: what is the same scan is merged, and what nothing says to be the same model is refused."""
    model = corrupt(few[0], tmp_path / "model")
    batch([model], tmp_path / "a")
    batch([model, few[1]], tmp_path / "b")
    shutil.copy(few[0] / "model.safetensors", model)
    batch([model, few[1], few[2]], tmp_path / "c")
    for name in "abc":
        path = tmp_path / name / "batch.json"
        said = json.loads(path.read_text())
        said["models"] = [{key: one[key] for key in ("number", "title", "folder")} for one in said["models"]]
        path.write_text(json.dumps(said))
    result = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    assert (result.models, list(result.failed)) == (["model", few[1].name], ["model"])
    with pytest.raises(UsageError, match=r"model: .* hold different scans of it"):
        merge([tmp_path / "a", tmp_path / "c"], tmp_path / "ac")


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param((), marks=pytest.mark.slow, id="both done"),
        pytest.param((1,), id="the listed one failed"),
        pytest.param((0, 1), marks=pytest.mark.slow, id="both failed"),
    ],
)
def test_one_commit_under_two_names_in_two_shards_counts_once(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[int, ...]
) -> None:
    """As in one run, which scans it once: here each shard has scanned it."""
    from weightaudit.batches.model_version import ModelVersion

    scan, calls = api.scan, itertools.count()

    def local(model: str, **options: Any) -> Any:
        if model == "org/name":
            if next(calls) in failing:
                raise CheckpointError("org/name", "it is corrupt")
            model, options = str(few[0]), {**options, "revision": None}
        return scan(model, **options)

    monkeypatch.setattr(api, "scan", local)
    commits = {"org/name": "c" * 40}
    monkeypatch.setattr(
        "weightaudit.batches.plan.version_of",
        lambda entry: ModelVersion(commits.get(entry.model, "d"), commits.get(entry.model, "")),
    )
    lines = [few[1], "org/name", "org/name@main", few[2]]
    base = AuditConfig(offline=True)
    for part in (1, 2):
        # The first shard scans @main, and the second the name alone, which is the one that one run keeps.
        batch(lines, tmp_path / f"part{part}", shard=(part, 2), base=base)
    failing, calls = (failing if len(failing) == 2 else ()), itertools.count()
    whole = batch(lines, tmp_path / "whole", base=base)
    assert whole.same == ["org/name@main"]
    result = merge([tmp_path / "part1", tmp_path / "part2"], tmp_path / "merged")
    assert result.same == whole.same
    assert result.models == [few[1].name, "org/name", few[2].name]
    assert list(result.failed) == list(whole.failed)
    for name in (*JOINED, "index.html", "batch.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    pool = Recorded()
    assert batch(lines, tmp_path / "merged", base=base, pool=pool).same == whole.same
    assert pool.sent == []


def test_parts_merged_in_two_stages_keep_the_lists_order(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path
) -> None:
    models = few[:4]
    earlier(models, tmp_path / "whole")
    for part in (1, 2, 3):
        batch(models, tmp_path / f"part{part}", shard=(part, 3))
    merge([tmp_path / "part3", tmp_path / "part1"], tmp_path / "some")
    result = merge([tmp_path / "some", tmp_path / "part2"], tmp_path / "merged")
    assert result.models == [path.name for path in models]
    assert (tmp_path / "merged" / "all.csv").read_bytes() == (tmp_path / "whole" / "all.csv").read_bytes()


def test_what_cannot_be_merged(earlier: Earlier, few: list[Path], tmp_path: Path) -> None:
    earlier(few[:1], tmp_path / "a")
    with pytest.raises(UsageError, match=r"there is no batch\.json in it"):
        merge([tmp_path / "a", tmp_path / "none"], tmp_path / "c")
    with pytest.raises(UsageError, match="it is one of those to be merged"):
        merge([tmp_path / "a"], tmp_path / "." / "a")
    with pytest.raises(UsageError, match="there is nothing to merge"):
        merge([], tmp_path / "c")
    (tmp_path / "a" / "batch.json").write_text('{"schema": 1}')
    with pytest.raises(UsageError, match=r"its batch\.json cannot be read"):
        merge([tmp_path / "a"], tmp_path / "c")


@pytest.mark.parametrize("name", some_of([*RESULTS, "log.txt"], RESULTS[0], "log.txt"))
def test_a_model_that_lost_files_is_not_finished(earlier: Earlier, few: list[Path], tmp_path: Path, name: str) -> None:
    earlier(few[:2], tmp_path / "a")
    (tmp_path / "a" / few[0].name / name).unlink()
    result = merge([tmp_path / "a"], tmp_path / "c")
    assert result.failed == {few[0].name: UNFINISHED}
    assert [path.name for path in (tmp_path / "c").iterdir() if path.is_dir()] == [few[1].name]

"""Every pair of a list, checked for a merge: a folder a pair, resumable, joined into a matrix of who suffers."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import weightaudit as wa
from tests.batches.checkpoints import random_model
from tests.support.running import CommandLine
from weightaudit.batches.executors import InlinePool
from weightaudit.batches.model_list import read_model_list
from weightaudit.batches.pairs import run as runs
from weightaudit.batches.pairs.run import PairsResult, run_pairs
from weightaudit.config import DEFAULTS
from weightaudit.errors import OutputError, UsageError
from weightaudit.merging.check import check_merge
from weightaudit.report.merge.trust import TRUST


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    root = tmp_path_factory.mktemp("models")
    base = random_model(root, "gpt2", 0, layers=1)
    return base, [tuned(base, root / name, seed) for seed, name in enumerate(("math", "code", "chat"), 1)]


def tuned(base: Path, folder: Path, seed: int) -> Path:
    """A copy of ``base`` in which every number is a little another."""
    shutil.copytree(base, folder)
    draw = np.random.default_rng(seed)
    tensors = load_file(base / "model.safetensors")
    for name, tensor in tensors.items():
        tensors[name] = tensor + (0.02 * seed * draw.standard_normal(tensor.shape)).astype(tensor.dtype)
    save_file(tensors, folder / "model.safetensors")
    return folder


def listed(folder: Path, models: Sequence[Path | str]) -> Path:
    path = folder / "models.txt"
    path.write_text("\n".join(map(str, models)) + "\n")
    return path


def run(folder: Path, models: Sequence[Path | str], base: Path | None, said: list[str] | None = None) -> PairsResult:
    entries = read_model_list(listed(folder, models), DEFAULTS)
    say = (lambda text: None) if said is None else said.append
    return run_pairs(
        entries, None if base is None else str(base), folder / "out", InlinePool, threads=1, title="models", say=say
    )


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "pairs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_pair(models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, tuned = models
    result = run(tmp_path, tuned, base)
    assert (len(result.checked), result.failed) == (3, {})
    found = {(row["victim"], row["other"]): row for row in rows(tmp_path)}
    assert len(found) == 6
    report = wa.merge_check(tuned[:2], base=base)
    for one in report.summary.encounters:
        row = found[report.names[one.victim], report.names[one.other]]
        assert float(row["disturbance"]) == pytest.approx(one.standing.disturbance, rel=1e-6)
        assert float(row["lift"]) == pytest.approx(one.standing.lift, rel=1e-6)
        assert float(row["suggested_weight"]) == pytest.approx(report.summary.suggested[one.victim], rel=1e-6)
    folders = sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert len(folders) == 3
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {
            "meetings.csv",
            "summary.json",
            "report.html",
            "outcome.json",
        }
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert " ".join(TRUST.split())[:80] in " ".join(page.split())
    assert len(re.findall(r'class="n d-\d+"', page)) == 6
    assert all(f'href="./{folder.name}/report.html"' in page for folder in folders)
    assert "<script src" in (folders[0] / "report.html").read_text("utf-8")
    assert (tmp_path / "out" / "plotly.js").exists()


def test_what_is_done_stays_done(models: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: Any) -> None:
    base, tuned = models
    first = run(tmp_path, tuned, base)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    again = run(tmp_path, tuned, base)
    assert (sorted(again.kept), again.checked) == (sorted(first.checked), [])
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {path: text for path, text in after.items() if path.name != ".lock"} == {
        path: text for path, text in before.items() if path.name != ".lock"
    }
    # A model that has changed is checked again, and so is a pair of whose files one has.
    copy = tmp_path / "copy"
    shutil.copytree(tuned[2], copy)
    run(tmp_path, [*tuned[:2], copy], base)
    os.utime(copy / "model.safetensors", (1, 1))
    assert len(run(tmp_path, [*tuned[:2], copy], base).checked) == 2
    folder = next((tmp_path / "out").glob("math--code-*"))
    (folder / "meetings.csv").write_text("spoilt")
    assert run(tmp_path, [*tuned[:2], copy], base).checked == ["math + code"]
    assert run(tmp_path, tuned[:2], None).kept == []


def test_a_model_that_cannot_be_read_stops_nothing(models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, tuned = models
    broken = tmp_path / "broken"
    shutil.copytree(tuned[0], broken)
    (broken / "model.safetensors").write_bytes(b"nothing")
    said: list[str] = []
    result = run(tmp_path, [*tuned[:2], broken, tmp_path / "nowhere"], base, said)
    assert result.checked == ["math + code"]
    assert len(result.failed) == 5
    assert sum(line.startswith("failed: ") for line in said) == 5
    assert [row["reason"] != "" for row in rows(tmp_path)] == [False, False, *[True] * 5]
    assert "Could not be checked" in (tmp_path / "out" / "index.html").read_text("utf-8")
    shutil.rmtree(broken)
    shutil.copytree(tuned[0], broken)
    assert len(run(tmp_path, [*tuned[:2], broken], base).checked) == 2


def test_what_nobody_foresaw_stops_nothing(
    models: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, tuned = models

    def check(asked: Sequence[str], *rest: Any, **options: Any) -> Any:
        if str(tuned[2]) in asked:
            raise ZeroDivisionError("of https://me:secret@example.org/model")
        return check_merge(asked, *rest, **options)

    monkeypatch.setattr("weightaudit.merging.check.check_merge", check)
    result = run(tmp_path, tuned, base)
    assert (result.checked, len(result.failed)) == (["math + code"], 2)
    assert all(why.startswith("ZeroDivisionError") and "secret" not in why for why in result.failed.values())


def test_a_full_disk_ends_the_run(
    models: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("weightaudit.merging.check.check_merge", full)
    with pytest.raises(OutputError, match="no space left"):
        run(tmp_path, models[1], models[0])


@pytest.mark.parametrize("name", ["pairs.csv", "index.html", "plotly.js"])
def test_no_result_replaces_the_list(name: str, models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("\n".join(map(str, models[1])))
    entries = read_model_list(path, DEFAULTS)
    with pytest.raises(OutputError):
        run_pairs(entries, None, tmp_path, InlinePool, threads=1, title="models", read=[path])
    assert path.read_text() == "\n".join(map(str, models[1]))


def test_findings_count(weightaudit: CommandLine, models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """A copy of the base is a finding; kept pairs count as those that are checked now."""
    base, tuned = models
    words = ("batch", listed(tmp_path, [base, tuned[0]]), "--pairs", "--base", base, "--out", tmp_path / "out")
    for _ in range(2):
        done = weightaudit(*words, "--workers", "0", "--fail-on", "info")
        assert (done.code, "--fail-on" in done.stderr) == (1, True), done.stderr
    assert weightaudit(*words, "--workers", "0").code == 0


def test_which_lists_make_pairs(
    models: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, tuned = models
    with pytest.raises(UsageError, match="1 model make 0 pairs"):
        run(tmp_path, tuned[:1], base)
    with pytest.raises(UsageError, match="options of their own"):
        run(tmp_path, [tuned[0], f"{tuned[1]} roles=Q"], base)
    monkeypatch.setattr(runs, "MOST_PAIRS", 2)
    with pytest.raises(UsageError, match="3 models make 3 pairs"):
        run(tmp_path, tuned, base)
    assert not (tmp_path / "out").exists()


def test_nothing_of_a_model_is_replaced(models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, tuned = models
    entries = read_model_list(listed(tmp_path, tuned), DEFAULTS)
    for folder in (base, tuned[1], tuned[1] / "inside"):
        with pytest.raises(OutputError):
            run_pairs(entries, str(base), folder, InlinePool, threads=1, title="models")


@pytest.mark.parametrize(
    "spoilt",
    [
        *("{}", "\x00"),
        *(pytest.param(other, marks=pytest.mark.slow) for other in ("[1]", "x" * 2_000_000, '{"key": 1}', "null")),
    ],
)
def test_a_spoilt_outcome_is_no_outcome(spoilt: str, models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, tuned = models
    run(tmp_path, tuned[:2], base)
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    (folder / "outcome.json").write_text(spoilt)
    assert run(tmp_path, tuned[:2], base).checked == ["math + code"]


def test_a_folder_that_leads_elsewhere_is_not_followed(models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, tuned = models
    run(tmp_path, tuned[:2], base)
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    shutil.move(folder, tmp_path / "elsewhere")
    before = {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}
    (tmp_path / "elsewhere" / "meetings.csv").write_text("mine")
    folder.symlink_to(tmp_path / "elsewhere")
    assert run(tmp_path, tuned[:2], base).checked == ["math + code"]
    assert not folder.is_symlink()
    assert (tmp_path / "elsewhere" / "meetings.csv").read_text() == "mine"
    assert (folder / "meetings.csv").read_bytes() == before["meetings.csv"]


def test_numbers_that_are_not_known(models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """Of a model that is the base there are none: an empty cell, no NaN that JSON has no word for."""
    base, tuned = models
    run(tmp_path, [base, tuned[0]], base)
    row = next(row for row in rows(tmp_path) if row["victim"] == base.name)
    assert row["disturbance"] == ""
    (outcome,) = (tmp_path / "out").glob("*/outcome.json")
    assert json.loads(outcome.read_text(), parse_constant=lambda text: math.nan)["sides"][0]["disturbance"] is None


def test_the_command(weightaudit: CommandLine, models: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, tuned = models
    path = listed(tmp_path, tuned[:2])
    words = ("batch", path, "--pairs", "--base", base, "--out", tmp_path / "out", "--workers", "0")
    done = weightaudit(*words)
    assert (done.code, "1 pair checked, 0 failed" in done.stderr) == (0, True), done.stderr
    assert weightaudit(*words, "--quiet").stderr == ""
    for wrong, said in (
        (("batch", path, "--base", base, "--out", tmp_path / "x"), "--base: only pairs"),
        ((*words, "--merge"), "--merge: it joins batches of scans"),
        ((*words, "--shard", "1/2"), "--shard: pairs are checked"),
        ((*words, "--max-time", "3"), "--max-time: pairs are checked"),
    ):
        refused = weightaudit(*wrong)
        assert (refused.code, said in refused.stderr) == (2, True), refused.stderr

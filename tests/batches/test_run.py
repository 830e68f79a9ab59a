"""A run in one thread: what it leaves, what it keeps, what it does again."""

from __future__ import annotations

import csv
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import weightaudit as wa
from tests.batches.checkpoints import corrupt
from tests.batches.pools import Lost, Recorded
from weightaudit import api
from weightaudit.batches import BatchResult
from weightaudit.config import AuditConfig
from weightaudit.errors import OutOfTime, OutputError, UsageError, WeightauditError
from weightaudit.records import Finding, Severity
from weightaudit.report.columns import NAMES
from weightaudit.report.comparison import SUMMARY_NAMES
from weightaudit.report.full_columns import FULL
from weightaudit.report.spectra import SPECTRAL

Batch = Callable[..., BatchResult]
Earlier = Callable[..., None]
LEFT = ["layers.csv", "layers.parquet", "log.txt", "outcome.json", "report.html", "summary.json"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("scans", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_what_a_run_leaves(batch: Batch, few: list[Path], tmp_path: Path, scans: int) -> None:
    """Held against as many ``scans`` by themselves."""
    bad = corrupt(few[0], tmp_path / "bad")
    result = batch([*few, bad, tmp_path / "none"])
    names = [path.name for path in few]
    assert result.scanned == [*names, "bad", "none"]
    assert list(result.failed) == ["bad", "none"]
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir() if path.is_dir()} == {*names, "bad", "none"}
    assert {path.name for path in out.iterdir()} == {*names, "bad", "none", ".lock"} | {
        *("all.csv", "all.parquet", "summary.csv", "batch.json", "index.html", "plotly.js")
    }
    index = (out / "index.html").read_text()
    assert all(f"{name}/report.html" in index for name in names)
    for path in few:
        assert sorted(os.listdir(out / path.name)) == LEFT
        page = (out / path.name / "report.html").read_text()
        assert path.name in page
        assert 'src="../plotly.js"' in page
        assert len(page) < 500_000
        assert "scanned in" in (out / path.name / "log.txt").read_text()
    for path in few[:scans]:
        report = wa.scan(path, threads=1)
        report.to_csv(tmp_path / "alone.csv")
        assert (out / path.name / "layers.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
        pd.testing.assert_frame_equal(pd.read_parquet(out / path.name / "layers.parquet"), report.layers)
        summary = json.loads((out / path.name / "summary.json").read_text())
        assert summary["summary"]["parameters"] == report.summary["parameters"]
        assert not {"layers", "coverage"} & summary.keys()
    for name in ("bad", "none"):
        assert sorted(os.listdir(out / name)) == ["log.txt", "outcome.json"]
        log = (out / name / "log.txt").read_text()
        assert result.failed[name] in log
        assert "Traceback (most recent call last):" in log
        assert 'scan.py", line ' in log


def test_the_joined_files(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    bad = corrupt(few[0], tmp_path / "=1+1")
    batch([few[0], bad, *few[1:]])
    out = tmp_path / "out"
    header, *_ = (out / "all.csv").read_text().splitlines()
    assert header.split(",") == list(NAMES)
    parts = [(out / path.name / "layers.csv").read_text().partition("\n")[2] for path in few]
    assert (out / "all.csv").read_text() == header + "\n" + "".join(parts)
    joined = pd.read_parquet(out / "all.parquet")
    each = pd.concat([pd.read_parquet(out / path.name / "layers.parquet") for path in few], ignore_index=True)
    pd.testing.assert_frame_equal(joined, each, check_dtype=False)
    summary = rows(out / "summary.csv")
    assert [row["model"] for row in summary] == [few[0].name, "'=1+1", *(path.name for path in few[1:])]
    assert [row["status"] for row in summary] == ["done", "failed", *["done"] * 4]
    assert [name for name in summary[0] if name in SUMMARY_NAMES] == list(SUMMARY_NAMES)
    report = wa.scan(few[0], threads=1)
    assert int(summary[0]["parameters"]) == report.summary["parameters"]
    assert float(summary[0]["stable_rank"]) == pytest.approx(report.summary["stable_rank_harmonic_mean"]["all"], 1e-8)
    assert summary[0]["family"] == report.map.family
    assert "" not in (summary[0]["folder"], summary[1]["reason"])
    assert summary[1]["parameters"] == summary[1]["guessed"] == ""


def test_what_the_findings_come_to(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    scan = api.scan
    severities: dict[str, tuple[tuple[Severity, ...], tuple[str, ...]]] = {
        str(few[0]): (("error", "warning", "warning", "info"), ("R1",)),
        str(few[1]): (("warning",), ("R1",)),
        str(few[2]): ((), ("R1",)),
        str(few[3]): ((), ()),
    }

    def judged(model: str, **options: Any) -> Any:
        several, rules = severities.get(model, ((), ()))
        findings = tuple(Finding("R1", severity, "something") for severity in several)
        return replace(scan(model, **options), findings=findings, rules=rules)

    monkeypatch.setattr(api, "scan", judged)
    models = [*few[:4], tmp_path / "none"]
    batch(models)

    def said() -> list[tuple[str, ...]]:
        return [(row["verdict"], row["errors"], row["warnings"]) for row in rows(tmp_path / "out" / "summary.csv")]

    failed = ("", "", "")
    whole = [("errors", "1", "2"), ("warnings", "0", "1"), ("clean", "0", "0"), ("unchecked", "0", "0"), failed]
    assert said() == whole
    pool = Recorded()
    batch(models, pool=pool)
    assert pool.sent == []
    assert said() == whole


def test_finished_models_are_kept(batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path) -> None:
    earlier(few[:3])
    before = (tmp_path / "out" / "all.csv").read_bytes()
    pool = Recorded()
    result = batch(few[:3], pool=pool)
    assert (result.scanned, result.kept, pool.sent) == ([], [path.name for path in few[:3]], [])
    assert (tmp_path / "out" / "all.csv").read_bytes() == before
    # A longer list in another order: only what is new is scanned, and the joined files follow the list.
    batch([few[3], *few[:3]], pool=pool)
    assert pool.models == [few[3].name]
    order = list(dict.fromkeys(row["model"] for row in rows(tmp_path / "out" / "all.csv")))
    assert order == [few[3].name, *(path.name for path in few[:3])]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        pytest.param({"tol": 1e-3}, marks=pytest.mark.slow),
        {"roles": ("Q",)},
        pytest.param({"spectrum": True}, marks=pytest.mark.slow),
        {"spectrum": "full"},
        pytest.param({"method": "exact"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_other_options_are_another_scan(
    batch: Batch, earlier: Earlier, few: list[Path], change: dict[str, Any]
) -> None:
    earlier(few[:1])

    def late(job: Any) -> None:
        raise OutOfTime("its worker", "it took too long and was ended")

    pool = Recorded(late)
    batch(few[:1], pool=pool, base=AuditConfig(**change))
    assert pool.models == [few[0].name]


def test_a_line_may_ask_for_all_singular_values(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """The joined table has their columns, empty for the model that was not asked."""
    batch([f'"{few[0]}" spectrum=full', f'"{few[1]}"'])
    joined = rows(tmp_path / "out" / "all.csv")
    assert {column.name for column in (*SPECTRAL, *FULL)} <= joined[0].keys()
    known = {model: {bool(row["rank_90"]) for row in joined if row["model"] == model.name} for model in few[:2]}
    assert known == {few[0]: {True}, few[1]: {False}}


def test_options_that_change_no_number_are_not(batch: Batch, earlier: Earlier, few: list[Path]) -> None:
    earlier(few[:1])
    pool = Recorded()
    batch(few[:1], pool=pool, threads=2, base=AuditConfig(token="hf_x", offline=True, max_wait=1.0, memory=10**9))
    assert pool.sent == []


def test_a_changed_checkpoint_is_scanned_again(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(few[0], model)
    batch([model, few[1]])
    os.utime(model / "model.safetensors", ns=(1, 1))
    pool = Recorded()
    batch([model, few[1]], pool=pool)
    assert pool.models == ["model"]
    (model / "README.md").write_text("not what a scan reads")
    pool = Recorded()
    batch([model, few[1]], pool=pool)
    assert pool.sent == []


def test_another_version_scans_again(batch: Batch, few: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    batch(few[:1])
    for module in ("identity", "worker"):
        monkeypatch.setattr(f"weightaudit.batches.{module}.__version__", "99")
    pool = Recorded(before=lambda job: None)
    with pytest.raises(UsageError, match=r"it has weightaudit 99, and this work was made by"):
        batch(few[:1], pool=pool)  # the jobs' version is fixed when the package is imported


@pytest.mark.parametrize("damage", ["gone", "cut", "outcome", pytest.param("empty", marks=pytest.mark.slow)])
def test_damaged_folders_are_scanned_again(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, damage: str
) -> None:
    earlier(few[:2])
    before = (tmp_path / "out" / "all.csv").read_bytes()
    folder = tmp_path / "out" / few[0].name
    if damage == "gone":
        (folder / "layers.parquet").unlink()
    elif damage == "cut":
        os.truncate(folder / "layers.csv", 10)
    else:
        (folder / "outcome.json").write_text("{" if damage == "outcome" else "")
    pool = Recorded()
    batch(few[:2], pool=pool)
    assert pool.models == [few[0].name]
    assert (tmp_path / "out" / "all.csv").read_bytes() == before


def test_failures_are_kept_until_they_are_retried(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    bad = corrupt(few[0], tmp_path / "bad")
    first = batch([bad, few[1]])
    pool = Recorded()
    again = batch([bad, few[1]], pool=pool)
    assert pool.sent == []
    assert again.failed == first.failed
    retried = batch([bad, few[1]], pool=pool, retry_failed=True)
    assert pool.models == ["bad"]
    assert retried.failed == first.failed
    # Mended, it is another scan, and nothing of the failure is left.
    shutil.copy(few[0] / "model.safetensors", bad)
    assert batch([bad, few[1]]).failed == {}
    assert sorted(os.listdir(tmp_path / "out" / "bad")) == LEFT


def test_a_model_that_fails_later_loses_its_old_results(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(few[0], model)
    batch([model, few[1]])
    os.truncate(model / "model.safetensors", 100)
    assert list(batch([model, few[1]]).failed) == ["model"]
    assert sorted(os.listdir(tmp_path / "out" / "model")) == ["log.txt", "outcome.json"]
    assert {row["model"] for row in rows(tmp_path / "out" / "all.csv")} == {few[1].name}


def test_options_that_do_not_fit_one_model_fail_that_model(batch: Batch, few: list[Path]) -> None:
    result = batch([f"{few[0]} roles=NONE", f"{few[1]} layers=7", few[2]])
    assert list(result.failed) == [few[0].name, few[1].name]
    assert "the model has no such role" in result.failed[few[0].name]


def test_own_bugs_and_memory_are_a_models_failure_too(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    scan = api.scan
    address = "https://cdn.example/weights?X-Signature=secret"

    def odd(model: str, **options: Any) -> Any:
        if model == str(few[0]):
            raise ZeroDivisionError(f"at {address} with hf_token")
        if model == str(few[1]):
            raise MemoryError
        return scan(model, **options)

    monkeypatch.setattr(api, "scan", odd)
    result = batch(few[:3], base=AuditConfig(token="hf_token"))
    assert result.failed == {
        few[0].name: "ZeroDivisionError: at https://cdn.example/weights?… with …",
        few[1].name: "out of memory. Scan it alone, fewer roles at a time, or on a larger machine",
    }
    everything = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(b"secret" in content or b"hf_token" in content for content in everything)


def test_a_lost_worker_is_tried_again_and_then_given_up(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    deaths = {few[0].name: 1, few[1].name: 9}

    def die(job: Any) -> None:
        if deaths.get(job.title, 0):
            deaths[job.title] -= 1
            raise Lost("its worker died")

    pool = Recorded(die)
    result = batch(few[:3], pool=pool)
    assert result.failed == {few[1].name: f"{few[1].name}: its worker died"}
    assert pool.models == [*(path.name for path in few[:3]), few[0].name, few[1].name]  # the lost ones again, last
    assert sorted(os.listdir(tmp_path / "out" / few[1].name)) == ["log.txt", "outcome.json"]
    assert pool.closed == [False]


def test_an_answer_lost_with_its_worker_costs_no_second_scan(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """A worker may die between the end of a scan and the arrival of its answer."""
    from weightaudit.batches.worker import run_job

    seen: list[int] = []

    def die(job: Any) -> None:
        if not seen:
            assert run_job(job).status == "done"
            seen.append((tmp_path / "out" / job.folder / "outcome.json").stat().st_ino)
            raise Lost("its worker died")

    pool = Recorded(die)
    assert batch(few[:1], pool=pool).failed == {}
    assert pool.models == [few[0].name] * 2
    assert seen == [(tmp_path / "out" / few[0].name / "outcome.json").stat().st_ino]


def test_what_is_wrong_with_the_workers_ends_the_run(batch: Batch, few: list[Path]) -> None:
    def break_down(job: Any) -> None:
        raise ModuleNotFoundError("No module named 'weightaudit'")

    pool = Recorded(break_down)
    with pytest.raises(WeightauditError, match=r"the workers: .*No module named 'weightaudit'"):
        batch(few, pool=pool)
    assert pool.closed == [True]


def test_workers_know_their_run(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """One that has outlived its run, or sees another directory under that path, writes nothing."""
    from weightaudit.batches.worker import run_job

    pool = Recorded()
    batch(few[:1], pool=pool)
    before = (tmp_path / "out" / few[0].name / "outcome.json").stat()
    with pytest.raises(OutputError, match="this is not the directory of the run that sent this work"):
        run_job(pool.sent[0])
    assert (tmp_path / "out" / few[0].name / "outcome.json").stat() == before


@pytest.mark.parametrize("taken_over", [False, True], ids=["given to another worker", "taken over by another run"])
def test_a_late_failure_replaces_no_finished_scan(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken_over: bool
) -> None:
    """A worker fails over a model that another one has begun and finished meanwhile."""
    from weightaudit.batches import worker
    from weightaudit.batches.lock import write_run
    from weightaudit.batches.outcome import read_outcome

    pool = Recorded()
    batch(few[:1], pool=pool)
    directory = tmp_path / "shared"
    directory.mkdir()
    late = replace(pool.sent[0], directory=str(directory), run="first")
    other = replace(late, run="second" if taken_over else "first")
    write_run(directory, late.run)
    monkeypatch.setattr(worker, "ONE_AT_A_TIME", threading.RLock())  # the other one is another process, told here
    scan, finished = api.scan, {}

    def slow(model: str, **options: Any) -> Any:
        monkeypatch.setattr(api, "scan", scan)
        write_run(directory, other.run)
        assert worker.run_job(other).status == "done"
        finished.update({path: path.read_bytes() for path in (directory / late.folder).iterdir()})
        raise MemoryError

    monkeypatch.setattr(api, "scan", slow)
    if taken_over:
        with pytest.raises(OutputError, match="this is not the directory of the run that sent this work"):
            worker.run_job(late)
    else:
        assert worker.run_job(late).status == "done"
    assert {path: path.read_bytes() for path in (directory / late.folder).iterdir()} == finished
    left = read_outcome(directory / late.folder)
    assert left is not None
    assert (left.status, left.run) == ("done", other.run)


def test_no_token_leaves_the_machine(batch: Batch, few: list[Path]) -> None:
    config = AuditConfig(token="hf_token")
    pool = Recorded()
    batch(few[:1], pool=pool, base=config)
    assert [job.config.token for job in pool.sent] == ["hf_token"]
    assert "hf_token" not in repr(pool.sent)
    away = Recorded()
    away.is_local = False
    batch(few[1:2], pool=away, base=config)
    assert [job.config.token for job in away.sent] == [None]


def test_no_more_is_under_way_than_there_is_room_for(batch: Batch, few: list[Path]) -> None:
    class Counting(Executor):
        """One thread; counts what was submitted and has not ended."""

        def __init__(self) -> None:
            self.thread = ThreadPoolExecutor(1)
            self.under_way: set[Future[Any]] = set()
            self.most = 0

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = self.thread.submit(fn, *args, **kwargs)
            self.under_way = {one for one in self.under_way if not one.done()} | {future}
            self.most = max(self.most, len(self.under_way))
            return future

    pool = Recorded()
    pool.executor = counting = Counting()
    batch(few, pool=pool)
    assert 1 < counting.most <= pool.max_in_flight


def test_models_that_end_in_another_order_leave_the_same(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    class Turned(Executor):
        """Two threads; the first model waits for the third, which comes when the second has been taken in."""

        def __init__(self) -> None:
            self.threads = ThreadPoolExecutor(2)
            self.third = threading.Event()

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            (job,) = args
            if job.title == few[2].name:
                self.third.set()

            def call() -> Any:
                if job.title == few[0].name:
                    assert self.third.wait(60)
                return fn(job)

            return self.threads.submit(call)

    batch(few[:3], tmp_path / "whole")
    pool = Recorded()
    pool.executor, pool.max_in_flight = Turned(), 2
    assert batch(few[:3], pool=pool).scanned[0] == few[1].name
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file() and path.name not in (".lock", ".run", "outcome.json", "log.txt"):
            assert (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def test_two_lines_that_turn_out_to_be_one_scan(batch: Batch, few: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from weightaudit.batches import plan
    from weightaudit.batches.model_version import ModelVersion

    monkeypatch.setattr(plan, "version_of", lambda entry: ModelVersion("c" * 40, "c" * 40))
    pool = Recorded(before=lambda job: None)
    result = batch(["org/name", "org/name@main", "org/other"], pool=pool, base=AuditConfig(offline=True))
    assert pool.models == ["org/name", "org/other"]
    assert result.same == ["org/name@main"]


def test_models_of_one_name_have_rows_that_can_be_told_apart(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(few[0], tmp_path / name / "model")
    batch([tmp_path / "a" / "model", tmp_path / "b" / "model", f"{few[1]} roles=Q", f"{few[1]} roles=K"])
    models = list(dict.fromkeys(row["model"] for row in rows(tmp_path / "out" / "all.csv")))
    assert models == ["a/model", "b/model", f"{few[1].name} (roles=Q)", f"{few[1].name} (roles=K)"]
    page = (tmp_path / "out" / "a--model" / "report.html").read_text()
    assert "<title>a/model" in page


def test_shards(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    sizes = []
    for part in (1, 2, 3):
        pool = Recorded()
        result = batch(few, tmp_path / f"out{part}", pool=pool, shard=(part, 3))
        assert pool.models == [path.name for path in few[part - 1 :: 3]] == result.scanned
        sizes.append(len(pool.sent))
    assert sizes == [2, 2, 1]
    empty = batch(few, tmp_path / "out9", shard=(9, 9))
    assert empty.scanned == []
    assert (tmp_path / "out9" / "all.csv").read_text().count("\n") == 1
    assert len(pd.read_parquet(tmp_path / "out9" / "all.parquet")) == 0

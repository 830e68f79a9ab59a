"""Batch directories of strangers: nothing in them leads out of them, hangs, or is taken for what a scan found."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.batches.mutations import Trial, limited, quick, spoilt_report
from tests.batches.pools import Recorded
from tests.support import factory
from tests.support.covering import some_of
from weightaudit.batches import BatchResult, merge
from weightaudit.batches.aggregate import JOINED, UNFINISHED
from weightaudit.batches.manifest import read_manifest
from weightaudit.batches.names import check_folder
from weightaudit.batches.outcome import Outcome, read_outcome
from weightaudit.batches.plan import parse_shard
from weightaudit.batches.progress_file import PROGRESS, read_progress
from weightaudit.batches.results import RESULTS
from weightaudit.errors import OutputError, UsageError, WeightauditError
from weightaudit.report.layout import LOG, OUTCOME

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes as POSIX has them")

Batch = Callable[..., BatchResult]
Earlier = Callable[..., None]
MARK = "somebody's"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the directory, with a file of every name that a batch writes."""
    folder = tmp_path / "outside"
    folder.mkdir()
    names = (*RESULTS, LOG, OUTCOME, PROGRESS, "batch.json", "all.csv", "all.parquet", "summary.csv", "index.html")
    for name in (*names, "plotly.js", ".lock", ".run", ".weightaudit-0.tmp"):
        (folder / name).write_text(MARK)
    return folder


def untouched(folder: Path) -> bool:
    return {path.read_text() for path in folder.iterdir()} == {MARK} and len(list(folder.iterdir())) == 16


def state(out: Path) -> dict[str, bytes]:
    """All files but those that differ from run to run."""
    changing = (".lock", OUTCOME, LOG)
    files = (path for path in out.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.name not in changing}


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_spoilt_directories(
    earlier: Earlier, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """Thousands more by hand: see `mutations`."""
    earlier(few[1:2], tmp_path / "one")
    quick(monkeypatch.setattr)
    trial = Trial(tmp_path / "trial", tmp_path / "one" / few[1].name, seed=1)
    for _ in range(rounds):
        trial.round()
    assert trial.counts["merged"]


@pytest.mark.parametrize(("documents", "tables"), [(6, 2), pytest.param(102, 42, marks=pytest.mark.slow)])
def test_spoilt_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: int, tables: int) -> None:
    quick(monkeypatch.setattr)
    rng = random.Random(1)
    (tmp_path / "spoilt").mkdir()
    for kind, rounds in (("json", documents), ("parquet", tables)):
        factory.judged().write(tmp_path / f"report.{kind}")
        for _ in range(rounds):
            spoilt_report(tmp_path / f"report.{kind}", tmp_path / "spoilt", rng)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_in_the_directory_are_replaced(
    batch: Batch, few: list[Path], tmp_path: Path, outside: Path, link: Callable[[Path, Path], None]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in outside.iterdir():
        link(path, out / path.name)
    assert batch(few[1:2]).failed == {}
    assert untouched(outside)
    for name in (*JOINED, "batch.json", "index.html", "plotly.js", ".lock"):
        assert not (out / name).is_symlink()
        assert (out / name).stat().st_nlink == 1


@pytest.mark.parametrize("what", ["files", "folder"])
def test_links_in_a_models_folder_are_replaced(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, outside: Path, what: str
) -> None:
    earlier(few[1:3])
    before = state(tmp_path / "out")
    folder = tmp_path / "out" / few[1].name
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    there = state(elsewhere)
    if what == "folder":  # though it has all that a finished model has
        shutil.rmtree(folder)
        folder.symlink_to(elsewhere)
    else:
        for name in (*RESULTS, LOG, OUTCOME, PROGRESS):
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to((outside if name == PROGRESS else elsewhere) / name)
    pool = Recorded()
    assert batch(few[1:3], pool=pool).failed == {}
    assert pool.models == [few[1].name]
    assert state(tmp_path / "out") == before
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert state(elsewhere) == there
    assert untouched(outside)


@pytest.mark.parametrize("name", [".", OUTCOME, "layers.parquet", LOG])
def test_what_is_in_the_way_is_moved_aside(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, name: str
) -> None:
    """A full folder where a file belongs, a file where a folder does: it may be somebody's."""
    earlier(few[1:3])
    before = state(tmp_path / "out")
    place = tmp_path / "out" / few[1].name / name
    if name == ".":
        shutil.rmtree(place)
        place.parent.joinpath(few[1].name).write_text(MARK)
    else:
        place.unlink()
        place.mkdir()
        (place / "file").write_text(MARK)
    batch(few[1:3])
    (aside,) = (tmp_path / "out").rglob("*.aside-*")
    assert (aside if name == "." else aside / "file").read_text() == MARK
    aside.unlink() if name == "." else shutil.rmtree(aside)
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize(
    "name",
    some_of(
        [OUTCOME, "layers.csv", PROGRESS, "../.run", "../.lock", "../batch.json", "../all.csv"],
        *(OUTCOME, "layers.csv", "../.run", "../.lock", "../batch.json"),
    ),
)
def test_pipes_are_not_waited_for(batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, name: str) -> None:
    earlier(few[1:2])
    before = state(tmp_path / "out")
    folder = tmp_path / "out" / few[1].name
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with limited(60):
        assert read_progress(folder) is None
        refused = name == "../batch.json"
        with pytest.raises(UsageError, match=r"not a plain file\. Run its batch") if refused else nullcontext():
            merge([tmp_path / "out"], tmp_path / "merged")
        batch(few[1:2])
    if name == PROGRESS:  # of a model that is finished, where it is nobody's business
        (folder / PROGRESS).unlink()
    assert state(tmp_path / "out") == before


def test_a_worker_reads_no_pipe(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    from weightaudit.batches.worker import run_job

    pool = Recorded()
    batch(few[1:2], pool=pool)
    os.mkfifo(tmp_path / "out" / ".run")
    with limited(60), pytest.raises(OutputError, match="not a plain file"):
        run_job(pool.sent[0])


@pytest.mark.parametrize(
    "folder",
    [
        *(
            "..",
            ".",
            "",
            "../outside",
            "/etc",
            "a/b",
            "a\\b",
            ".hidden",
            "all.csv",
            "ALL.CSV",
            "nul",
            "con.txt",
            "COM1",
        ),
        *("x.", "a b", "\x1b", "x" * 300, None, 7, ["x"]),
    ],
)
def test_folders_in_a_manifest_lie_in_its_directory(
    batch: Batch, few: list[Path], tmp_path: Path, outside: Path, folder: Any
) -> None:
    with pytest.raises(ValueError, match="it"):
        check_folder(folder)
    (tmp_path / "a").mkdir()
    model = {"number": 0, "title": "x", "folder": folder, "model": "/x", "options": ""}
    said = {"schema": 1, "models": [model], "total": 1, "shard": [1, 1], "digest": "", "title": "x"}
    (tmp_path / "a" / "batch.json").write_text(json.dumps(said))
    with pytest.raises(UsageError, match=r"its batch\.json cannot be read: .*Run its batch again"):
        merge([tmp_path / "a"], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    assert untouched(outside)


@pytest.mark.parametrize(
    "change",
    [
        {"shard": [1, 10**9]},
        pytest.param({"shard": [3, 2]}, marks=pytest.mark.slow),
        {"shard": [0, 1]},
        {"shard": [1]},
        pytest.param({"total": -1}, marks=pytest.mark.slow),
        {"total": 0},
        pytest.param({"total": "1"}, marks=pytest.mark.slow),
        {"total": True},
        {"schema": 99},
        {"models": {}},
        {"digest": "\x1b[2J"},
        pytest.param({"title": None}, marks=pytest.mark.slow),
        {"more": 1},
    ],
    ids=str,
)
def test_manifests_are_checked(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, change: dict[str, Any]
) -> None:
    earlier(few[1:2], tmp_path / "a")
    path = tmp_path / "a" / "batch.json"
    sound = path.read_bytes()
    path.write_text(json.dumps({**json.loads(sound), **change}))
    with pytest.raises(UsageError, match=r"its batch\.json cannot be read"):
        read_manifest(tmp_path / "a")
    batch(few[1:2], tmp_path / "a")  # as the message says
    assert path.read_bytes() == sound


def test_of_many_shards_few_are_missing(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    """Those behind the last model have nothing that could be missed."""
    batch(few[:2], tmp_path / "a", shard=(1, 100_000))
    assert merge([tmp_path / "a"], tmp_path / "c").missing == ["2/100000"]
    for shard in ("1/100001", f"1/{10**9}", f"1/{'9' * 5000}"):
        with pytest.raises(UsageError, match="shard"):
            parse_shard(shard)


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "\x1b[2J"},
        pytest.param({"reason": "::error::\n"}, marks=pytest.mark.slow),
        {"status": "fine"},
        pytest.param({"verdict": "good"}, marks=pytest.mark.slow),
        {"temporary": 1},
        pytest.param({"title": 7}, marks=pytest.mark.slow),
        {"files": {}},
        {"files": {"../../outside/layers.csv": {"nbytes": 1, "sha256": "x"}}},
        {"entry": {}},
        pytest.param({"entry": None}, marks=pytest.mark.slow),
        {"revision": "c" * 40},
        {"more": 1},
    ],
    ids=str,
)
def test_outcomes_are_checked(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, change: dict[str, Any]
) -> None:
    """And one that says other things than it was written with is no outcome, however sound they look."""
    earlier(few[1:2])
    folder = tmp_path / "out" / few[1].name
    known = read_outcome(folder)
    assert known is not None
    said = json.loads((folder / OUTCOME).read_bytes())
    (folder / OUTCOME).write_text(json.dumps({**said, **change}))
    assert read_outcome(folder) is None
    if not change.keys() & {"revision", "more"}:  # nor does a digest make such a one sound
        files = {**known.files} if "files" not in change else {}
        (folder / OUTCOME).write_bytes(replace(known, **{**change, "files": files}).to_json())
        assert read_outcome(folder) is None
    pool = Recorded()
    batch(few[1:2], pool=pool)
    assert pool.models == [few[1].name]


@pytest.mark.parametrize("name", some_of([*RESULTS, LOG], RESULTS[0], LOG))
def test_a_changed_result_is_never_joined(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, name: str
) -> None:
    """Of the same size, and with the same time."""
    earlier(few[1:3])
    before = state(tmp_path / "out")
    path = tmp_path / "out" / few[1].name / name
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert merge([tmp_path / "out"], tmp_path / "merged").failed == {few[1].name: UNFINISHED}
    pool = Recorded()
    batch(few[1:3], pool=pool)
    assert pool.models == [few[1].name]
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize("name", some_of(["layers.csv", "layers.parquet"], "layers.parquet"))
def test_a_result_that_changes_during_the_run_is_not_joined(
    batch: Batch, earlier: Earlier, few: list[Path], tmp_path: Path, name: str
) -> None:
    earlier(few[1:3])

    def change(job: Any) -> None:
        path = tmp_path / "out" / few[1].name / name
        path.write_bytes(path.read_bytes()[:-9] + b"123456789")

    (reason,) = batch([*few[1:3], few[3]], pool=Recorded(change)).failed.values()
    assert (
        reason == f"{name} is not what the scan left there: it has changed. Run the batch again, which scans it again"
    )
    assert few[1].name not in {row.split(",")[0] for row in (tmp_path / "out" / "all.csv").read_text().splitlines()}
    assert batch([*few[1:3], few[3]]).failed == {}


def test_links_in_shards_are_not_merged(earlier: Earlier, few: list[Path], tmp_path: Path, outside: Path) -> None:
    """Not even to a file with just the right content."""
    earlier(few[1:4], tmp_path / "a")
    for model, name in ((few[1], "report.html"), (few[2], LOG)):
        path = tmp_path / "a" / model.name / name
        shutil.copy(path, tmp_path / "copy")
        path.unlink()
        path.symlink_to(tmp_path / "copy")
    result = merge([tmp_path / "a"], tmp_path / "merged")
    assert result.failed == {few[1].name: UNFINISHED, few[2].name: UNFINISHED}
    assert not any(path.is_symlink() for path in (tmp_path / "merged").rglob("*"))
    assert (tmp_path / "merged" / few[3].name / LOG).is_file()


@pytest.mark.parametrize("change", ["another model's", "no outcome", "a reason that steers", "an odd status"])
def test_a_workers_answer_is_checked(batch: Batch, few: list[Path], change: str) -> None:
    class Lying(Recorded):
        def __init__(self) -> None:
            super().__init__()
            inner = self.executor

            class Executor(type(inner)):  # type: ignore[misc]  # whatever it is
                def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
                    future = inner.submit(fn, *args)
                    found: Outcome = future.result()
                    lies = {
                        "another model's": replace(found, title="other"),
                        "no outcome": {"status": "done"},
                        "a reason that steers": replace(found, reason="\x1b[2J"),
                        "an odd status": replace(found, status="fine"),  # type: ignore[arg-type]  # that is the lie
                    }
                    future._result = lies[change]
                    return future

            self.executor = Executor(self)

    with pytest.raises(WeightauditError, match="the workers: work could not be done there"):
        batch(few[1:2], pool=Lying())
    assert batch(few[1:2]).failed == {}


def test_a_library_that_workers_lack_is_named(batch: Batch, few: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        WeightauditError, match=r"huggingface_hub is not installed there\. pip install huggingface_hub\. "
    ):
        batch(few[1:2])


@pytest.mark.parametrize("name", [None, "helpers", "weightaudit.report.nothing", "google.cloud.storage"])
def test_what_else_cannot_be_imported_there_is_no_package_to_install(
    name: str | None, batch: Batch, few: list[Path]
) -> None:
    def fail(job: Any) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    with pytest.raises(WeightauditError, match=rf"work could not be done there: No module named {name!r}") as told:
        batch(few[1:2], pool=Recorded(fail))
    assert "pip" not in str(told.value)


def test_progress_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for said in (
        "[1e999, 0, 'x']",
        '[1, -1, "x"]',
        "[1, 2]",
        '{"a": 1, "b": 2, "c": 3}',
        "[" * 9000,
        f'[{"9" * 400},0,"x"]',
    ):
        (tmp_path / PROGRESS).write_text(said)
        assert read_progress(tmp_path) is None
    (tmp_path / PROGRESS).write_text('[5, 3, "x"]')
    assert read_progress(tmp_path) is not None


def test_who_holds_a_lock_is_checked(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    def second(job: Any) -> None:
        for said in ("[" * 900, '{"process": 1e999, "host": "x"}', '{"process": 1, "host": "\\u001b[2J"}'):
            (tmp_path / "out" / ".lock").write_text(said)
            with pytest.raises(OutputError, match=r"another run is writing there\. Wait"):
                batch(few[1:2])

    batch(few[1:2], pool=Recorded(second))

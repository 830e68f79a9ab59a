"""Models of the Hub: the commit belongs to the scan, so that a moved branch is scanned again and nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.batches.pools import Recorded
from tests.support.hub import SHA, Hub, folder_files, pointed_at, serve
from weightaudit.batches import BatchResult, merge
from weightaudit.batches.outcome import read_outcome
from weightaudit.config import AuditConfig

Batch = Callable[..., BatchResult]


@pytest.fixture
def hub(few: list[Path], tmp_path: Path) -> Iterator[Hub]:
    files = folder_files(few[0])
    with serve({"org/a": files, "org/b": files, "org/private": files}) as server:
        server.private.add("org/private")
        with pointed_at(server.url, tmp_path / "home"):
            yield server


def scanned(batch: Batch, models: list[str], **options: object) -> list[str]:
    pool = Recorded()
    result = batch(models, pool=pool, **options)
    assert result.failed == {}
    return pool.models


def test_a_moved_branch_is_scanned_again(batch: Batch, hub: Hub, few: list[Path], tmp_path: Path) -> None:
    models = ["org/a", "org/a@v1", "org/b"]
    assert scanned(batch, models) == ["org/a", "org/b"]  # v1 is the same commit as main
    assert scanned(batch, models) == []
    new = hub.push("org/a", dict(folder_files(few[1]).items()))
    assert scanned(batch, models) == ["org/a", "org/a@v1"]
    for title, folder, commit in (("org/a", "org--a", new), ("org/a@v1", "org--a@v1", SHA)):
        outcome = read_outcome(tmp_path / "out" / folder)
        assert outcome is not None
        assert (outcome.title, outcome.revision) == (title, commit)
    assert scanned(batch, models) == []


def test_the_scan_reads_the_commit_of_its_key(batch: Batch, hub: Hub, few: list[Path], tmp_path: Path) -> None:
    """A branch that moves after the run has begun changes nothing in it."""
    pool = Recorded(lambda job: hub.push("org/a", {"config.json": b"{}"}))
    assert batch(["org/a"], pool=pool).failed == {}
    assert pool.sent[0].config.revision == SHA
    outcome = read_outcome(tmp_path / "out" / "org--a")
    assert outcome is not None
    assert outcome.revision == SHA


def test_a_commit_needs_no_question(batch: Batch, hub: Hub) -> None:
    assert scanned(batch, [f"org/a@{SHA}"]) == [f"org/a@{SHA}"]
    hub.log.clear()
    assert scanned(batch, [f"org/a@{SHA}"]) == []
    assert hub.log == []


def test_offline_the_cache_says_which_commit(batch: Batch, hub: Hub, tmp_path: Path) -> None:
    assert scanned(batch, ["org/a"], base=AuditConfig(download=True)) == ["org/a"]
    hub.push("org/a", {"config.json": b"{}"})
    hub.log.clear()
    offline = AuditConfig(offline=True)
    assert scanned(batch, ["org/a"], base=offline) == []
    shutil.rmtree(tmp_path / "out")
    assert scanned(batch, ["org/a"], base=offline) == ["org/a"]
    assert hub.log == []
    failed = batch(["org/b"], base=offline).failed
    assert "offline the Hugging Face cache has no weights of it" in failed["org/b"]


def test_where_the_hub_is_away_the_cache_is_taken(batch: Batch, hub: Hub) -> None:
    impatient = AuditConfig(max_wait=0.2)
    assert scanned(batch, ["org/a"], base=AuditConfig(download=True)) == ["org/a"]
    hub.stop()
    assert scanned(batch, ["org/a"], base=impatient) == []
    result = batch(["org/a", "org/b"], base=impatient)
    assert list(result.failed) == ["org/b"]
    assert "Traceback" not in result.failed["org/b"]


def test_finished_results_outlive_the_hub(batch: Batch, hub: Hub, tmp_path: Path) -> None:
    """Streamed models leave nothing in the cache; a Hub that is away, or a run offline, must not undo their scans."""
    assert scanned(batch, ["org/a", "org/b"]) == ["org/a", "org/b"]
    joined = (tmp_path / "out" / "all.csv").read_bytes()
    assert scanned(batch, ["org/a", "org/b"], base=AuditConfig(offline=True)) == []
    hub.stop()
    impatient = AuditConfig(max_wait=0.2)
    assert scanned(batch, ["org/a", "org/b"], base=impatient) == []
    assert (tmp_path / "out" / "all.csv").read_bytes() == joined
    # Other options are another scan, which cannot be made now.
    assert list(batch(["org/a"], tmp_path / "out", base=AuditConfig(max_wait=0.2, seed=1)).failed) == ["org/a"]


@pytest.mark.slow  # see `test_merge_batches` for one commit in two shards, and `test_run` for two lines of one run
def test_what_turned_out_to_be_the_same_is_missed_by_no_merge(batch: Batch, hub: Hub, tmp_path: Path) -> None:
    assert batch(["org/a", "org/a@main"], tmp_path / "part").same == ["org/a@main"]
    merged = merge([tmp_path / "part"], tmp_path / "merged")
    assert (merged.models, merged.failed) == (["org/a"], {})


def test_revisions_that_cannot_be_asked_for_are_not_the_same(batch: Batch, hub: Hub) -> None:
    hub.stop()
    result = batch(["org/a", "org/a@v1"], base=AuditConfig(max_wait=0.2))
    assert (list(result.failed), result.same) == (["org/a", "org/a@v1"], [])


def test_what_cannot_be_had_is_recorded_without_a_scan(batch: Batch, hub: Hub, tmp_path: Path) -> None:
    pool = Recorded()
    result = batch(["org/none", "org/a@v9", "org/private", "org/b"], pool=pool)
    assert pool.models == ["org/b"]
    assert list(result.failed) == ["org/none", "org/a@v9", "org/private"]
    assert "not the revision 'v9'" in result.failed["org/a@v9"]
    log = (tmp_path / "out" / "org--none" / "log.txt").read_text()
    assert "ModelNotFound" in log
    # With a token the private one is another story, and the token is nowhere in what is left.
    token = AuditConfig(token=hub.token)
    assert list(batch(["org/private"], base=token).failed) == []
    assert not any(hub.token.encode() in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())

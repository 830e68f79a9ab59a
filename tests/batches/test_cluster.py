"""Batches on a Dask cluster, with workers that die, differ or cannot see the directory."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.batches import tasks
from tests.batches.checkpoints import many
from tests.batches.dask_cluster import DaskCluster, dask_cluster, needs_dask
from tests.batches.lists import entries_of
from weightaudit.batches import BatchResult, run_batch
from weightaudit.batches.cluster import Cluster
from weightaudit.errors import OutputError, UsageError

ROOT = Path(__file__).parent.parent.parent
WEIGHTAUDIT = [sys.executable, "-m", "weightaudit"]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    """Two workers, to be killed."""
    with dask_cluster(tmp_path / "cluster", environment()) as running:
        yield running


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[DaskCluster]:
    """One worker, to be killed with its scheduler."""
    with dask_cluster(tmp_path / "cluster", environment(), workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """One worker, which has everything loaded once it has run something. Nobody kills it or adds another one."""
    with dask_cluster(tmp_path_factory.mktemp("lasting") / "cluster", environment(), workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def restarting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """One worker, which is started again when it has died; the scheduler gives up work over which two have died."""
    env = environment(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
    with dask_cluster(tmp_path_factory.mktemp("restarting") / "cluster", env, workers=0) as running:
        running.add_worker("--nthreads", "1", "--nanny")
        yield running


def words(tmp_path: Path, *more: str) -> list[str]:
    return [*WEIGHTAUDIT, "batch", str(tmp_path / "list.txt"), "--out", str(tmp_path / "out"), *more]


@needs_dask
def test_a_worker_killed_in_mid_run(batch: Callable[..., BatchResult], cluster: DaskCluster, tmp_path: Path) -> None:
    """Its model is given to the other worker; the result is the uninterrupted one's, nothing finished is redone."""
    models = many(tmp_path / "models", 8)
    batch(models, tmp_path / "whole")
    out = tmp_path / "out"
    run = subprocess.Popen(words(tmp_path, "--scheduler", str(cluster.file)), stderr=subprocess.PIPE, text=True)
    while len(list(out.glob("*/outcome.json"))) < 2 and run.poll() is None:
        time.sleep(0.005)
    cluster.workers[0].kill()
    before = {path: path.stat().st_ino for path in out.glob("*/outcome.json")}
    _, stderr = run.communicate(timeout=300)
    assert run.returncode == 0, stderr
    assert len(before) < len(models)
    assert {path: path.stat().st_ino for path in before} == before
    for name in ("all.csv", "all.parquet", "summary.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@needs_dask
@pytest.mark.parametrize("end", ["scheduler", "interrupt"])
def test_a_run_that_ends_early(few: list[Path], request: pytest.FixtureRequest, tmp_path: Path, end: str) -> None:
    """One message, no library's talk; and nothing goes on in the directory afterwards."""
    cluster: DaskCluster = request.getfixturevalue("lasting" if end == "interrupt" else "lone")
    out = tmp_path / "out"
    links = [tmp_path / f"model{i}" for i in range(60)]
    for link in links:
        link.symlink_to(few[0])
    entries_of(links, tmp_path)
    command = words(tmp_path, "--quiet", "--scheduler", str(cluster.file))
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while len(list(out.glob("*/outcome.json"))) < 3 and run.poll() is None:
        time.sleep(0.005)
    if end == "scheduler":
        cluster.scheduler.kill()
    else:
        run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=120)
    if end == "scheduler":
        assert run.returncode == 3
        assert stderr.startswith("weightaudit: the workers: they are gone, and the work with them. What is finished")
        assert stderr.count("\n") == 1
    else:
        assert run.returncode == 130
        assert stderr.splitlines()[-1] == "weightaudit: interrupted"
    time.sleep(0.5)  # what was begun may end
    left = len(list(out.glob("*/outcome.json")))
    assert 3 <= left < len(links)
    time.sleep(0.5)
    assert len(list(out.glob("*/outcome.json"))) == left


class Through(Cluster):
    """A cluster on whose workers each job passes ``task(run_job, job)`` first."""

    def __init__(self, address: Path, task: Callable[..., Any]) -> None:
        super().__init__(str(address))
        self.executor = _Passing(self.executor, task)


class _Passing(Executor):
    def __init__(self, inner: Executor, task: Callable[..., Any]) -> None:
        self.inner, self.task = inner, task

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.inner.submit(self.task, fn, *args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.inner.shutdown(wait)


@needs_dask
def test_a_model_that_kills_every_worker(few: list[Path], restarting: DaskCluster, tmp_path: Path) -> None:
    """The scheduler gives up on it, the run goes on with the rest."""
    (tmp_path / "deadly").mkdir()
    entries = entries_of([tmp_path / "deadly", *few[:2]], tmp_path)
    result = run_batch(entries, tmp_path / "out", partial(Through, restarting.file, tasks.deadly), threads=1)
    assert list(result.failed) == ["deadly"]
    assert "died while running it" in result.failed["deadly"]


@needs_dask
def test_an_answer_lost_with_its_worker_costs_no_second_scan(
    few: list[Path], restarting: DaskCluster, tmp_path: Path
) -> None:
    """A worker may die between the end of a scan and the arrival of its answer."""
    entries = entries_of(few[:1], tmp_path)
    out = tmp_path / "out"
    result = run_batch(entries, out, partial(Through, restarting.file, tasks.die_after_the_first), threads=1)
    assert result.failed == {}
    first, second = (out / few[0].name / "seen").read_text().split()
    assert first == second == str((out / few[0].name / "outcome.json").stat().st_ino)


@needs_dask
def test_workers_that_do_not_see_the_directory(lasting: DaskCluster, few: list[Path], tmp_path: Path) -> None:
    """As on machines that do not share a file system."""
    entries = entries_of(few[:1], tmp_path)
    with pytest.raises(OutputError, match="Workers need the output directory under the same path"):
        run_batch(entries, tmp_path / "out", partial(Through, lasting.file, tasks.elsewhere), threads=1)


@needs_dask
def test_workers_of_another_version(lasting: DaskCluster, few: list[Path], tmp_path: Path) -> None:
    entries = entries_of(few[:1], tmp_path)
    with pytest.raises(UsageError, match=r"it has weightaudit .*, and this work was made by 0\.0"):
        run_batch(entries, tmp_path / "out", partial(Through, lasting.file, tasks.of_version_zero), threads=1)


@needs_dask
def test_what_is_to_be_known_of_a_cluster(cluster: DaskCluster) -> None:
    pool = Cluster(str(cluster.file))
    try:
        pool._client.wait_for_workers(2)
        assert not pool.notes
        assert pool.max_in_flight >= 4
        cluster.add_worker("--nthreads", "20", "--no-nanny")
        pool._client.wait_for_workers(3)
        (note,) = pool.notes
        assert "start them with --nthreads 1" in note
        assert pool.max_in_flight == 44
    finally:
        pool.close(kill=True)


@needs_dask
def test_no_scheduler(few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.batches.cluster.TIMEOUT", "0.3s")
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:1"):
        with pytest.raises(UsageError, match="no Dask scheduler answers there"):
            Cluster(address)
        gc.collect()  # Dask closes a client then: while the next one starts, that would wait for ever


@needs_dask
def test_an_address_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the working directory, as a path that reads like it."""
    monkeypatch.setattr("weightaudit.batches.cluster.TIMEOUT", "0.3s")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tcp:").mkdir()
    (tmp_path / "tcp:" / "127.0.0.1:1").write_text('{"address": "nowhere"}')
    with pytest.raises(UsageError, match="no Dask scheduler answers there") as refused:
        Cluster("tcp://127.0.0.1:1")
    assert isinstance(refused.value.__cause__, OSError)  # somebody was asked at that address
    del refused
    gc.collect()


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"Dask is not installed here. pip install distributed"):
        Cluster("tcp://127.0.0.1:1")

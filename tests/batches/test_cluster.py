"""Batches on a Dask cluster, with workers that die, differ or cannot see the directory."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.batches import tasks
from tests.batches.checkpoints import corrupt
from tests.batches.dask_cluster import MODULES, DaskCluster, Process, dask_cluster, needs_dask
from tests.batches.lists import entries_of
from tests.support.forks import ROOT, Forks, forks_in, linux
from weightaudit.batches import BatchResult, run_batch
from weightaudit.batches.cluster import Cluster
from weightaudit.batches.display import Silent
from weightaudit.batches.outcome import Outcome
from weightaudit.errors import OutputError, UsageError

QUIET = {
    "WORKER__PROFILE__ENABLED": "False",
    "ADMIN__TICK__INTERVAL": "2s",
    "ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
}
"""Or each process of Dask's looks at itself all the time."""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


class Lasting:
    """The cluster of all tests here, as long as its scheduler lasts; ``forks`` have all loaded that it needs, where
    there can be any.
    """

    def __init__(self, root: Path, forks: Forks | None) -> None:
        self.root, self.forks, self.stack = root, forks, ExitStack()
        self.running: DaskCluster | None = None

    def get(self) -> DaskCluster:
        if self.running is None or self.running.scheduler.poll() is not None:
            self.stack.close()
            folder = self.root / f"cluster{len(list(self.root.iterdir()))}"
            self.running = self.stack.enter_context(dask_cluster(folder, environment(), 0, self.forks))
        if all(worker.poll() is not None for worker in self.running.workers):
            self.running.add_worker()
        return self.running

    def command(self, words: Sequence[str], said: Path) -> Process:
        """`weightaudit` with these words, running."""
        if self.forks is not None:
            return self.forks.beside(words, said=said, env=environment())
        with said.open("wb") as file:
            return subprocess.Popen([sys.executable, "-m", "weightaudit", *words], stderr=file, env=environment())


@pytest.fixture(scope="module")
def lasting(few: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lasting]:
    folder = tmp_path_factory.mktemp("forks")
    entries_of(few[:1], folder)
    loading = ["batch", str(folder / "list.txt"), "--out", str(folder / "out"), "--workers", "0", "--quiet"]
    forked = sys.platform.startswith("linux")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(f"DASK_DISTRIBUTED__{name}", value)
        with forks_in(folder, MODULES, [loading]) if forked else nullcontext() as forks:
            lasting = Lasting(tmp_path_factory.mktemp("lasting"), forks)
            with lasting.stack:
                yield lasting


@pytest.fixture
def cluster(lasting: Lasting) -> DaskCluster:
    """One worker, which has everything loaded once it has run something. It may be killed, and the scheduler too; who
    adds another one ends it.
    """
    return lasting.get()


@linux
def test_a_run_loads_no_torch(lasting: Lasting) -> None:
    """Importing it takes seconds. See `test_processes` for the command and its workers."""
    assert lasting.forks is not None
    done = lasting.forks.done(
        "import sys\nprint([name in sys.modules for name in ('weightaudit.batches.run', 'torch')])"
    )
    assert done.stdout == "[True, False]\n", done.stderr


@contextmanager
def at(cluster: DaskCluster) -> Iterator[Cluster]:
    """The pool of the cluster's workers."""
    pool = Cluster(str(cluster.file))
    try:
        yield pool
    finally:
        pool.close(kill=True)


def allow_failures(cluster: DaskCluster, count: int) -> None:
    """Have the scheduler give up work over which more workers than that have died."""

    def change(dask_scheduler: Any) -> None:
        dask_scheduler.allowed_failures = count

    with at(cluster) as pool:
        pool._client.run_on_scheduler(change)


@contextmanager
def replaced(cluster: DaskCluster) -> Iterator[None]:
    """In the block, another worker is started whenever none is left."""
    over = threading.Event()

    def replace() -> None:
        while not over.wait(0.05):
            if all(worker.poll() is not None for worker in cluster.workers):
                cluster.add_worker()

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def closed_clients() -> Iterator[None]:
    """Have Dask close clients that found nobody, which it does when they are collected: while the next one starts, that
    would wait for ever. What was there before the test is left out, all of torch for example.
    """
    gc.freeze()
    yield
    gc.collect()


def words(tmp_path: Path, *more: str) -> list[str]:
    return ["batch", str(tmp_path / "list.txt"), "--out", str(tmp_path / "out"), *more]


class Killing(Silent):
    """Kills ``worker`` when two models have ended, and keeps what they had left."""

    def __init__(self, worker: Process, out: Path) -> None:
        self.worker, self.out = worker, out
        self.ends = 0
        self.before: dict[Path, int] = {}

    def ended(self, title: str, outcome: Outcome, *, kept: bool) -> None:
        self.ends += 1
        if self.ends == 2:
            self.worker.kill()
            self.worker.wait()
            self.before = {path: path.stat().st_ino for path in self.out.glob("*/outcome.json")}


def added_with_many_threads(cluster: DaskCluster, pool: Cluster) -> Process:
    """A second worker, and what is to be known of a cluster before and after it came."""
    pool._client.wait_for_workers(1)
    assert not pool.notes
    assert pool.max_in_flight == 32
    added = cluster.add_worker("--nthreads", "20", "--no-nanny")
    pool._client.wait_for_workers(2)
    (note,) = pool.notes
    assert "start them with --nthreads 1" in note
    assert pool.max_in_flight == 42
    return added


@needs_dask
def test_a_worker_killed_in_mid_run(
    batch: Callable[..., BatchResult], few: list[Path], cluster: DaskCluster, tmp_path: Path
) -> None:
    """Its model is given to the other worker; the result is the uninterrupted one's, nothing finished is redone."""
    models = [*few[:4], corrupt(few[0], tmp_path / "corrupt")]
    failed = batch(models, tmp_path / "whole").failed
    assert list(failed) == ["corrupt"]
    out = tmp_path / "out"
    with at(cluster) as pool:
        killing = Killing(added_with_many_threads(cluster, pool), out)
        result = batch(models, out, pool=partial(Cluster, str(cluster.file)), display=killing)
    assert result.failed == failed
    assert 2 <= len(killing.before) < len(models)
    assert {path: path.stat().st_ino for path in killing.before} == killing.before
    for name in ("all.csv", "all.parquet", "summary.csv", "index.html"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


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
def test_workers_that_do_not_see_the_directory(cluster: DaskCluster, few: list[Path], tmp_path: Path) -> None:
    """As on machines that do not share a file system."""
    entries = entries_of(few[:1], tmp_path)
    with pytest.raises(OutputError, match="Workers need the output directory under the same path"):
        run_batch(entries, tmp_path / "out", partial(Through, cluster.file, tasks.elsewhere), threads=1)


@needs_dask
def test_workers_of_another_version(cluster: DaskCluster, few: list[Path], tmp_path: Path) -> None:
    entries = entries_of(few[:1], tmp_path)
    with pytest.raises(UsageError, match=r"it has weightaudit .*, and this work was made by 0\.0"):
        run_batch(entries, tmp_path / "out", partial(Through, cluster.file, tasks.of_version_zero), threads=1)


@needs_dask
@pytest.mark.parametrize(
    "address",
    ["nonsense://x", *(pytest.param(one, marks=pytest.mark.slow) for one in ("tcp://127.0.0.1:1", "127.0.0.1:1"))],
)
@pytest.mark.usefixtures("closed_clients")
def test_no_scheduler(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next test has one of an address that could be one's."""
    monkeypatch.setattr("weightaudit.batches.cluster.TIMEOUT", "0.3s")
    with pytest.raises(UsageError, match="no Dask scheduler answers there"):
        Cluster(address)


@needs_dask
@pytest.mark.usefixtures("closed_clients")
def test_an_address_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the working directory, as a path that reads like it."""
    monkeypatch.setattr("weightaudit.batches.cluster.TIMEOUT", "0.3s")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tcp:").mkdir()
    (tmp_path / "tcp:" / "127.0.0.1:1").write_text('{"address": "nowhere"}')
    with pytest.raises(UsageError, match="no Dask scheduler answers there") as refused:
        Cluster("tcp://127.0.0.1:1")
    assert isinstance(refused.value.__cause__, OSError)  # somebody was asked at that address


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"Dask is not installed here. pip install distributed"):
        Cluster("tcp://127.0.0.1:1")


@needs_dask
@pytest.mark.slow
def test_an_answer_lost_with_its_worker_costs_no_second_scan(
    few: list[Path], cluster: DaskCluster, tmp_path: Path
) -> None:
    """A worker may die between the end of a scan and the arrival of its answer. See `test_run` for any workers."""
    entries = entries_of(few[:1], tmp_path)
    allow_failures(cluster, 1)
    out = tmp_path / "out"
    with replaced(cluster):
        result = run_batch(entries, out, partial(Through, cluster.file, tasks.die_after_the_first), threads=1)
    assert result.failed == {}
    first, second = (out / few[0].name / "seen").read_text().split()
    assert first == second == str((out / few[0].name / "outcome.json").stat().st_ino)


@needs_dask
def test_a_model_that_kills_every_worker(few: list[Path], cluster: DaskCluster, tmp_path: Path) -> None:
    """The scheduler gives up on it, the run goes on with the rest."""
    (tmp_path / "deadly").mkdir()
    entries = entries_of([tmp_path / "deadly", corrupt(few[0], tmp_path / "corrupt")], tmp_path)
    allow_failures(cluster, 0)
    with replaced(cluster):
        result = run_batch(entries, tmp_path / "out", partial(Through, cluster.file, tasks.deadly), threads=1)
    assert result.failed.keys() == {"corrupt", "deadly"}
    assert "died while running it" in result.failed["deadly"]
    assert "died" not in result.failed["corrupt"]


@needs_dask
@pytest.mark.parametrize("end", [pytest.param("interrupt", marks=pytest.mark.slow), "scheduler"])
def test_a_run_that_ends_early(
    few: list[Path], cluster: DaskCluster, lasting: Lasting, tmp_path: Path, end: str
) -> None:
    """One message, no library's talk; and nothing goes on in the directory afterwards."""
    out = tmp_path / "out"
    links = [tmp_path / f"model{i}" for i in range(20)]
    for link in links:
        link.symlink_to(few[0])
    entries_of(links, tmp_path)
    command = words(tmp_path, "--quiet", "--scheduler", str(cluster.file))
    run = lasting.command(command, tmp_path / "said")
    while len(list(out.glob("*/outcome.json"))) < 3 and run.poll() is None:
        time.sleep(0.005)
    if end == "scheduler":
        cluster.scheduler.kill()
    else:
        run.send_signal(signal.SIGINT)
    until = time.monotonic() + 120
    while run.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    stderr = (tmp_path / "said").read_text("utf-8")
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
    time.sleep(0.1)  # one of them takes less
    assert len(list(out.glob("*/outcome.json"))) == left

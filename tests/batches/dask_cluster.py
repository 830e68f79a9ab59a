"""A real Dask cluster on this machine: a scheduler and workers, each a process of its own, on loopback."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.forks import Beside, Forks

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="Dask is not installed: pip install distributed"
)


MODULES = ("dask.cli", "distributed.cli.dask_scheduler", "distributed.cli.dask_worker", "tests.batches.tasks")
"""What `Forks` for a cluster should have imported."""
Process = subprocess.Popen[bytes] | Beside


class DaskCluster:
    """``file`` is the scheduler's; ``workers`` can be killed. With ``forks`` none of them loads anything."""

    def __init__(self, folder: Path, env: Mapping[str, str], forks: Forks | None = None) -> None:
        self.folder, self.env, self.forks = folder, dict(env), forks
        self.file = folder / "scheduler.json"
        self.workers: list[Process] = []
        self.scheduler = self._start("scheduler", "--port", "0")
        while not self.file.exists():
            assert self.scheduler.poll() is None, (folder / "scheduler.log").read_text()
            time.sleep(0.05)

    def add_worker(self, *options: str) -> Process:
        name = f"worker{len(self.workers)}"
        local = ("--local-directory", str(self.folder / name))
        worker = self._start("worker", *(options or ("--nthreads", "1", "--no-nanny")), *local, log=name)
        self.workers.append(worker)
        return worker

    def _start(self, what: str, *options: str, log: str = "") -> Process:
        words = ["dask", what, "--scheduler-file", str(self.file), "--host", "127.0.0.1", "--no-dashboard", *options]
        said = self.folder / f"{log or what}.log"
        if self.forks is not None:
            program = "from dask.__main__ import main\nmain()"
            return self.forks.beside(program, *words, said=said, cwd=self.folder, env=self.env)
        with said.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", *words], stdout=file, stderr=file, env=self.env, cwd=self.folder
            )

    def stop(self) -> None:
        """End all of them; they have nothing to say any more."""
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait()


@contextmanager
def dask_cluster(
    folder: Path, env: Mapping[str, str], workers: int = 2, forks: Forks | None = None
) -> Iterator[DaskCluster]:
    """A running cluster, gone after the block."""
    folder.mkdir()
    cluster = DaskCluster(folder, env, forks)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.stop()

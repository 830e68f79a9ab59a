"""Worker processes: started once, fed in turn, replaced when they die, and never left behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from textwrap import indent
from types import SimpleNamespace

import pytest

from tests.batches import tasks
from tests.batches.lists import entries_of
from tests.support.own_forks import ended
from weightaudit.batches.executors import share_out
from weightaudit.batches.processes import ProcessExecutor, WorkerDied, _how
from weightaudit.cores import usable_cores

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture(scope="module")
def one() -> Iterator[ProcessExecutor]:
    """One worker, whose parent was told of two threads, which it is not to take over. Who needs it no more ends it."""
    executor = ProcessExecutor(1, 1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
                patch.setenv(name, "2")
            executor.submit(tasks.who_after, 0).result()
        yield executor
    finally:
        executor.kill()


@pytest.fixture(scope="module")
def two() -> Iterator[ProcessExecutor]:
    """Two workers, the successors of those that died included, and neither of them has imported torch."""
    executor = ProcessExecutor(2, 1)
    try:
        yield executor
    finally:
        executor.kill()


def gone(process: int) -> bool:
    """Whoever takes in the orphans may be slow to ask how they ended: that is not waited for where it can be told."""
    if sys.platform.startswith("linux"):
        return ended(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until_gone(process: int) -> None:
    for _ in range(600):
        if gone(process):
            return
        time.sleep(0.05)
    pytest.fail(f"process {process} is still there")


def test_work_is_shared_by_two_processes(two: ProcessExecutor) -> None:
    who = [future.result() for future in [two.submit(tasks.who_after, 0.05) for _ in range(6)]]
    assert len(set(who)) == 2
    assert os.getpid() not in who


def test_processes_know_their_threads_before_anything_is_imported_and_scan_without_torch(
    few: list[Path], one: ProcessExecutor
) -> None:
    assert one.submit(tasks.environment, "OMP_NUM_THREADS").result() == "1"
    assert one.submit(tasks.loaded, "numpy").result() is False
    assert one.submit(tasks.threads).result() == 1
    assert one.submit(tasks.rows_scanned, str(few[0])).result()
    assert not any(one.submit(tasks.loaded, name).result() for name in ("torch", "transformers"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_asks_for_no_torch_of_its_own(few: list[Path], tmp_path: Path, workers: str) -> None:
    """Workers wait for the list to be read, and the command for nothing but them: importing torch takes seconds.

    See `test_killed` for a run in a process that has it all loaded.
    """
    entries_of([few[0], f"{few[1]} roles=Q tol=1e-3", f"{few[0]} layers=7"], tmp_path)
    words = [
        "batch",
        str(tmp_path / "list.txt"),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        workers,
        "--threads",
        "1",
    ]
    program = f"import sys\nsys.argv = ['weightaudit', *{words!r}]\nfrom weightaudit.cli import main\n"
    program += "try:\n    main()\nfinally:\n    print('torch' in sys.modules)\n"
    # As a file: a worker process imports the program of its parent, and finds it is not its own to run.
    (tmp_path / "program.py").write_text(f"if __name__ == '__main__':\n{indent(program, '    ')}")
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "False"), done.stderr
    assert "3 models, 1 failed" in done.stderr


def test_errors_come_back(two: ProcessExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        two.submit(tasks.divide, 1, 0).result()
    with pytest.raises(RuntimeError, match="Unpicklable: no way home"):
        two.submit(tasks.raise_unpicklable).result()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        two.submit(tasks.return_unpicklable).result()
    assert two.submit(tasks.divide, 6, 3).result() == 2


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (tasks.kill_self, r"was killed \(signal 9\): out of memory, if nobody did it"),
        pytest.param(tasks.crash, r"crashed \(SIGABRT\)", marks=pytest.mark.slow),
        pytest.param(tasks.leave, r"ended \(exit code 7\)", marks=pytest.mark.slow),
    ],
)
def test_a_death_fails_its_own_work_alone(two: ProcessExecutor, task: Callable[[], None], said: str) -> None:
    others = [two.submit(tasks.who_after, 0.05) for _ in range(2)]
    bad = two.submit(task)
    more = [two.submit(tasks.who_after, 0.05) for _ in range(4)]
    with pytest.raises(WorkerDied, match=said):
        bad.result()
    assert all(future.result() for future in others + more)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-9, "was killed (signal 9): out of memory, if nobody did it"),
        (-6, "crashed (SIGABRT)"),
        (-50, "crashed (signal 50)"),  # which has no name
        (7, "ended (exit code 7)"),
    ],
)
def test_how_a_process_ended_is_told(code: int, said: str) -> None:
    assert _how(SimpleNamespace(exitcode=code)) == f"its worker process {said}"  # type: ignore[arg-type]


def test_kill_ends_work_and_workers_at_once() -> None:
    executor = ProcessExecutor(2, 1)
    who = {future.result() for future in [executor.submit(tasks.who_after, 0.05) for _ in range(2)]}
    long = [executor.submit(time.sleep, 600) for _ in range(2)]
    waiting = executor.submit(time.sleep, 600)
    while not all(future.running() for future in long):
        time.sleep(0.01)
    executor.kill()
    for future in long:
        with pytest.raises(WorkerDied):
            future.result()
    with pytest.raises(CancelledError):
        waiting.result()
    for process in who:
        wait_until_gone(process)


def test_shutdown_waits_for_work_and_ends_workers(one: ProcessExecutor) -> None:
    last = [one.submit(tasks.who_after, 0.05) for _ in range(3)]
    one.shutdown()
    (process,) = {future.result() for future in last}
    wait_until_gone(process)


def test_an_answer_that_nobody_waits_for_is_dropped_in_silence() -> None:
    """The parent was killed while its worker was at work."""
    program = (
        "import multiprocessing, pickle\n"
        "from weightaudit.batches.processes import _work\n"
        "ours, theirs = multiprocessing.Pipe()\n"
        "def last():\n    ours.close()\n"
        "ours.send_bytes(pickle.dumps((last, (), {})))\n"
        "_work(theirs, 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_workers_end_in_silence_with_a_parent_that_is_killed(tmp_path: Path, rounds: int) -> None:
    """Whether they are at work or about to answer, they say nothing of it on the terminal that they share."""
    program = tmp_path / "parent.py"
    program.write_text(
        "import time\n"
        "from tests.batches import tasks\n"
        "from weightaudit.batches.processes import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    executor = ProcessExecutor(2, 1)\n"
        "    print(executor.submit(tasks.who_after, 0).result(), flush=True)\n"
        "    long = executor.submit(time.sleep, 600)\n"
        "    while True:\n"
        "        executor.submit(tasks.divide, 6, 3).result()\n"
    )
    root = Path(__file__).parent.parent.parent
    for _ in range(rounds):
        with (tmp_path / "said").open("w+") as said:
            parent = subprocess.Popen(
                [sys.executable, str(program)],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
            assert parent.stdout is not None
            worker = int(parent.stdout.readline())
            time.sleep(0.5)  # into the work
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            parent.stdout.close()
            wait_until_gone(worker)
            time.sleep(0.2)  # for the other one
            said.seek(0)
            assert said.read() == ""


@pytest.mark.parametrize(
    ("jobs", "workers", "cores", "shared"),
    [
        (40, None, 2, (2, 1)),
        (40, 1, 2, (1, 2)),
        (1, None, 16, (1, 16)),
        (1, 8, 16, (1, 16)),
        (3, None, 16, (3, 5)),
        (5000, None, 64, (8, 8)),
        (40, 4, 2, (4, 1)),
        (0, None, 2, (1, 2)),
    ],
)
def test_cores_are_shared_out(jobs: int, workers: int | None, cores: int, shared: tuple[int, int]) -> None:
    assert share_out(jobs, workers, cores) == shared


def test_cores() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)

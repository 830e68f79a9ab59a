"""Worker processes on this machine, each started once and fed one job after the other.

Not `concurrent.futures.ProcessPoolExecutor`: there one dead worker fails the work of all others and does not say whose
fault it was, running work cannot be stopped, and workers outlive a killed parent. Here a worker that dies (a crash in
native code, the kernel's hand when memory is short) fails its own work alone, and the next one is given a new worker.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn, ParamSpec, TypeVar

from weightaudit.batches.safe_path import safe_path
from weightaudit.errors import OutOfTime
from weightaudit.garbage import collect_seldom
from weightaudit.streams import protect
from weightaudit.unfinished import remove_all

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class WorkerDied(Exception):
    """A worker process ended in the middle of its work."""


class ProcessExecutor(Executor):
    """``workers`` processes of ``threads`` threads each, started when first needed.

    Work given while all are busy waits. A process that takes longer than ``max_time`` seconds over one piece is ended
    and replaced, and the piece fails with OutOfTime. Processes are spawned, never forked: threads do not survive
    a fork.
    """

    def __init__(self, workers: int, threads: int, max_time: float | None = None) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], bytes] | None] = queue.SimpleQueue()
        self._minders = [_Minder(self._work, threads, max_time) for _ in range(workers)]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._work.put((future, pickle.dumps((fn, args, kwargs))))
        for minder in self._minders:
            minder.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            self._drain()
        for _ in self._minders:
            self._work.put(None)
        for minder in self._minders:
            if wait:
                minder.join()

    def kill(self) -> None:
        """End every worker at once, with what it is at."""
        self._drain()
        for minder in self._minders:
            minder.kill()
        self.shutdown()

    def _drain(self) -> None:
        while True:
            try:
                waiting = self._work.get_nowait()
            except queue.Empty:
                return
            if waiting is not None:
                waiting[0].cancel()


class _Minder:
    """A thread that keeps one worker process: hands it work, waits for what comes of it, replaces it when it dies."""

    def __init__(
        self, work: queue.SimpleQueue[tuple[Future[Any], bytes] | None], threads: int, max_time: float | None
    ) -> None:
        self._work, self._threads, self._max_time = work, threads, max_time
        self._thread = threading.Thread(target=self._mind, daemon=True)
        self._process: multiprocessing.process.BaseProcess | None = None
        self._killed = False
        self._guard = threading.Lock()

    def start(self) -> None:
        if not self._thread.is_alive() and self._thread.ident is None:
            self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def kill(self) -> None:
        with self._guard:
            self._killed = True
        self._end_now()

    def _end_now(self) -> None:
        with self._guard:
            if self._process is not None:
                self._process.kill()

    def _mind(self) -> None:
        _spare_children_interrupts()
        connection: Connection | None = None
        while (item := self._work.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                connection = connection or self._begin()
                connection.send_bytes(call)
                if not connection.poll(self._max_time):
                    self._end_now()
                    raise OutOfTime("its worker", "it took too long and was ended")
                well, result = pickle.loads(connection.recv_bytes())
            except (EOFError, OSError, OutOfTime) as error:
                self._end(connection)
                connection = None
                future.set_exception(error if isinstance(error, OutOfTime) else WorkerDied(_how(self._process)))
            except Exception as error:  # a minder that stops would leave work waiting for ever
                future.set_exception(error)
            else:
                future.set_result(result) if well else future.set_exception(result)
        self._end(connection)

    def _begin(self) -> Connection:
        """Start a process; its end of the pipe is closed here, so that its death is the end of what it sends."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with self._guard:
            if self._killed:
                raise EOFError
            process = context.Process(target=_work, args=(theirs, self._threads), daemon=True)
            with safe_path():
                process.start()  # where it cannot, there is nothing to wait for
            self._process = process
        theirs.close()
        return ours

    def _end(self, connection: Connection | None) -> None:
        """Close the pipe, which ends an idle worker, and wait for it."""
        if connection is not None:
            connection.close()
        if self._process is not None:
            self._process.join()


def _how(process: multiprocessing.process.BaseProcess | None) -> str:
    """How a worker ended, for people."""
    code = process.exitcode if process is not None else None
    if code == -9:
        return "its worker process was killed (signal 9): out of memory, if nobody did it"
    if code is not None and code < 0:
        named = -code in {one.value for one in signal.Signals}  # most real-time signals are not
        return f"its worker process crashed ({signal.Signals(-code).name if named else f'signal {-code}'})"
    return f"its worker process ended (exit code {code})"


def _work(connection: Connection, threads: int) -> None:
    """What a worker process does. Ctrl-C goes to every process of a terminal, and is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # not where it is to be ignored
            signal.signal(number, _terminated)
    protect()
    collect_seldom()
    for name in _THREADS:  # before anything imports numpy
        os.environ[name] = str(threads)
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # the parent's table has the terminal
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            call = connection.recv_bytes()
            connection.send_bytes(_answer(call))
        except (EOFError, OSError):  # the parent is no more, or wants no more
            return


def _answer(call: bytes) -> bytes:
    """What came of a pickled call, pickled: (whether it returned, what it returned or raised)."""
    try:
        fn, args, kwargs = pickle.loads(call)
        return pickle.dumps((True, fn(*args, **kwargs)))
    except Exception as error:  # it is the caller's to judge
        try:
            return pickle.dumps((False, error))
        except Exception:  # an error that cannot travel; its text can
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    """A parent that was killed can stop nobody, so its workers watch it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        _end_at_once(1)


def _terminated(number: int, frame: object) -> NoReturn:
    _end_at_once(128 + number)


def _end_at_once(code: int) -> NoReturn:
    """End this worker, whatever it is at, without the files it has begun."""
    remove_all()
    os._exit(code)


def _spare_children_interrupts() -> None:
    """Have the processes that this thread starts get no Ctrl-C before they can say what to do with it."""
    if os.name != "nt":
        with safe_path():
            resource_tracker.ensure_running()  # whose own start would undo it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


class Processes:
    """`Pool` of worker processes. A worker that dies is replaced."""

    worker_lost_errors: tuple[type[BaseException], ...] = (WorkerDied,)
    is_local = True
    notes: tuple[str, ...] = ()

    def __init__(self, workers: int, threads: int, max_time: float | None = None) -> None:
        self._processes = ProcessExecutor(workers, threads, max_time)
        self.executor: Executor = self._processes
        self.max_in_flight = workers + 1  # one waits, so that no worker does

    def close(self, *, kill: bool) -> None:
        """End the processes: when they have finished, or now."""
        if kill:
            self._processes.kill()
        else:
            self._processes.shutdown()

"""A run: what is finished is kept, the rest is sent to workers, a bounded number at a time, and the results are joined.

A run may end at any moment, by whatever hand: a model counts as finished only by the last file of its folder, and the
next run goes on from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from weightaudit.batches.aggregate import join
from weightaudit.batches.display import Display, Silent
from weightaudit.batches.executors import Pool
from weightaudit.batches.folder import WRITTEN, ModelFolder, prepare
from weightaudit.batches.job import Job
from weightaudit.batches.lock import LOCK, RUN, locked
from weightaudit.batches.manifest import Listed, Manifest, digest_of
from weightaudit.batches.model_list import Entry
from weightaudit.batches.names import RESERVED, names, options_that_differ
from weightaudit.batches.outcome import Outcome, check_answer
from weightaudit.batches.plan import Planned, Step, sharded, steps
from weightaudit.batches.time_limit import out_of_time
from weightaudit.batches.verdicts import ModelVerdict
from weightaudit.batches.worker import record_failure, run_job
from weightaudit.errors import OutOfTime, WeightauditError, WorkerLost
from weightaudit.model_files import ModelFiles
from weightaudit.report.atomic_write import Attempts, attempting
from weightaudit.report.document import share_plotly
from weightaudit.text import printable
from weightaudit.version import dependencies

GO_ON = "What is finished is kept: the same command goes on from there"
TICK = 0.25
"""Seconds between two looks at the models under way."""


@dataclass
class BatchResult:
    """How a run ended: titles of the models scanned now, and of those kept from earlier runs; which of either failed,
    and why; which entries of the list turned out to be the same scan as another's; severity → how many findings all of
    them have; and the verdict of each, worst first.
    """

    scanned: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    verdicts: tuple[ModelVerdict, ...] = ()


def run_batch(
    entries: Sequence[Entry],
    directory: Path,
    pool: Callable[[], Pool],
    *,
    threads: int | None = None,
    max_time: float | None = None,
    shard: tuple[int, int] = (1, 1),
    retry_failed: bool = False,
    display: Display | None = None,
    title: str = "",
    attempts: Attempts | None = None,
    read: Iterable[Path] = (),
) -> BatchResult:
    """Scan every entry that ``directory`` does not have finished, then join all results there.

    ``pool`` makes the workers, once there is anything to scan; ``threads`` are those of each scan, and ``max_time`` the
    seconds after which it is given up; ``title`` is that of the page of all models; ``read`` are files, such as the
    list, that no result may replace. A model that fails is recorded and stops nothing. Raises OutputError where the
    directory cannot be written or another run has it; what is finished by then, or by Ctrl-C, is kept. Where it is only
    a joined file that cannot be written, the others are; ``attempts`` that the caller gives keep that error, instead of
    raising it, until the result is told.
    """
    planned = sharded(entries, names(entries), shard)
    listed = [_listed(one) for one in planned]
    directory = directory.absolute()
    _check_outputs(planned, directory, read)
    result = BatchResult()
    with attempting(attempts) as joining, closing(display or Silent()) as shown, locked(directory) as run:
        prepare(directory)
        title = title or directory.name
        _manifest(listed, entries, shard, title).write(directory)
        share_plotly(directory)
        shown.start(len(planned), directory)
        todo = steps(
            planned,
            directory,
            run,
            threads=threads,
            max_time=max_time,
            live=shown.live,
            retry_failed=retry_failed,
        )
        with closing(_Work(pool, shown, result)) as work:
            same = work.through(todo)
        shown.joining()
        listed = [one for one in listed if one.number not in same]
        with joining:
            _manifest(listed, entries, shard, title).write(directory)
        joined = join(listed, directory, title, joining)
        result.findings, result.verdicts = joined.findings, joined.verdicts
        for unreadable, reason in joined.unreadable.items():
            result.failed[unreadable] = reason
            shown.note(f"{printable(unreadable)} failed: {printable(reason, 1000)}")
    return result


def _check_outputs(planned: Sequence[Planned], directory: Path, read: Iterable[Path]) -> None:
    """OutputError where what a run writes would come into the folder of one of its models, or replace a file that is
    ``read``.

    Where links in a model lead is not asked here: no model may stop the others. Its own results are not written then.
    """
    models = ModelFiles.of((one.entry.model for one in planned if one.entry.local), walk=False, read=read)
    models.check_directory(directory)
    for name in (*RESERVED, LOCK, RUN):
        models.check_read(directory / name)
    for one in planned:
        folder = directory / one.names.folder
        models.check_directory(folder)
        for path in (folder, *(folder / name for name in WRITTEN)):
            models.check_read(path)


def _listed(one: Planned) -> Listed:
    return Listed(
        one.number, one.names.title, one.names.folder, one.entry.known_as, options_that_differ(one.entry.config)
    )


def _manifest(listed: Sequence[Listed], entries: Sequence[Entry], shard: tuple[int, int], title: str) -> Manifest:
    digest = digest_of(f"{entry.known_as} {entry.config.revision} {entry.config.result_options()}" for entry in entries)
    return Manifest(tuple(listed), total=len(entries), shard=shard, digest=digest, title=title)


class _Work:
    """Models on their way through the workers; closing it before its end stops them.

    Where a worker died it is not always known over which of its models, and it may only have been short of memory
    beside the others. So such a model is scanned again when all others have ended, alone: if it loses its worker then,
    that was its doing.
    """

    def __init__(self, pool: Callable[[], Pool], display: Display, result: BatchResult) -> None:
        self._make_pool = pool
        self._pool: Pool | None = None
        self._display = display
        self._result = result
        self._flying: dict[Future[Outcome], Job] = {}
        self._suspects: deque[Job] = deque()
        self._again: set[int] = set()

    def through(self, todo: Iterator[Step]) -> set[int]:
        """Do all of ``todo``; the numbers of the entries that were the same scan as another's."""
        same: set[int] = set()
        more = True
        while more or self._flying or self._suspects:
            if not more and not self._flying:
                self._send(self._suspects.popleft())
            while more and (self._pool is None or len(self._flying) < self._pool.max_in_flight):
                step = next(todo, None)
                if step is None:
                    more = False
                elif step.same_as is not None:
                    same.add(step.job.number)
                    self._result.same.append(step.job.title)
                    self._display.same(step.job.title)
                elif step.kept is not None:
                    self._note(step.job, step.kept, kept=True)
                elif step.error is not None:
                    self._note(step.job, record_failure(step.job, step.error))
                else:
                    self._send(step.job)
            self._wait()
        if self._pool is not None:
            self._pool.close(kill=False)
            self._pool = None
        return same

    def close(self) -> None:
        """Stop what is still under way, and remove what killed workers were writing."""
        if self._pool is not None:
            self._pool.close(kill=True)
            self._pool = None
            for job in self._flying.values():
                ModelFolder(Path(job.directory) / job.folder).abandon()

    def _send(self, job: Job) -> None:
        if self._pool is None:
            self._pool = self._make_pool()
            for note in self._pool.notes:
                self._display.note(note)
        if not self._pool.is_local:
            job = replace(job, config=replace(job.config, token=None))
        self._flying[self._pool.executor.submit(run_job, job)] = job

    def _wait(self) -> None:
        """Take in what has ended; show the rest now and then."""
        if not self._flying:
            return
        ended, _ = wait(self._flying, timeout=TICK, return_when=FIRST_COMPLETED)
        for future in sorted(ended, key=lambda future: self._flying[future].number):
            self._take(self._flying.pop(future), future)
        self._display.tick(self._flying.values())

    def _take(self, job: Job, future: Future[Outcome]) -> None:
        assert self._pool is not None
        try:
            outcome = check_answer(future.result(), job)
        except OutOfTime:
            outcome = record_failure(job, out_of_time(job.title, job.max_time or 0))
        except self._pool.worker_lost_errors as error:
            if job.number not in self._again:
                self._again.add(job.number)
                self._suspects.append(job)
                return
            lost = WorkerLost(printable(job.title), printable(str(error), limit=500))
            outcome = record_failure(job, lost)
        except WeightauditError:
            raise
        except CancelledError as error:
            raise WeightauditError("the workers", "they are gone, and the work with them", GO_ON) from error
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            cause, hint = f"work could not be done there: {printable(str(error), limit=500)}", GO_ON
            if package in dependencies():  # of other modules no name of a package follows
                cause, hint = f"{package} is not installed there", f"pip install {package}. {GO_ON}"
            raise WeightauditError("the workers", cause, hint) from error
        except Exception as error:  # whatever else the executor has to say is not about the model
            cause = f"{type(error).__name__}: {printable(str(error), limit=500)}"
            raise WeightauditError("the workers", f"work could not be done there: {cause}", GO_ON) from error
        self._note(job, outcome)

    def _note(self, job: Job, outcome: Outcome, *, kept: bool = False) -> None:
        (self._result.kept if kept else self._result.scanned).append(job.title)
        if outcome.status == "failed":
            self._result.failed[job.title] = outcome.reason
        self._display.ended(job.title, outcome, kept=kept)

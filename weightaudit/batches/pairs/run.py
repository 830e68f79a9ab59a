"""Check every pair of a list that is not finished, and join them: what is done stays done, whatever ends a run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from weightaudit.batches.executors import Pool
from weightaudit.batches.folder import remove_temporaries
from weightaudit.batches.identity import local_state
from weightaudit.batches.lock import LOCK, RUN, locked, unwritable
from weightaudit.batches.model_list import Entry
from weightaudit.batches.model_version import ModelVersion, version_of
from weightaudit.batches.names import names
from weightaudit.batches.own_files import clear
from weightaudit.batches.pairs.pair import PairJob, PairOutcome, check_pair, failed_pair, finished_pair
from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError, WeightauditError
from weightaudit.model_files import ModelFiles, parted
from weightaudit.redact import without_secrets
from weightaudit.report.atomic_write import Attempts, attempting, replacing
from weightaudit.report.document import share_plotly
from weightaudit.report.layout import INDEX, PAIRS_CSV, PLOTLY
from weightaudit.report.merge.matrix import write_matrix, write_pairs
from weightaudit.source.hub_place import at_revision
from weightaudit.text import plural, printable, slug
from weightaudit.version import __version__

MOST_PAIRS = 10_000
"""Pairs of one list."""
MAX_NAME_CHARS = 40
"""Characters of a model's name in the name of a pair's folder."""


@dataclass
class PairsResult:
    """Titles of pairs that were checked now, that had been before, and that failed, each with the reason;
    severity → how many findings all of them have.
    """

    checked: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)


def run_pairs(
    entries: Sequence[Entry],
    base: str | None,
    directory: Path,
    pool: Callable[[], Pool],
    *,
    threads: int | None,
    title: str,
    say: Callable[[str], None] = lambda text: None,
    attempts: Attempts | None = None,
    read: Iterable[Path] = (),
) -> PairsResult:
    """Check each two of the ``entries`` for a merge on ``base``, one folder a pair, and write pairs.csv and index.html.

    ``read`` are files, such as the list, that no result may replace. A pair that fails is told and stops nothing; it is
    tried again by the next run. UsageError for a list that makes no pairs, or too many; OutputError where the directory
    cannot be written or another run has it.
    """
    pairs = _pairs(entries)
    directory = directory.absolute()
    local = [entry.model for entry in entries if entry.local]
    models = ModelFiles.of([*local, *([parted(base)[0]] if base is not None else [])], walk=False, read=read)
    models.check_directory(directory)
    for name in (INDEX, PAIRS_CSV, PLOTLY, LOCK, RUN):
        models.check_read(directory / name)
    result = PairsResult()
    outcomes: dict[str, PairOutcome] = {}
    with attempting(attempts) as joining, locked(directory) as run:
        try:
            remove_temporaries(directory)
            for name in (INDEX, PAIRS_CSV):
                clear(directory / name)
        except OSError as error:
            raise unwritable(directory, error) from error
        share_plotly(directory)
        jobs = list(_jobs(entries, pairs, base, directory, run, threads))
        todo = []
        for job, why_not in jobs:
            kept = finished_pair(directory, job) if not why_not else None
            if kept is not None:
                outcomes[job.folder] = kept
                result.kept.append(_title(job))
            else:
                todo.append((job, why_not))
        say(f"{plural(len(pairs), 'pair')}, {len(outcomes)} from earlier runs")
        for job, outcome in _done(todo, pool):
            outcomes[job.folder] = outcome
            if outcome.reason:
                result.failed[_title(job)] = outcome.reason
                say(f"failed: {printable(_title(job))}: {outcome.reason}")
            else:
                result.checked.append(_title(job))
                say(f"done: {printable(_title(job))}")
        in_order = [outcomes[job.folder] for job, _ in jobs]
        findings: Counter[str] = Counter()
        for outcome in in_order:
            findings.update(outcome.findings)
        result.findings = dict(findings)
        called = [one.title for one in names(entries)]
        for name, write in ((PAIRS_CSV, write_pairs), (INDEX, write_matrix)):
            with joining, replacing(directory / name) as file:
                write(in_order, called, base and without_secrets(base), title, file)
    return result


def _pairs(entries: Sequence[Entry]) -> list[tuple[int, int]]:
    pairs = list(combinations(range(len(entries)), 2)) if len(entries) <= MOST_PAIRS else []
    if not 1 <= len(pairs) <= MOST_PAIRS:
        number = len(entries) * (len(entries) - 1) // 2
        cause = f"{plural(len(entries), 'model')} make {plural(number, 'pair')}"
        raise UsageError("--pairs", cause, f"Name a list of two models at least, and of {MOST_PAIRS:,} pairs at most")
    options = {json.dumps(entry.config.result_options(), default=str) for entry in entries}
    if len(options) > 1:
        hint = "Give options on the command line, where they are for all"
        raise UsageError("--pairs", "lines of the list have options of their own", hint)
    return pairs


def _jobs(
    entries: Sequence[Entry],
    pairs: Sequence[tuple[int, int]],
    base: str | None,
    directory: Path,
    run: str,
    threads: int | None,
) -> Iterator[tuple[PairJob, str]]:
    """Each pair's work, and why it cannot even be tried, or ""."""
    called = names(entries)
    versions = [version_of(entry) for entry in entries]
    of_base = _base_state(base)
    for i, j in pairs:
        config = replace(entries[i].config, revision=None, threads=entries[i].config.threads or threads)
        titles = (called[i].title, called[j].title)
        errors = [str(one.error) for one in (versions[i], versions[j]) if one.error is not None]
        job = PairJob(
            titles=titles,
            models=(_address(entries[i], versions[i]), _address(entries[j], versions[j])),
            base=base,
            config=config,
            directory=str(directory),
            folder=_folder(titles),
            key=_key(entries[i], versions[i], entries[j], versions[j], base, of_base, config),
            run=run,
        )
        yield job, printable(errors[0], 1000) if errors else ""


def _address(entry: Entry, version: ModelVersion) -> str:
    revision = version.commit or entry.config.revision
    return entry.model if entry.local or entry.elsewhere else at_revision(entry.model, revision)


def _base_state(base: str | None) -> str:
    """What the base's files look like; of a Hub model its name alone, which says no more than what was asked."""
    name, revision = parted(base) if base is not None else ("", None)
    return f"{local_state(name)} {revision}" if base is not None else ""


def _key(
    one: Entry,
    state: ModelVersion,
    other: Entry,
    its: ModelVersion,
    base: str | None,
    of_base: str,
    config: AuditConfig,
) -> str:
    parts = [one.known_as, state.text, other.known_as, its.text, base, of_base, config.result_options(), __version__]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _folder(titles: tuple[str, str]) -> str:
    """A name that no other pair has."""
    digest = hashlib.sha256(json.dumps(titles).encode()).hexdigest()[:8]
    first, second = (slug(title, longest=MAX_NAME_CHARS).strip(".-") or "model" for title in titles)
    return f"{first}--{second}-{digest}"


def _title(job: PairJob) -> str:
    return " + ".join(job.titles)


def _done(todo: Sequence[tuple[PairJob, str]], make_pool: Callable[[], Pool]) -> Iterator[tuple[PairJob, PairOutcome]]:
    """Each pair as it is done, as many at once as there are workers."""
    waiting = []
    for job, error in todo:
        if error:
            yield job, failed_pair(job, error)
        else:
            waiting.append(job)
    if not waiting:
        return
    pool = make_pool()
    flying: dict[Future[PairOutcome], PairJob] = {}
    kill = True
    try:
        while waiting or flying:
            while waiting and len(flying) < pool.max_in_flight:
                job = waiting.pop(0)
                flying[pool.executor.submit(check_pair, job)] = job
            ended, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in ended:
                job = flying.pop(future)
                yield job, _outcome(future, job, pool)
        kill = False
    finally:
        pool.close(kill=kill)


def _outcome(future: Future[PairOutcome], job: PairJob, pool: Pool) -> PairOutcome:
    try:
        return future.result()
    except pool.worker_lost_errors as error:
        return failed_pair(job, f"its worker was lost: {printable(str(error), 500)}")
    except WeightauditError:
        raise

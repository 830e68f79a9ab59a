"""From the entries of a list to the work that is to be done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from weightaudit.batches.identity import cache_key
from weightaudit.batches.job import Job
from weightaudit.batches.manifest import MOST_SHARDS
from weightaudit.batches.model_list import Entry
from weightaudit.batches.model_version import ModelVersion, version_of
from weightaudit.batches.names import Names
from weightaudit.batches.outcome import Outcome, finished
from weightaudit.batches.prefetch import prefetch
from weightaudit.config import AuditConfig
from weightaudit.errors import ModelError, ModelUnavailable, UsageError
from weightaudit.text import printable

ASKING = 8
"""Threads that ask the Hub for commits."""
WINDOW = 64
"""Models whose commit is asked for ahead of their scan."""


@dataclass(frozen=True)
class Planned:
    """One model of this run, by its place in the whole list: from 0."""

    number: int
    entry: Entry
    names: Names


@dataclass(frozen=True)
class Step:
    """What is to be done about one model: ``kept`` is what an earlier run left, ``same_as`` the number of an entry that
    turned out to be the same scan, ``error`` why it cannot even be tried. None of them: it is to be scanned.
    """

    job: Job
    kept: Outcome | None = None
    same_as: int | None = None
    error: ModelError | None = None


def parse_shard(shard: str | None) -> tuple[int, int]:
    """``"2/8"`` → (2, 8), the second of eight parts; None is (1, 1). Raises UsageError for anything else."""
    if shard is None:
        return 1, 1
    written = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    if written is None:
        raise UsageError(f"shard '{printable(shard)}'", "is not written i/n", "Write for example 1/8 … 8/8")
    part, parts = written.groups()
    if not 1 <= int(part) <= int(parts):
        raise UsageError(f"shard '{printable(shard)}'", f"{part} is not from 1 to {parts}", "Shards count from 1")
    if int(parts) > MOST_SHARDS:
        raise UsageError(f"shard '{printable(shard)}'", f"there are more than {MOST_SHARDS:,}", "Make fewer parts")
    return int(part), int(parts)


def sharded(entries: Sequence[Entry], names: Sequence[Names], shard: tuple[int, int]) -> list[Planned]:
    """Every n-th entry from the i-th on, with the names that the whole list gives them."""
    part, parts = shard
    planned = [Planned(i, entry, name) for i, (entry, name) in enumerate(zip(entries, names, strict=True))]
    return planned[part - 1 :: parts]


def steps(
    planned: Iterable[Planned],
    directory: Path,
    run: str,
    *,
    threads: int | None,
    max_time: float | None,
    live: bool,
    retry_failed: bool,
) -> Iterator[Step]:
    """What to do, in the list's order, each model looked up some way ahead of its turn.

    ``threads`` are those of each scan, where the entry does not say, and ``max_time`` the seconds that it may take. A
    failure that was temporary is tried again, any other with ``retry_failed``. While nobody can say which commit a Hub
    model is at, the one that is finished is kept.
    """
    seen: dict[str, int] = {}

    def look(one: Planned) -> tuple[ModelVersion, Outcome | None]:
        return version_of(one.entry), finished(directory / one.names.folder)

    for one, (state, kept) in prefetch(look, planned, threads=ASKING, window=WINDOW):
        entry, called = one.entry, one.names
        config = entry.config
        if state.commit:
            config = replace(config, revision=state.commit)
        if config.threads is None:
            config = replace(config, threads=threads)
        key = cache_key(entry.known_as, state.text, called.label, config)
        if kept is not None and _cannot_be_asked(entry, state) and kept.key == _key_then(entry, called, config, kept):
            key = kept.key
        job = Job(
            number=one.number,
            title=called.title,
            label=called.label,
            model=entry.model,
            config=config,
            directory=str(directory),
            folder=called.folder,
            key=key,
            run=run,
            asked=entry.config.revision,
            live=live,
            max_time=max_time,
        )
        if job.key in seen:
            yield Step(job, same_as=seen[job.key])
            continue
        seen[job.key] = one.number
        if kept is not None and (kept.key != job.key or (kept.status == "failed" and (retry_failed or kept.temporary))):
            kept = None
        yield Step(job, kept=kept, error=None if kept else state.error)


def _cannot_be_asked(entry: Entry, state: ModelVersion) -> bool:
    """Whether a Hub model's commit is unknown for now: offline, or the Hub is away or refuses."""
    unknown = not entry.local and not entry.elsewhere and not state.commit
    return unknown and (state.error is None or isinstance(state.error, ModelUnavailable))


def _key_then(entry: Entry, called: Names, config: AuditConfig, kept: Outcome) -> str | None:
    """The key that ``kept`` has if it is a finished scan by the same options of some commit."""
    return cache_key(entry.known_as, kept.revision, called.label, config) if kept.status == "done" else None

"""One pair of models: the work that travels to a worker, and what its folder says when it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from weightaudit.batches.lock import check_run
from weightaudit.batches.log import reason_of
from weightaudit.batches.own_files import clear, remove
from weightaudit.batches.results import Content, Results, check_content, content_of
from weightaudit.config import AuditConfig
from weightaudit.report.atomic_write import replacing
from weightaudit.report.layout import MEETINGS_CSV, OUTCOME, PAGE, PLOTLY, SUMMARY_JSON
from weightaudit.report.merge.sides import NUMBERS, Side
from weightaudit.stored import (
    by_name,
    finite,
    is_folder,
    items,
    or_none,
    parse_stored,
    printed,
    read_plain,
    record,
    text,
    whole,
)

RESULTS = (MEETINGS_CSV, SUMMARY_JSON, PAGE)
MOST_OUTCOME = 1 << 20
"""Bytes."""


@dataclass(frozen=True)
class PairJob:
    """Check ``models`` (``id@revision`` of the Hub's) for a merge on ``base`` and leave ``folder`` in ``directory``, if
    ``run`` is still its run. ``titles`` are what people call them, ``key`` says which check it is.
    """

    titles: tuple[str, str]
    models: tuple[str, str]
    base: str | None
    config: AuditConfig
    directory: str
    folder: str
    key: str
    run: str


@dataclass(frozen=True)
class PairOutcome:
    """What became of a pair: its two ``sides``, and the ``suggested`` weights; or the ``reason`` why there are none.
    ``files`` are what it left; ``findings`` is severity → how many there are.
    """

    key: str
    titles: tuple[str, str]
    folder: str
    reason: str = ""
    sides: tuple[Side, ...] = ()
    suggested: tuple[float, ...] = ()
    verdict: str = ""
    files: Mapping[str, Content] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """As the folder keeps it."""
        said = {**asdict(self), "files": {name: asdict(content) for name, content in self.files.items()}}
        return (json.dumps(said, indent=1, allow_nan=False) + "\n").encode()


def check_pair(job: PairJob) -> PairOutcome:
    """Check the pair; its folder is complete when this returns. What is wrong with a model is a reason, no error."""
    from weightaudit.api import MergeReport
    from weightaudit.batches.worker import FULL, no_room
    from weightaudit.errors import OutputError
    from weightaudit.merging.check import check_merge
    from weightaudit.report import write
    from weightaudit.report.comparison.model_summary import finding_counts
    from weightaudit.report.merge.sides import sides

    directory = Path(job.directory)
    check_run(directory, job.run)
    folder = directory / job.folder
    clear(folder, folder=True)
    folder.mkdir(exist_ok=True)
    for name in (OUTCOME, *RESULTS):
        remove(folder / name)
    try:
        result = check_merge(list(job.models), job.config, base=job.base)
        report = MergeReport(**vars(result))
        check_run(directory, job.run)
        write(report, folder / MEETINGS_CSV)
        write(report, folder / SUMMARY_JSON)
        write(report, folder / PAGE, plotly=f"../{PLOTLY}")
    except OutputError:
        raise
    except Exception as error:  # whatever it is, it must not stop the other pairs
        if isinstance(error, OSError) and error.errno in FULL:
            raise no_room(error) from error
        reason = reason_of(error, job.config.token)
        return _left(folder, PairOutcome(job.key, job.titles, job.folder, reason=reason))
    return _left(
        folder,
        PairOutcome(
            key=job.key,
            titles=job.titles,
            folder=job.folder,
            sides=tuple(sides(result, job.titles)),
            suggested=result.summary.suggested,
            verdict=result.verdict,
            files={name: content_of(folder / name) for name in RESULTS},
            findings=finding_counts(result),
        ),
    )


def failed_pair(job: PairJob, reason: str) -> PairOutcome:
    """Of a pair whose worker gave no answer, or of which a model cannot be had."""
    folder = Path(job.directory) / job.folder
    clear(folder, folder=True)
    folder.mkdir(exist_ok=True)
    return _left(folder, PairOutcome(job.key, job.titles, job.folder, reason=reason))


def _left(folder: Path, outcome: PairOutcome) -> PairOutcome:
    with replacing(folder / OUTCOME) as file:
        file.write(outcome.to_json())
    return outcome


_SIDE = {"victim": text, "other": text, **dict.fromkeys(NUMBERS, or_none(finite))}
_FIELDS = {
    "key": printed,
    "titles": items(text),
    "folder": printed,
    "reason": printed,
    "sides": items(lambda said: record(said, _SIDE)),
    "suggested": items(finite),
    "verdict": printed,
    "files": by_name(check_content),
    "findings": by_name(whole),
}


def finished_pair(directory: Path, job: PairJob) -> PairOutcome | None:
    """What an earlier run of the same check left in the pair's folder; None where it failed, is another's, or is not
    whole: all files are read."""
    folder = directory / job.folder
    if not is_folder(folder):
        return None
    try:
        told: dict[str, Any] = record(
            parse_stored(read_plain(folder / OUTCOME, limit=MOST_OUTCOME, follow=False)), _FIELDS
        )
    except (OSError, ValueError):
        return None
    same = (told["key"], tuple(told["titles"]), told["folder"]) == (job.key, job.titles, job.folder)
    if not same or told["reason"] or told["files"].keys() != {*RESULTS} or len(told["sides"]) != 2:
        return None
    if not Results(folder, told["files"]).unchanged():
        return None
    return PairOutcome(
        key=job.key,
        titles=job.titles,
        folder=job.folder,
        sides=tuple(Side(**one) for one in told["sides"]),
        suggested=tuple(told["suggested"]),
        verdict=told["verdict"],
        files=told["files"],
        findings=told["findings"],
    )

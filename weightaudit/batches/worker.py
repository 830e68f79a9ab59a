"""Scan one model and leave its folder. Runs in any process on any machine that sees the output directory.

What is wrong with a model is recorded and returned; what is wrong with the directory is raised, for it would be wrong
for every other model too.
"""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightaudit.batches.folder import ModelFolder
from weightaudit.batches.job import Job
from weightaudit.batches.lock import check_run
from weightaudit.batches.log import Log
from weightaudit.batches.outcome import Outcome, finished
from weightaudit.batches.progress_file import ProgressFile
from weightaudit.batches.results import RESULTS
from weightaudit.errors import CacheError, OutputError, UsageError, is_temporary
from weightaudit.records import ScanResult
from weightaudit.report.layout import LAYERS_CSV, LAYERS_PARQUET, LOG, PAGE, PLOTLY, SUMMARY_JSON
from weightaudit.source.hub_place import hub_id
from weightaudit.version import __version__

if TYPE_CHECKING:
    from weightaudit.audit import Progress

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No model's fault, though a library may meet it in the middle of a scan (the Hub's client, as it downloads)."""
ONE_AT_A_TIME = threading.Lock()
"""Held by each scan: threads and memory are shared out among processes, for one scan in each."""


def run_job(job: Job) -> Outcome:
    """Scan the job's model; its folder is complete when this returns. Raises OutputError, and UsageError for a worker
    of another version.
    """
    if job.version != __version__:
        raise UsageError(
            "the worker",
            f"it has weightaudit {__version__}, and this work was made by {job.version}",
            "Install the same version everywhere",
        )
    directory = Path(job.directory)
    check_run(directory, job.run)
    folder = ModelFolder(directory / job.folder)
    with ONE_AT_A_TIME:
        known = finished(folder.path)
        if known is not None and (known.key, known.run) == (job.key, job.run):
            return replace(known, entry={})  # its worker was lost after it, and before the answer had arrived
        folder.begin()
        log = Log(job)
        try:
            outcome = _scanned(job, folder, log)
        except CacheError as error:  # of this model's folder, or for want of room for it: others may fit
            outcome = _failed(job, error, log)
        except OutputError:
            raise
        except Exception as error:  # whatever it is, it must not stop the other models
            if isinstance(error, OSError) and error.errno in FULL:
                raise no_room(error) from error
            outcome = _failed(job, error, log)
        check_run(directory, job.run)
        known = finished(folder.path)
        if outcome.status == "failed" and known is not None and (known.key, known.run) == (job.key, job.run):
            return replace(known, entry={})  # another worker was given the same work, and has done it meanwhile
        outcome = _left(folder, outcome, log)
    return replace(outcome, entry={})


def record_failure(job: Job, error: Exception) -> Outcome:
    """Leave the folder of a model that could not be sent to be scanned, or whose worker gave no answer.

    What that worker may have finished all the same counts.
    """
    folder = ModelFolder(Path(job.directory) / job.folder)
    known = finished(folder.path)
    if known is not None and (known.key, known.run) == (job.key, job.run):
        return known
    folder.begin()
    log = Log(job)
    return _left(folder, _failed(job, error, log), log)


def _left(folder: ModelFolder, outcome: Outcome, log: Log) -> Outcome:
    """The ``outcome`` with what the folder has, where it is the last to be written."""
    folder.write(LOG, log.text())
    outcome = replace(outcome, files=folder.contents((*RESULTS, LOG) if outcome.status == "done" else (LOG,)))
    folder.finish(outcome)
    return outcome


def _scanned(job: Job, folder: ModelFolder, log: Log) -> Outcome:
    from weightaudit.api import scan
    from weightaudit.audit.progress import Silent
    from weightaudit.batches.time_limit import TimeLimit

    options = {known.name: getattr(job.config, known.name) for known in fields(job.config)}
    started = time.perf_counter()
    if job.config.download and job.asked != job.config.revision:
        _remember(job)
    progress: Progress = ProgressFile(folder.path) if job.live else Silent()
    if job.max_time is not None:
        progress = TimeLimit(progress, job.title, job.max_time)
    report = scan(job.model, progress=progress, **options)
    if job.label:
        report = replace(report, identity=replace(report.identity, name=job.label))
    log.scanned(report, time.perf_counter() - started)
    check_run(Path(job.directory), job.run)  # a long scan may outlive its run, and another have finished the folder
    _write(report, folder)
    return Outcome(
        key=job.key,
        status="done",
        title=job.title,
        run=job.run,
        revision=report.identity.revision,
        entry=_entry(report),
        verdict=report.verdict,
    )


def _remember(job: Job) -> None:
    """Have this machine's Hugging Face cache know the name under which the list asks for the commit: offline it is all
    there is to find it by.
    """
    from weightaudit.source.cache_writing import CacheFolder

    if job.config.revision is not None:
        CacheFolder(hub_id(job.model)).remember(job.asked or "main", job.config.revision)


def no_room(error: OSError) -> OutputError:
    """For an ``error`` of `FULL`."""
    where = f"{error.filename} on {socket.gethostname()}" if error.filename else socket.gethostname()
    return OutputError(where, (error.strerror or str(error)).lower(), "Make room there; the same command goes on")


def _failed(job: Job, error: Exception, log: Log) -> Outcome:
    return Outcome(
        key=job.key,
        status="failed",
        title=job.title,
        run=job.run,
        revision=job.config.revision or "",
        reason=log.failed(error),
        temporary=is_temporary(error),
    )


def _write(report: ScanResult, folder: ModelFolder) -> None:
    from weightaudit.report import write
    from weightaudit.report.tables import document

    write(report, folder.path / LAYERS_CSV)
    write(report, folder.path / LAYERS_PARQUET)
    text = json.dumps(document(report, lists=False), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    folder.write(SUMMARY_JSON, text.encode("utf-8", "backslashreplace"))
    write(report, folder.path / PAGE, plotly=f"../{PLOTLY}")


def _entry(report: ScanResult) -> dict[str, Any]:
    """What a comparison says of the model, but for its links: see `joining`."""
    from weightaudit.report.comparison.model_summary import finding_counts, metrics, profiles

    return {
        "family": report.map.family,
        "guessed": report.map.guessed,
        "metrics": metrics(report),
        "profiles": profiles(report),
        "findings": finding_counts(report),
        "rules": len(report.rules),
    }

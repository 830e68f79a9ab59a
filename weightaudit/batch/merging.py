"""Several batches' directories made one, as the parts of a job array are."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from weightaudit.batch.folder import LOG, RESULTS, ModelFolder, sweep
from weightaudit.batch.joining import UNFINISHED, join
from weightaudit.batch.lock import locked, unwritable
from weightaudit.batch.manifest import Listed, Manifest, incomplete, read_manifest
from weightaudit.batch.outcome import Outcome, read_outcome
from weightaudit.errors import UsageError, printable
from weightaudit.report.document import share_plotly
from weightaudit.report.files import replacing


@dataclass
class MergeResult:
    """What was merged: titles of the models, failed ones (and unfinished ones) with the reason, and the shards of a
    list, as "3/8", that were not among the directories.
    """

    models: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A model, the directory it lies in, and what became of it."""

    listed: Listed
    directory: Path
    outcome: Outcome | None


def merge(directories: Sequence[Path], out: Path) -> MergeResult:
    """Make ``out`` the directory of all batches in ``directories``: folders linked (copied where that cannot be), all
    results joined.

    Shards of one list come in the list's order, different lists one after the other. Raises UsageError for what is no
    batch's directory, and for a model that two of them scanned differently; OutputError where ``out`` cannot be
    written.
    """
    if not directories:
        raise UsageError("--merge", "there is nothing to merge", "Name the directories of finished batches")
    if out.resolve() in {directory.resolve() for directory in directories}:
        raise UsageError(str(out), "it is one of those to be merged", "Name another directory for the whole")
    manifests = [read_manifest(directory) for directory in directories]
    found = _found(directories, manifests)
    result = MergeResult(missing=incomplete(manifests))
    with locked(out):
        sweep(out)
        listed = []
        for number, one in enumerate(found):
            listed.append(Listed(number, one.listed.title, one.listed.folder))
            result.models.append(one.listed.title)
            if one.outcome is None:
                result.failed[one.listed.title] = UNFINISHED
                continue
            if one.outcome.status == "failed":
                result.failed[one.listed.title] = one.outcome.reason
            _bring(one.directory / one.listed.folder, out / one.listed.folder, one.outcome)
        digests = {manifest.digest for manifest in manifests}
        digest = digests.pop() if len(digests) == 1 else ""
        titles = {manifest.title for manifest in manifests}
        title = titles.pop() if len(titles) == 1 else out.resolve().name
        Manifest(tuple(listed), total=len(listed), shard=(1, 1), digest=digest, title=title).write(out)
        share_plotly(out)
        join(listed, out, title)
    return result


def _found(directories: Sequence[Path], manifests: Sequence[Manifest]) -> list[_Found]:
    """Every model once, in order."""
    everything = [
        _Found(listed, directory, read_outcome(directory / listed.folder))
        for directory, manifest in zip(directories, manifests, strict=True)
        for listed in manifest.models
    ]
    if len({manifest.digest for manifest in manifests}) == 1:
        everything.sort(key=lambda one: one.listed.number)
    chosen: dict[str, _Found] = {}
    for one in everything:
        folder = one.listed.folder.casefold()
        chosen[folder] = _better(chosen[folder], one) if folder in chosen else one
    return list(chosen.values())


def _better(first: _Found, second: _Found) -> _Found:
    """Of two that are the same model the one that is done, or else has ended."""
    if first.outcome is None or second.outcome is None:
        return first if second.outcome is None else second
    if first.outcome.status != second.outcome.status:
        return first if first.outcome.status == "done" else second
    if first.outcome.key != second.outcome.key:
        raise UsageError(
            printable(first.listed.title),
            f"{printable(str(first.directory))} and {printable(str(second.directory))} hold different scans of it",
            "The model or the options changed between them: run one of the two again",
        )
    return first


def _bring(source: Path, target: Path, outcome: Outcome) -> None:
    """The folder ``source`` as ``target``, finished; nothing to do where it is that already."""
    known = read_outcome(target)
    if known is not None and known.key == outcome.key and known.status == outcome.status:
        return
    folder = ModelFolder(target)
    folder.begin()
    for name in (*RESULTS, LOG):
        if name in outcome.files or name == LOG:
            _link(source / name, target / name)
    folder.finish(outcome)


def _link(source: Path, target: Path) -> None:
    """One file, under a second name if the file system can: results are never changed in place, only replaced."""
    aside = target.parent / f".weightaudit-{secrets.token_hex(8)}.tmp"
    try:
        os.link(source, aside)
        os.replace(aside, target)
    except FileNotFoundError as error:
        raise unwritable(source, error) from error
    except OSError:  # another file system, or one without links
        with suppress(FileNotFoundError):
            aside.unlink()
        try:
            content = source.read_bytes()
        except OSError as error:
            raise unwritable(source, error) from error
        with replacing(target) as file:
            file.write(content)

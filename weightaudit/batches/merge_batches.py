"""Several batches' directories made one, as the parts of a job array are."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from weightaudit.batches.aggregate import UNFINISHED, join
from weightaudit.batches.folder import ModelFolder, prepare
from weightaudit.batches.lock import locked
from weightaudit.batches.manifest import Listed, Manifest, incomplete, read_manifest
from weightaudit.batches.names import own_folder
from weightaudit.batches.outcome import Outcome, finished
from weightaudit.batches.results import Results, content_of
from weightaudit.batches.verdicts import ModelVerdict
from weightaudit.errors import OutputError, UsageError
from weightaudit.model_files import NO_MODELS
from weightaudit.report.atomic_write import Attempts, attempting, replacing
from weightaudit.text import printable
from weightaudit.unfinished import temporary


@dataclass
class MergeResult:
    """What was merged: titles of the models, failed ones (and unfinished ones) with the reason; titles that turned out
    to be the same scan as another's, and count as that one; the shards of a list, as "3/8", that were not among the
    directories; severity → how many findings all models have; and the verdict of each, worst first.
    """

    models: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    same: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    findings: dict[str, int] = field(default_factory=dict)
    verdicts: tuple[ModelVerdict, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A model as one list calls it (``digest`` is the list's), the directory it lies in, and what became of it."""

    listed: Listed
    digest: str
    directory: Path
    outcome: Outcome | None

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.directory / self.listed.folder


@dataclass(frozen=True)
class _Taken:
    """A model of the whole: what it is called there, and the one whose files it gets."""

    listed: Listed
    found: _Found


def merge(directories: Sequence[Path], out: Path, attempts: Attempts | None = None) -> MergeResult:
    """Make ``out`` the directory of all batches in ``directories``: folders linked (copied where that cannot be), all
    results joined.

    Shards of one list come in the list's order, different lists one after the other; the same scan under several names
    counts once, as in one run. Raises UsageError for what is no batch's directory, for different models that one name
    is given to, and for a model that two of them scanned differently; OutputError where ``out`` cannot be written.
    Where it is only a file of all models together, the others are; ``attempts`` that the caller gives keep that error,
    instead of raising it, until the result is told.
    """
    if not directories:
        raise UsageError("--merge", "there is nothing to merge", "Name the directories of finished batches")
    manifests = [read_manifest(directory) for directory in directories]
    result = MergeResult(missing=incomplete(manifests))
    taken = _each_once(_found(directories, manifests), result.same)
    merged = set(map(os.path.realpath, directories))
    for folder in (out, *(out / one.listed.folder for one in taken)):
        if os.path.realpath(folder) in merged:
            raise UsageError(str(folder), "it is one of those to be merged", "Name another directory for the whole")
        NO_MODELS.check_directory(folder)
    with attempting(attempts) as joining, locked(out):
        prepare(out)
        for one in taken:
            title, outcome = one.listed.title, one.found.outcome
            result.models.append(title)
            if outcome is None:
                result.failed[title] = UNFINISHED
                continue
            if outcome.status == "failed":
                result.failed[title] = outcome.reason
            _bring(one.found.folder, out / one.listed.folder, replace(outcome, title=title))
        listed = [one.listed for one in taken]
        titles = {manifest.title for manifest in manifests}
        title = titles.pop() if len(titles) == 1 else os.path.basename(os.path.realpath(out))
        if _of_one_list(manifests):
            total, digest = manifests[0].total, manifests[0].digest
        else:
            listed = [replace(one, number=number) for number, one in enumerate(listed)]
            total, digest = len(listed), ""
        with joining:
            Manifest(tuple(listed), total=total, shard=(1, 1), digest=digest, title=title).write(out)
        joined = join(listed, out, title, joining)
        result.failed.update(joined.unreadable)
        result.findings, result.verdicts = joined.findings, joined.verdicts
    return result


def _of_one_list(manifests: Sequence[Manifest]) -> bool:
    """Whether all are parts of one list, whose numbers then tell their order."""
    return bool(manifests[0].digest) and len({manifest.digest for manifest in manifests}) == 1


def _found(directories: Sequence[Path], manifests: Sequence[Manifest]) -> list[_Found]:
    """Every model of every directory, in order."""
    everything = [
        _Found(listed, manifest.digest, directory, finished(directory / listed.folder))
        for directory, manifest in zip(directories, manifests, strict=True)
        for listed in manifest.models
    ]
    if _of_one_list(manifests):
        everything.sort(key=lambda one: one.listed.number)
    return everything


def _each_once(everything: Iterable[_Found], same: list[str]) -> list[_Taken]:
    """Every scan once, under the first of its titles (the others go to ``same``), each in a folder of its own.

    Rows are called by title and commit, which are part of a scan's bytes, so two models of one title cannot be told
    apart in the joined files, and are refused. Two titles can, though they were given one folder each in its directory:
    then those get the folders that they would have got as lines of one list.
    """
    by_title: dict[str, _Found] = {}
    first: dict[str, Listed] = {}
    for one in everything:
        title = one.listed.title
        first.setdefault(title, one.listed)
        by_title[title] = _better(by_title[title], one) if title in by_title else one
    by_scan: dict[str, _Taken] = {}
    for title, one in by_title.items():
        scan = one.outcome.key if one.outcome is not None else f"unfinished {title}"
        if scan in by_scan:
            same.append(title)
            by_scan[scan] = replace(by_scan[scan], found=_better(by_scan[scan].found, one))
        else:
            by_scan[scan] = _Taken(first[title], one)
    taken = list(by_scan.values())
    used = Counter(one.listed.folder.casefold() for one in taken)
    return [
        one
        if used[one.listed.folder.casefold()] == 1
        else replace(one, listed=replace(one.listed, folder=own_folder(one.listed.title)))
        for one in taken
    ]


def _better(first: _Found, second: _Found) -> _Found:
    """Of two that are the same model the one that is done, or else has ended. Raises UsageError where they are not."""
    one, other = first.outcome, second.outcome
    same_scan = one is not None and other is not None and one.key == other.key
    if not same_scan:
        _check_same(first, second)
    if one is None or other is None:
        return first if other is None else second
    if one.status != other.status:
        return first if one.status == "done" else second
    if not same_scan:
        raise _different_scans(first, second)
    return first


def _check_same(first: _Found, second: _Found) -> None:
    """UsageError unless both are the same model by the same options, as far as their manifests tell."""
    if first.digest and first.digest == second.digest:
        return  # one list, and there every line has its own title
    one, other = first.listed, second.listed
    if one.model and other.model:
        if one.model != other.model:
            raise UsageError(
                printable(one.title),
                f"two different models have this name: {printable(one.model, 1000)} in "
                f"{printable(str(first.directory), 1000)} and {printable(other.model, 1000)} in "
                f"{printable(str(second.directory), 1000)}",
                "Put both into one list, which tells them apart, and run it into a new directory",
            )
        if one.options != other.options:
            raise _different_scans(first, second)
    elif first.outcome is not None and second.outcome is not None:
        raise _different_scans(first, second)  # of before manifests said which model, and nothing says they are one


def _different_scans(first: _Found, second: _Found) -> UsageError:
    return UsageError(
        printable(first.listed.title),
        f"{printable(str(first.directory))} and {printable(str(second.directory))} hold different scans of it",
        "The model or the options changed between them: run one of the two again",
    )


def _bring(source: Path, target: Path, outcome: Outcome) -> None:
    """The folder ``source`` as ``target``, finished; nothing to do where it is that already."""
    if finished(target) == outcome:
        return
    folder = ModelFolder(target)
    folder.begin()
    results = outcome.results(source)
    for name in outcome.files:
        _link(results, name, target / name)
    folder.finish(outcome)


def _link(results: Results, name: str, target: Path) -> None:
    """One file, under a second name if the file system can: results are never changed in place, only replaced."""
    source = results.folder / name
    # OSError: another file system, or one without links.
    with suppress(OSError), temporary(target.parent) as aside:
        os.link(source, aside)
        if content_of(aside) == results.files[name]:  # and so no link to elsewhere either
            os.replace(aside, target)
            return
    try:
        with results.open(name) as file, replacing(target) as copy:
            shutil.copyfileobj(file, copy)
    except ValueError as error:
        raise OutputError(str(source), "it changed while it was merged", "Merge again") from error

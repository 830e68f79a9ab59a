"""What became of one model, as its folder says it and as it travels from a worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from weightaudit.batches.job import Job
from weightaudit.batches.results import RESULTS, Content, Results, check_content
from weightaudit.records import Verdict
from weightaudit.report.comparison.checking import check_entry
from weightaudit.report.layout import LOG, OUTCOME
from weightaudit.stored import by_name, flag, is_folder, one_of, parse_stored, printed, read_plain, record, text

SCHEMA = 2
"""1 told of its files only how large they are: such a model is scanned again."""
MAX_OUTCOME = 1 << 28
"""Bytes. A model's profiles take some 50 a matrix."""
SEAL, END = b', "sha256": "', b'"}\n'

Status = Literal["done", "failed"]


@dataclass(frozen=True)
class Outcome:
    """The end of one model's scan.

    ``key`` says of which scan (see `identity`), ``run`` in which run; ``reason`` why it failed, and ``temporary``
    whether another try may go well (see `errors.is_temporary`); ``files`` what it left; ``entry`` what the comparison
    page and summary.csv say of it, and ``verdict`` what the scan's findings come to: "" for a failed one.
    """

    key: str
    status: Status
    title: str
    revision: str = ""
    reason: str = ""
    temporary: bool = False
    files: Mapping[str, Content] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    run: str = ""
    verdict: str = ""

    def to_json(self) -> bytes:
        """As the folder keeps it: an object whose last field is the digest of the text before it, so that nothing in it
        that has changed is taken for what the scan found.
        """
        # Not `asdict` of all: it copies every number of the entry.
        files = {name: asdict(content) for name, content in self.files.items()}
        fields = {"schema": SCHEMA, **vars(self), "files": files}
        said = json.dumps(fields, allow_nan=False).removesuffix("}").encode()
        return said + SEAL + _digest(said) + END

    def results(self, folder: Path) -> Results:
        """The files that it speaks of, which lie in ``folder``."""
        return Results(folder, self.files)


_TOLD = {
    "key": printed,
    "status": one_of(get_args(Status)),
    "title": text,
    "revision": text,
    "reason": printed,
    "temporary": flag,
    "files": by_name(check_content),
    "run": printed,
    "verdict": one_of(("", *get_args(Verdict))),
}
_FIELDS = {**_TOLD, "schema": lambda said: said, "entry": lambda said: said}


def read_outcome(folder: Path) -> Outcome | None:
    """What ``folder`` says; None where its model is not finished: no outcome, none that we would write, or files that
    are not as large as it tells. See `finished`.
    """
    if not is_folder(folder):
        return None
    try:
        outcome = _checked(read_plain(folder / OUTCOME, limit=MAX_OUTCOME, follow=False))
    except (OSError, ValueError):
        return None
    return outcome if outcome.results(folder).present() else None


def finished(folder: Path) -> Outcome | None:
    """`read_outcome`, and None too where a file is not what the scan left there: all of them are read."""
    outcome = read_outcome(folder)
    return outcome if outcome is not None and outcome.results(folder).unchanged() else None


def _checked(content: bytes) -> Outcome:
    said, _, digest = content.rpartition(SEAL)
    if digest != _digest(said) + END:
        raise ValueError("it has changed, or another version wrote it")
    told = record(parse_stored(said + b"}"), _FIELDS)
    if told.pop("schema") != SCHEMA:
        raise ValueError("another version wrote it")
    done = told["status"] == "done"
    if told["files"].keys() != {LOG, *(RESULTS if done else ())}:
        raise ValueError("it speaks of other files than a scan leaves")
    told["entry"] = check_entry(told["entry"]) if done else record(told["entry"], {})
    return Outcome(**told)


def _digest(said: bytes) -> bytes:
    return hashlib.sha256(said).hexdigest().encode()


def check_answer(answer: Any, job: Job) -> Outcome:
    """What a worker answered about ``job``, ``entry`` left out. Raises ValueError where it is no outcome of that."""
    if not isinstance(answer, Outcome) or (answer.key, answer.title, answer.run) != (job.key, job.title, job.run):
        raise ValueError("the answer is not about the work")
    record({**asdict(answer), "schema": SCHEMA}, _FIELDS)
    return answer

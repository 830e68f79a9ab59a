"""The audit of one model, as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from weightaudit.records.adapter import Adapter
from weightaudit.records.finding import Finding, NotJudged, Suppressed
from weightaudit.records.head import Heads
from weightaudit.records.measurement import LayerRow
from weightaudit.records.model_map import CoverageEntry, ModelMap

SCHEMA = 1
"""Version of a report's columns and of its JSON; grows when a reader of the old one would break."""


@dataclass(frozen=True)
class SourceFile:
    """A file of the model that was opened."""

    name: str
    nbytes: int


@dataclass(frozen=True)
class SkippedFile:
    """A weight file of the model that was not taken, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class FileFault:
    """What is wrong with the files of a model, apart from what is in them.

    ``rule`` is the id of the rule that tells it, ``says`` is a plain sentence or more, ``tensors`` are names of those
    concerned.
    """

    rule: str
    says: str
    tensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelIdentity:
    """Which model this is: ``name`` labels every row; ``location`` is where the bytes were read (path or URL).

    ``files`` are those opened, in the file format ``format``; ``skipped_files`` the other weight files beside them;
    ``loaded_otherwise`` are sentences on why a program may load other weights than these, ``faults`` what else is wrong
    with the files; ``adapter`` what it is where it is no model but an adapter to one.
    """

    name: str
    revision: str
    location: str
    files: tuple[SourceFile, ...]
    format: str = ""
    skipped_files: tuple[SkippedFile, ...] = ()
    loaded_otherwise: tuple[str, ...] = ()
    faults: tuple[FileFault, ...] = ()
    adapter: Adapter | None = None


Verdict = Literal["errors", "warnings", "clean", "unchecked"]


def verdict_of(rules: Sequence[str], findings: Iterable[Finding]) -> Verdict:
    """``errors`` or ``warnings`` where a finding is one, else ``clean``; ``unchecked`` where no rule was."""
    if not rules:
        return "unchecked"
    found = {finding.severity for finding in findings}
    return "errors" if "error" in found else "warnings" if "warning" in found else "clean"


@dataclass(frozen=True)
class ScanResult:
    """The audit of one model, as plain data.

    Attributes
    ----------
    identity
        Which model this is, and the files that were read.
    map
        Which tensor is which matrix, by which family.
    rows
        A matrix and what was measured of it each, in report order.
    coverage_entries
        What became of every tensor of the checkpoint, in name order.
    summary
        Numbers of the whole model.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
    findings
        What the rules found, most severe first.
    notes
        Sentences for the reader.
    rules
        Ids of all rules that were checked.
    partial
        Why it is of a part of the model only: "--roles", "one of 3 shards", "2 quantised tensors not read"; () where it
        is of all.
    not_judged
        Rules that could not judge, or not all, and why.
    suppressed
        Findings that do not count, as an option says.
    gate
        How findings were judged: options that move no number, and what the baseline came to.
    base
        Which model its matrices were compared with; None for none.
    heads
        The heads of its attentions; None where they were not asked for.
    """

    identity: ModelIdentity
    map: ModelMap
    rows: tuple[LayerRow, ...]
    coverage_entries: tuple[CoverageEntry, ...]
    summary: dict[str, Any]
    options: dict[str, Any]
    versions: dict[str, str]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    gate: dict[str, Any] = field(default_factory=dict)
    base: ModelIdentity | None = None
    heads: Heads | None = None

    @property
    def verdict(self) -> Verdict:
        """As `verdict_of` has it."""
        return verdict_of(self.rules, self.findings)

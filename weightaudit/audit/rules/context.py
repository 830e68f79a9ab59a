"""What the rules are shown: everything one scan knows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from weightaudit.audit.aggregates import each_weight_once
from weightaudit.records import (
    EMBEDDING_ROLES,
    CodeFacts,
    CoverageEntry,
    Heads,
    LayerRow,
    ModelIdentity,
    ModelMap,
    Peak,
    TableFacts,
    TensorFacts,
    Vocabulary,
)
from weightaudit.source.base import SHARD

Made = TypeVar("Made")
Subject = tuple[str, str]
"""What a finding is about: ("matrix", its key) or ("tensor", its name)."""

TOKEN_ROLES = (*EMBEDDING_ROLES, "HEAD", "PER_LAYER_EMBED", "NGRAM", "LANGUAGE", "SEGMENT", "RELATIVE", "GLOBAL")
"""Roles whose rows are tokens, positions or segments: tables rather than maps between layers."""


SCALES = ("scale", "absmax")
"""Words in the last part of the name of what quantised weights are multiplied by."""


def lone_shard(identity: ModelIdentity) -> int | None:
    """Of how many shards the one file that was read is one; None where that is the whole model."""
    named = [SHARD.fullmatch(file.name) for file in identity.files]
    if len(named) != 1 or named[0] is None:
        return None
    count = int(named[0]["count"])
    return count if count > 1 else None


@dataclass(frozen=True)
class Other:
    """A tensor without a role that was looked at: its line in the coverage table, or of a stored part of one that
    nothing decodes its own, what its numbers are, and its codes where it is quantised.
    """

    entry: CoverageEntry
    facts: TensorFacts
    codes: CodeFacts | None = None


def has_numbers(row: LayerRow) -> bool:
    """Whether its numbers mean something: its entries are finite, and not all zero."""
    return not row.spectrum.nonfinite and row.spectrum.max_abs > 0


@dataclass(frozen=True)
class RuleContext:
    """One finished scan, before it is judged.

    ``config`` is config.json, None for a weight file without one. ``rows`` are in report order, ``coverage_entries`` in
    name order. ``broken_ties`` are (tensor, the tensor it should repeat) that the config ties and whose values differ.
    ``others`` are the tensors without a role that were looked at, by name, in name order; a restricted scan looks at
    none.
    ``restricted`` says that --roles or --layers left something out, so that what is not there proves nothing;
    ``min_coverage`` is the least share of the matrices' parameters to be measured, where one was asked for.
    ``vocabulary`` are the tokens of the tokenizer that lies beside the weights, None where none does;
    ``peaks`` where the largest entries of the M2 of layers stand, ``tables`` what stands out among the rows of
    embeddings and output heads, both by key.
    ``heads`` are those of its attentions, None where they were not measured.
    ``suppressed`` is what the rules have found that suppress the rule that looks (`run_rules` fills it in).
    """

    identity: ModelIdentity
    config: Mapping[str, Any] | None
    map: ModelMap
    rows: tuple[LayerRow, ...]
    coverage_entries: tuple[CoverageEntry, ...]
    broken_ties: tuple[tuple[str, str], ...] = ()
    others: Mapping[str, Other] = field(default_factory=dict)
    restricted: bool = False
    min_coverage: float | None = None
    vocabulary: Vocabulary | None = None
    peaks: Mapping[str, Peak] = field(default_factory=dict)
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    heads: Heads | None = None
    suppressed: frozenset[Subject] = frozenset()
    _made: dict[Any, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def shards(self) -> int | None:
        """Of how many shards the one file that was read is one; None where that is the whole model.

        Who names "model-00001-of-00003.safetensors" wants that file looked at, and misses nothing.
        """
        return lone_shard(self.identity)

    def without(self, suppressed: frozenset[Subject]) -> RuleContext:
        """The same scan as a rule is shown it that ``suppressed`` suppresses."""
        shown = replace(self, suppressed=suppressed)
        # The rows and all else are the same, and each of many rules asks for them.
        shown.__dict__.update(distinct=self.distinct, _made=self._made)
        return shown

    def once(self, make: Callable[[RuleContext], Made]) -> Made:
        """What ``make`` makes of this scan, whatever is suppressed; made for the first rule that asks."""
        if make not in self._made:
            self._made[make] = make(self)
        made: Made = self._made[make]
        return made

    @cached_property
    def distinct(self) -> list[LayerRow]:
        """The rows, each weight in one row only, its most specific one."""
        return each_weight_once(self.rows)

    @cached_property
    def weights(self) -> list[LayerRow]:
        """The rows to look at: `distinct`, and none that is suppressed."""
        return [row for row in self.distinct if ("matrix", row.matrix.key) not in self.suppressed]

    @cached_property
    def measured(self) -> list[LayerRow]:
        """`weights` whose numbers mean something: finite and not all zero."""
        return [row for row in self.weights if has_numbers(row)]

    @cached_property
    def plain(self) -> list[LayerRow]:
        """`weights` that are stored as they are, in the data type that their matrix has: none that is quantised."""
        encoded = {entry.tensor for entry in self.coverage_entries if entry.scheme is not None}
        return [row for row in self.weights if row.matrix.scheme is None and encoded.isdisjoint(row.matrix.tensors)]

    @cached_property
    def unmapped(self) -> list[CoverageEntry]:
        """Unmapped tensors that are no buffers and not suppressed."""
        return [
            entry
            for entry in self.coverage_entries
            if entry.status == "unmapped" and not entry.buffer and ("tensor", entry.tensor) not in self.suppressed
        ]

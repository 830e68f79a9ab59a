"""What a report says of weights that are quantised: columns of their own, and each format in a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from weightaudit.records import CodeFacts, CoverageEntry, LayerRow, ModelIdentity, ScanResult, Scheme
from weightaudit.report.columns import Column, Value
from weightaudit.text import plural


def _of_scheme(told: Callable[[Scheme], Value]) -> Callable[[ModelIdentity, LayerRow], Value]:
    return lambda m, r: None if r.matrix.scheme is None else told(r.matrix.scheme)


def _of_codes(told: Callable[[CodeFacts], Value]) -> Callable[[ModelIdentity, LayerRow], Value]:
    return lambda m, r: None if r.codes is None else told(r.codes)


def _yes(value: bool | None) -> Value:
    return None if value is None else "yes" if value else "no"


def _share(codes: CodeFacts) -> float:
    return codes.extreme / codes.codes if codes.codes else math.nan


def _ratio(codes: CodeFacts) -> float:
    return codes.largest_scale / codes.least_scale if codes.least_scale else math.nan


QUANTISATION: tuple[Column[LayerRow], ...] = (
    Column("format", "Format", "how it is quantised", "string", _of_scheme(lambda s: s.format)),
    Column(
        "bits_per_weight",
        "Bits a weight",
        "stored bits for each entry, scales and all",
        "float64",
        lambda m, r: r.bits_per_weight,
        unit="bits",
    ),
    Column("code_bits", "Code bits", "bits of one code", "Int64", _of_scheme(lambda s: s.bits or None), unit="bits"),
    Column("group", "Group", "which entries share a scale", "string", _of_scheme(lambda s: s.group or None)),
    Column(
        "symmetric",
        "Symmetric",
        "yes where there are neither zero points nor offsets, no where there are",
        "string",
        _of_scheme(lambda s: _yes(s.symmetric)),
    ),
    Column(
        "act_order",
        "Act order",
        "yes where the columns of a group are not neighbours",
        "string",
        _of_scheme(lambda s: _yes(s.act_order)),
    ),
    Column(
        "extreme_share",
        "Extreme codes",
        "share of the codes at the lowest or highest level, what was clipped among them",
        "float64",
        lambda m, r: math.nan if r.codes is None else _share(r.codes),
    ),
    Column("unused_levels", "Unused levels", "levels that no code has", "Int64", _of_codes(lambda c: c.unused)),
    Column(
        "scale_ratio",
        "Scale ratio",
        "largest over least magnitude of the scales, zeros apart",
        "float64",
        lambda m, r: math.nan if r.codes is None else _ratio(r.codes),
    ),
    Column("zero_scales", "Zero scales", "scales that are 0", "Int64", _of_codes(lambda c: c.zero_scales)),
    Column("negative_scales", "Negative scales", "scales below 0", "Int64", _of_codes(lambda c: c.negative_scales)),
    Column(
        "nonfinite_scales",
        "Scales NaN or ∞",
        "scales that are NaN or infinite",
        "Int64",
        _of_codes(lambda c: c.nonfinite_scales),
    ),
    Column(
        "subnormal_scales",
        "Subnormal scales",
        "scales other than 0 below the smallest normal magnitude of their data type",
        "Int64",
        _of_codes(lambda c: c.subnormal_scales),
    ),
    Column(
        "wrapped_zeros",
        "Wrapped zero points",
        "zero points stored as all ones, which readers take for different numbers",
        "Int64",
        _of_codes(lambda c: c.wrapped),
    ),
)
"""Columns behind all others, of reports in which a matrix is quantised."""


@dataclass(frozen=True)
class Format:
    """What is stored in one way: ``why_unread`` is "" where it was read.

    ``entries`` are those tensors, ``rows`` the matrices that were cut from them, each weight in one.
    """

    label: str
    why_unread: str
    entries: tuple[CoverageEntry, ...]
    rows: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        """Entries that the weights have, not their codes."""
        return sum(entry.parameters for entry in self.entries)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each of these."""
        return 8 * sum(entry.stored_bytes for entry in self.entries) / self.parameters if self.parameters else math.nan

    @property
    def line(self) -> str:
        """``quantised: GPTQ, 4 bits, group 128: 210 tensors``, and what was not read."""
        left = f", not measured: {self.why_unread}" if self.why_unread else ""
        return f"quantised: {self.label}: {plural(len(self.entries), 'tensor')}{left}"


def formats(report: ScanResult) -> list[Format]:
    """The ways in which its tensors are quantised, that of most parameters first."""
    groups: dict[tuple[str, str], list[CoverageEntry]] = {}
    for entry in report.coverage_entries:
        if entry.scheme is not None and not entry.scheme.adapter:
            why = entry.detail if entry.status == "unmapped" else ""
            why = why.removeprefix(entry.scheme.unread)
            groups.setdefault((entry.scheme.label, why), []).append(entry)
    found = [
        Format(label, why, tuple(entries), tuple(_rows_of(report.rows, {entry.tensor for entry in entries})))
        for (label, why), entries in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.parameters, one.label))


def _rows_of(rows: Iterable[LayerRow], tensors: set[str]) -> Iterator[LayerRow]:
    return (row for row in rows if tensors.issuperset(row.matrix.tensors))


def said_of_formats(report: ScanResult) -> list[str]:
    """A line for each format; [] where nothing is quantised."""
    return [one.line for one in formats(report)]

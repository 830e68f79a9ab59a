"""What a report says of a comparison with a base: columns of their own, and a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from weightaudit.records import BaseFacts, LayerRow, ModelIdentity, ScanResult, Spectrum
from weightaudit.report.columns import Column, Value, number_text
from weightaudit.text import plural

SAID_DIGITS = 3
"""Significant digits of an error in a sentence."""


def _of_base(told: Callable[[BaseFacts], float]) -> Callable[[ModelIdentity, LayerRow], Value]:
    return lambda m, r: math.nan if r.base is None else told(r.base)


def _of_effective(told: Callable[[Spectrum], float]) -> Callable[[ModelIdentity, LayerRow], Value]:
    return lambda m, r: math.nan if r.base is None or r.base.effective is None else told(r.base.effective)


DISTANCE: tuple[Column[LayerRow], ...] = (
    Column(
        "relative_frobenius",
        "Off base, Frobenius",
        "Frobenius norm of the difference from the base's matrix over that of the base's",
        "float64",
        _of_base(lambda b: b.relative_frobenius),
    ),
    Column(
        "relative_spectral",
        "Off base, σ₁ lower",
        "spectral norm of the difference from the base's matrix over that of the base's, certified lower end",
        "float64",
        _of_base(lambda b: b.relative_spectral),
        "down",
    ),
    Column(
        "relative_spectral_upper",
        "Off base, σ₁ upper",
        "the same, upper end",
        "float64",
        _of_base(lambda b: b.relative_spectral_upper),
        "up",
    ),
)
"""Columns of reports that compare with a base."""

EFFECTIVE: tuple[Column[LayerRow], ...] = (
    Column(
        "effective_frobenius_norm",
        "With base, Frobenius",
        "Frobenius norm of the weights that base and adapter make",
        "float64",
        _of_effective(lambda s: s.frobenius_norm),
        unit="weight",
    ),
    Column(
        "effective_spectral_norm",
        "With base, σ₁ lower",
        "their largest singular value, certified lower end",
        "float64",
        _of_effective(lambda s: s.spectral_norm),
        "down",
        unit="weight",
    ),
    Column(
        "effective_spectral_norm_upper",
        "With base, σ₁ upper",
        "their largest singular value, upper end",
        "float64",
        _of_effective(lambda s: s.spectral_norm_upper),
        "up",
        unit="weight",
    ),
    Column(
        "effective_stable_rank",
        "With base, stable rank",
        "their squared Frobenius norm over their squared spectral norm, upper end",
        "float64",
        _of_effective(lambda s: s.stable_rank),
        "up",
    ),
)
"""Columns behind these, of reports on adapters."""


def base_columns(report: ScanResult) -> Iterator[Column[LayerRow]]:
    """Those of the report's tables that come of a base."""
    if report.base is not None:
        yield from DISTANCE
    if any(row.base is not None and row.base.effective is not None for row in report.rows):
        yield from EFFECTIVE


def base_json(report: ScanResult) -> dict[str, Any]:
    """Which model the base is, under its name in a JSON report; nothing where there is none."""
    if report.base is None:
        return {}
    base = report.base
    return {
        "base": {
            "model": base.name,
            "revision": base.revision,
            "location": base.location,
            "format": base.format,
            "files": [{"name": file.name, "bytes": file.nbytes} for file in base.files],
        }
    }


def compared(report: ScanResult) -> list[tuple[LayerRow, BaseFacts]]:
    """The rows that were compared with a base, with how far they are from it."""
    return [(row, row.base) for row in report.rows if row.base is not None]


def said_of_base(report: ScanResult) -> Iterator[str]:
    """How far the weights are from the base, in a sentence; nothing where there is none."""
    if report.base is None:
        return
    facts = [facts for _, facts in compared(report)]
    known = sorted(one.relative_frobenius for one in facts if not math.isnan(one.relative_frobenius))
    number = plural(len(known), "matrix", "matrices")
    if not known:
        said = "no matrix could be compared"
    elif known[-1] == 0.0:
        said = f"no difference in {number}"
    else:
        low, high = (number_text(end, digits=SAID_DIGITS) for end in (known[0], known[-1]))
        said = f"relative difference {low if low == high else f'{low} to {high}'} in {number}"
    yield f"Against base {report.base.name}: {said}."

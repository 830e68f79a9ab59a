"""How far each matrix can be cut to a product of two thin ones, and what that costs, certified.

W_r, the best approximation of rank r, keeps the r leading singular values (Eckart & Young 1936): ‖W − W_r‖_F² is the
energy Σ σᵢ² of the others. Its two factors have r(m + n) entries in the place of mn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from weightaudit.advice.modules import check_roles
from weightaudit.advice.tables import Line
from weightaudit.records import (
    ENERGY_SHARES,
    FullSpectrum,
    LayerRow,
    ModelIdentity,
    ScanResult,
    Spectrum,
    SpectrumDetail,
)
from weightaudit.report.full_columns import all_asked

if TYPE_CHECKING:
    import pandas as pd

ROUNDING = 1e-9
"""Relative error of ‖W‖_F² that is allowed for: it is a sum of float64 squares, of fewer than a million million."""
Source = Literal["all singular values", "leading singular values", "unknown"]


@dataclass(frozen=True)
class Cut:
    """A matrix cut to ``rank``: its leading singular values hold at least ``share`` of the energy, for certain.

    ``rank`` is None where what was measured does not tell. ``error_lower`` and ``error_upper`` are the ends of the
    interval that holds ‖W − W_r‖_F.
    """

    share: float
    rank: int | None
    parameters: int | None
    error_lower: float
    error_upper: float


@dataclass(frozen=True)
class Compressed:
    """The cuts of one matrix, and from what they are known."""

    row: LayerRow
    source: Source
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Compression:
    """The cuts of all matrices of a scan, in report order.

    Attributes
    ----------
    model
        Whose they are.
    matrices
        The cuts of each.
    whole
        Whether the scan was asked for all singular values.
    """

    model: ModelIdentity
    matrices: tuple[Compressed, ...]
    whole: bool = False

    @property
    def frame(self) -> pd.DataFrame:
        """One row per matrix and share; what is not known is missing."""
        from weightaudit.advice.tables import frame

        return frame(self.model, self._lines())

    def to_csv(self) -> str:
        """The same as CSV; the ends of intervals are rounded outwards."""
        from weightaudit.advice.tables import csv

        return csv(self.model, self._lines())

    def to_markdown(self) -> str:
        """One line per matrix: for each share the rank, and what its factors save of the entries."""
        from weightaudit.advice.tables import markdown

        return markdown(self._lines(), ENERGY_SHARES, whole=self.whole)

    def _lines(self) -> Iterator[Line]:
        for one in self.matrices:
            for cut in one.cuts:
                yield Line(one.row, one.source, cut.share, cut.rank, cut.parameters, cut.error_lower, cut.error_upper)


def compressibility(result: ScanResult, roles: Sequence[str] | None = None) -> Compression:
    """The ranks that hold `ENERGY_SHARES` of the energy of each matrix, or those of ``roles``, and the error of
    cutting there.

    From all singular values where the scan has them (``--spectrum full``); else from leading ones (``--spectrum``), of
    which few hold enough; else unknown. UsageError where a role is none of the scan's.
    """
    check_roles(result, roles)
    rows = [row for row in result.rows if not roles or row.matrix.role in roles]
    return Compression(result.identity, tuple(map(_compressed, rows)), all_asked(result))


Tails = Sequence[tuple[float, float]]
"""Of each rank from 0 on the ends of the interval that holds the energy beyond it, as a share of ‖W‖_F² as it was
measured: squares of float64 numbers can leave its range."""


def _compressed(row: LayerRow) -> Compressed:
    spectrum, full_rank = row.spectrum, min(row.matrix.shape)
    tails: Tails = ()
    source: Source = "unknown"
    if math.isfinite(spectrum.frobenius_norm) and spectrum.frobenius_norm > 0:
        if spectrum.full is not None:
            tails, source = _tails_of_all(spectrum.full, spectrum.frobenius_norm), "all singular values"
        elif spectrum.detail is not None:
            tails, source = _tails_of_leading(spectrum, spectrum.detail, full_rank), "leading singular values"
    cuts = tuple(_cut(row, share, tails) for share in ENERGY_SHARES)
    return Compressed(row, source if any(cut.rank is not None for cut in cuts) else "unknown", cuts)


def _cut(row: LayerRow, share: float, tails: Tails) -> Cut:
    # Of the least energy that there may be.
    allowed = (1.0 - share) * tails[0][0] if tails else 0.0
    rank = next((rank for rank, (_, upper) in enumerate(tails) if upper <= allowed), None)
    if rank is None:
        return Cut(share, None, None, math.nan, math.nan)
    lower, upper = tails[rank]
    norm = row.spectrum.frobenius_norm
    down, up = math.sqrt(lower) * norm * (1.0 - 1e-15), math.sqrt(upper) * norm * (1.0 + 1e-15)
    return Cut(share, rank, rank * sum(row.matrix.shape), down, up)


def _tails_of_all(full: FullSpectrum, norm: float) -> Tails:
    """Sums of what each σ² may be at least and at most, from the smallest on."""
    squares = [(sigma / norm) ** 2 for sigma in reversed(full.singular_values)]
    error = full.squared_error / norm / norm
    lower = accumulate((max(square - error, 0.0) * (1.0 - ROUNDING) for square in squares), initial=0.0)
    upper = accumulate(((square + error) * (1.0 + ROUNDING) for square in squares), initial=0.0)
    return list(zip(lower, upper, strict=True))[::-1]


def _tails_of_leading(spectrum: Spectrum, detail: SpectrumDetail, full_rank: int) -> Tails:
    """What ‖W‖_F² leaves beside the leading values.

    Each is at most the singular value of its number, up to its bound (Cauchy's interlacing): together they hold no more
    than as many leading ones do. These hold at most σ₁² each.
    """
    norm = spectrum.frobenius_norm
    most = (spectrum.spectral_norm_upper / norm) ** 2
    pairs = zip(detail.singular_values, detail.residual_bounds, strict=True)
    held = accumulate((max((value - bound) / norm, 0.0) ** 2 for value, bound in pairs), initial=0.0)
    found = []
    for rank, inside in enumerate(held):
        upper = max(1.0 + ROUNDING - inside, 0.0) if rank < full_rank else 0.0
        found.append((min(max(1.0 - ROUNDING - rank * most, 0.0), upper), upper))
    return found

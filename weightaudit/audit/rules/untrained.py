"""Matrices that training never touched: their largest singular value is where random entries put it.

For independent entries of one variance s² the largest eigenvalue σ₁² of WᵀW has centre s²(√(m−1) + √n)² and scale
s²(√(m−1) + √n)(1/√(m−1) + 1/√n)^⅓, and what is left follows the Tracy–Widom law TW₁, of mean −1.21 and standard
deviation 1.27 (Johnstone 2001), whatever the entries' own law (Soshnikov 2002; Péché 2009). s² = ‖W‖_F²/(mn).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.needs import Unmet, every_matrix
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed, where
from weightaudit.records import LayerRow

LEAST_SIDE = 16
"""Rows and columns needed: below, even a direction with a quarter of the energy would not show."""
LOWEST, HIGHEST = -6.0, 5.0
"""What random matrices have, in units of the Tracy–Widom scale."""
WIDEST = 20.0
"""Widest interval on σ₁², in the same units, that still tells trained from random."""
BY_CHANCE = 1e-6
"""Probability that a matrix of normal entries has one as large as is still believed random."""
MOSTLY = 0.5
"""Share of the matrices above which the model as a whole is untrained."""
SEVERAL = 3
"""Matrices for which one finding about the model reads better than one each."""


def edge_statistic(rows: int, cols: int, frobenius_norm: float, sigma: float) -> float:
    """How far ``sigma`` lies above the edge of a random (rows, cols) matrix of that norm, in Tracy–Widom units.

    Example:
        >>> edge_statistic(401, 400, math.sqrt(401 * 400), 40.0)  # entries of variance 1: the centre is (20 + 20)²
        0.0
    """
    variance = frobenius_norm**2 / (rows * cols)
    a, b = math.sqrt(rows - 1), math.sqrt(cols)
    # Johnstone 2001, Theorem 1.1.
    return (sigma**2 / variance - (a + b) ** 2) / ((a + b) * math.pow(1 / a + 1 / b, 1 / 3))


def _alive(row: LayerRow) -> tuple[int, int]:
    """Its shape without dead rows and columns: a padding row of zeros is no random row."""
    facts = row.spectrum.entries
    rows, cols = row.matrix.shape
    return (rows - facts.dead_rows, cols - facts.dead_cols) if facts else (rows, cols)


def _certified(row: LayerRow) -> tuple[float, float] | None:
    """The statistic's certified ends; None where the matrix is too small."""
    rows, cols = _alive(row)
    if min(rows, cols) < LEAST_SIDE:
        return None
    measured = row.spectrum
    low, high = (
        edge_statistic(rows, cols, measured.frobenius_norm, sigma)
        for sigma in (measured.spectral_norm, measured.spectral_norm_upper)
    )
    return low, high


def _interval(row: LayerRow) -> tuple[float, float] | None:
    """The statistic's certified ends; None where it cannot tell."""
    ends = _certified(row)
    return ends if ends is not None and ends[1] - ends[0] <= WIDEST else None


def _narrow_intervals(context: RuleContext) -> Iterator[Unmet]:
    """That no interval is too wide to tell: one that lies above what random matrices have tells, however wide."""
    large = [ends for row in context.measured if (ends := _certified(row))]
    wide = [low for low, high in large if high - low > WIDEST and low <= HIGHEST]
    if wide:
        yield Unmet(
            f"The intervals of {len(wide):,} of {len(large):,} matrices are too wide. Scan with a smaller --tol.",
            partly=len(wide) < len(large),
        )


def _light_tailed(row: LayerRow) -> bool:
    """Whether its largest entry is no larger than normal entries have: trained matrices often have larger ones."""
    rows, cols = _alive(row)
    deviation = row.spectrum.frobenius_norm / math.sqrt(rows * cols)
    return row.spectrum.max_abs <= -NormalDist().inv_cdf(BY_CHANCE / 2 / (rows * cols)) * deviation


def _untrained(rule: Rule, context: RuleContext) -> Iterator[Match]:
    judged = [(row, interval) for row in context.measured if (interval := _interval(row))]
    random = [(row, ends) for row, ends in judged if ends[0] <= HIGHEST and ends[1] >= LOWEST and _light_tailed(row)]
    if len(random) >= SEVERAL and len(random) > MOSTLY * len(judged):
        rows = [row for row, _ in random]
        which = "All" if len(rows) == len(judged) else f"{len(rows):,} of {len(judged):,}"
        said = (
            f"{which} matrices that are large enough to tell cannot be told from random initialisation: "
            f"{listed(where(row.matrix) for row in rows)}."
        )
        zero = [row for row in context.weights if row.spectrum.max_abs == 0 and row.spectrum.nonfinite == 0]
        if zero:
            said += f" {len(zero):,} are all zero, as some start: {listed(where(row.matrix) for row in zero)}."
        yield rule.of_model(said, value=max((low + high) / 2 for _, (low, high) in random), about=[*rows, *zero])
        return
    for row, (low, high) in random:
        yield rule.of_row(
            row,
            f"{where(row.matrix)} cannot be told from random initialisation: σ₁² lies {_ends(low, high)} Tracy–Widom "
            f"units from the edge that random entries of its norm have.",
            value=(low + high) / 2,
        )


def _ends(low: float, high: float) -> str:
    ends = f"{low:.1f}", f"{high:.1f}"
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


RULES = (
    Rule(
        id="untrained",
        title="Weights that look as random as at the start of training",
        severity="warning",
        measures="How far σ₁² lies from the edge of the Marchenko–Pastur law of a random matrix of the same shape and "
        f"norm, in units of the Tracy–Widom scale, both ends of its interval, where that is at most {WIDEST:g} wide: "
        f"random from {LOWEST:g} to {HIGHEST:g}, if no entry is larger than normal ones have either. Matrices of at "
        f"least {LEAST_SIDE} rows and columns, dead ones not counted. Orthogonal initialisation is not recognised.",
        threshold=HIGHEST,
        source="Johnstone 2001; the law has a mean of −1.21 and a standard deviation of 1.27, and lies outside with a "
        "probability of about 1e-5. Of 112,890 random matrices (normal, uniform, truncated normal; 16² to 1024²) none "
        "was missed. The layers of MiniLM-L6 have 20 to 2,239, of an ALBERT 23 to 413; their poolers, which their "
        "losses do not reach, −2.2 to 0.4. A rank-one part shows from 1 % of the energy on at 256², 0.3 % at 1024², "
        "but 20 % at 24×40 and more at 16²: a small matrix may be trained and look random.",
        advice="If the model is to be used as it is, do not use this part: it was never trained, or its weights were "
        "not loaded and a library filled them in. A pooler or head is often so; fine-tune it first.",
        check=_untrained,
        needs=(every_matrix, _narrow_intervals),
    ),
)

"""Matrices that training never touched: nothing in them stands out from what random numbers give.

Libraries start matrices with independent entries of one law or with orthogonal rows or columns, and either shows.

Of (m, n) independent entries of variance s² and kurtosis κ, no heavier in their tails than normal ones:

- the largest eigenvalue σ₁² of WᵀW has centre s²(√(m−1) + √n)² and scale s²(√(m−1) + √n)(1/√(m−1) + 1/√n)^⅓, and
  what is left follows the Tracy–Widom law TW₁, of mean −1.21 and standard deviation 1.27 (Johnstone 2001), whatever
  the entries' own law (Soshnikov 2002; Péché 2009). s² = ‖W‖_F²/(mn);
- the squared norms of the rows have the relative variance (κ − 1)/n, which m of them know to √(2/m) of itself, and
  those of the columns likewise;
- the kurtosis is at most 3, which mn entries know to √(24/(mn)), and the largest entry that of normal ones.

Training moves all of these, and rows and columns by far the most: gradients come through some of them more than through
others. A matrix is believed random where none of them is moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from weightaudit.audit.rules.causes import Weight, by_cause, matrices, named
from weightaudit.audit.rules.context import RuleContext, has_numbers
from weightaudit.audit.rules.needs import Unmet, every_matrix, whole_scan
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed, where
from weightaudit.records import Dispersion, LayerRow

LEAST_SIDE = 16
"""Rows and columns needed: below, even a direction with a quarter of the energy would not show."""
LOWEST, HIGHEST = -6.0, 5.0
"""What σ₁² of random matrices has, in units of the Tracy–Widom scale."""
WIDEST = 40.0
"""Widest interval on σ₁², in the same units, that still tells trained from random."""
DISPERSION = 8.0
"""Standard deviations that the variances of norms of random rows and columns lie from theirs."""
KURTOSIS = 8.0
"""Standard deviations by which the kurtosis of random entries exceeds 3."""
BY_CHANCE = 1e-6
"""Probability that a matrix of normal entries has one as large as is still believed random."""
ORTHOGONAL = 0.98
"""Stable rank, as a share of the smaller side, from which on all singular values are one; that of random entries is 1/4
where a matrix is square, and comes so near to 1 where one side is 10,000 times the other."""
SEVERAL = 3
"""Matrices for which one finding about the model reads better than one each."""
NEARLY_ALL = 0.95
"""Share of the layers' matrices from which on the model as a whole is untrained."""


def edge_statistic(rows: int, cols: int, frobenius_norm: float, sigma: float) -> float:
    """How far ``sigma`` lies above the edge of a random (rows, cols) matrix of that norm, in Tracy–Widom units.

    Example:
        >>> edge_statistic(401, 400, math.sqrt(401 * 400), 40.0)  # entries of variance 1: the centre is (20 + 20)²
        0.0
    """
    # A quotient first: squares of float64 norms can leave its range.
    relative = sigma / (frobenius_norm / math.sqrt(rows * cols))
    a, b = math.sqrt(rows - 1), math.sqrt(cols)
    # Johnstone 2001, Theorem 1.1.
    return (relative * relative - (a + b) ** 2) / ((a + b) * math.pow(1 / a + 1 / b, 1 / 3))


def dispersion_statistics(rows: int, cols: int, dispersion: Dispersion) -> tuple[float, float]:
    """How far the variances of the norms of rows and of columns lie above those of a random (rows, cols) matrix of that
    kurtosis, in standard deviations.

    Example:
        >>> dispersion_statistics(200, 100, Dispersion(rows=0.02, cols=0.012, kurtosis=3.0))  # 2/n, and 2/m is 0.01
        (0.0, 1.4142135623730947)
    """
    spread = dispersion.kurtosis - 1
    if spread <= 0:  # entries of one magnitude: any norms are wide of theirs
        return math.inf, math.inf
    of_rows = (cols * dispersion.rows / spread - 1) * math.sqrt(rows / 2)
    of_cols = (rows * dispersion.cols / spread - 1) * math.sqrt(cols / 2)
    return of_rows, of_cols


@dataclass(frozen=True)
class Judgement:
    """What a matrix that is large enough shows: ``low`` and ``high`` are the certified ends of the edge statistic,
    ``kurtosis`` is in standard deviations above 3, ``light`` whether no entry is larger than normal ones are.
    """

    low: float
    high: float
    rows: float
    cols: float
    kurtosis: float
    light: bool
    orthogonal: bool

    @property
    def independent(self) -> bool:
        """Whether it looks like independent random numbers."""
        return (
            self.low <= HIGHEST
            and self.high >= LOWEST
            and max(abs(self.rows), abs(self.cols)) <= DISPERSION
            and self.kurtosis <= KURTOSIS
            and self.light
        )

    @property
    def random(self) -> bool:
        """Whether it looks as some way of initialising leaves it."""
        return self.independent or self.orthogonal

    @property
    def tells(self) -> bool:
        """Whether the interval on σ₁ is narrow enough to tell, or needs not be."""
        return self.high - self.low <= WIDEST or self.orthogonal

    @property
    def edge(self) -> float:
        """The middle of the edge statistic's interval."""
        return (self.low + self.high) / 2


def judge(row: LayerRow) -> Judgement | None:
    """What the matrix of ``row`` shows; None where it is too small."""
    measured = row.spectrum
    rows, cols = _alive(row)
    if min(rows, cols) < LEAST_SIDE or measured.dispersion is None:
        return None
    low, high = (
        edge_statistic(rows, cols, measured.frobenius_norm, sigma)
        for sigma in (measured.spectral_norm, measured.spectral_norm_upper)
    )
    orthogonal = measured.stable_rank_lower >= ORTHOGONAL * min(rows, cols)
    deviation = measured.frobenius_norm / math.sqrt(rows * cols)
    largest = -NormalDist().inv_cdf(BY_CHANCE / 2 / (rows * cols)) * deviation
    of_rows, of_cols = dispersion_statistics(rows, cols, measured.dispersion)
    return Judgement(
        low,
        high,
        of_rows,
        of_cols,
        (measured.dispersion.kurtosis - 3) / math.sqrt(24 / (rows * cols)),
        measured.max_abs <= largest,
        orthogonal,
    )


def _alive(row: LayerRow) -> tuple[int, int]:
    """Its shape without dead rows and columns: a padding row of zeros is no random row."""
    facts = row.spectrum.entries
    rows, cols = row.matrix.shape
    return (rows - facts.dead_rows, cols - facts.dead_cols) if facts else (rows, cols)


def _narrow_intervals(context: RuleContext) -> Iterator[Unmet]:
    """That no interval is too wide to tell: one that lies above what random matrices have tells, however wide."""
    shown = [judgement for _, judgement in _shown(context)]
    wide = [judgement for judgement in shown if not judgement.tells and judgement.low <= HIGHEST]
    if wide:
        yield Unmet(
            f"The intervals of {len(wide):,} of {len(shown):,} matrices are too wide. Scan with a smaller --tol.",
            partly=len(wide) < len(shown),
        )


def _judged(context: RuleContext) -> list[tuple[LayerRow, Judgement]]:
    return [(row, shown) for row, shown in _shown(context) if shown.tells]


def _shown(context: RuleContext) -> list[tuple[LayerRow, Judgement]]:
    """The rows of which there is something to tell by."""
    found = context.once(_judgements)
    return [(row, shown) for row in context.measured if (shown := found[row.matrix.key])]


def _judgements(context: RuleContext) -> dict[str, Judgement | None]:
    """What each row's numbers tell, by its matrix's key, if there is one that means something."""
    return {row.matrix.key: judge(row) for row in context.distinct if has_numbers(row)}


def _untrained_model(rule: Rule, context: RuleContext) -> Iterator[Match]:
    if context.restricted:  # what was left out may be trained
        return
    judged = _judged(context)
    layers = [judgement for row, judgement in judged if row.matrix.layer is not None]
    random = [row for row, judgement in judged if judgement.random]
    share = sum(judgement.random for judgement in layers) / len(layers) if layers else 0.0
    if len(layers) < SEVERAL or share < NEARLY_ALL:
        return
    which = "all" if len(random) == len(judged) else f"{len(random):,} of {len(judged):,}"
    said = (
        f"This model looks as it was initialised: in {which} matrices that are large enough to tell nothing stands out "
        f"from random numbers: {listed(where(row.matrix) for row in random)}."
    )
    zero = [row for row in context.weights if row.spectrum.max_abs == 0 and row.spectrum.nonfinite == 0]
    if zero:
        said += f" {len(zero):,} are all zero, as some start: {listed(where(row.matrix) for row in zero)}."
    match = rule.of_model(said, value=share, about=[*random, *zero])
    others = frozenset(("tensor", name) for name in context.others)
    yield Match(match.finding, match.subjects | others)


def _untrained(rule: Rule, context: RuleContext) -> Iterator[Match]:
    judged = _judged(context)
    shown = {("matrix", row.matrix.key): judgement for row, judgement in judged}
    weights = matrices(context, (row for row, _ in judged))
    random = [one for one in weights if shown[one.subject].random]
    for group in by_cause(random, weights):
        found = [shown[one.subject] for one in group]
        worst = max(found, key=lambda judgement: judgement.edge)
        yield rule.of_weights(group, _said(group, found), value=worst.edge)


def _said(group: Sequence[Weight], found: Sequence[Judgement]) -> str:
    this = "This matrix looks as it was" if len(group) == 1 else f"These {len(group):,} matrices look as they were"
    if all(one.orthogonal for one in found):
        return (
            f"{this} initialised: all singular values of {named(group)} are the same, as an orthogonal start has them."
        )
    numbers = (
        f"σ₁² lies {_ends(found)} Tracy–Widom units from the edge of random entries; beyond chance, norms of rows "
        f"differ by {_range([one.rows for one in found])} standard deviations and those of columns by "
        f"{_range([one.cols for one in found])}"
    )
    return f"{this} initialised: nothing in {named(group)} stands out from random numbers ({numbers})."


def _ends(found: Sequence[Judgement]) -> str:
    return _range([one.low for one in found] + [one.high for one in found])


def _range(numbers: Sequence[float]) -> str:
    ends = f"{min(numbers):.1f}", f"{max(numbers):.1f}"
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


_WHAT = (
    "Whether nothing stands out from what random numbers give: σ₁² lies at the edge of the Marchenko–Pastur law of its "
    f"shape and norm (from {LOWEST:g} to {HIGHEST:g} Tracy–Widom units, both ends of its interval, where that is at "
    f"most {WIDEST:g} wide), the norms of rows and of columns vary as those of independent entries of its kurtosis do "
    f"(within {DISPERSION:g} standard deviations), the kurtosis exceeds 3 by no more than {KURTOSIS:g} of them, and no "
    "entry is larger than normal ones are; or all singular values are the same, as in an orthogonal start (stable rank "
    f"at least {ORTHOGONAL:g} of the smaller side). Of matrices of at least {LEAST_SIDE} rows and columns, dead ones "
    "not counted."
)

RULES = (
    Rule(
        id="untrained-model",
        title="A model that looks as at the start of training",
        severity="error",
        measures=f"The share of the layers' matrices that look random. {_WHAT}",
        threshold=NEARLY_ALL,
        source="As for untrained. Of 34 fresh models of as many types all have it, of 12 trained for 15 steps none.",
        advice="Do not use or release this file: it was saved before training, or the weights were not loaded and a "
        "library filled them in. Look for names that the loader did not find.",
        check=_untrained_model,
        needs=(whole_scan, _narrow_intervals),
    ),
    Rule(
        id="untrained",
        title="Weights that look as random as at the start of training",
        severity="warning",
        measures=f"{_WHAT} Several in one layer or expert, or of roles in the same layers, are one finding.",
        threshold=HIGHEST,
        source="Johnstone 2001 for the edge. Of 217,984 random matrices (normal, uniform, Xavier, truncated normal; "
        "bfloat16, float16; 16² to 4096²) none was missed: |z| of the norms was at most 5.9, the kurtosis 7.0 above 3. "
        "Of the 297 trained matrices of SmolLM2-135M (dequantised), MiniLM-L6 and an ALBERT none is accused. By the "
        "edge alone five would be, and the norms of these have |z| of 51 or more; of all, one has |z| below 19, and a "
        "kurtosis of 1,585. The poolers of the latter two models, which their losses do not reach, have |z| up to 1.7. "
        "Of 2,088 orthogonal starts (float32, bfloat16, float16; 16² to 768×3072) none was missed: 0.987 and more. "
        "A rank-one part shows from 1 % of the energy on at 256², 0.3 % at 1024², but 20 % at 24×40 and more at 16²: a "
        "small matrix may be trained and look random. Entries of heavier tails than normal ones (Laplace) are taken "
        "for trained: no library starts with them.",
        advice="If the model is to be used as it is, do not use this part: it was never trained, or its weights were "
        "not loaded and a library filled them in. A pooler or head is often so; fine-tune it first.",
        check=_untrained,
        needs=(every_matrix, _narrow_intervals),
        suppressed_by=("untrained-model",),
    ),
)

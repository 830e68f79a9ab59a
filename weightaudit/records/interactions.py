"""What the updates of several models of one matrix do where each other's inputs lie.

The theory is the source paper's: a model A keeps its task in a sum where the weights of the others do little on A's
activations h, and the rows of what training adds to a matrix lie in the span of these h. So Δ_AᵀΔ_A stands for their
second moment, ⟨X, Y⟩_A = ⟨XΔ_Aᵀ, YΔ_Aᵀ⟩_F for what X and Y do there, and of a merged update E
    retention      ρ = ⟨E, Δ_A⟩_A/⟨Δ_A, Δ_A⟩_A        1: A's own update is there in full
    contamination  κ = ‖E − ρΔ_A‖_A/‖Δ_A‖_A           what else acts on A's inputs
    disturbance    D = √((ρ − 1)² + κ²) = ‖(E − Δ_A)Δ_Aᵀ‖_F/‖Δ_AΔ_Aᵀ‖_F.
All are quadratic in the weights of a linear merge, so a few inner products give them for every weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Square = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Effect:
    """What a merge does to one matrix of one model A, all dimensionless; NaN where A did not change it.

    Attributes
    ----------
    retention
        ρ, the multiple of A's own update that acts on A's inputs.
    contamination
        κ, what else acts there, relative to A's own update.
    chance
        κ₀, what κ would be on average (in square) if the other updates met A's inputs in random directions.
    """

    retention: float
    contamination: float
    chance: float

    @property
    def disturbance(self) -> float:
        """D, how far the merged matrix is from A's own on A's inputs."""
        return math.hypot(self.retention - 1.0, self.contamination)

    @property
    def lift(self) -> float:
        """κ/κ₀; NaN where nothing else is merged."""
        return self.contamination / self.chance if self.chance else math.nan


@dataclass(frozen=True)
class InnerProducts:
    """Of updates Δ_i = W_i − W₀ with each other and with W₀; of one matrix, or summed over several.

    Attributes
    ----------
    inner
        ⟨Δ_i, Δ_j⟩_F, (U, U).
    base_sq
        ‖W₀‖_F²; 0 without a base.
    base_inner
        ⟨Δ_i, W₀⟩_F, (U,).
    """

    inner: Square
    base_sq: float
    base_inner: tuple[float, ...]

    def norm(self, i: int) -> float:
        """‖Δ_i‖_F."""
        return math.sqrt(self.inner[i][i])

    def cosine(self, i: int, j: int) -> float:
        """Of two updates; NaN where one is 0."""
        return _cosine(self.inner[i][j], self.inner[i][i], self.inner[j][j])

    def cosine_without_base(self, i: int, j: int) -> float:
        """The same without what each has of W₀, as weight decay leaves it in both: −cW₀; NaN where nothing is left."""
        if not self.base_sq:
            return self.cosine(i, j)
        return _cosine(self._beside_base(i, j), self._beside_base(i, i), self._beside_base(j, j))

    def cosine_with_base(self, i: int) -> float:
        """Of W_i and W₀; NaN without a base, and where one is 0."""
        own = self.base_sq + 2.0 * self.base_inner[i] + self.inner[i][i]
        return _cosine(self.base_sq + self.base_inner[i], own, self.base_sq)

    def _beside_base(self, i: int, j: int) -> float:
        """The inner product of what is orthogonal to W₀."""
        return self.inner[i][j] - self.base_inner[i] * self.base_inner[j] / self.base_sq


def _cosine(inner: float, own: float, other: float) -> float:
    size = math.sqrt(max(0.0, own)) * math.sqrt(max(0.0, other))
    return inner / size if size > 0.0 else math.nan


@dataclass(frozen=True)
class Interactions(InnerProducts):
    """Inner products of the updates Δ_i of one matrix, (rows, cols) each: those of the T models first, then, where a
    merge is judged, that of the merge; U in all. All that a merge of them does to each follows.

    A model that did not change the matrix has the update 0. All are NaN where an entry of any is not finite, or where
    squares leave float64.

    Attributes
    ----------
    inner, base_sq, base_inner
        As `InnerProducts` has them.
    on_inputs
        ⟨Δ_i, Δ_j⟩_a/⟨Δ_a, Δ_a⟩_a of each model a, (T, U, U); 0 where Δ_a is 0, NaN where they were not asked for.
    participation
        (Σσ²)²/Σσ⁴ of each Δ_a, (T,): how many directions its inputs take up; NaN where Δ_a is 0.
    leading
        Share of ‖Δ_a‖² in its 32 leading directions or fewer, (T,): a lower bound; NaN where Δ_a is 0.
    errors
        Standard error of the disturbance of each model where all are merged at weight 1, (T,); 0 where it is exact but
        for rounding.
    opposed
        Share of the entries that both of two updates change, which they change in opposite directions, (U, U); of a
        random sample of entries where there are many; NaN where there are none.
    cols
        Inputs of the matrix.
    """

    on_inputs: tuple[Square, ...]
    participation: tuple[float, ...]
    leading: tuple[float, ...]
    errors: tuple[float, ...]
    opposed: Square
    cols: int

    @property
    def models(self) -> int:
        """T."""
        return len(self.on_inputs)

    def among(self, models: Sequence[int]) -> Interactions:
        """Those of so many of the models alone, in this order."""
        chosen = list(models)

        def part(square: Square) -> Square:
            return tuple(tuple(square[i][j] for j in chosen) for i in chosen)

        def some(values: Sequence[float]) -> tuple[float, ...]:
            return tuple(values[i] for i in chosen)

        return Interactions(
            inner=part(self.inner),
            base_sq=self.base_sq,
            base_inner=some(self.base_inner),
            on_inputs=tuple(part(self.on_inputs[a]) for a in chosen),
            participation=some(self.participation),
            leading=some(self.leading),
            errors=some(self.errors),
            opposed=part(self.opposed),
            cols=self.cols,
        )

    def changed_by(self, i: int) -> bool:
        """Whether update i is known to be other than 0."""
        return self.inner[i][i] > 0.0

    def effect(self, a: int, weights: Sequence[float]) -> Effect:
        """What the merged update Σ_i weights_i Δ_i (U weights) does to model ``a``."""
        if not self.inner[a][a] > 0.0:
            return Effect(math.nan, math.nan, math.nan)
        own = sum(w * self.on_inputs[a][i][a] for i, w in enumerate(weights) if w)
        others = list(weights)
        # Of a merge that exists nobody knows how much of it is A's own: what acts like it is taken for that.
        others[a] = -own if any(weights[self.models :]) else 0.0
        chance_sq = _form(others, self.inner) * self.participation[a] / (self.inner[a][a] * self.cols)
        return Effect(own, _root(_form(weights, self.on_inputs[a]) - own**2), _root(chance_sq))

    def chance_quantile(self, a: int, b: int, share: float, weight: float = 1.0) -> float:
        """Below which so large a ``share`` of all contaminations of ``a`` lies where update ``b``, at this ``weight``,
        meets it in random directions; NaN where one of them is 0.

        For a random rotation Q of b's inputs tr(G_a Q G_b Qᵀ), G = ΔᵀΔ, has the mean tr G_a · tr G_b/n and the variance
        2‖G_a°‖²‖G_b°‖²/((n − 1)(n + 2)), ° for the part without trace. A gamma distribution of these moments has the
        quantile, which is close and not exact.
        """
        n, own, other = self.cols, self.inner[a][a], self.inner[b][b]
        if not (own > 0.0 and other > 0.0):
            return math.nan
        squares = [size**2 / self.participation[i] for size, i in ((own, a), (other, b))]
        mean = own * other / n
        without_trace = [max(0.0, square - size**2 / n) for square, size in zip(squares, (own, other), strict=True)]
        variance = 2.0 * without_trace[0] * without_trace[1] / ((n - 1) * (n + 2)) if n > 1 else 0.0
        if not variance > 1e-12 * mean**2:
            return abs(weight) * _root(mean / squares[0])
        from scipy.special import gammaincinv

        return abs(weight) * _root(float(gammaincinv(mean**2 / variance, share)) * variance / mean / squares[0])


def _form(weights: Sequence[float], square: Square) -> float:
    """Σ wᵢwⱼ mᵢⱼ; what has no weight does not count, whatever it is."""
    live = [(i, w) for i, w in enumerate(weights) if w]
    return sum(w * v * square[i][j] for i, w in live for j, v in live)


def _root(square: float) -> float:
    """Its root; 0 of what rounding has made negative."""
    return math.sqrt(square) if not square < 0.0 else 0.0

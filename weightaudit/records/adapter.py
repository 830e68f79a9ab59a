"""What an adapter is: small matrices that change a base model, and what is measured of each change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Adapter:
    """An adapter as its files describe it.

    Attributes
    ----------
    kind
        "LoRA", "rsLoRA", "DoRA", "AdaLoRA", or the name of a kind that is not measured ("LoHa").
    base
        The model that it changes, as adapter_config.json names it; "" where nothing does.
    rank
        The rank that its config gives; None where none does. Each matrix has its own.
    alpha
        The numerator of the scale, likewise.
    modules
        The modules that it changes, as its config names them; () where that is not said.
    """

    kind: str
    base: str = ""
    rank: int | None = None
    alpha: float | None = None
    modules: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``a LoRA adapter``."""
        return f"{'an' if self.kind[:1] in 'AEIOUaeiou' else 'a'} {self.kind} adapter"


@dataclass(frozen=True)
class AdapterFacts:
    """What the factors of one change ΔW = s·B·A say.

    Attributes
    ----------
    rank
        r, columns of B and rows of A.
    scale
        s: alpha/r, or alpha/√r of rsLoRA; NaN where the parts of a matrix have different ones.
    effective_rank
        exp of the entropy of σ/Σσ (Roy & Vetterli 2007); NaN of a change that is zero or not finite.
    dead_directions
        Of the min(r, rows, cols) singular values those below `DEAD_DIRECTION` times the largest; all of a zero change.
    untrained
        Whether one of the factors is zero throughout, as training starts from: the model is changed in nothing.
    """

    rank: int
    scale: float
    effective_rank: float
    dead_directions: int
    untrained: bool


DEAD_DIRECTION = 1e-6
"""σ/σ₁ below which a direction of a change is dead: rounding of factors in float32 makes such."""

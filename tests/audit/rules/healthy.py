"""A scan in which nothing is wrong, and ways to put one fault into it; built without reading a model."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from tests.support.factory import entry, matrix, spectrum
from weightaudit.audit.rules import RuleContext, run_rules
from weightaudit.records import Dispersion, EntryFacts, LayerRow, ModelIdentity, ModelMap, SourceFile, Spectrum

SOUND = EntryFacts(dead_rows=0, dead_cols=0, at_limit=0, subnormals=0)
SPREAD = Dispersion(rows=0.4, cols=0.3, kurtosis=4.0)
HIDDEN, FF, VOCAB = 768, 3072, 30000


def row(
    role: str,
    layer: int | None,
    shape: tuple[int, int],
    frobenius_norm: float,
    stable_rank: float,
    *tensors: str,
    stack: str = "",
    expert: int | None = None,
    dtype: str = "float32",
    digest: str | None = None,
) -> LayerRow:
    """One sound matrix; its digest is its own unless one is given."""
    tensors = tensors or (f"{stack or 'model'}.{layer}.{expert}.{role}",)
    place = matrix(role, layer, shape, *tensors, stack=stack, expert=expert, dtype=dtype)
    measured = spectrum(frobenius_norm, stable_rank, width=0.01, method="krylov", entries=SOUND, dispersion=SPREAD)
    return LayerRow(place, measured, place.key if digest is None else digest)


def model(layers: int = 12, seed: int = 0) -> list[LayerRow]:
    """Rows of a trained decoder: norms that drift with depth by some per cent, stable ranks that scatter more."""
    rng = random.Random(seed)
    rows = [row("EMBED", None, (VOCAB, HIDDEN), 190.0, 3.2), row("POSITION", None, (512, HIDDEN), 11.0, 1.01)]
    for layer in range(layers):
        drift = 1 + 0.3 * layer / layers
        parts = []
        for role, norm, rank in (("Q", 33.0, 30.0), ("K", 33.0, 25.0), ("V", 25.0, 60.0), ("O", 22.0, 50.0)):
            rows.append(
                row(
                    role, layer, (HIDDEN, HIDDEN), norm * drift * rng.gauss(1, 0.05), rank * math.exp(rng.gauss(0, 0.2))
                )
            )
            parts.append(rows[-1])
        qkv = math.hypot(*(part.spectrum.frobenius_norm for part in parts[:3]))
        tensors = [part.matrix.tensors[0] for part in parts[:3]]
        rows.append(row("QKV", layer, (3 * HIDDEN, HIDDEN), qkv, 40.0, *tensors, digest=""))
        rows.append(row("M1", layer, (FF, HIDDEN), 60.0 * rng.gauss(1, 0.05), 25 * math.exp(rng.gauss(0, 0.2))))
        rows.append(row("M2", layer, (HIDDEN, FF), 55.0 * rng.gauss(1, 0.05), 25 * math.exp(rng.gauss(0, 0.2))))
    return [*rows, row("HEAD", None, (VOCAB, HIDDEN), 170.0, 5.0)]


def evidence(rows: list[LayerRow] | None = None) -> RuleContext:
    """A sound scan of ``rows``, or of `model`."""
    if rows is None:
        return _sound()
    coverage = tuple(
        entry(one.matrix.tensors[0], one.matrix.shape, "analysed", "", one.matrix.role)
        for one in rows
        if one.matrix.role != "QKV"
    )
    matrices = tuple(one.matrix for one in rows)
    model_map = ModelMap("gpt2", "gpt2", False, {"layers": 12}, matrices, coverage, tied=False)
    files = (SourceFile("model.safetensors", 1_000_000),)
    return RuleContext(
        ModelIdentity("m", "", "m", files, "safetensors"), {"dtype": "float32"}, model_map, tuple(rows), coverage
    )


@cache
def _sound() -> RuleContext:
    return evidence(model())


def changed(before: RuleContext, key: str, change: Callable[[LayerRow], LayerRow]) -> RuleContext:
    """``before`` with the row of that key changed. Fails where there is none."""
    assert any(one.matrix.key == key for one in before.rows), key
    return replace(before, rows=tuple(change(one) if one.matrix.key == key else one for one in before.rows))


def measuring(**changes: object) -> Callable[[LayerRow], LayerRow]:
    """The row with other fields of its Spectrum."""
    return lambda one: replace(one, spectrum=replace(one.spectrum, **changes))  # type: ignore[arg-type]


def facts(**changes: int) -> Callable[[LayerRow], LayerRow]:
    """The row with other facts of its entries."""
    return measuring(entries=replace(SOUND, **changes))


def norms(frobenius_norm: float, stable_rank: float, *, width: float = 0.01) -> Callable[[LayerRow], LayerRow]:
    """The row with another norm and stable rank."""
    measured = spectrum(frobenius_norm, stable_rank, width=width, entries=SOUND, dispersion=SPREAD)
    return lambda one: replace(one, spectrum=measured)


def scaled(factor: float) -> Callable[[LayerRow], LayerRow]:
    """The row of ``factor`` times the matrix."""
    return lambda one: norms(factor * one.spectrum.frobenius_norm, one.spectrum.stable_rank)(one)


def zeroed(one: LayerRow) -> LayerRow:
    """The row of a zero matrix, as `measure` gives it."""
    nan = math.nan
    rows, cols = one.matrix.shape
    entries = EntryFacts(rows, cols, 0, 0, 0, 0)
    measured = Spectrum(0.0, 0.0, 0.0, nan, nan, nan, "exact", 1, True, 0, rows * cols, 0.0, entries=entries)
    return LayerRow(one.matrix, measured, f"zeros {one.matrix.shape}")


def found(shown: RuleContext) -> list[tuple[str, int | None, str]]:
    """What the rules find in it, each as its rule, layer and role."""
    return [(one.id, one.layer, one.role) for one in run_rules(shown)]

"""Plausible differences of two models, built without reading one: what fine-tuning, merging and releasing leave."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tests.support import factory
from weightaudit.records import (
    Change,
    DiffResult,
    DiffSummary,
    Directions,
    EntryChanges,
    Explained,
    Finding,
    Grid,
    Kind,
    ModelIdentity,
    OneSided,
    Place,
    RankFacts,
    SourceFile,
    Spectrum,
)

RULES = ("diff-identical", "diff-unrelated", "diff-lora", "diff-cast", "diff-resolution", "diff-decay", "diff-partial")
UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
"""Unit roundoff of each precision."""
ROLES = ["Q", "K", "V", "O", "M1", "M2"]
ATTENTION = ("Q", "V")


def entries(
    shape: tuple[int, ...], relative: float, *, precision: str = "float32", changed: float = 1.0, **other: object
) -> EntryChanges:
    """Facts of a matrix whose entries are 0.03 in size, changed by ``relative`` of its norm in a share of them."""
    n = math.prod(shape)
    rows, cols = (*shape, 1, 1)[:2]
    base_sq = n * 0.03**2
    floor = base_sq * UNITS[precision] ** 2 / 3
    edge = math.sqrt(floor / n) * (math.sqrt(rows) + math.sqrt(cols))
    change_sq = base_sq * relative**2
    count = round(n * changed) if relative else 0
    facts = EntryChanges(
        entries=n,
        nonfinite_base=0,
        nonfinite_derived=0,
        changed=count,
        rows_changed=min(rows, count),
        cols_changed=min(cols, count),
        base_sq=base_sq,
        derived_sq=base_sq + change_sq,
        change_sq=change_sq,
        inner=0.0,
        precision_base=precision,
        precision_derived=precision,
        floor=floor,
        floor_base=floor,
        edge=edge,
        edge_base=edge,
        within_ulp=0,
        zeros_base=0,
        zeros_derived=0,
        cut=0,
        casts=(),
        two_of_four=False,
        scaled_rest=change_sq,
        rows_scaled_rest=change_sq,
        cols_scaled_rest=change_sq,
    )
    return replace(facts, **other)  # type: ignore[arg-type]


def change(
    place: Place,
    kind: Kind,
    relative: float,
    *,
    shape: tuple[int, ...] = (384, 384),
    name: str = "",
    rank: int | None = None,
    stable_rank: float = 6.0,
    precision: str = "float32",
    changed: float = 1.0,
    shrink: float = 0.0,
    **other: object,
) -> Change:
    """One matrix, or a vector where ``place`` has no role, with all that would be known of it."""
    base_sq = math.prod(shape) * 0.03**2
    facts = entries(shape, relative, precision=precision, changed=changed, inner=-shrink * base_sq)
    spectrum: Spectrum | None = None
    ranks: RankFacts | None = None
    if place.role and kind in ("low rank", "dense", "noise", "sparse", "few rows"):
        size = math.sqrt(facts.change_sq)
        spectrum = factory.spectrum(size, min(stable_rank, rank or stable_rank), width=0.004, method="krylov")
        count = rank or 24
        values = [spectrum.spectral_norm / (1 + i) ** (0.3 if rank else 0.6) for i in range(count)]
        values += [facts.edge * 0.9 / (1 + i / 40) for i in range(8)] if rank else []
        noise = size * (math.sqrt(shape[0]) + math.sqrt(shape[1])) / math.sqrt(math.prod(shape))
        rest = 1.01 if rank else max(1.0, 0.4 * facts.above_floor)
        ranks = RankFacts(rank, rest, tuple(values), facts.edge, noise / spectrum.spectral_norm)
    made = Change(
        place=place,
        tensors=(name or f"{place.key}.weight",),
        tensors_base=(name or f"{place.key}.weight",),
        shape=shape,
        shape_base=shape,
        dtype=precision,
        dtype_base=precision,
        kind=kind,
        entries=facts,
        relative=facts.relative,
        spectrum=spectrum,
        ranks=ranks,
    )
    return replace(made, **other)  # type: ignore[arg-type]


def identity(name: str) -> ModelIdentity:
    return ModelIdentity(
        name, "", f"https://huggingface.co/{name}", (SourceFile("model.safetensors", 90_864_192),), "safetensors"
    )


def result_of(
    changes: Iterable[Change],
    *,
    base: str = "org/base",
    derived: str = "org/derived",
    findings: Sequence[Finding] = (),
    one_sided: Sequence[OneSided] = (),
    **summary: object,
) -> DiffResult:
    """A result whose summary counts its ``changes``."""
    found = tuple(changes)
    matrices = [one for one in found if one.is_matrix]
    kinds: dict[Kind, int] = {}
    vector_kinds: dict[Kind, int] = {}
    for one in found:
        counts = kinds if one.is_matrix else vector_kinds
        counts[one.kind] = counts.get(one.kind, 0) + 1
    moved = [one for one in matrices if one.kind not in ("unchanged", "cast")]
    known = [one.entries for one in matrices if one.entries is not None]
    base_sq, change_sq = sum(e.base_sq for e in known), sum(e.change_sq for e in known)
    ranks = {one.ranks.rank for one in moved if one.ranks is not None and one.ranks.rank is not None}
    whole = DiffSummary(
        matrices=len(matrices),
        vectors=len(found) - len(matrices),
        kinds=kinds,
        vector_kinds=vector_kinds,
        relative=math.sqrt(change_sq / base_sq) if base_sq else math.nan,
        largest=max((one.relative for one in found if not math.isnan(one.relative)), default=0.0),
        identical=all(one.kind == "unchanged" for one in found) and not one_sided,
        rank=ranks.pop() if len(ranks) == 1 else None,
        resolution=sum(one.kind == "at the resolution" for one in moved) / len(moved) if moved else 0.0,
    )
    return DiffResult(
        base=identity(base),
        derived=identity(derived),
        family="bert",
        changes=found,
        one_sided=tuple(one_sided),
        summary=replace(whole, **summary),  # type: ignore[arg-type]
        options=dict(factory.OPTIONS),
        versions=dict(factory.VERSIONS),
        findings=tuple(findings),
        rules=RULES,
    )


Made = Callable[[Place, tuple[int, int]], Change]


def model(made: Made, *, layers: int = 6, vectors: Kind = "unchanged", size: float = 0.0) -> list[Change]:
    """An embedding, ``layers`` of six matrices each made by ``made``, and their norms, of kind ``vectors``."""
    found = [change(Place(role="EMBED"), "unchanged", 0.0, shape=(30522, 384), name="embeddings.word.weight")]
    for layer in range(layers):
        for role in ROLES:
            shape = {"M1": (1536, 384), "M2": (384, 1536)}.get(role, (384, 384))
            found.append(made(Place(layer=layer, role=role), shape))
    found += [
        change(Place(), vectors, size, shape=(384,), name=f"encoder.layer.{layer}.{norm}.weight")
        for layer in range(layers)
        for norm in ("attention.norm", "output.norm")
    ]
    return found


def lora(layers: int = 6) -> DiffResult:
    """A merged LoRA of rank 8 on Q and V."""
    rng = random.Random(1)

    def made(place: Place, shape: tuple[int, int]) -> Change:
        if place.role not in ATTENTION:
            return change(place, "unchanged", 0.0, shape=shape)
        directions = Directions(1.1, 1.9, (0.7, 0.4, 0.1), None, 0)
        return change(
            place, "low rank", 0.02 * rng.uniform(0.6, 1.6), shape=shape, rank=8, stable_rank=3.1, directions=directions
        )

    finding = Finding(
        "diff-lora",
        "info",
        "A low-rank adapter was merged",
        detail="All 12 changed matrices, Q and V, are the base's plus a matrix of rank 8 and rounding.",
        advice="Check the merge with --adapter.",
        value=8.0,
    )
    return result_of(model(made, layers=layers), derived="org/lora", findings=(finding,))


def full(layers: int = 6, decay: float = 1.66e-4) -> DiffResult:
    """A full fine-tune with weight decay, with rows of the embedding."""
    rng = random.Random(2)

    def made(place: Place, shape: tuple[int, int]) -> Change:
        layer = place.layer or 0
        return change(
            place,
            "dense",
            0.002 * (1 + layer / 3) * rng.uniform(0.7, 1.4),
            shape=shape,
            stable_rank=rng.uniform(4, 9),
            shrink=decay,
        )

    changes = model(made, layers=layers, vectors="dense", size=0.001)
    embedding = change(
        Place(role="EMBED"), "few rows", 0.0008, shape=(30522, 384), name="embeddings.word.weight", changed=0.058
    )
    finding = Finding(
        "diff-decay",
        "info",
        "Weight decay shrank every matrix alike",
        detail=f"c = {decay} in the median of {6 * layers} dense matrices.",
        value=decay,
    )
    return result_of([embedding, *changes[1:]], derived="org/full", findings=(finding,), decay=decay)


def cast() -> DiffResult:
    """A cast to bfloat16."""

    def made(place: Place, shape: tuple[int, int]) -> Change:
        one = change(place, "cast", 0.0016, shape=shape, dtype="bfloat16", precision="bfloat16", dtype_base="float32")
        assert one.entries is not None
        return replace(one, entries=replace(one.entries, precision_base="float32", casts=("bfloat16",)))

    return result_of(model(made, vectors="cast", size=0.001), derived="org/cast")


def quantised() -> DiffResult:
    """Linear layers on a 4-bit grid in groups of 32."""
    grid = Grid(4, 32, True)
    return result_of(model(lambda place, shape: change(place, "quantised", 0.07, shape=shape, grid=grid)))


def unrelated() -> DiffResult:
    """Another model of the same architecture."""
    finding = Finding(
        "diff-unrelated", "error", "The models are unrelated", detail="36 of 37 matrices.", advice="Check the base."
    )
    return result_of(
        model(lambda place, shape: change(place, "unrelated", 1.41, shape=shape), vectors="unrelated", size=1.2),
        findings=(finding,),
    )


def identical() -> DiffResult:
    """The same weights."""
    finding = Finding(
        "diff-identical",
        "warning",
        "Nothing differs",
        detail="All matrices and vectors are equal.",
        advice="If something was to be merged, it was not.",
    )
    return result_of(model(lambda place, shape: change(place, "unchanged", 0.0, shape=shape)), findings=(finding,))


def resized() -> DiffResult:
    """Eight tokens more than the base, and a pooler that it does not have."""
    changes = model(lambda place, shape: change(place, "at the resolution", 2e-8, shape=shape, changed=0.3))
    embedding = replace(changes[0], shape=(30530, 384), kind="few rows")
    extra = OneSided(Place(role="POOLER"), ("pooler.dense.weight",), (384, 384), "derived")
    gone = OneSided(Place(), ("cls.bias",), (30522,), "base")
    return result_of([embedding, *changes[1:]], one_sided=(extra, gone))


def moved() -> DiffResult:
    """Heads in another order, layers that changed places, a permuted MLP."""

    def made(place: Place, shape: tuple[int, int]) -> Change:
        if place.role in ("Q", "K"):
            return change(place, "rows permuted", 1.4, shape=shape, block=32)
        if place.role == "V":
            return change(place, "moved", 1.4, shape=shape, moved_from=Place(layer=5 - (place.layer or 0), role="V"))
        return change(place, "unchanged", 0.0, shape=shape)

    return result_of(model(made))


def merged() -> DiffResult:
    """0.3 P + 0.7 Q in bfloat16."""
    recipe = Explained((0.3002, 0.7001), 1.0, 2e-6, True)
    changes = model(lambda place, shape: change(place, "dense", 0.01, shape=shape, precision="bfloat16", recipe=recipe))
    result = result_of(changes, recipe=(0.3002, 0.7001), recipe_exact=True)
    return replace(result, parents=(identity("org/p"), identity("org/q")))


def mixture(layers: int = 2, experts: int = 4) -> DiffResult:
    """Experts of a mixture, of which two have changed places."""
    changes = [
        change(
            Place(layer=layer, expert=expert, role=role),
            "moved" if expert < 2 else "dense",
            1.4 if expert < 2 else 0.01,
            shape=(64, 32),
            moved_from=Place(layer=layer, expert=1 - expert, role=role) if expert < 2 else None,
        )
        for layer in range(layers)
        for expert in range(experts)
        for role in ("M1", "M2")
    ]
    return result_of(changes)


def odd() -> DiffResult:
    """NaN on one side, a base that is zero, a product of which no entry was read, a scalar."""
    nan = change(Place(layer=0, role="Q"), "not finite", math.nan)
    assert nan.entries is not None
    bad = replace(
        nan.entries, nonfinite_derived=3, base_sq=math.nan, derived_sq=math.nan, change_sq=math.nan, inner=math.nan
    )
    empty = change(Place(layer=0, role="K"), "dense", 0.01)
    assert empty.entries is not None
    zero = replace(empty.entries, base_sq=0.0, zeros_base=384 * 384, floor=0.0, edge=0.0)
    product = change(Place(layer=0, role="V"), "low rank", 0.02, rank=4, entries=None)
    scalar = change(Place(), "dense", 0.5, shape=(), name="scale")
    return result_of(
        [
            replace(nan, entries=bad, relative=math.nan),
            replace(empty, entries=zero, relative=math.inf),
            product,
            scalar,
        ],
        relative=math.nan,
        largest=math.inf,
    )


def hostile() -> DiffResult:
    """Every name a stranger's, and each as bad as can be."""
    changes = [
        change(
            Place(layer=i % 3, role=name),
            "dense",
            0.01,
            tensors=(name,),
            tensors_base=(name,),
            dtype=name,
            dtype_base=name,
            moved_from=Place(role=name),
        )
        for i, name in enumerate(factory.HOSTILE_NAMES)
    ]
    changes += [change(Place(), "dense", 0.02, shape=(8,), name=name) for name in factory.HOSTILE_NAMES]
    finding = Finding(
        factory.HOSTILE,
        "error",
        factory.HOSTILE,
        role=factory.HOSTILE,
        tensors=factory.HOSTILE_NAMES,
        detail=factory.HOSTILE,
        advice=factory.HOSTILE,
    )
    result = result_of(
        changes,
        base=factory.HOSTILE,
        derived=factory.HOSTILE + "\u202e",
        findings=(finding,),
        one_sided=[OneSided(Place(role=name), (name,), (4, 4), "base") for name in factory.HOSTILE_NAMES],
        recipe=(0.5,),
    )
    return replace(
        result,
        family=factory.HOSTILE,
        notes=(factory.HOSTILE,),
        parents=(identity(factory.HOSTILE),),
        partial=(factory.HOSTILE,),
        options={factory.HOSTILE: factory.HOSTILE},
        versions={"weightaudit": factory.HOSTILE},
    )


ALL: dict[str, Callable[[], DiffResult]] = {
    made.__name__: made
    for made in (lora, full, cast, quantised, unrelated, identical, resized, moved, merged, mixture, odd, hostile)
}

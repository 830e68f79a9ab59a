"""Changes and whole differences, made without a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from weightaudit.pairs.summary import summarise
from weightaudit.records import (
    Adapter,
    Change,
    DiffResult,
    EntryChanges,
    Explained,
    Kind,
    ModelIdentity,
    OneSided,
    Place,
    RankFacts,
)

ROWS, COLS = 64, 32
ENTRIES = ROWS * COLS
LAYERS = 4
ROLES = ("Q", "K", "V", "O", "M1", "M2")


def facts(**changes: Any) -> EntryChanges:
    """Of a dense change of float32 numbers, a hundredth of the base's size."""
    known: dict[str, Any] = {
        "entries": ENTRIES,
        "nonfinite_base": 0,
        "nonfinite_derived": 0,
        "changed": ENTRIES,
        "rows_changed": ROWS,
        "cols_changed": COLS,
        "base_sq": 100.0,
        "derived_sq": 100.01,
        "change_sq": 0.01,
        "inner": 0.0,
        "precision_base": "float32",
        "precision_derived": "float32",
        "floor": 1e-14,
        "floor_base": 1e-14,
        "edge": 1e-7,
        "edge_base": 1e-7,
        "within_ulp": 0,
        "zeros_base": 0,
        "zeros_derived": 0,
        "cut": 0,
        "casts": (),
        "two_of_four": False,
        "scaled_rest": 0.01,
        "rows_scaled_rest": 0.01,
        "cols_scaled_rest": 0.01,
    }
    return EntryChanges(**known | changes)


SAME = facts(changed=0, rows_changed=0, cols_changed=0, derived_sq=100.0, change_sq=0.0)
CAST = facts(precision_derived="bfloat16", casts=("bfloat16",), change_sq=1e-4, floor=1e-4)


def change(place: Place, kind: Kind = "unchanged", **known: Any) -> Change:
    """Of a matrix, of which the entries are as a kind has them unless said."""
    entries = known.pop("entries", SAME if kind == "unchanged" else CAST if kind == "cast" else facts())
    shape = known.pop("shape", (ROWS, COLS))
    return Change(
        place=place,
        tensors=known.pop("tensors", (place.words(".").replace(" ", ".") + ".weight",)),
        tensors_base=("base.weight",),
        shape=shape,
        shape_base=known.pop("shape_base", shape),
        dtype="float32",
        dtype_base="float32",
        kind=kind,
        entries=entries,
        relative=entries.relative if entries is not None else 0.1,
        **known,
    )


def vector(name: str, kind: Kind = "unchanged", **known: Any) -> Change:
    return change(Place(), kind, tensors=(name,), shape=(COLS,), **known)


def low_rank(rank: int | None = 8, rest: float = 1.01, **known: Any) -> dict[str, Any]:
    return {"kind": "low rank", "ranks": RankFacts(rank, rest, (1.0,) * (rank or 3), 0.1, 0.3), **known}


def explained(*weights: float, rest: float = 1.0, unexplained: float = 1e-9, exact: bool = True) -> Explained:
    return Explained(weights, rest, unexplained, exact)


def model(**of_roles: dict[str, Any]) -> list[Change]:
    """A small model, unchanged but for these roles; two norms."""
    known = [
        change(Place(layer=layer, role=role), **of_roles.get(role, {})) for layer in range(LAYERS) for role in ROLES
    ]
    embedding = change(Place(role="EMBED"), **of_roles.get("EMBED", {}))
    return [embedding, *known, vector("norm.weight"), vector("norm.bias")]


def with_layer(changes: Sequence[Change], layer: int, **known: Any) -> list[Change]:
    return [replace(one, **known) if one.place.layer == layer else one for one in changes]


def identity(name: str, adapter: Adapter | None = None) -> ModelIdentity:
    return ModelIdentity(name, "", f"/{name}", (), adapter=adapter)


ADAPTER = Adapter(kind="LoRA", base="base")


def result(
    changes: Sequence[Change],
    one_sided: Sequence[OneSided] = (),
    *,
    parents: Sequence[ModelIdentity] = (),
    **known: Any,
) -> DiffResult:
    return DiffResult(
        base=identity("base"),
        derived=known.pop("derived", identity("derived")),
        family="llama",
        changes=tuple(changes),
        one_sided=tuple(one_sided),
        summary=summarise(changes, one_sided),
        options={},
        versions={},
        parents=tuple(parents),
        **known,
    )


NAN = math.nan

"""Results of merge checks, made from small updates that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightaudit.merging.summary import summarise
from weightaudit.records import Meeting, MergeCheckResult, ModelIdentity, Place
from weightaudit.spectral.interactions import interactions

Numbers = NDArray[np.float64]
BASE = ModelIdentity("org/base", "0" * 40, "https://huggingface.co/org/base", ())


def planted(
    rows: int, cols: int, *, seed: int, models: int = 2, shared: float = 0.5, decay: float = 0.5
) -> list[Numbers]:
    """Updates whose input directions are the same as far as ``shared`` says, with singular values that fall off."""
    rng = np.random.default_rng(seed)
    k = min(rows, cols)
    common = np.linalg.qr(rng.standard_normal((cols, k)))[0]
    sigma = np.arange(1.0, k + 1) ** -decay
    found = []
    for _ in range(models):
        left = np.linalg.qr(rng.standard_normal((rows, k)))[0]
        kept = round(shared * k)
        right = np.linalg.qr(np.concatenate([common[:, :kept], rng.standard_normal((cols, k - kept))], axis=1))[0]
        found.append(left * sigma @ right.T)
    return found


def meeting(place: Place, updates: Sequence[Numbers], *, models: int | None = None, table: bool = False) -> Meeting:
    """How ``updates`` meet in one matrix; the first ``models`` are those of models, a further one is of a merge."""
    rows, cols = updates[0].shape
    return Meeting(
        place,
        (f"{place.stack}{place.layer}.{place.role}.weight",),
        (rows, cols),
        interactions(None, [[one] for one in updates], victims=models or len(updates), on_inputs=not table),
        table,
    )


def merge_check_result(
    models: int = 2,
    layers: int = 3,
    *,
    weights: Sequence[float] | None = None,
    merged: bool = False,
    names: Sequence[str] = (),
    **more: Any,
) -> MergeCheckResult:
    """A check of so many models with Q, M1 and an embedding, in which updates meet half and half."""
    meetings = []
    for number, (layer, role, shape) in enumerate(
        [
            (None, "EMBED", (20, 6)),
            *((layer, role, shape) for layer in range(layers) for role, shape in (("Q", (6, 6)), ("M1", (12, 6)))),
        ]
    ):
        updates = planted(*shape, seed=number, models=models)
        if merged:
            updates.append(0.5 * np.sum(updates, axis=0))
        meetings.append(meeting(Place("", layer, None, role), updates, models=models, table=role == "EMBED"))
    at = () if merged else tuple(weights or (1.0,) * models)
    called = list(names) or ["org/math", "org/code", *(f"org/model-{i}" for i in range(2, models))]
    identities = tuple(ModelIdentity(name, "", f"./{name.rsplit('/', 1)[-1]}", ()) for name in called[:models])
    plain = MergeCheckResult(
        base=BASE,
        models=identities,
        merged=ModelIdentity("merged", "", "./merged", ()) if merged else None,
        family="gpt2",
        meetings=tuple(meetings),
        summary=summarise(meetings, models, at),
        options={"seed": 0, "weights": list(at) or None},
        versions={"weightaudit": "1"},
    )
    return replace(plain, **more)

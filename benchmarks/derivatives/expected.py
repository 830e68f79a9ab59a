"""What should be said of a tensor that was changed in a known way, and where that can be said at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

BITS = {torch.bfloat16: 7, torch.float16: 10, torch.float32: 23}
"""Digits after the first of a number of each dtype."""
SMALLEST = {torch.float16: 2.0**-24, torch.bfloat16: 2.0**-133, torch.float32: 2.0**-149}
CLEAR = 1.5
"""How far above a threshold a true size must be for its answer to be required, and below for the other."""
RESOLUTION = 6.0
EDGE = 1.1


@dataclass(frozen=True)
class Expect:
    """``kinds`` that are right; the ``rank`` that a claim must name, and whether it ``must`` be claimed.

    ``block``, ``group`` and ``bits`` are what a permutation or a grid should be told to have, ``origin`` is the tensor
    of the base that was moved here; None where nothing is asked. ``why`` there are several kinds.
    """

    kinds: tuple[str, ...]
    rank: int | None = None
    must: bool = False
    block: int | None = None
    bits: int | None = None
    group: int | None = None
    origin: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Made:
    """A derivative: ``expected`` by names of its tensors, those that are not there being unchanged; of one role of a
    tensor by "name#role".

    ``cast`` says that these went through a rounding, and are "cast" where it changed them. ``base`` is the folder,
    beside the derivative's, of what it was made from; ``recipe`` are the weights of ``parents``, folders as well;
    ``adapter`` is one that may have been merged. ``findings`` must be there, of the whole model.
    """

    expected: dict[str, Expect]
    base: str = "base"
    cast: bool = False
    parents: tuple[str, ...] = ()
    recipe: tuple[float, ...] = ()
    recipe_exact: bool | None = None
    identical: bool | None = None
    decay: float | None = None
    refused: bool = False
    adapter: str | None = None
    findings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    renamed: bool = False


UNCHANGED, CAST = Expect(("unchanged",)), Expect(("cast",))
VECTOR = Expect(
    (
        *("dense", "sparse", "noise", "scaled", "at the resolution", "few rows", "unrelated", "rows permuted", "moved"),
        *("pruned", "pruned and changed", "low rank", "columns permuted", "rotated"),
    ),
    why="a vector that was changed otherwise than by a cast",
)


def one(kind: str, *others: str, **facts: Any) -> Expect:
    return Expect((kind, *others), **facts)


def numpy64(W: torch.Tensor) -> NDArray[np.float64]:
    return W.detach().to(torch.float64).numpy()


def ulp(W: torch.Tensor, dtype: torch.dtype) -> NDArray[np.float64]:
    """Distance of neighbouring numbers of ``dtype`` at each entry."""
    _, exponents = np.frexp(np.abs(numpy64(W)))
    return np.maximum(np.ldexp(1.0, exponents - 1 - BITS[dtype]), SMALLEST[dtype])


def floor_and_edge(W: torch.Tensor, dtype: torch.dtype) -> tuple[float, float]:
    """‖·‖_F² of the errors of rounding to ``dtype``, and σ₁ of them."""
    squares = ulp(W, dtype) ** 2 / 12
    return float(squares.sum()), math.sqrt(squares.sum(1).max()) + math.sqrt(squares.sum(0).max())


def expect_update(base: torch.Tensor, update: torch.Tensor, dtype: torch.dtype) -> Expect:
    """Of a matrix (out, in) to which a dense ``update`` was added, all of it in ``dtype``."""
    if not bool((update != 0).any()):
        return UNCHANGED
    above = float((numpy64(update) ** 2).sum()) / floor_and_edge(base, dtype)[0]
    if int((update != 0).any(1).sum()) <= len(update) / 2:
        if dtype == torch.float32 or above > RESOLUTION * CLEAR:
            return one("few rows")
        return one("few rows", "at the resolution", "unchanged", why="few rows, of which rounding leaves little")
    if min(update.shape) <= 8:
        return one("dense", "noise", "low rank", "sparse", why="tiny")
    if dtype == torch.float32:
        return one("dense")
    # Rounding is added to the update.
    if above > RESOLUTION * CLEAR:
        return one("dense")
    if above + 1 < RESOLUTION / CLEAR:
        return one("at the resolution", "unchanged", why="a change below the resolution may leave no trace")
    return one("dense", "at the resolution", why=f"‖Δ‖² is {above:.1f} of the floor")


def expect_low_rank(base: torch.Tensor, update: torch.Tensor, rank: int, dtype: torch.dtype, role: str) -> Expect:
    """Of a matrix (out, in) to which an ``update`` of ``rank`` was added, and the sum rounded to ``dtype``.

    Required above the limits that docs/diff.md states.
    """
    if rank >= min(update.shape) / 2:
        return one("low rank", "dense", rank=rank, why="half of all directions, or more")
    delta = numpy64(update)
    relative = float(np.linalg.norm(delta) / np.linalg.norm(numpy64(base)))
    _, edge = floor_and_edge(base, dtype)
    least = float(np.linalg.svd(delta, compute_uv=False)[rank - 1]) / (EDGE * edge)
    limit = {torch.float32: 0.0, torch.float16: 0.001}.get(dtype, 0.006 if rank <= 8 else 0.02)
    if dtype == torch.bfloat16 and rank >= 64 and role == "M2":
        limit = 0.05
    facts = f"relative {relative:.2g}, σ_r {least:.2g} of the edge"
    if relative >= limit and least > CLEAR:
        return one("low rank", rank=rank, must=True, why=facts)
    return one(
        "low rank", "at the resolution", "dense", "noise", "sparse", "few rows", "unchanged", rank=rank, why=facts
    )

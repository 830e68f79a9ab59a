"""The factors of one module's change → one logical tensor, or the reason why they make none."""

from __future__ import annotations

import math
from collections.abc import Mapping

from weightaudit.checkpoint.adapters import keys
from weightaudit.checkpoint.adapters.kinds import scheme_of
from weightaudit.checkpoint.codecs.low_rank import DIAGONAL, LEFT, NAME, RIGHT
from weightaudit.dtypes import BY_NAME
from weightaudit.records import TensorInfo, encoded, unread

TURNED = {keys.EMBEDDING_A: RIGHT, keys.EMBEDDING_B: LEFT}
USES = {keys.A: RIGHT, keys.B: LEFT, keys.E: DIAGONAL}
OTHER_USES = {keys.MAGNITUDE: keys.MAGNITUDE, keys.MID: keys.MID, keys.ALPHA: keys.ALPHA}
"""Slots of a key → uses of parts. The factors come first."""
OTHER_NORMS = "the norms that they set are not those of rows"
ADALORA_EPSILON = 1e-5
"""What AdaLoRA adds to the rank that it divides by."""


def change(
    name: str,
    slots: Mapping[str, TensorInfo],
    kind: str,
    *,
    alpha: float | None,
    rank: int | None = None,
    rslora: bool = False,
    experts: bool = False,
    turned_right: bool = False,
) -> TensorInfo:
    """The tensor ``name`` of the base as ``slots`` change it; ``kind`` is what people call this.

    ``alpha`` None: the scale is 1. ``rank`` is what the config says and counts for ``experts`` alone, whose factors are
    stacked: their number is that of A's rows by it. ``turned_right``: A is (rows, r) and B is (cols, r).
    """
    if turned_right:
        slots = {{keys.A: keys.B, keys.B: keys.A}.get(slot, slot): info for slot, info in slots.items()}
    turned = keys.EMBEDDING_A in slots or keys.EMBEDDING_B in slots
    uses = {**(TURNED if turned else USES), **OTHER_USES}
    parts = tuple((use, slots[slot]) for slot, use in uses.items() if slot in slots)
    parts += tuple((slot, info) for slot, info in slots.items() if slot not in uses)
    by_use = dict(parts)
    scheme = scheme_of(kind)
    if why := _why_not(by_use, turned_right):
        return unread(name, _shape_of(parts), parts, scheme, why)
    B, A = by_use[LEFT], by_use[RIGHT]
    r, out, cols = A.shape[0], B.shape[0], math.prod(A.shape[1:])
    own: list[tuple[str, str | int | float]] = []
    stacked: tuple[str, ...] = ()
    if turned_right:
        r, cols = A.shape[1], A.shape[0]
        own.append(("turned right", 1))
    shape: tuple[int, ...] = (cols, out) if turned else (out, cols)
    if turned:
        own.append(("turned", 1))
    elif experts:
        if not rank or r % rank:
            return unread(name, _shape_of(parts), parts, scheme, "the number of experts does not follow from its rank")
        count, r = r // rank, rank
        if count > 1:
            own.append(("experts", count))
            shape = (count, *shape)
            stacked = () if DIAGONAL in by_use else (RIGHT,)
    if keys.MAGNITUDE in by_use and not _of_rows(by_use[keys.MAGNITUDE], shape, turned):
        own.append(("alone", OTHER_NORMS))
    scale = _scale(alpha, r, rslora=rslora, adaptive=DIAGONAL in by_use)
    return encoded(name, shape, NAME, parts, scheme, parameters=(("scale", scale), ("rank", r), *own), stacked=stacked)


def _scale(alpha: float | None, r: int, *, rslora: bool, adaptive: bool) -> float:
    if adaptive:
        return (alpha if alpha is not None and alpha > 0 else float(r)) / (r + ADALORA_EPSILON)
    if alpha is None:
        return 1.0
    return alpha / math.sqrt(r) if rslora else alpha / r


def _of_rows(norms: TensorInfo, shape: tuple[int, ...], turned: bool) -> bool:
    """Whether a matrix of ``shape`` has a row for each of ``norms``; of an embedding PEFT takes those of columns."""
    dtype = BY_NAME.get(norms.dtype)
    of_columns = turned or (len(norms.shape) == 2 and norms.shape[0] == 1 < norms.parameters)
    numbers = dtype is not None and dtype.analysable and not norms.encoded
    return numbers and len(shape) == 2 and norms.parameters == shape[0] and not of_columns


def _why_not(parts: Mapping[str, TensorInfo], turned_right: bool) -> str:
    """Why ``parts`` are no product; "" where they are."""
    if keys.MID in parts:
        return "a third factor lies between the two"
    for use, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        if use not in parts:
            return f"its factor {use} is not there, only {other if other in parts else 'what goes with it'}"
    B, A = parts[LEFT], parts[RIGHT]
    for use, info in parts.items():
        dtype = BY_NAME.get(info.dtype)
        if use in (LEFT, RIGHT, DIAGONAL) and (dtype is None or not dtype.analysable or info.encoded):
            return f"its factor {use} is stored as {info.dtype}"
    if len(A.shape) < 2 or len(B.shape) < 2 or math.prod(B.shape[2:]) != 1:
        return f"its factors are no matrices: B {B.shape}, A {A.shape}"
    if 0 in A.shape or 0 in B.shape:
        return f"its factors are empty: B {B.shape}, A {A.shape}"
    if B.shape[1] != A.shape[int(turned_right)] or (DIAGONAL in parts and parts[DIAGONAL].parameters != A.shape[0]):
        return f"its factors do not fit each other: B {B.shape}, A {A.shape}"
    return ""


def _shape_of(parts: tuple[tuple[str, TensorInfo], ...]) -> tuple[int, ...]:
    """The shape of what is not read: that of the matrix where both factors tell it, else that of the first part."""
    by_use = dict(parts)
    B, A = by_use.get(LEFT), by_use.get(RIGHT)
    if B is not None and A is not None and len(B.shape) == len(A.shape) == 2:
        return B.shape[0], A.shape[1]
    return parts[0][1].shape

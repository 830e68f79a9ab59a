"""What to analyse: roles and layers, as people write them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

from weightaudit.errors import UsageError
from weightaudit.records import ModelMap, RoleMatrix
from weightaudit.text import did_you_mean, printable

MAX_LAYER = 99_999
"""Largest layer number accepted; far above any model, small enough to hold a range of them."""


def parse_roles(roles: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """``"Q,K"`` or ``["Q", "K"]`` → ``("Q", "K")``, upper case, each once; None stays None (all roles).

    Raises UsageError for an empty list.
    """
    if roles is None:
        return None
    words = roles.split(",") if isinstance(roles, str) else list(roles)
    names = tuple(dict.fromkeys(str(word).strip().upper() for word in words if str(word).strip()))
    if not names:
        raise UsageError("roles", "the list is empty", "Write for example --roles Q,K,M1.")
    return names


def parse_layers(layers: str | int | Iterable[int] | None) -> tuple[int, ...] | None:
    """``"0-2,5"``, ``5`` or ``range(3)`` → sorted layer numbers, each once; None stays None (all layers).

    Raises UsageError for anything that is no such list, for backward ranges and for numbers out of reason.
    """
    if layers is None:
        return None
    if isinstance(layers, str):
        numbers = {number for piece in layers.split(",") for number in _parse_range(layers, piece)}
    else:
        numbers = {_whole(n) for n in (layers if isinstance(layers, Iterable) else [layers])}
    if not numbers:
        raise UsageError("layers", "the list is empty", "Write for example --layers 0-5,11.")
    return tuple(sorted(numbers))


def _whole(number: object) -> int:
    """A layer number in whatever integer type it comes (numpy's too)."""
    try:
        whole = operator.index(number)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        whole = -1
    if isinstance(number, bool) or not 0 <= whole <= MAX_LAYER:
        raise UsageError(f"layers {number!r}", "not a layer number", f"Layers count from 0 to {MAX_LAYER}.")
    return whole


def _parse_range(whole: str, piece: str) -> range:
    first, dash, last = (word.strip() for word in piece.partition("-"))
    ends = (first, last) if dash else (first, first)
    if not all(end.isascii() and end.isdigit() and len(end) <= len(str(MAX_LAYER)) for end in ends):
        raise UsageError(
            f"layers '{printable(whole)}'",
            f"'{printable(piece.strip())}' is no layer number and no range",
            f"Write numbers from 0 to {MAX_LAYER} and ranges, for example 0-5,11.",
        )
    start, stop = int(ends[0]), int(ends[1])
    if stop < start:
        raise UsageError(f"layers '{printable(whole)}'", "the range runs backwards", f"Write {stop}-{start}.")
    return range(start, stop + 1)


def select(model_map: ModelMap, roles: Sequence[str] | None, layers: Sequence[int] | None) -> tuple[RoleMatrix, ...]:
    """Matrices of the wanted roles and layers, in report order. Naming layers leaves out what lies outside them.

    Raises UsageError for a role or layer that the model does not have.
    """
    known_roles = list(dict.fromkeys(matrix.role for matrix in model_map.matrices))
    for role in roles or ():
        if role not in known_roles:
            raise UsageError(
                f"role '{printable(role)}'",
                "the model has no such role",
                did_you_mean(role, known_roles) + f"It has {', '.join(known_roles)}.",
            )
    known_layers = {matrix.layer for matrix in model_map.matrices if matrix.layer is not None}
    for layer in layers or ():
        if layer not in known_layers:
            has = f"It has layers {min(known_layers)}-{max(known_layers)}." if known_layers else "It has no layers."
            raise UsageError(f"layer {layer}", "the model has no such layer", has)
    wanted = None if layers is None else set(layers)
    chosen = tuple(
        matrix
        for matrix in model_map.matrices
        if (roles is None or matrix.role in roles) and (wanted is None or matrix.layer in wanted)
    )
    if not chosen:
        raise UsageError(
            f"roles {','.join(roles or known_roles)} in layers {','.join(map(str, layers or ()))}",
            "the model has no such matrix",
            "Embeddings and heads lie outside the layers: ask for them without --layers.",
        )
    return chosen

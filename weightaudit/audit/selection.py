"""Which matrices of a model are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from weightaudit.errors import UsageError
from weightaudit.records import OTHER, ModelMap, RoleMatrix
from weightaudit.text import did_you_mean, listed, printable


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
                "Matrices of no known role are measured with --all."
                if role == OTHER
                else did_you_mean(role, known_roles) + f"It has {listed(known_roles)}.",
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
    if not chosen and model_map.matrices:  # there may be none of an adapter, all of which is told why
        raise UsageError(
            f"roles {','.join(roles or known_roles)} in layers {','.join(map(str, layers or ()))}",
            "the model has no such matrix",
            "Embeddings and heads lie outside the layers: ask for them without --layers.",
        )
    return chosen

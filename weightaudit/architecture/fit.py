"""Shapes against guesses: what a name claims, the neighbours must confirm."""

from __future__ import annotations

from collections.abc import Sequence

from weightaudit.architecture.assembly import Piece
from weightaudit.architecture.ledger import Ledger
from weightaudit.records import Place

FUSED = "gate and up fused in an unknown layout"
"""Why a matrix that holds both is left."""


def fitting(pieces: Sequence[Piece], ledger: Ledger) -> list[Piece]:
    """The pieces, less those that cannot be what they were guessed to be; the ledger is told why.

    M2 reads what M1 writes, so M1 has as many rows as M2 has columns. Twice as many are a gate and an up projection
    in one tensor.
    """
    at: dict[Place, dict[str, Piece]] = {}
    for piece in pieces:
        at.setdefault(piece.place, {})[piece.role] = piece
    kept = []
    for piece in pieces:
        why = _misfit(piece, at[piece.place])
        if why:
            ledger.leave(piece.parts[0].tensor, why)
        else:
            kept.append(piece)
    return kept


def _misfit(piece: Piece, beside: dict[str, Piece]) -> str:
    second = beside.get("M2")
    if piece.role not in ("M1", "GATE") or second is None or piece.shape[0] == second.shape[1]:
        return ""
    if piece.role == "M1" and piece.shape[0] == 2 * second.shape[1] and "GATE" not in beside:
        return FUSED
    return "its rows do not fit M2's columns"

"""Pieces with a role → the model's matrices, stacked and in report order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weightaudit.architecture.layouts import join
from weightaudit.records import Part, Place, RoleMatrix, Scheme

STACKED = ("Q", "K", "V")


@dataclass(frozen=True)
class Piece:
    """One matrix of one role, (out, in), as cut from a stored tensor of ``stored_rows`` output rows.

    ``place`` is its module's.
    """

    place: Place
    role: str
    parts: tuple[Part, ...]
    shape: tuple[int, int]
    dtype: str
    stored_rows: int
    scheme: Scheme | None = None


def assemble(pieces: Sequence[Piece]) -> tuple[RoleMatrix, ...]:
    """One RoleMatrix a piece, and QKV wherever a place has Q, K and V of one width and dtype.

    ``pieces`` have distinct (place, role). Order: embeddings, then layer by layer, then what lies outside the
    layers.
    """
    stored_rows = {part.tensor: piece.stored_rows for piece in pieces for part in piece.parts}
    by_place: dict[Place, dict[str, Piece]] = {}
    for piece in pieces:
        by_place.setdefault(piece.place, {})[piece.role] = piece
    matrices = [_matrix(piece.place, piece.role, [piece], stored_rows) for piece in pieces]
    for place, roles in by_place.items():
        members = [roles[role] for role in STACKED if role in roles]
        widths = {(piece.shape[1], piece.dtype, _changes(piece)) for piece in members}
        stackable = len(members) == len(STACKED) and len(widths) == 1
        if stackable and not {"QKV", "KV_A"} & roles.keys():
            matrices.append(_matrix(place, "QKV", members, stored_rows))
    return tuple(sorted(matrices, key=lambda matrix: matrix.place.order))


def _changes(piece: Piece) -> bool:
    """Whether it is what an adapter changes, and not a matrix itself: the two do not stack."""
    return piece.scheme is not None and piece.scheme.adapter


def _matrix(place: Place, role: str, pieces: Sequence[Piece], stored_rows: Mapping[str, int]) -> RoleMatrix:
    return RoleMatrix(
        stack=place.stack,
        layer=place.layer,
        expert=place.expert,
        role=role,
        parts=join([part for piece in pieces for part in piece.parts], stored_rows),
        shape=(sum(piece.shape[0] for piece in pieces), pieces[0].shape[1]),
        dtype=pieces[0].dtype,
        scheme=pieces[0].scheme if len({piece.scheme for piece in pieces}) == 1 else None,
    )

"""Pieces with a role → the model's matrices, stacked and in report order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from weightaudit.architecture.schema import TOWERS
from weightaudit.architecture.views import join
from weightaudit.records import EMBEDDING_ROLES, LAYER_ROLES, Part, RoleMatrix

STACKED = ("Q", "K", "V")
STACKS = ("", "encoder", "decoder", *TOWERS)


@dataclass(frozen=True)
class Place:
    """Where in the model a matrix stands; see RoleMatrix."""

    stack: str = ""
    layer: int | None = None
    expert: int | None = None


@dataclass(frozen=True)
class Piece:
    """One matrix of one role, (out, in), as cut from a stored tensor of ``stored_rows`` output rows."""

    place: Place
    role: str
    parts: tuple[Part, ...]
    shape: tuple[int, int]
    dtype: str
    stored_rows: int


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
        widths = {(piece.shape[1], piece.dtype) for piece in members}
        stackable = len(members) == len(STACKED) and len(widths) == 1
        if stackable and not {"QKV", "KV_A"} & roles.keys():
            matrices.append(_matrix(place, "QKV", members, stored_rows))
    return tuple(in_report_order(matrices))


def _matrix(place: Place, role: str, pieces: Sequence[Piece], stored_rows: Mapping[str, int]) -> RoleMatrix:
    return RoleMatrix(
        stack=place.stack,
        layer=place.layer,
        expert=place.expert,
        role=role,
        parts=join([part for piece in pieces for part in piece.parts], stored_rows),
        shape=(sum(piece.shape[0] for piece in pieces), pieces[0].shape[1]),
        dtype=pieces[0].dtype,
    )


def in_report_order(matrices: Iterable[RoleMatrix]) -> list[RoleMatrix]:
    """Embeddings; the encoder's layers, then the decoder's, then those of towers; then the rest, heads first.

    Within a layer what is shared comes before the experts, and roles run Q K V O QKV XQ ... GATE M1 M2, a
    family's own last.
    """

    def key(matrix: RoleMatrix) -> tuple[int, int, int, int, int, str]:
        if matrix.layer is None:
            embedding = matrix.role in EMBEDDING_ROLES
            rank = EMBEDDING_ROLES.index(matrix.role) if embedding else int(matrix.role != "HEAD")
            return (0 if embedding else 2, STACKS.index(matrix.stack), -1, -1, rank, matrix.role)
        rank = LAYER_ROLES.index(matrix.role) if matrix.role in LAYER_ROLES else len(LAYER_ROLES)
        expert = -1 if matrix.expert is None else matrix.expert
        return (1, STACKS.index(matrix.stack), matrix.layer, expert, rank, matrix.role)

    return sorted(matrices, key=key)

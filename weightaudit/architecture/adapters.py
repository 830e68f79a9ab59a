"""What an adapter changes beside the roles that names tell: each change has a place, whatever its module is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from weightaudit.architecture import conventions
from weightaudit.architecture.assembly import Piece
from weightaudit.architecture.coverage import Coverage
from weightaudit.records import Part, Place, TensorInfo

BASE = "the base model's own matrix, stored beside its change"
BASE_LAYER = re.compile(r".+\.base_layer\.weight")
ROLE = re.compile(r"[\w.\-]{1,200}", re.ASCII)
"""What of a module's path may stand for its role."""
FEW_STACKED, LEAST_STACKED = 4096, 256
"""Matrices that an adapter may stack in tensors, or one for so many stored bytes."""


def place_the_rest(coverage: Coverage) -> None:
    """Give each change that is left a role of its own: its module's path, within its layer where it has one."""
    taken = {(piece.place, piece.role) for piece in coverage.pieces}
    room = max(FEW_STACKED, sum(info.stored_nbytes for info in coverage.tensors.values()) // LEAST_STACKED)
    for name, info in coverage.tensors.items():
        if info.why_unread:
            coverage.leave(name, info.why_unread)
    for name in coverage.left():
        info = coverage.tensors[name]
        if BASE_LAYER.fullmatch(name) and not info.encoded:
            coverage.ignore(name, BASE)
        if not info.factored or info.why_unread or 0 in info.shape:
            continue
        pieces = next((found for found in _pieces(info) if not taken & {(one.place, one.role) for one in found}), [])
        if len(pieces) > 1:
            room -= len(pieces)
        if room < 0:
            continue
        taken |= {(piece.place, piece.role) for piece in pieces}
        coverage.pieces += pieces


def _pieces(info: TensorInfo) -> Iterator[list[Piece]]:
    """The matrices of a change, at the places that they may have, the best first."""
    path = info.name.removesuffix(".weight")
    found = conventions.LAYER_PATH.fullmatch(path)
    if found is not None:
        expert = conventions.EXPERT_PATH.fullmatch(found["inside"])
        if len(info.shape) == 3 and (role := _role(found["inside"])):  # of which the fallback measures none
            yield _at(info, int(found["layer"]), None, role)
        yield _at(info, int(found["layer"]), int(expert["expert"]) if expert else None, found["inside"])
    yield _at(info, None, None, path)


def _role(inside: str) -> str:
    """The role of a matrix of that path within its layer, by its name alone; "" where that tells none."""
    table = (one for one in conventions.LAYER_CONVENTIONS if not one.siblings)
    return next((one.role for one in table if one.pattern.fullmatch(f"{inside}.weight")), "")


def _at(info: TensorInfo, layer: int | None, expert: int | None, role: str) -> list[Piece]:
    if not ROLE.fullmatch(role):
        return []
    rows, cols = info.shape[-2:]
    if len(info.shape) == 2:
        parts = [(expert, Part(info.name))]
    else:
        parts = [(index, Part(info.name, index=index, of=info.shape[0])) for index in range(info.shape[0])]
    return [
        Piece(Place(layer=layer, expert=number), role, (part,), (rows, cols), info.dtype, rows, info.encoding.scheme)
        for number, part in parts
    ]

"""What of the stored tensors is read for a matrix, and its blocks as they are cut from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from weightaudit.arrays import Array, Product
from weightaudit.records import Part, RoleMatrix, TensorInfo


def pieces_of(matrix: RoleMatrix, tensors: Mapping[str, TensorInfo], *, apart: bool = True) -> list[TensorInfo]:
    """What is read for ``matrix``, each once.

    A change of stacked experts is read for each of them ``apart``, its left factor each time: beside what it changes
    that is little, and what all experts change would have to be held at once.
    """
    found = (
        _piece(part, tensors) if apart or not tensors[part.tensor].factored else tensors[part.tensor]
        for part in matrix.parts
    )
    return list({info.name: info for info in found}.values())


def _piece(part: Part, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
    """What is read for ``part``: of a tensor that stacks matrices the bytes of its own, where they are told apart."""
    info = tensors[part.tensor]
    own = None if part.index is None else info.at(part.index, part.of)
    return info if own is None or own.name in tensors else own


def cut(matrix: RoleMatrix, stored: Mapping[str, Array]) -> list[Array]:
    """The blocks of ``matrix``, views of what has been read for it."""
    blocks = []
    for part in matrix.parts:
        whole = stored.get(part.tensor)
        alone = replace(part, index=None, of=1)
        blocks.append(alone.cut(stored[f"{part.tensor}[{part.index}]"]) if whole is None else part.cut(whole))
    return blocks


def cut_products(matrix: RoleMatrix, products: Mapping[str, Product]) -> list[Product]:
    """The blocks of ``matrix`` by their factors; [] where it is no change that an adapter makes."""
    blocks = []
    for part in matrix.parts:
        if (whole := products.get(part.tensor)) is not None:
            blocks.append(part.cut_product(whole))
        elif (alone := products.get(f"{part.tensor}[{part.index}]")) is not None:
            blocks.append(replace(part, index=None, of=1).cut_product(alone))
    return blocks

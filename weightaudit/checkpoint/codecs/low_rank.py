"""The product of an adapter's two thin matrices: a matrix s·B·A that is kept by its factors.

B is (out, r) and A is (r, in), with further dimensions of A those of a convolution. ``turned``: the matrix is
s·(B·A)ᵀ, as of an embedding. ``turned right``: A is stored as (in, r). ``experts``: A has the factors of all experts
one below the other, B those of all side by side, the first column of each before the second (PEFT's target_parameters);
``expert``: it is this one of them alone, of whose factors A is its own and B that of all.
``heads``: so many blocks of rows of B are stored with their two halves interleaved (llama.cpp). A third part, E,
multiplies the rows of A (AdaLoRA). ``alone``: why a base's matrix and the product are not what the adapter makes of
both (`TensorInfo.alone`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array, Product
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.records import LOW_RANK, CodeFacts, TensorInfo

NAME = LOW_RANK
LEFT, RIGHT, DIAGONAL, MAGNITUDE = "B", "A", "E", "magnitude"
"""Uses of the parts."""
TILE = 64
"""Rows that are multiplied at a time, so that what is between the factors and the matrix is small."""


class LowRank:
    """s·B·A."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        """None: which tensors are an adapter's, and which of them belong together, its names and config say."""
        return iter(())

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        """Fill ``out`` with the product, each entry summed in float64 and rounded once."""
        product = product_of(info, parts)
        left = product.left.reshape(-1, *product.left.shape[-2:])
        right = product.right.reshape(-1, *product.right.shape[-2:])
        for B, A, matrix in zip(left, right, out.reshape(-1, *out.shape[-2:]), strict=True):
            wide = A.astype(np.float64) * product.scale
            for start in range(0, len(B), TILE):
                matrix[start : start + TILE] = B[start : start + TILE].astype(np.float64) @ wide

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        """None: there are no codes."""
        return None


def product_of(info: TensorInfo, parts: Mapping[str, Array]) -> Product:
    """The matrix ``info``, or all that it stacks, by its factors: views of ``parts`` as far as that can be.

    ValueError where these do not fit each other or the shape.
    """
    told = dict(info.encoding.parameters)
    B, A = parts[LEFT], parts[RIGHT]
    B, A = B.reshape(B.shape[0], -1), A.reshape(A.shape[0], -1)
    if told.get("turned right"):
        A = A.T
    if DIAGONAL in parts:
        A = A * parts[DIAGONAL].reshape(-1, 1).astype(np.float64)
    if (heads := int(told.get("heads", 0))) and B.size:
        B = B.reshape(heads, -1, 2, B.shape[1]).swapaxes(1, 2).reshape(B.shape)
    if told.get("turned"):
        B, A = A.T, B.T
    elif experts := int(told.get("experts", 0)):
        B = B.reshape(B.shape[0], -1, experts).transpose(2, 0, 1)
        if (expert := told.get("expert")) is not None:
            B = np.ascontiguousarray(B[int(expert)])
        else:
            A = A.reshape(experts, -1, A.shape[1])
    made = (*B.shape[:-1], A.shape[-1])
    if B.shape[-1] != A.shape[-2] or made != info.shape:
        raise ValueError(f"its factors {B.shape} and {A.shape} do not make a matrix of shape {info.shape}")
    magnitude = parts[MAGNITUDE].reshape(-1) if MAGNITUDE in parts and not info.alone else None
    return Product(B, A, float(told["scale"]), magnitude)

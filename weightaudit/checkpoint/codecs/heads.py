"""Matrices of attention whose heads GGUF files store otherwise than the model's own names mean them.

``pairs``: llama.cpp turns neighbouring entries of a head together (rotary embedding), transformers entries half a head
apart, so its converter puts rows i and i + d/2 of a head next to one another. ``transposed``: the part of DeepSeek's
``kv_b_proj`` that makes keys is stored as its transpose, head by head. Both are undone here as a tensor is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Codec, Stored
from weightaudit.records import PLAIN, CodeFacts, Encoding, TensorInfo

NAME = "heads"
PAIRS, TRANSPOSED = "pairs", "transposed"
TILE = 64
"""Rows that are decoded at a time, so that their scratch is small; even, as pairs are not torn apart."""
_NUMBERS = "numbers"
"""The use of the one part of a tensor that is stored as plain numbers."""


def by_heads(info: TensorInfo, order: str, heads: int, rows: int) -> TensorInfo:
    """``info`` read so that the first ``heads`` blocks of ``rows`` rows each are what its name means.

    ``pairs`` keeps the shape; ``transposed`` makes (heads, rows, columns) a matrix (heads × columns, rows).
    """
    inner = info.encoding
    parts = inner.parts if info.encoded else ((_NUMBERS, info),)
    own = (("inner", inner.codec), ("order", order), ("heads", heads), ("rows", rows))
    shape = info.shape if order == PAIRS else (heads * info.shape[-1], rows)
    encoding = Encoding(NAME, parts, (*inner.parameters, *own), inner.scheme)
    return replace(info, shape=shape, encoding=encoding)


class Heads:
    """The order of rows within heads, around what another codec decodes."""

    def __init__(self, codecs: Mapping[str, Codec]) -> None:
        self._codecs = codecs

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        """None: names and the header of a GGUF file say which tensors these are."""
        return iter(())

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        """Fill ``out`` head by head; what follows the heads (V behind Q and K) comes in its order."""
        order = info.encoding.parameter("order")
        heads, rows = (int(info.encoding.parameter(name)) for name in ("heads", "rows"))
        cols = math.prod(info.shape[1:]) if order == PAIRS else info.shape[0] // max(heads, 1)
        flat = out.reshape(-1)
        each = rows * cols
        if heads < 1 or each < 1 or flat.size < heads * each or (order == PAIRS and rows % 2):
            raise ValueError(f"{heads} heads of {rows} rows do not make a tensor of shape {info.shape}")
        scratch = np.empty((min(rows, TILE), cols), out.dtype)
        for head in range(heads):
            whole = flat[head * each : (head + 1) * each]
            for start in range(0, rows, TILE):
                tile = scratch[: min(TILE, rows - start)]
                self._stored(info, parts, head * rows + start, tile)
                if order == PAIRS:
                    half, pairs = whole.reshape(2, rows // 2, cols), slice(start // 2, (start + len(tile)) // 2)
                    half[0, pairs], half[1, pairs] = tile[0::2], tile[1::2]
                else:
                    whole.reshape(cols, rows)[:, start : start + len(tile)] = tile.T
        left = flat[heads * each :].reshape(-1, cols)
        if left.size:
            self._stored(info, parts, heads * rows, left)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        """Those of the codes, whatever their order."""
        inner = self._codecs.get(str(info.encoding.parameter("inner")))
        return None if inner is None else inner.facts(_inner(info, info.shape), parts)

    def _stored(self, info: TensorInfo, parts: Mapping[str, Array], first: int, out: Array) -> None:
        """Fill ``out`` with stored rows, from row ``first`` on."""
        use = info.encoding.parts[0][0]
        if info.encoding.parameter("inner") == PLAIN.codec:
            start = first * out.shape[1]
            out[:] = parts[use].reshape(-1)[start : start + out.size].reshape(out.shape)
            return
        stored = parts[use]
        rows = stored.reshape(-1, stored.shape[-1])[first : first + out.shape[0]]
        codec = self._codecs[str(info.encoding.parameter("inner"))]
        codec.decode(_inner(info, out.shape), {**parts, use: rows}, out)


def _inner(info: TensorInfo, shape: tuple[int, ...]) -> TensorInfo:
    """``info``, or some of its rows, as the codec within sees it."""
    return replace(info, shape=shape, encoding=replace(info.encoding, codec=str(info.encoding.parameter("inner"))))

"""NVFP4 of ModelOpt: 4-bit floats, a float8 scale for each 16 of a row, and one float32 that multiplies these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.checkpoint.codecs.bits import E2M1, levels, of_floats, pairs, scale_facts, take_pairs, tiles
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

SCHEME = Scheme("NVFP4", 4, "16", symmetric=True)
BLOCK = 16
_PAIRS = pairs(E2M1)


class ModelOpt:
    """`Codec` of uint8 ``P.weight``, the first code of a byte in its low nibble, beside ``P.weight_scale_2``."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name, whole in stored.tensors.items():
            if not name.endswith("weight_scale_2"):
                continue
            plain = name.removesuffix("_scale_2")
            scales = stored.tensors.get(f"{plain}_scale")
            codes = stored.tensors.get(plain if plain.endswith(".weight") else plain.removesuffix("_weight"))  # a stack
            if codes is None or scales is None or codes.dtype != "uint8":
                continue
            parts = (("codes", codes), ("scales", scales), ("scale", whole))
            shape = (*codes.shape[:-1], 2 * codes.shape[-1]) if codes.shape else ()
            fits = len(shape) == 2 and shape[-1] % BLOCK == 0 and scales.shape == (shape[0], shape[1] // BLOCK)
            if not fits or scales.dtype != "float8_e4m3fn" or whole.dtype != "float32" or whole.parameters != 1:
                why = f"codes of {codes.shape} and {scales.dtype} scales of {scales.shape}"
                yield unread(codes.name, shape, parts, SCHEME, why)
            else:
                yield encoded(codes.name, shape, "modelopt", parts, SCHEME)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        scales = _scales(parts)
        for start, stop in tiles(*info.shape):
            tile = out[start:stop]
            take_pairs(_PAIRS, parts["codes"][start:stop], tile)
            blocks = tile.reshape(-1, BLOCK)
            blocks *= scales[start:stop].reshape(-1, 1)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        return CodeFacts(**of_floats(levels(parts["codes"], 4)), **scale_facts(parts["scales"]))


def _scales(parts: Mapping[str, Array]) -> Array:
    """Of each block, float32."""
    scales: Array = parts["scales"].astype(np.float32) * parts["scale"].reshape(-1)
    return scales

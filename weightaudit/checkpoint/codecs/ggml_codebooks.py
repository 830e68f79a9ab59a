"""The types of ggml whose codes are indices of codebooks: decoded by the package gguf, which has these."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from weightaudit.arrays import Array

NEEDS = "needs the package gguf: pip install gguf"


@cache
def available() -> bool:
    """Whether the package is installed; asked without importing it, and once, as a file may list many tensors."""
    spec = find_spec("gguf")
    return spec is not None and spec.origin is not None  # a folder of that name has none


def decode(blocks: Array, name: str, out: Array) -> None:
    """Fill ``out`` (n, entries) with the numbers of ``blocks`` (n, bytes) of type ``name``; ValueError without gguf."""
    try:
        from gguf.constants import GGMLQuantizationType
        from gguf.quants import dequantize
    except ImportError as error:
        raise ValueError(NEEDS) from error
    row = dequantize(blocks.reshape(1, -1), GGMLQuantizationType[name])
    out[...] = row.reshape(out.shape)

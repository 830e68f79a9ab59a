"""MLX: codes of 2 to 8 bits in 32-bit words along a row, and for each group of a row a scale and an offset.

Its modes mxfp4, nvfp4 and mxfp8 hold small floats instead, with a byte for each group's scale and no offset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import USUAL, Stored, held_by, told_bits
from weightaudit.checkpoint.codecs.bits import (
    E2M1,
    E4M3,
    E8M0,
    histogram,
    levels,
    of_floats,
    pairs,
    scale_facts,
    take_pairs,
    tiles,
    unpack,
)
from weightaudit.dtypes import BY_NAME
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)
MODES = {2: ("nvfp4", 4, 16), 4: ("mxfp4", 4, 32), 8: ("mxfp8", 8, 32)}
"""The modes of small floats by the words that share a scale: name, bits of a code, group."""
FLOATS = ("float16", "bfloat16", "float32")
_PAIRS = pairs(E2M1)
_DIGITS = pairs(np.arange(16, dtype=np.float32))


class Mlx:
    """`Codec` of uint32 ``P.weight`` beside ``P.scales``, and ``P.biases`` where there are offsets."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name, scales in stored.tensors.items():
            if not name.endswith(".scales"):
                continue
            module = name.removesuffix(".scales")
            codes = stored.tensors.get(f"{module}.weight")
            if codes is None or codes.dtype != "uint32":
                continue
            biases = stored.tensors.get(f"{module}.biases") or stored.tensors.get(f"{module}.qbiases")
            if biases is not None and scales.dtype in FLOATS and biases.dtype in FLOATS:
                yield _affine(stored, module, codes, scales, biases)
            elif scales.dtype == "uint8":
                yield _small_floats(codes, scales)
            elif scales.dtype in FLOATS:
                parts = (("codes", codes), ("scales", scales))
                yield unread(codes.name, _held(stored.method, codes), parts, Scheme("MLX"), "its offsets are missing")

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        columns = info.shape[-1]
        flat = out.reshape(-1, columns)
        codes = parts["codes"].reshape(len(flat), -1)
        scales, biases = _scales(info, parts).reshape(len(flat), -1), parts.get("biases")
        group = columns // scales.shape[-1]
        if biases is not None:
            biases = biases.reshape(len(flat), -1)
        for start, stop in tiles(len(flat), columns):
            tile = flat[start:stop]
            _numbers(info, codes[start:stop], tile)
            groups = tile.reshape(-1, group)
            groups *= scales[start:stop].astype(np.float32).reshape(-1, 1)
            if biases is not None:
                groups += biases[start:stop].astype(np.float32).reshape(-1, 1)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        codes, bits = parts["codes"], int(info.encoding.parameter("bits"))
        if 32 % bits == 0:
            counts = levels(codes, bits)
        else:
            counts = np.zeros(1 << bits, np.int64)
            for start, stop in tiles(*codes.reshape(-1, codes.shape[-1]).shape):
                fields = unpack(codes.reshape(-1, codes.shape[-1])[start:stop], bits, info.shape[-1])
                counts += histogram(np.ascontiguousarray(fields))[: 1 << bits]
        mode = info.encoding.parameter("mode")
        table = E4M3 if mode == "mxfp8" else E2M1 if mode != "affine" else np.arange(1 << bits)
        scales = parts["scales"].view(BY_NAME["float8_e4m3fn"].numpy) if mode == "nvfp4" else parts["scales"]
        return CodeFacts(**of_floats(counts, table), **scale_facts(scales))


def _numbers(info: TensorInfo, codes: Array, out: Array) -> None:
    """Fill ``out`` with what the codes are before they are scaled."""
    mode, bits = info.encoding.parameter("mode"), int(info.encoding.parameter("bits"))
    packed = codes.view(np.uint8)
    if bits == 4:
        take_pairs(_DIGITS if mode == "affine" else _PAIRS, packed, out)
    elif mode == "mxfp8":
        E4M3.take(packed, out=out, mode="clip")
    elif bits == 8:
        out[...] = packed
    else:
        out[...] = unpack(codes, bits, out.shape[1])


def _scales(info: TensorInfo, parts: Mapping[str, Array]) -> Array:
    """As they multiply; a table's where they are bytes."""
    mode, scales = info.encoding.parameter("mode"), parts["scales"]
    return scales if mode == "affine" else (E4M3 if mode == "nvfp4" else E8M0)[scales]


def _affine(stored: Stored, module: str, codes: TensorInfo, scales: TensorInfo, biases: TensorInfo) -> TensorInfo:
    parts = (("codes", codes), ("scales", scales), ("biases", biases))
    words, groups = (codes.shape or (0,))[-1], (scales.shape or (0,))[-1]
    fits = len(codes.shape) in (2, 3) and scales.shape == biases.shape == (*codes.shape[:-1], groups)
    found = _bits_and_group(stored.method, module, words, groups) if fits else None
    if found is None:
        scheme = Scheme("MLX", symmetric=False)
        why = "bits and group do not follow" if fits else f"codes of {codes.shape} and scales of {scales.shape}"
        return unread(codes.name, _held(stored.method, codes), parts, scheme, why)
    bits, group = found
    return _encoded(codes, (*codes.shape[:-1], groups * group), parts, Scheme("MLX", bits, str(group), False), "affine")


def _bits_and_group(method: Mapping[str, Any], module: str, words: int, groups: int) -> tuple[int, int] | None:
    """(bits, group) of a module by its shapes and, where several fit these, by the config; None where none does."""
    fit = [(bits, group) for bits in BITS for group in GROUPS if bits * group * groups == 32 * words and groups]
    own = method.get(module)
    for said in (own, method) if isinstance(own, Mapping) else (method,):
        told = (said.get("bits", method.get("bits")), said.get("group_size", method.get("group_size")))
        if told in fit:
            return next(pair for pair in fit if pair == told)
    return fit[0] if len(fit) == 1 else None


def _held(method: Mapping[str, Any], codes: TensorInfo) -> tuple[int, ...]:
    """The shape of what is not read: of the bits that the config tells."""
    return held_by(codes, told_bits(method.get("bits"), BITS))


def _small_floats(codes: TensorInfo, scales: TensorInfo) -> TensorInfo:
    parts = (("codes", codes), ("scales", scales))
    words, groups = (codes.shape or (0,))[-1], (scales.shape or (0,))[-1]
    known = MODES.get(words // groups) if groups and words % groups == 0 else None
    if known is None or len(codes.shape) not in (2, 3) or scales.shape != (*codes.shape[:-1], groups):
        why = f"codes of {codes.shape} and scales of {scales.shape}"
        return unread(codes.name, held_by(codes, USUAL), parts, Scheme("MLX"), why)
    mode, bits, group = known
    scheme = Scheme(mode.upper(), bits, str(group), symmetric=True)
    return _encoded(codes, (*codes.shape[:-1], groups * group), parts, scheme, mode)


def _encoded(
    codes: TensorInfo, shape: tuple[int, ...], parts: tuple[tuple[str, TensorInfo], ...], scheme: Scheme, mode: str
) -> TensorInfo:
    stacked = tuple(use for use, _ in parts) if len(shape) == 3 else ()
    parameters = (("mode", mode), ("bits", scheme.bits))
    return encoded(codes.name, shape, "mlx", parts, scheme, parameters=parameters, stacked=stacked)

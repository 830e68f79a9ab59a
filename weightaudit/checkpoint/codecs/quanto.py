"""quanto: int8 or float8 codes with a scale for each row, or codes of 2 or 4 bits with scales and shifts for groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import USUAL, Stored, held_by
from weightaudit.checkpoint.codecs.bits import E4M3, histogram, levels, scale_facts, tiles
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

CODES = ("int8", "float8_e4m3fn", "float8_e5m2")
FLOATS = ("float32", "bfloat16", "float16")


class Quanto:
    """`Codec` of ``P.weight._data`` and ``P.weight._data._data`` beside ``P.weight._scale``."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name, scales in stored.tensors.items():
            plain = name.removesuffix("._scale")
            if plain == name or scales.dtype not in FLOATS:
                continue
            codes, packed = stored.tensors.get(f"{plain}._data"), stored.tensors.get(f"{plain}._data._data")
            shifts = stored.tensors.get(f"{plain}._shift")
            if codes is not None and codes.dtype in CODES:
                yield _rows(plain, codes, scales)
            elif packed is not None and packed.dtype == "uint8" and shifts is not None and shifts.dtype in FLOATS:
                yield _grouped(stored, plain, packed, scales, shifts)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        scales = parts["scales"].astype(np.float32).reshape(-1, 1)
        if "shifts" in parts:
            _unpacked(int(info.encoding.parameter("bits")), parts, scales, out)
            return
        for start, stop in tiles(*info.shape):
            tile, codes, own = (
                out[start:stop],
                parts["codes"][start:stop],
                scales[start:stop] if len(scales) > 1 else scales,
            )
            if codes.dtype == np.int8:
                np.multiply(codes, own, out=tile)
            else:
                E4M3.take(codes.view(np.uint8), out=tile, mode="clip")
                tile *= own

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        codes, bits = parts["codes"], int(info.encoding.parameter("bits"))
        if "shifts" in parts:
            counts = levels(codes, bits)
            ends, unused = counts[[0, -1]], counts == 0
        elif codes.dtype == np.int8:
            counts = histogram(codes)[np.arange(-127, 128)]  # −128 is none of its levels
            ends, unused = counts[[0, -1]], counts == 0
        else:
            counts = histogram(codes)
            ends, unused = counts[abs(E4M3) == np.nanmax(E4M3)], (counts == 0) & ~np.isnan(E4M3)
        return CodeFacts(info.parameters, int(ends.sum()), int(unused.sum()), **scale_facts(parts["scales"]))


def _unpacked(bits: int, parts: Mapping[str, Array], scales: Array, out: Array) -> None:
    """Codes of few bits: the lowest ones of all bytes are the first part of the groups, and so on."""
    codes, shifts = parts["codes"], parts["shifts"].astype(np.float32).reshape(-1, 1)
    groups = out.reshape(len(scales), -1)
    for part in range(8 // bits):
        first = part * len(codes)
        for start, stop in tiles(*codes.shape):
            fields = codes[start:stop] >> np.uint8(part * bits) & np.uint8((1 << bits) - 1)
            tile = groups[first + start : first + stop]
            np.multiply(fields, scales[first + start : first + stop], out=tile)
            tile -= shifts[first + start : first + stop]


def _rows(name: str, codes: TensorInfo, scales: TensorInfo) -> TensorInfo:
    parts = (("codes", codes), ("scales", scales))
    what = {"float8_e4m3fn": "quanto FP8 E4M3", "float8_e5m2": "quanto FP8 E5M2"}.get(codes.dtype, "quanto")
    scheme = Scheme(what, 8, "row" if scales.parameters > 1 else "tensor", symmetric=True)
    if codes.dtype == "float8_e5m2":
        return unread(name, codes.shape, parts, scheme, "float8 E5M2 of quanto is not read here")
    if len(codes.shape) != 2 or scales.shape not in ((codes.shape[0], 1), (1,), ()):
        return unread(name, codes.shape, parts, scheme, f"codes of {codes.shape} and scales of {scales.shape}")
    return encoded(name, codes.shape, "quanto", parts, scheme, parameters=(("bits", 8),))


def _grouped(stored: Stored, name: str, packed: TensorInfo, scales: TensorInfo, shifts: TensorInfo) -> TensorInfo:
    """Groups along rows, whose number the matrix's bias tells: nothing else that is stored does."""
    parts = (("codes", packed), ("scales", scales), ("shifts", shifts))
    each = scales.parameters // packed.shape[0] if len(packed.shape) == 2 and packed.shape[0] else 0
    scheme = Scheme("quanto", 8 // each if each else 0, str(packed.shape[-1]) if packed.shape else "", symmetric=False)
    grouped = (scales.parameters, packed.shape[-1]) if packed.shape else ()
    if (
        each not in (2, 4)
        or each * packed.shape[0] != scales.parameters
        or not scales.shape == shifts.shape == (scales.parameters, 1)
    ):
        shape = held_by(packed, scheme.bits or USUAL, 0)
        return unread(name, shape, parts, scheme, f"codes of {packed.shape} and scales of {scales.shape}")
    bias = stored.tensors.get(f"{name.removesuffix('.weight')}.bias")
    out = bias.shape[0] if bias is not None and len(bias.shape) == 1 else 0
    if not out or scales.parameters % out:
        return unread(name, grouped, parts, scheme, "its shape is stored nowhere")
    shape = (out, scales.parameters // out * packed.shape[1])
    return encoded(name, shape, "quanto", parts, scheme, parameters=(("bits", 8 // each),))

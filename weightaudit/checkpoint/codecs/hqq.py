"""HQQ: codes of 1 to 8 bits with a scale and a zero point for each group, and all that describes them as tensors.

The matrix is grouped first, (groups, group) along axis 1 or (group, groups) along axis 0; of what a byte or a word
holds, the highest bits are the first part of the rows of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import USUAL, Stored, held_by
from weightaudit.checkpoint.codecs.bits import histogram, levels, scale_facts, tiles
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

FLOATS = ("float32", "bfloat16", "float16")
EACH = {8: 1, 4: 2, 3: 10, 2: 4, 1: 8}
"""Codes in a byte, of 3 bits in a 32-bit word, by their bits."""
LITTLE = ("nbits", "axis", "shape", "view_as_float")
"""What is read to know the layout."""
ALSO = (
    "group_size",
    "packing",
    "unpack_view_dtype",
    "quant_scale",
    "quant_zero",
    "compute_dtype",
    "offload_meta",
    "encoded_state_dict",
    "stores_quant_config",
    "channel_wise",
    "optimize",
    "round_zero",
)
"""What else lies beside."""
SCALING = ("scale", "zero", "scale_q", "zero_q")
"""The scales and zero points, and what they are called where they are quantised themselves."""
MAX_LITTLE = 64
"""Bytes of each of these."""


class Hqq:
    """`Codec` of ``P.W_q`` beside ``P.scale``, ``P.zero``, ``P.shape`` and others."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        modules = [name.removesuffix(".W_q") for name in stored.tensors if name.endswith(".W_q")]
        little = [
            info
            for module in modules
            for use in LITTLE
            if (info := stored.tensors.get(f"{module}.{use}")) is not None and _is_little(info)
        ]
        read = {info.name: value for info, value in zip(little, stored.values(little), strict=True)} if little else {}
        for module in modules:
            values = {use: read[name] for use in LITTLE if (name := f"{module}.{use}") in read}
            scales, zeros = stored.tensors.get(f"{module}.scale"), stored.tensors.get(f"{module}.zero")
            if "shape" not in values:
                continue
            if scales is not None and zeros is not None:
                yield _group(stored, module, (scales, zeros), values)
            else:
                codes = stored.tensors[f"{module}.W_q"]
                beside = ((use, stored.tensors.get(f"{module}.{use}")) for use in (*SCALING, *LITTLE, *ALSO))
                parts = (("codes", codes), *((use, part) for use, part in beside if part is not None))
                why = "its scales or zero points are quantised themselves, or missing"
                bits = int(values["nbits"].reshape(-1)[0]) if "nbits" in values else 0
                shape = held_by(codes, bits if bits in EACH else USUAL, 0)
                yield unread(f"{module}.weight", shape, parts, Scheme("HQQ"), why)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        bits, axis = int(info.encoding.parameter("bits")), info.encoding.parameter("axis")
        codes = parts["codes"]
        grouped = out.reshape(-1, codes.shape[1])
        scales, zeros = (
            parts[use].astype(np.float32).reshape((1, -1) if axis == 0 else (-1, 1)) for use in ("scales", "zeros")
        )
        mask = codes.dtype.type((1 << bits) - 1)
        for part in range(EACH[bits]):
            shift, first = codes.dtype.type((EACH[bits] - 1 - part) * bits), part * len(codes)
            for start, stop in tiles(*codes.shape):
                tile = grouped[first + start : first + stop]
                fields = codes[start : start + len(tile)] >> shift & mask
                own = slice(None) if axis == 0 else slice(first + start, first + stop)
                np.subtract(fields, zeros[own], out=tile, dtype=np.float32, casting="unsafe")
                tile *= scales[own]

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        bits, codes = int(info.encoding.parameter("bits")), parts["codes"]
        if bits == 3:
            counts, rows = np.zeros(8, np.int64), info.parameters // codes.shape[1]
            for part in range(EACH[3]):
                for start, stop in tiles(max(min(rows - part * len(codes), len(codes)), 0), codes.shape[1]):
                    counts += histogram((codes[start:stop] >> (27 - 3 * part) & 7).astype(np.uint8))[:8]
        else:
            counts = levels(codes, bits)
        ends = int(counts[[0, -1]].sum())
        return CodeFacts(info.parameters, ends, int((counts == 0).sum()), **scale_facts(parts["scales"]))


def _is_little(info: TensorInfo) -> bool:
    return info.dtype in ("int32", "int64", "uint8") and 0 < info.nbytes <= MAX_LITTLE


def _group(
    stored: Stored, module: str, scaling: tuple[TensorInfo, TensorInfo], values: Mapping[str, Array]
) -> TensorInfo:
    codes = stored.tensors[f"{module}.W_q"]
    beside = [(use, stored.tensors.get(f"{module}.{use}")) for use in (*LITTLE, *ALSO)]
    parts = (
        ("codes", codes),
        ("scales", scaling[0]),
        ("zeros", scaling[1]),
        *((use, part) for use, part in beside if part is not None and _is_little(part)),
    )
    shape = tuple(int(size) for size in values["shape"].reshape(-1))
    bits, axis, as_float = (
        int(values[use].reshape(-1)[0]) if use in values else 0 for use in ("nbits", "axis", "view_as_float")
    )
    scheme, name = Scheme("HQQ", bits if bits in EACH else 0, symmetric=False), f"{module}.weight"
    try:
        group = _fit(codes, scaling, shape, bits, axis)
        if as_float:
            raise ValueError("its codes are stored as floats")
    except ValueError as error:
        return unread(name, held_by(codes, scheme.bits or USUAL, 0), parts, scheme, str(error))
    scheme = Scheme("HQQ", bits, str(group), symmetric=False)
    return encoded(name, shape, "hqq", parts, scheme, parameters=(("bits", bits), ("axis", axis)))


def _fit(
    codes: TensorInfo, scaling: tuple[TensorInfo, TensorInfo], shape: tuple[int, ...], bits: int, axis: int
) -> int:
    """The entries of a group; ValueError where parts and shape do not fit each other."""
    entries = math.prod(shape)
    if bits not in EACH or axis not in (0, 1) or codes.dtype != ("int32" if bits == 3 else "uint8"):
        raise ValueError(f"{bits} bits in {codes.dtype} along axis {axis}")
    if len(shape) != 2 or min(shape) < 1 or len(codes.shape) != 2 or not codes.parameters or entries % codes.shape[1]:
        raise ValueError(f"codes of {codes.shape} for a shape of {shape}")
    rows = entries // codes.shape[1]
    if -(-rows // EACH[bits]) != codes.shape[0] or (bits != 3 and rows % EACH[bits]):
        raise ValueError(f"codes of {codes.shape} for a shape of {shape}")
    groups, group = (codes.shape[1], rows) if axis == 0 else (rows, codes.shape[1])
    if any(part.dtype not in FLOATS or part.parameters != groups for part in scaling):
        raise ValueError(f"its scales and zero points are not {groups} numbers")
    return group

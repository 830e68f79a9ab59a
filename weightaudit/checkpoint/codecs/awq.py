"""AWQ: 4-bit fields, eight to a word, along the outputs in an order of its own, or along the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.affine import (
    SCALES,
    Codes,
    Groups,
    Said,
    code_facts,
    dense,
    group_size,
    of_levels,
    shaped,
)
from weightaudit.checkpoint.codecs.awq_fast import decode_fast, group_of, sizes_of
from weightaudit.checkpoint.codecs.base import Stored, held_by
from weightaudit.checkpoint.codecs.bits import float32, levels, scale_facts, unpack
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

BITS, EACH = 4, 8
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Of the fields of a word, from its lowest bits: which of its eight columns each is."""
GROUP = 128
"""Inputs that share a scale where the config does not say how many do."""
FAST = "gemv_fast"
"""The version of `weightaudit.checkpoint.codecs.awq_fast`; llm-awq's files are of it, early ones of gemm."""
REFUSED = ("marlin", "ipex")
"""Versions with other layouts under the same names."""
ZEROS = ("qzeros", "scaled_zeros")
"""What zero points, or what is added in their place, are called; the second by llm-awq."""


class Awq:
    """`Codec` of ``P.qweight``, ``P.qzeros`` and ``P.scales`` as AWQ's versions gemm, gemv and gemv_fast have them.

    gemm is (in, out/8) with (groups, …) scales, gemv (out, in/8) with (out, …) ones, more of them than there are
    groups; gemv_fast is another file's. The parameters are "version" and "group" (inputs that share a scale).
    """

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        said = Said(stored.method, "group_size")
        for name, codes in stored.tensors.items():
            if not name.endswith("qweight") or codes.dtype in SCALES:  # quickly: most have none; floats are no codes
                continue
            module, dot, last = name.rpartition(".")
            if last != "qweight" or f"{module}{dot}g_idx" in stored.tensors:
                continue
            scales = stored.tensors.get(f"{module}{dot}scales")
            zeros = next(
                (stored.tensors[key] for its in ZEROS if (key := f"{module}{dot}{its}") in stored.tensors), None
            )
            if scales is None or zeros is None:
                continue
            parts = {"codes": codes, "scales": scales, "zeros": zeros}
            if info := _group(f"{module}{dot}weight", module, parts, stored, said):
                yield info

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        size = int(info.encoding.parameter("group"))
        if info.encoding.parameter("version") == FAST:
            decode_fast(parts, size, out)
            return
        scales = float32(parts["scales"])
        if info.encoding.parameter("version") == "gemm":
            stored = unpack(parts["zeros"], BITS, out.shape[0]).reshape(len(scales), -1, EACH)
            zeros = np.empty(stored.shape, np.float32)
            zeros[:, :, ORDER] = stored
            groups = Groups(scales.T, zeros.reshape(len(scales), -1).T, size)
            groups.decode(_along_outputs(parts["codes"].view(np.uint32)), out, step=EACH)
            return
        used = -(-out.shape[1] // size)
        zeros = unpack(parts["zeros"], BITS, used).astype(np.float32)
        Groups(scales[:, :used], zeros, size).decode(dense(parts["codes"], BITS, out.shape[1]), out)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        scales, groups = parts["scales"], -(-info.shape[1] // int(info.encoding.parameter("group")))
        if info.encoding.parameter("version") == FAST:
            return CodeFacts(**of_levels(levels(parts["codes"], BITS)), **scale_facts(scales[:groups]))
        if info.encoding.parameter("version") == "gemv":
            scales = scales[:, :groups]
        return CodeFacts(**code_facts(parts["codes"], BITS, EACH * parts["codes"].shape[1]), **scale_facts(scales))


def _along_outputs(packed: Array) -> Codes:
    """The codes of words (in, out/8)."""

    def fill(start: int, stop: int, tile: Array) -> None:
        turned = np.ascontiguousarray(packed[:, start // EACH : stop // EACH].T)
        by_word = tile.reshape(len(turned), EACH, -1)
        for field, column in enumerate(ORDER):
            by_word[:, column] = turned >> np.uint32(BITS * field) & np.uint32(15)

    return fill


def _group(
    name: str, module: str, parts: Mapping[str, TensorInfo], stored: Stored, said_sizes: Said
) -> TensorInfo | None:
    """The matrix in ``parts``, or why it cannot be read; None where nothing says that it is AWQ's."""
    codes, scales, zeros = parts["codes"], parts["scales"], parts["zeros"]
    method, said = stored.method, stored.text("version")
    ours = method.get("quant_method", "awq" if "w_bit" in method else "") == "awq"
    ours = ours or (codes.dtype == "int16" and zeros.dtype in SCALES)
    zero_point = method.get("zero_point")
    symmetric = not zero_point if isinstance(zero_point, bool) else None
    sizes = [*said_sizes.of(module), method.get("q_group_size")]
    every = tuple(parts.items())
    if ours and said in REFUSED:
        why = f"the version {said} is not read here"
        return unread(name, held_by(codes, BITS)[::-1], every, Scheme("AWQ", BITS, symmetric=symmetric), why)
    if fast := sizes_of(parts):
        found = group_of(fast[1], scales.shape[0], sizes)
        return _info(name, fast, every, FAST, found, scales, symmetric)
    fits = codes.dtype == "int32" and all(len(part.shape) == 2 for part in parts.values()) and codes.parameters > 0
    version = _version(parts, said) if fits else ""
    if not version:
        why = "shapes and dtypes of its parts do not fit each other"
        return (
            unread(name, held_by(codes, BITS)[::-1], every, Scheme("AWQ", BITS, symmetric=symmetric), why)
            if ours
            else None
        )
    inputs, outputs = (codes.shape[0], EACH * codes.shape[1])
    if version == "gemv":
        inputs, outputs = EACH * codes.shape[1], codes.shape[0]
        told = [size for size in sizes if type(size) is int and (size > 0 or size == -1)]
        size = (inputs if told[0] == -1 else told[0]) if told else GROUP  # more scales than groups: no shape tells it
        found = size if -(-inputs // size) <= scales.shape[1] else None
    else:
        found = group_size(inputs, scales.shape[0], sizes)
    return _info(name, (outputs, inputs), every, version, found, scales, symmetric)


def _info(
    name: str,
    shape: tuple[int, int],
    parts: tuple[tuple[str, TensorInfo], ...],
    version: str,
    group: int | None,
    scales: TensorInfo,
    symmetric: bool | None,
) -> TensorInfo:
    """The matrix of ``shape``, unread where its ``group`` is not known."""
    if group is None:
        why = f"{scales.shape} scales do not fit the config's group size"
        return unread(name, shape, parts, Scheme("AWQ", BITS, symmetric=symmetric), why)
    scheme = Scheme("AWQ", BITS, "row" if group >= shape[1] else str(group), symmetric)
    return encoded(name, shape, "awq", parts, scheme, parameters=(("version", version), ("group", group)))


def _version(parts: Mapping[str, TensorInfo], said: str) -> str:
    """ "gemm" or "gemv", as the shapes of the parts say; "" for neither."""
    (rows, words), scales, zeros = parts["codes"].shape, parts["scales"], parts["zeros"]
    gemm = shaped(scales, scales.shape[0], EACH * words, dtypes=SCALES) and shaped(
        zeros, scales.shape[0], words, dtypes=("int32",)
    )
    gemv = shaped(scales, rows, EACH * zeros.shape[1], dtypes=SCALES) and shaped(
        zeros, rows, zeros.shape[1], dtypes=("int32",)
    )
    if gemv and (said == "gemv" or (not gemm and scales.shape[1] != words)):  # equal: GPTQ's
        return "gemv"
    return "gemm" if gemm and scales.shape[0] > 0 else ""

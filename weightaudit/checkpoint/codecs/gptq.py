"""GPTQ, and AutoRound in its layout: fields of 2, 3, 4 or 8 bits along the inputs, packed for each output."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.affine import (
    SCALES,
    Groups,
    Said,
    code_facts,
    dense,
    group_size,
    grouping,
    shaped,
)
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.checkpoint.codecs.bits import float32, scale_facts, unpack
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

BITS = (2, 3, 4, 8)
MINUS_ONE = {2: 0x5555_5555, 4: 0x1111_1111, 8: 0x0101_0101}
"""By bits: what the first version's packers took from each word of zero points, one from every field."""
REFUSED = ("marlin", "gptq_p", "bitblas", "qqq")
"""Formats of GPTQ's makers with other layouts under the same names."""
EMBEDDING = re.compile(r"(^|\.)(embed_tokens|embed_in|tok_embeddings|word_embeddings|wte|wpe)$")
"""Modules whose rows are no outputs: how these are packed is not known here."""


class Gptq:
    """`Codec` of ``P.qweight`` (in·bits/32, out), ``P.qzeros``, ``P.scales`` (groups, out) and ``P.g_idx`` (in).

    The parameters are "bits", "group" (inputs that share a scale; 0 where the index says which) and "minus_one", 1
    where zero points are stored less one.
    """

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        said = Said(stored.method, "group_size")
        for name, codes in stored.tensors.items():
            if not name.endswith("qweight") or codes.dtype in SCALES:  # quickly: most have none; floats are no codes
                continue
            module, dot, last = name.rpartition(".")
            if last != "qweight":
                continue
            parts = {"codes": codes}
            for use, its in (("scales", "scales"), ("zeros", "qzeros"), ("index", "g_idx")):
                if (part := stored.tensors.get(f"{module}{dot}{its}")) is not None:
                    parts[use] = part
            if "scales" in parts:
                yield _group(f"{module}{dot}weight", module, parts, stored, said)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        bits, size = int(info.encoding.parameter("bits")), int(info.encoding.parameter("group"))
        scales, index = float32(parts["scales"]), None
        zeros = _zeros(parts["zeros"], bits, out.shape[0], minus_one=bool(info.encoding.parameter("minus_one")))
        if "index" in parts:
            size, index = grouping(parts["index"], len(scales))
        packed = parts["codes"].view(np.uint32).T
        minus = int(zeros.flat[0]) if zeros.size and (zeros == zeros.flat[0]).all() else 0
        codes = dense(packed, bits, out.shape[1], minus=minus)
        Groups(scales.T, (zeros - np.float32(minus)).T, size, index).decode(codes, out)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        bits = int(info.encoding.parameter("bits"))
        wrapped = None
        if info.encoding.parameter("minus_one"):
            fields = unpack(parts["zeros"], bits, info.shape[0])
            wrapped = int((fields == (1 << bits) - 1).sum())
        counts = code_facts(parts["codes"].view(np.uint32).T, bits, info.shape[1])
        return CodeFacts(**counts, **scale_facts(parts["scales"]), wrapped=wrapped)


def _group(name: str, module: str, parts: Mapping[str, TensorInfo], stored: Stored, said_sizes: Said) -> TensorInfo:
    """The matrix in ``parts``, or why it cannot be read."""
    method = stored.method
    codes, every = parts["codes"], tuple(parts.items())
    auto_round = "round" in stored.text("quant_method")
    symmetric, act_order = (said if isinstance(said := method.get(key), bool) else None for key in ("sym", "desc_act"))
    label = "AutoRound" if auto_round else "GPTQ"
    format = next((said for key in _FORMATS if (said := stored.text(key))), "")
    refused = next((one for one in REFUSED if one in format), "marlin" if method.get("is_marlin_format") else "")
    sizes = _sizes(parts)
    why = ""
    if refused:
        why = f"the format {refused} is not read here"
    elif codes.dtype != "int32" or method.get("pack_dtype", "int32") not in ("int32", "torch.int32"):
        why = f"it is packed in {codes.dtype if codes.dtype != 'int32' else method.get('pack_dtype')}"
    elif EMBEDDING.search(module):
        why = "it is an embedding"
    elif sizes is None:
        why = "shapes and dtypes of its parts do not fit each other"
    if why or sizes is None:
        return unread(name, codes.shape[::-1], every, Scheme(label, symmetric=symmetric), why)
    bits, columns = sizes
    size = group_size(columns, parts["scales"].shape[0], said_sizes.of(module))
    scheme = Scheme(label, bits, "row" if size == columns else str(size or ""), symmetric, act_order)
    shape = (codes.shape[1], columns)
    if size is None and "index" not in parts:
        return unread(name, shape, every, scheme, "neither config nor shapes tell its group size")
    minus_one = not ("v2" in format or (auto_round and "gptq" not in format))
    parameters = (("bits", bits), ("group", size or 0), ("minus_one", int(minus_one)))
    return encoded(name, shape, "gptq", every, scheme, parameters=parameters)


_FORMATS = ("checkpoint_format", "format", "packing_format", "backend")
"""Keys of a config that name the layout."""


def _sizes(parts: Mapping[str, TensorInfo]) -> tuple[int, int] | None:
    """(bits, inputs) of a matrix, from the shapes of its parts; None where these do not fit each other."""
    codes, scales, zeros, index = (parts.get(use) for use in ("codes", "scales", "zeros", "index"))
    if codes is None or scales is None or zeros is None or not all(len(one.shape) == 2 for one in (codes, scales)):
        return None
    (height, rows), groups = codes.shape, scales.shape[0]
    for bits in BITS:
        width, rest = divmod(height * 32, bits)
        whole = not rest and shaped(zeros, groups, rows * bits // 32, dtypes=("int32",)) and rows * bits % 32 == 0
        fits = index is None or shaped(index, width, dtypes=("int32", "int64"))
        if whole and fits and groups and shaped(scales, groups, rows, dtypes=SCALES):
            return bits, width
    return None


def _zeros(packed: Array, bits: int, rows: int, *, minus_one: bool) -> Array:
    """(groups, out) float32: zero points as they are meant.

    The first version's packers took one from each word's fields at once, so that a zero point of 0 borrowed from its
    neighbour: adding to whole words gives it back, and only then do fields mean what they should.
    """
    whole = packed.view(np.uint32)
    if minus_one and bits in MINUS_ONE:
        whole = whole + np.uint32(MINUS_ONE[bits])
    zeros = unpack(whole, bits, rows)
    if minus_one and bits not in MINUS_ONE:
        zeros = zeros + np.uint8(1) & np.uint8((1 << bits) - 1)
    return zeros.astype(np.float32)

"""GPTQ, and AutoRound in its layout: fields of 2, 3, 4 or 8 bits along the inputs, packed for each output.

Tokens are an embedding's inputs, so what is packed of one is the matrix as it is looked up, and is not turned.
"""

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
from weightaudit.checkpoint.codecs.base import Stored, held_by, told_bits
from weightaudit.checkpoint.codecs.bits import float32, scale_facts, tiles, unpack, words
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

BITS = (2, 3, 4, 8)
MINUS_ONE = {2: 0x5555_5555, 4: 0x1111_1111, 8: 0x0101_0101}
"""By bits: what the first version's packers took from each word of zero points, one from every field."""
REFUSED = ("marlin", "gptq_p", "bitblas", "qqq")
"""Formats of GPTQ's makers with other layouts under the same names."""
EMBEDDING = re.compile(r"(^|\.)(embed_tokens|embed_in|embed_positions|tok_embeddings|word_embeddings|wte|wpe)$")
"""Modules whose rows are looked up by number: their matrix is (in, out)."""


class Gptq:
    """`Codec` of ``P.qweight`` (in·bits/32, out), ``P.qzeros``, ``P.scales`` (groups, out) and ``P.g_idx`` (in).

    The parameters are "bits", "group" (inputs that share a scale; 0 where the index says which), "minus_one", 1 where
    zero points are stored less one, and "embedding", 1 for a matrix (in, out).
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
        embedding = bool(info.encoding.parameter("embedding"))
        zeros = _zeros(
            parts["zeros"], bits, out.shape[int(embedding)], minus_one=bool(info.encoding.parameter("minus_one"))
        )
        if "index" in parts:
            size, index = grouping(parts["index"], len(scales))
        if embedding:
            rows = np.arange(len(out)) // size if index is None else index
            _look_up(parts["codes"], bits, rows, scales, zeros, out)
            return
        packed = parts["codes"].view(np.uint32).T
        minus = int(zeros.flat[0]) if zeros.size and (zeros == zeros.flat[0]).all() else 0
        codes = dense(packed, bits, out.shape[1], minus=minus)
        Groups(scales.T, (zeros - np.float32(minus)).T, size, index).decode(codes, out)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        bits = int(info.encoding.parameter("bits"))
        wrapped = None
        columns, rows = info.shape if info.encoding.parameter("embedding") else info.shape[::-1]
        if info.encoding.parameter("minus_one"):
            fields = unpack(parts["zeros"], bits, rows)
            wrapped = int((fields == (1 << bits) - 1).sum())
        counts = code_facts(parts["codes"].view(np.uint32).T, bits, columns)
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
    sizes, embedding = _sizes(parts, method.get("bits")), EMBEDDING.search(module) is not None
    why = ""
    if refused:
        why = f"the format {refused} is not read here"
    elif codes.dtype != "int32" or method.get("pack_dtype", "int32") not in ("int32", "torch.int32"):
        why = f"it is packed in {codes.dtype if codes.dtype != 'int32' else method.get('pack_dtype')}"
    elif sizes is None:
        why = "shapes and dtypes of its parts do not fit each other"
    if why or sizes is None:
        shape = held_by(codes, told_bits(method.get("bits"), BITS), 0)[::-1]
        return unread(name, shape, every, Scheme(label, symmetric=symmetric), why)
    bits, columns = sizes
    size = group_size(columns, parts["scales"].shape[0], said_sizes.of(module))
    scheme = Scheme(label, bits, "row" if size == columns else str(size or ""), symmetric, act_order)
    shape = (columns, codes.shape[1]) if embedding else (codes.shape[1], columns)
    if size is None and "index" not in parts:
        return unread(name, shape, every, scheme, "neither config nor shapes tell its group size")
    minus_one = not ("v2" in format or (auto_round and "gptq" not in format))
    parameters = (("bits", bits), ("group", size or 0), ("minus_one", int(minus_one)), ("embedding", int(embedding)))
    return encoded(name, shape, "gptq", every, scheme, parameters=parameters)


_FORMATS = ("checkpoint_format", "format", "packing_format", "backend")
"""Keys of a config that name the layout."""


def _sizes(parts: Mapping[str, TensorInfo], said: object) -> tuple[int, int] | None:
    """(bits, inputs) of a matrix, from the shapes of its parts; None where these do not fit each other.

    Where inputs or outputs do not fill the last words, the index says how many inputs there are, and bits that several
    of the shapes would fit are those ``said``.
    """
    codes, scales, zeros, index = (parts.get(use) for use in ("codes", "scales", "zeros", "index"))
    if codes is None or scales is None or zeros is None or not all(len(one.shape) == 2 for one in (codes, scales)):
        return None
    (height, rows), groups = codes.shape, scales.shape[0]
    if not groups or not shaped(scales, groups, rows, dtypes=SCALES):
        return None
    fit = []
    for bits in BITS:
        width, rest = divmod(height * 32, bits)
        if index is not None:
            told = index.shape[0] if len(index.shape) == 1 and index.dtype in ("int32", "int64") else 0
            width, rest = told, words(told, bits) != height or not told
        if not rest and shaped(zeros, groups, words(rows, bits), dtypes=("int32",)):
            fit.append((bits, width))
    return next((one for one in fit if one[0] == said), fit[0]) if fit else None


def _look_up(packed: Array, bits: int, index: Array, scales: Array, zeros: Array, out: Array) -> None:
    """Fill ``out`` (in, out) with s·(q − z) of fields that follow each other down the columns of ``packed``."""
    for start, stop in tiles(*out.shape, step=32):
        last = start * bits // 32 + words(stop - start, bits)
        tile, its = out[start:stop], index[start:stop]
        fields = unpack(packed[start * bits // 32 : last], bits, stop - start, axis=0)
        np.subtract(fields, zeros[its], out=tile)
        tile *= scales[its]


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

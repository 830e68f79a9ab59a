"""BitNet as transformers stores it: −1, 0 and 1 in 2 bits, and one scale, which divides or multiplies.

The lowest bits of all bytes are the first quarter of the rows, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored, held_by
from weightaudit.checkpoint.codecs.bits import levels, scale_facts, tiles
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

SCHEME = Scheme("BitNet", 2, "tensor", symmetric=True)
EACH = 4
"""Codes in a byte."""


class BitNet:
    """`Codec` of uint8 ``P.weight`` beside one ``P.weight_scale``, where the config says that it is BitNet.

    Its layers of class "autobitlinear" multiply by the scale, all others divide by it.
    """

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        if stored.method.get("quant_method") != "bitnet":
            return
        multiplies = stored.method.get("linear_class") == "autobitlinear"
        for name, codes in stored.tensors.items():
            scale = stored.tensors.get(f"{name}_scale")
            if not name.endswith(".weight") or codes.dtype != "uint8" or scale is None:
                continue
            parts = (("codes", codes), ("scales", scale))
            if len(codes.shape) != 2 or scale.parameters != 1 or scale.dtype not in ("float32", "bfloat16", "float16"):
                why = f"codes of {codes.shape} and {scale.dtype} scales of {scale.shape}"
                yield unread(name, held_by(codes, SCHEME.bits, 0), parts, SCHEME, why)
            else:
                shape = (EACH * codes.shape[0], codes.shape[1])
                yield encoded(name, shape, "bitnet", parts, SCHEME, parameters=(("multiplies", int(multiplies)),))

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        codes, scale = parts["codes"], parts["scales"].astype(np.float32).reshape(-1)
        multiplies = info.encoding.parameter("multiplies")
        table = np.arange(-1, 3, dtype=np.float32)
        table = table * scale if multiplies else table / scale
        for part in range(EACH):
            for start, stop in tiles(*codes.shape):
                fields = codes[start:stop] >> np.uint8(2 * part) & np.uint8(3)
                table.take(fields, out=out[part * len(codes) + start : part * len(codes) + stop], mode="clip")

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        counts = levels(parts["codes"], 2)[:3]
        ends = int(counts[[0, 2]].sum())
        return CodeFacts(info.parameters, ends, int((counts == 0).sum()), **scale_facts(parts["scales"]))

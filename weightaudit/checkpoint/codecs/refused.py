"""Formats that nothing here decodes: known by their tensors, so that each is called by its name, measured nowhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.records import CodeFacts, Scheme, TensorInfo, unread

INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
FLOATS = frozenset({"float16", "bfloat16", "float32"})
ANY = INTEGERS | FLOATS
WHY = "nothing here decodes it"
MOST_ENTRIES = 32
"""Entries that a stored byte may stand for: beyond that a shape is not believed."""

Shape = Callable[[Mapping[str, TensorInfo]], tuple[int, ...]]


@dataclass(frozen=True)
class _Refused:
    """A format: all of ``needs`` lie beside each other, in one of these dtypes each; ``also`` may.

    The first of ``needs`` holds the codes. ``method`` is what the config must call it, "" for whatever it says;
    ``shape`` the matrix's by its parts, where that follows.
    """

    format: str
    needs: Mapping[str, frozenset[str]]
    also: tuple[str, ...] = ()
    method: str = ""
    shape: Shape = lambda parts: ()


def _exl2(parts: Mapping[str, TensorInfo]) -> tuple[int, ...]:
    return parts["q_weight"].shape[1], parts["q_invperm"].shape[0]


def _exl3(parts: Mapping[str, TensorInfo]) -> tuple[int, ...]:
    return 16 * parts["trellis"].shape[1], 16 * parts["trellis"].shape[0]


def _aqlm(parts: Mapping[str, TensorInfo]) -> tuple[int, ...]:
    codes, books = parts["codes"].shape, parts["codebooks"].shape
    return codes[0] * books[2], codes[1] * books[3]


def _marlin(parts: Mapping[str, TensorInfo]) -> tuple[int, ...]:
    return parts["s"].shape[1], 16 * parts["B"].shape[0]


_INT16, _INT32 = frozenset({"int16"}), frozenset({"int32"})

FORMATS = (
    _Refused(
        "EXL2",
        {"q_weight": _INT32, "q_scale": _INT32, "q_groups": _INT16},
        ("q_scale_max", "q_group_map", "q_invperm", "q_perm"),
        shape=_exl2,
    ),
    _Refused("EXL3", {"trellis": _INT16, "suh": FLOATS, "svh": FLOATS}, ("mcg", "mul1"), shape=_exl3),
    _Refused("EXL3", {"trellis": _INT16, "su": _INT16, "sv": _INT16}, ("mcg", "mul1"), shape=_exl3),
    _Refused("AQLM", {"codes": INTEGERS, "codebooks": FLOATS, "scales": FLOATS}, shape=_aqlm),
    _Refused(
        "VPTQ",
        {"indices": INTEGERS, "centroids.weight": FLOATS},
        (
            "res_centroids.weight",
            "outlier_indices",
            "outlier_centroids.weight",
            "perm",
            "invert_perm",
            "weight_scale",
            "weight_bias",
        ),
    ),
    _Refused("SpQR", {"dense_weights": INTEGERS, "row_offsets": INTEGERS, "col_vals": INTEGERS}, ("in_perm", "shape")),
    _Refused("HIGGS", {"weight": INTEGERS, "tables": FLOATS, "tables2": FLOATS, "scales": FLOATS}),
    _Refused("Quark", {"weight": INTEGERS, "weight_quantizer.scale": FLOATS}, ("weight_quantizer.zero_point",)),
    _Refused("Quark", {"weight": INTEGERS, "weight_scale": ANY}, ("weight_zero_point",), "quark"),
    _Refused("ModelOpt", {"weight": INTEGERS, "weight_scale": FLOATS}, ("pre_quant_scale",), "modelopt"),
    _Refused("Marlin", {"B": _INT32, "s": FLOATS}, ("workspace",), shape=_marlin),
    _Refused("ONNX", {"_quantized": INTEGERS, "_scale": FLOATS, "_zero_point": INTEGERS}),
)

_BY_CODES: dict[str, list[_Refused]] = {}
for _format in FORMATS:
    _BY_CODES.setdefault(next(iter(_format.needs)), []).append(_format)


class Refused:
    """`Codec` that decodes nothing: it knows what it does not know."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name in stored.tensors:
            stem, dot, leaf = name.rpartition(".")
            if not dot and leaf in _BY_CODES:
                stem, leaf = "", name
            elif name.endswith("_quantized"):
                stem, leaf = name.removesuffix("_quantized"), "_quantized"
            for known in _BY_CODES.get(leaf, ()):
                info = _group(stored, known, stem)
                if info is not None:
                    yield info
                    break

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        raise ValueError(WHY)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        return None


def _group(stored: Stored, known: _Refused, stem: str) -> TensorInfo | None:
    """The matrix of a module, or of a tensor, called ``stem``, if it is of the ``known`` format."""
    if known.method and stored.method.get("quant_method") != known.method:
        return None
    dot = "" if next(iter(known.needs)).startswith("_") else "." if stem else ""
    found: dict[str, TensorInfo] = {}
    for use in (*known.needs, *known.also):
        part = stored.tensors.get(f"{stem}{dot}{use}")
        if part is not None and part.dtype in known.needs.get(use, ANY | {"bool"}):
            found[use] = part
        elif use in known.needs:
            return None
    codes = next(iter(found.values()))
    name = stem if not dot or stem.endswith(".weight") else f"{stem}.weight"
    try:
        shape = known.shape(found)
    except (KeyError, IndexError):
        shape = ()
    stored_bytes = sum(part.nbytes for part in found.values())
    believed = len(shape) == 2 and math.prod(shape) <= MOST_ENTRIES * stored_bytes
    return unread(name, shape if believed else codes.shape, tuple(found.items()), Scheme(known.format), WHY)

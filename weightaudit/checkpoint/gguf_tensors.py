"""Tensors of a GGUF file as the model's own names mean them, and what is to be said of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from weightaudit.checkpoint.codecs.heads import PAIRS, TRANSPOSED, by_heads
from weightaudit.checkpoint.formats.gguf import GgufFile
from weightaudit.checkpoint.gguf_config import architecture_of
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.text import listed, printable

PERMUTED = (
    *("llama", "llama-embed", "mistral3", "granite", "granitemoe", "granitehybrid", "smollm3", "arcee", "deci"),
    *("deepseek", "llada", "olmo", "internlm2", "minicpm", "chameleon", "arctic", "bailingmoe", "baichuan", "xverse"),
)
"""Architectures for which llama.cpp's converter stores the rows of each head of Q and K in pairs."""
KINDS = {
    "imatrix": "it holds the importance matrix that a quantiser used, no weights",
    "mmproj": "it holds the projector of a multimodal model, not the language model",
    "vocab": "it holds a vocabulary and no weights",
}
"""Kinds of GGUF files that are no models, by `GgufFile.kind`."""
ATTENTION = re.compile(r"blk\.(?P<layer>0|[1-9][0-9]{0,8})\.attn_(?P<what>q|k|qkv|k_b|v_b)\.(?P<part>weight|bias)")
_VECTOR = re.compile(r"blk\.[0-9]+\.ffn_gate_inp_shexp\.weight")


def refuse_other_kinds(label: str, header: GgufFile) -> None:
    """CheckpointError where the file ``label`` holds no model."""
    why = KINDS.get("mmproj" if architecture_of(header) == "clip" else header.kind)
    if why:
        raise CheckpointError(label, why, "Name the file of the model itself")


def as_named(header: GgufFile, tensors: Iterable[TensorInfo], config: Mapping[str, Any]) -> Iterator[TensorInfo]:
    """``tensors`` with the rows and the shape that their names have in the model that the file was made from.

    ``config`` is `gguf_config`'s. What does not fit its sizes stays as it is stored.
    """
    permuted = architecture_of(header) in PERMUTED
    for info in tensors:
        found = ATTENTION.fullmatch(info.name)
        if found is not None:
            own = config["per_layer_config"].get(found["layer"], {})
            yield _attention(info, found["what"], own.get("attention", config["attention"]), permuted)
        elif _VECTOR.fullmatch(info.name) and len(info.shape) == 1 and not info.encoded:
            yield replace(info, shape=(1, *info.shape))
        else:
            yield info


def _attention(info: TensorInfo, what: str, sizes: Mapping[str, int], permuted: bool) -> TensorInfo:
    heads, shared = sizes["head_count"], sizes["head_count_kv"]
    shape = info.shape
    if info.why_unread:
        return info
    if what in ("k_b", "v_b") and len(shape) == 3 and shape[0] == heads and 0 not in shape:
        if what == "k_b":
            return by_heads(info, TRANSPOSED, heads, shape[1])
        return replace(info, shape=(shape[0] * shape[1], shape[2]))
    if not permuted or what in ("k_b", "v_b") or not shape or len(shape) > 2:
        return info
    if what == "qkv":
        rows = sizes["key_length"]
        count = heads + shared
        fits = shape[0] == count * rows + shared * sizes["value_length"]
    else:
        count = heads if what == "q" else shared
        rows = shape[0] // count if count else 0
        fits = count * rows == shape[0]
    return by_heads(info, PAIRS, count, rows) if fits and rows and not rows % 2 else info


def types_found(tensors: Iterable[TensorInfo]) -> str:
    """How many tensors are of each type, the most frequent first: "81 Q5_0, 27 Q4_K"."""
    counts = Counter(_type(info) for info in tensors)
    return listed((f"{count} {name}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))), 20)


def _type(info: TensorInfo) -> str:
    scheme = info.encoding.scheme
    return scheme.format if scheme is not None else BY_NAME[info.dtype].code if info.dtype in BY_NAME else info.dtype


def notes_of(header: GgufFile, tensors: Iterable[TensorInfo]) -> tuple[str, ...]:
    """What a reader of a report should know of the file."""
    said = printable(architecture_of(header), 100)
    return (f"GGUF, architecture {said}: tensors are stored as {types_found(tensors)}, whatever the file is called.",)

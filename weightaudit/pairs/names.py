"""What tensors of one model are called in another, told from the matrices that stand in the same places in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weightaudit.audit.matching import FREE_NAMES
from weightaudit.records import ModelMap, RoleMatrix

LAYER, LAYERS = "blk", "layers"
"""What GGUF calls a layer, and what most families do."""
NORMS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}
"""Norms of a layer by their names in GGUF files, as Llama and those like it have them."""
LAST_NORM = ("output_norm", "norm")
OTHER_NORMS = ("gemma",)
"""Model types of which GGUF files store norms otherwise: larger by one."""


def plain_names(model_map: ModelMap) -> dict[str, str]:
    """Stored names → those that a loader expects, where a wrapper of the model has changed them."""
    wrapping = model_map.wrapping
    return dict(zip(wrapping.names, wrapping.plain, strict=True)) if wrapping is not None else {}


def in_words_of_base(
    names: Iterable[str], own_map: ModelMap, base_map: ModelMap, pairs: Iterable[tuple[RoleMatrix, RoleMatrix]]
) -> dict[str, str]:
    """``names`` of a model, without what a wrapper added → what they are in the base, as far as the ``pairs`` of a
    matrix of each tell it.

    Where two names end alike, what comes before stands for one another: ``bert.encoder`` for ``encoder``. A matrix's
    name up to its last part stands for that of the base's, so that its bias is found; and GGUF's norms have names that
    are known.
    """
    here, there = plain_names(own_map), plain_names(base_map)
    beginnings: dict[str, str] = {}
    for matrix, base in pairs:
        for name, other in zip(matrix.tensors, base.tensors, strict=False):
            own, theirs = here.get(name, name).split("."), there.get(other, other).split(".")
            for end in range(_alike(own, theirs) + 1):
                beginnings.setdefault(".".join(own[: len(own) - end]), ".".join(theirs[: len(theirs) - end]))
            if matrix.is_whole and base.is_whole:
                beginnings[".".join(own[:-1])] = ".".join(theirs[:-1])
                beginnings |= _norms(own, theirs, own_map, base_map)
    return {name: _renamed(name, beginnings) for name in names}


def _alike(own: list[str], theirs: list[str]) -> int:
    """How many last parts are the same."""
    pairs = zip(reversed(own), reversed(theirs), strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(own), len(theirs)))


def _norms(own: list[str], theirs: list[str], own_map: ModelMap, base_map: ModelMap) -> dict[str, str]:
    """The norms of the layer of two matrices, of which one is called as in a GGUF file."""
    free = [one.family in FREE_NAMES for one in (own_map, base_map)]
    named = base_map if free[0] else own_map
    if free[0] == free[1] or named.model_type.startswith(OTHER_NORMS):
        return {}
    gguf, plain = (own, theirs) if free[0] else (theirs, own)
    if gguf[0] != LAYER or LAYERS not in plain[:-1]:
        return {}
    at = plain.index(LAYERS)
    root, layer = ".".join(plain[: at + 2]), ".".join(gguf[:2])
    found = {f"{layer}.{name}": f"{root}.{other}" for name, other in NORMS.items()}
    found[LAST_NORM[0]] = ".".join([*plain[:at], LAST_NORM[1]])
    return found if free[0] else {other: name for name, other in found.items()}


def _renamed(name: str, beginnings: Mapping[str, str]) -> str:
    """``name`` with the longest of ``beginnings`` that it has replaced."""
    parts = name.split(".")
    for end in range(len(parts), -1, -1):
        before = beginnings.get(".".join(parts[:end]))
        if before is not None:
            return ".".join(filter(None, [before, *parts[end:]]))
    return name

"""kohya's names of modules, in which ``_`` stands for ``.`` too: what they are called in the model that is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from weightaudit.records import TensorInfo

FLAT = re.compile(r"lora(?:_te\d?|_unet|_transformer|_prior)?_(?P<path>\w+)\.weight", re.ASCII)
"""A module of a text encoder, of a denoiser, or of the one model that there is."""


def named_as_in(base: Iterable[str], tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """``tensors`` of an adapter, changes with kohya's names under that of the one of ``base`` that reads the same.

    A name that none or several of these read as stays, and so does one whose place is taken.
    """
    flat = {name: found["path"] for name, info in tensors.items() if info.factored and (found := FLAT.fullmatch(name))}
    if not flat:
        return dict(tensors)
    meant: dict[str, list[str]] = {path: [] for path in flat.values()}
    for name in base:
        path = name.removesuffix(".weight").replace(".", "_")
        if path in meant and name.endswith(".weight"):
            meant[path].append(name)
    named = {
        (own[0] if len(own := meant.get(flat.get(name, ""), [])) == 1 and own[0] not in tensors else name): info
        for name, info in tensors.items()
    }
    if len(named) < len(tensors):  # two of them are of one module
        return dict(tensors)
    return {name: info if info.name == name else replace(info, name=name) for name, info in sorted(named.items())}

"""Tensors that every architecture has and that hold no matrix of a role: norms, biases, old buffers."""

from __future__ import annotations

import re

from weightaudit.architecture.conventions import BUFFERS, CAUSAL_MASK
from weightaudit.architecture.matching import unwrapped
from weightaudit.records import TensorInfo

_NORM = re.compile(
    r"(?:.*[._])?(?:[a-z_]*norms?[0-9]*|ln(?:_?[a-z0-9]+)*|layer_?norm[a-z0-9_]*)\.(?:weight|bias|gamma|beta)"
)


def plain_rule(info: TensorInfo) -> str:
    """Why a tensor is none of a role, by its dimensions and its name; "" where it may well be one."""
    name = unwrapped(info.name)
    for pattern, rule in BUFFERS:
        if pattern.fullmatch(name):
            return rule
    if len(info.shape) > 1:
        # Of a mask's four dimensions two are the positions; a bias of an attention has one.
        return "buffer: causal mask" if len(info.shape) == 4 and CAUSAL_MASK.search(name) else ""
    if _NORM.fullmatch(name.lower()):
        return "norm"
    if name.endswith("bias"):
        return "bias"
    return "vector (not a matrix)" if info.shape else "scalar (not a matrix)"

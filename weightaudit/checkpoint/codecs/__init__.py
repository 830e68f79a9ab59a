"""Stored bytes → the numbers that they mean; one module for each way of storing numbers.

Other rooms see logical tensors only: what a codec reads for one, how and from how many stored tensors, stays here.
"""

from __future__ import annotations

from collections.abc import Iterable

from weightaudit.checkpoint.codecs.base import Codec
from weightaudit.checkpoint.codecs.plain import Plain
from weightaudit.records import PLAIN, TensorInfo

CODECS: dict[str, Codec] = {PLAIN.codec: Plain()}
"""By the name that an `Encoding` has."""


def logical_tensors(stored: Iterable[TensorInfo]) -> list[TensorInfo]:
    """The tensors that the ``stored`` ones stand for, in name order: those that a codec takes together are one.

    What no codec takes stands for itself. Earlier codecs take first, and none under a name that another tensor has.
    """
    left = {info.name: info for info in stored}
    logical: dict[str, TensorInfo] = {}
    for codec in CODECS.values():
        for info, taken in list(codec.groups(left)):
            free = info.name not in logical and (info.name in taken or info.name not in left)
            if free and taken <= left.keys():
                logical[info.name] = info
                for name in taken:
                    del left[name]
    return sorted([*left.values(), *logical.values()], key=lambda info: info.name)

"""Bounds on what a file may claim of its tensors, whatever its format."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from weightaudit.text import printable

MAX_TENSORS = 1_000_000
"""Tensors in one file; the largest published models have some 100,000 in all their files together."""
MAX_NAME = 1024
"""Characters of a tensor's name."""
MAX_RANK = 64
"""Dimensions of a tensor, as in numpy."""
MAX_ELEMENTS = 2**60 - 1
"""The most of up to 8 bytes each that numpy can count, over the dimensions that are not 0; of strides too."""


def fault_of_name(name: str) -> str:
    """What is wrong with ``name`` as a tensor's, told as what the tensor has; "" if nothing is."""
    if len(name) > MAX_NAME:
        return f"has a name of {len(name)} characters, more than {MAX_NAME}"
    if not name.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        return "has control characters in its name"
    return ""


def fault_of_shape(shape: Sequence[int]) -> str:
    """What is wrong with ``shape``, whose sizes are 0 or more, told as what the tensor has; "" if nothing is."""
    if len(shape) > MAX_RANK:
        return f"has {len(shape)} dimensions, more than {MAX_RANK}"
    elements = 1
    for size in shape:
        elements *= max(size, 1)
        if elements > MAX_ELEMENTS:
            return f"has an impossible shape: {printable(repr(list(shape)), 80)}"
    return ""

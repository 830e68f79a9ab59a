"""The tensor types of ggml: how they are called, numbered and laid out, and what people call their parts."""

from __future__ import annotations

from dataclasses import dataclass

from weightaudit.records import Scheme

PLAIN = {
    0: "float32",
    1: "float16",
    24: "int8",
    25: "int16",
    26: "int32",
    27: "int64",
    28: "float64",
    30: "bfloat16",
}
"""Types of plain numbers: what `weightaudit.dtypes` calls them, by their number."""
REFUSED = {
    4: "Q4_2",
    5: "Q4_3",
    9: "Q8_1",
    15: "Q8_K",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
"""Types that ggml has removed, or has for computing only, by their number."""


@dataclass(frozen=True)
class BlockType:
    """A type whose numbers come in blocks of ``entries`` neighbours of a row, each of ``nbytes`` bytes."""

    name: str
    entries: int
    nbytes: int
    scheme: Scheme


def _blocks(name: str, entries: int, nbytes: int, bits: int, group: int, *, symmetric: bool = True) -> BlockType:
    return BlockType(name, entries, nbytes, Scheme(name, bits, str(group), symmetric))


BLOCKS = {
    2: _blocks("Q4_0", 32, 18, 4, 32),
    3: _blocks("Q4_1", 32, 20, 4, 32, symmetric=False),
    6: _blocks("Q5_0", 32, 22, 5, 32),
    7: _blocks("Q5_1", 32, 24, 5, 32, symmetric=False),
    8: _blocks("Q8_0", 32, 34, 8, 32),
    10: _blocks("Q2_K", 256, 84, 2, 16, symmetric=False),
    11: _blocks("Q3_K", 256, 110, 3, 16),
    12: _blocks("Q4_K", 256, 144, 4, 32, symmetric=False),
    13: _blocks("Q5_K", 256, 176, 5, 32, symmetric=False),
    14: _blocks("Q6_K", 256, 210, 6, 16),
    16: _blocks("IQ2_XXS", 256, 66, 2, 32),
    17: _blocks("IQ2_XS", 256, 74, 2, 16),
    18: _blocks("IQ3_XXS", 256, 98, 3, 32),
    19: _blocks("IQ1_S", 256, 50, 1, 32),
    20: _blocks("IQ4_NL", 32, 18, 4, 32),
    21: _blocks("IQ3_S", 256, 110, 3, 32),
    22: _blocks("IQ2_S", 256, 82, 2, 16),
    23: _blocks("IQ4_XS", 256, 136, 4, 32),
    29: _blocks("IQ1_M", 256, 56, 1, 16),
    34: _blocks("TQ1_0", 256, 54, 0, 256),  # five digits of three in a byte
    35: _blocks("TQ2_0", 256, 66, 2, 256),
    39: _blocks("MXFP4", 32, 17, 4, 32),
    40: _blocks("NVFP4", 64, 36, 4, 16),
    41: _blocks("Q1_0", 128, 18, 1, 128),
    42: _blocks("Q2_0", 64, 18, 2, 64),
}
"""Types of blocks, by their number."""
BY_NAME = {kind.name: kind for kind in BLOCKS.values()}

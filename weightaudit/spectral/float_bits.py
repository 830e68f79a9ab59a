"""How floating-point numbers are stored: which bits are infinite, largest, normal."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class FloatBits:
    """A floating-point dtype by the integers that store it; without the sign, magnitudes order as these do.

    ``bits`` is the number of them, ``infinity`` are those of +∞: all of the exponent's.
    """

    bits: int
    infinity: int

    @property
    def integer(self) -> str:
        """The signed integer dtype of the same size."""
        return f"int{self.bits}"

    @property
    def unsigned(self) -> str:
        """The unsigned integer dtype of the same size."""
        return f"uint{self.bits}"

    @property
    def magnitude(self) -> int:
        """Mask of all bits but the sign."""
        return (1 << (self.bits - 1)) - 1

    @property
    def limit(self) -> int:
        """Bits of the largest finite number."""
        return self.infinity - 1

    @property
    def normal(self) -> int:
        """Bits of the smallest normal number: the lowest bit of the exponent."""
        return self.infinity & -self.infinity

    def number(self, magnitude: int) -> float:
        """The finite number that the bits ``magnitude`` mean; the sign's is 0."""
        exponent, fraction = divmod(magnitude, self.normal)
        bias = self.infinity // self.normal // 2
        return math.ldexp((exponent > 0) + fraction / self.normal, max(exponent, 1) - bias)


FLOAT_BITS = {
    "float64": FloatBits(64, 0x7FF0_0000_0000_0000),
    "float32": FloatBits(32, 0x7F80_0000),
    "bfloat16": FloatBits(16, 0x7F80),
    "float16": FloatBits(16, 0x7C00),
}
"""By the dtype's name: those that `measure` takes."""

"""How the numbers of a tensor are quantised, and what its codes and scales are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """A way of quantising, as names, shapes and config say it.

    Attributes
    ----------
    format
        Its name as people call it: "GPTQ", "Q4_K", "NF4", "FP8 E4M3", "LoRA" of an adapter.
    bits
        Bits of one code; 0 where there are none, or where that is not known.
    group
        Which entries share a scale: "128" along a row, "128 × 128", "row", "tensor"; "" where there is none, or where
        that is not known.
    symmetric
        Whether there are neither zero points nor offsets; None where that is not known.
    act_order
        Whether the columns of a group are not neighbours; None where the format has no such order.
    adapter
        Whether it is a way of storing an adapter's change, in which nothing is quantised.
    """

    format: str
    bits: int = 0
    group: str = ""
    symmetric: bool | None = None
    act_order: bool | None = None
    adapter: bool = False

    @property
    def label(self) -> str:
        """In one line: ``GPTQ, 4 bits, group 128``."""
        scales = {"": "", "row": "a scale per row", "tensor": "one scale"}.get(self.group, f"group {self.group}")
        return ", ".join(filter(None, (self.format, self._bits, scales)))

    @property
    def name(self) -> str:
        """What stands in the place of a data type: ``GPTQ 4 bits``."""
        return " ".join(filter(None, (self.format, self._bits)))

    @property
    def unread(self) -> str:
        """How the reason begins why a tensor that is stored this way is not read."""
        return f"not measured: {self.label}, " if self.adapter else f"quantised: {self.label}, "

    @property
    def _bits(self) -> str:
        return f"{self.bits} bits" if self.bits and str(self.bits) not in self.format else ""


@dataclass(frozen=True)
class CodeFacts:
    """What the codes and scales of one tensor are.

    Attributes
    ----------
    codes
        Number of codes.
    extreme
        Codes at the lowest or the highest level that the format has: what was clipped is among them.
    unused
        Levels of the format that no code has.
    scales
        Number of scales; those below are counted among them.
    zero_scales, negative_scales, nonfinite_scales
        Scales that are 0, below 0, NaN or infinite.
    subnormal_scales
        Scales other than 0 below the smallest normal magnitude of the dtype that they are stored in.
    least_scale, largest_scale
        Of the magnitudes of finite scales other than 0; NaN where there are none.
    wrapped
        Zero points stored as all ones, which readers take for different numbers; None where the format has no such.
    """

    codes: int
    extreme: int
    unused: int
    scales: int
    zero_scales: int = 0
    negative_scales: int = 0
    nonfinite_scales: int = 0
    subnormal_scales: int = 0
    least_scale: float = float("nan")
    largest_scale: float = float("nan")
    wrapped: int | None = None

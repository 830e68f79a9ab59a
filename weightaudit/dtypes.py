"""The only table of tensor data types: how each is called, stored and read.

Sub-byte types are stored packed, so sizes are in bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy
    import torch

Kind = Literal["float", "small float", "complex", "integer", "bool"]


@dataclass(frozen=True)
class Dtype:
    """One data type.

    ``name`` is the name shown everywhere (torch's, e.g. ``"bfloat16"``); ``code`` is the safetensors header's
    (``"BF16"``); ``bits`` the stored size of one element.
    """

    name: str
    code: str
    bits: int
    kind: Kind

    @property
    def packed(self) -> bool:
        """Whether several numbers share a byte: neither numpy nor torch reads these."""
        return self.bits < 8

    @property
    def analysable(self) -> bool:
        """Whether the stored numbers are the weights themselves (quantised formats need their scales)."""
        return self.kind == "float"

    @property
    def numpy(self) -> numpy.dtype[Any]:
        """The numpy dtype, of ml_dtypes where numpy has none; raises AttributeError where neither has one."""
        import ml_dtypes
        import numpy

        if self.packed:  # ml_dtypes' own take a byte for each number
            raise AttributeError(f"numpy has no dtype for {self.name}")
        dtype: numpy.dtype[Any] = numpy.dtype(getattr(numpy, self.name, None) or getattr(ml_dtypes, self.name))
        return dtype

    @property
    def torch(self) -> torch.dtype:
        """The torch dtype; raises AttributeError where this torch has none."""
        import torch

        dtype: torch.dtype = getattr(torch, self.name)
        return dtype


DTYPES: tuple[Dtype, ...] = (
    Dtype("float64", "F64", 64, "float"),
    Dtype("float32", "F32", 32, "float"),
    Dtype("float16", "F16", 16, "float"),
    Dtype("bfloat16", "BF16", 16, "float"),
    Dtype("float8_e5m2", "F8_E5M2", 8, "small float"),
    Dtype("float8_e4m3fn", "F8_E4M3", 8, "small float"),
    Dtype("float8_e5m2fnuz", "F8_E5M2FNUZ", 8, "small float"),
    Dtype("float8_e4m3fnuz", "F8_E4M3FNUZ", 8, "small float"),
    Dtype("float8_e8m0fnu", "F8_E8M0", 8, "small float"),
    Dtype("float6_e2m3", "F6_E2M3", 6, "small float"),
    Dtype("float6_e3m2", "F6_E3M2", 6, "small float"),
    Dtype("float4", "F4", 4, "small float"),
    Dtype("complex64", "C64", 64, "complex"),
    Dtype("int64", "I64", 64, "integer"),
    Dtype("uint64", "U64", 64, "integer"),
    Dtype("int32", "I32", 32, "integer"),
    Dtype("uint32", "U32", 32, "integer"),
    Dtype("int16", "I16", 16, "integer"),
    Dtype("uint16", "U16", 16, "integer"),
    Dtype("int8", "I8", 8, "integer"),
    Dtype("uint8", "U8", 8, "integer"),
    Dtype("bool", "BOOL", 8, "bool"),
)

BY_NAME: dict[str, Dtype] = {dtype.name: dtype for dtype in DTYPES}
BY_CODE: dict[str, Dtype] = {dtype.code: dtype for dtype in DTYPES}

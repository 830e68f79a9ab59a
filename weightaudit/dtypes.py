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
    (``"BF16"``); ``bits`` the stored size of one element; ``torch_name`` the attribute of ``torch`` that reads it, or
    None where torch has no such type.
    """

    name: str
    code: str
    bits: int
    kind: Kind
    torch_name: str | None

    @property
    def analysable(self) -> bool:
        """Whether the stored numbers are the weights themselves (quantised formats need their scales)."""
        return self.kind == "float"

    @property
    def numpy(self) -> numpy.dtype[Any]:
        """The numpy dtype, of ml_dtypes where numpy has none; raises AttributeError where neither has one."""
        import ml_dtypes
        import numpy

        if self.torch_name is None:
            raise AttributeError(f"numpy has no dtype for {self.name}")
        dtype: numpy.dtype[Any] = numpy.dtype(
            getattr(numpy, self.torch_name, None) or getattr(ml_dtypes, self.torch_name)
        )
        return dtype

    @property
    def torch(self) -> torch.dtype:
        """The torch dtype; raises AttributeError where this torch has none."""
        import torch

        if self.torch_name is None:
            raise AttributeError(f"torch has no dtype for {self.name}")
        dtype: torch.dtype = getattr(torch, self.torch_name)
        return dtype


DTYPES: tuple[Dtype, ...] = (
    Dtype("float64", "F64", 64, "float", "float64"),
    Dtype("float32", "F32", 32, "float", "float32"),
    Dtype("float16", "F16", 16, "float", "float16"),
    Dtype("bfloat16", "BF16", 16, "float", "bfloat16"),
    Dtype("float8_e5m2", "F8_E5M2", 8, "small float", "float8_e5m2"),
    Dtype("float8_e4m3fn", "F8_E4M3", 8, "small float", "float8_e4m3fn"),
    Dtype("float8_e5m2fnuz", "F8_E5M2FNUZ", 8, "small float", "float8_e5m2fnuz"),
    Dtype("float8_e4m3fnuz", "F8_E4M3FNUZ", 8, "small float", "float8_e4m3fnuz"),
    Dtype("float8_e8m0fnu", "F8_E8M0", 8, "small float", "float8_e8m0fnu"),
    Dtype("float6_e2m3", "F6_E2M3", 6, "small float", None),
    Dtype("float6_e3m2", "F6_E3M2", 6, "small float", None),
    Dtype("float4", "F4", 4, "small float", None),
    Dtype("complex64", "C64", 64, "complex", "complex64"),
    Dtype("int64", "I64", 64, "integer", "int64"),
    Dtype("uint64", "U64", 64, "integer", "uint64"),
    Dtype("int32", "I32", 32, "integer", "int32"),
    Dtype("uint32", "U32", 32, "integer", "uint32"),
    Dtype("int16", "I16", 16, "integer", "int16"),
    Dtype("uint16", "U16", 16, "integer", "uint16"),
    Dtype("int8", "I8", 8, "integer", "int8"),
    Dtype("uint8", "U8", 8, "integer", "uint8"),
    Dtype("bool", "BOOL", 8, "bool", "bool"),
)

BY_NAME: dict[str, Dtype] = {dtype.name: dtype for dtype in DTYPES}
BY_CODE: dict[str, Dtype] = {dtype.code: dtype for dtype in DTYPES}

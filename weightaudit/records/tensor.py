"""A stored tensor: its name, shape and dtype, and where its bytes lie."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor of a checkpoint lies, as its header says. Reading it is the checkpoint's job.

    ``offset`` is absolute in ``file``, in bytes; ``dtype`` is a name of `weightaudit.dtypes`. ``strides`` are in
    elements, None for a tensor stored contiguously, row by row. ``nbytes`` is the span from the first element to the
    end of the last: with strides some of it may belong to other tensors. Tensors of equal file, offset, span, shape and
    strides share their bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    offset: int
    nbytes: int
    strides: tuple[int, ...] | None = None

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

"""Numbers stored as numbers: one element after the other, in a dtype that numpy or ml_dtypes has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.dtypes import BY_NAME
from weightaudit.records import TensorInfo


class Plain:
    """`Codec` of what stands for itself."""

    in_place = True

    def groups(self, stored: Mapping[str, TensorInfo]) -> Iterator[tuple[TensorInfo, frozenset[str]]]:
        return iter(())  # a tensor that nobody takes is plain

    def decode(self, info: TensorInfo, stored: Array, companions: Mapping[str, Array], out: Array) -> Array:
        dtype = BY_NAME[info.dtype].numpy
        strides = None if info.strides is None else tuple(stride * dtype.itemsize for stride in info.strides)
        return np.ndarray(info.shape, dtype, buffer=stored, strides=strides)

"""Numbers stored as numbers: one element after the other, in a dtype that torch has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from weightaudit.dtypes import BY_NAME
from weightaudit.records import TensorInfo


class Plain:
    """`Codec` of what stands for itself."""

    in_place = True

    def groups(self, stored: Mapping[str, TensorInfo]) -> Iterator[tuple[TensorInfo, frozenset[str]]]:
        return iter(())  # a tensor that nobody takes is plain

    def decode(
        self, info: TensorInfo, stored: torch.Tensor, companions: Mapping[str, torch.Tensor], out: torch.Tensor
    ) -> torch.Tensor:
        numbers = stored.view(BY_NAME[info.dtype].torch)
        return numbers.view(info.shape) if info.strides is None else numbers.as_strided(info.shape, info.strides)

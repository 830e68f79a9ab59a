"""Where panels are computed: by numpy, or by torch on one of its devices. All that is torch's own is here.

Code that works on panels is written against the array API, so it runs on arrays and on tensors alike.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

import numpy as np

from weightaudit.arrays import aligned, as_array, as_tensor, is_tensor
from weightaudit.errors import UsageError

if TYPE_CHECKING:
    import torch

Panel: TypeAlias = Any
"""A numpy array, or a torch tensor on the device that computes."""

Device: TypeAlias = Union[Literal["cpu"], "torch.device"]
"""Who computes: numpy for "cpu", torch for a device of its own, be it the CPU."""


def device_called(name: str) -> Device:
    """The device that the option ``device`` means by ``name``."""
    if name == "cpu":
        return "cpu"
    import torch

    return torch.device(name)


def device_of(panel: Panel) -> Device:
    """Where ``panel`` is."""
    device: Device = panel.device if is_tensor(panel) else "cpu"
    return device


def namespace(panel: Panel) -> Any:
    """The functions of the array API for such as ``panel``.

    numpy 2 is one itself; array_api_compat's wrapper of it takes 0.1 s to import.
    """
    if is_tensor(panel):
        from array_api_compat import torch

        return torch
    return np


def room(shape: tuple[int, ...], device: Device) -> Panel:
    """Memory for float64 numbers on ``device``, uninitialised.

    numpy's begins at a multiple of 64 bytes, as torch's does: vectors of 512 bits then lie in one line of the cache
    each, which took 2 to 6 % of a pass, and a BLAS that sums by alignment does so in one order.
    """
    if device == "cpu":
        return aligned(8 * math.prod(shape)).view(np.float64).reshape(shape)
    import torch

    return torch.empty(shape, dtype=torch.float64, device=device)


def moved(panel: Panel, device: Device) -> Panel:
    """The numbers of ``panel`` on ``device``, in place where they are there already."""
    if device == "cpu":
        return as_array(panel.cpu()) if is_tensor(panel) else panel
    return (panel if is_tensor(panel) else on_host(panel)).to(device)


def on_host(array: Panel) -> torch.Tensor:
    """The memory of an array as a tensor of the CPU."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and is not written
        return as_tensor(array)


class CudaCopies:
    """Copies to a CUDA device on a stream of their own: `weightaudit.spectral.uploads.Copies` for torch."""

    def __init__(self, device: Device) -> None:
        import torch

        self._cuda, self._empty, self._device = torch.cuda, torch.empty, device
        self._bytes = torch.uint8
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types here

    def free(self) -> int:
        """Bytes that the device has left, those that torch keeps for later included."""
        kept = self._cuda.memory_reserved(self._device) - self._cuda.memory_allocated(self._device)
        return self._cuda.mem_get_info(self._device)[0] + kept

    def staging(self, nbytes: int) -> torch.Tensor | None:
        """Page-locked memory, of which systems have less than of other."""
        try:
            return self._empty(nbytes, dtype=self._bytes, pin_memory=True)
        except RuntimeError:  # torch has no class for it
            return None

    def room(self, like: torch.Tensor) -> torch.Tensor | None:
        """Memory that belongs to the stream, so that whatever is copied there comes after what was there before."""
        try:
            with self._cuda.stream(self._stream):
                return self._empty(like.shape, dtype=like.dtype, device=self._device)
        except self._cuda.OutOfMemoryError:
            return None

    def begin(self, target: torch.Tensor, source: torch.Tensor) -> torch.cuda.Event:
        """Copy on the stream."""
        with self._cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)
            event: torch.cuda.Event = self._stream.record_event()
        return event

    def wait(self, event: torch.cuda.Event) -> None:
        """Wait on the host."""
        event.synchronize()

    def join(self, event: torch.cuda.Event, panels: tuple[torch.Tensor, ...]) -> None:
        """Have the calling thread's stream wait, and the allocator know that it reads ``panels``."""
        computing = self._cuda.current_stream(self._device)
        computing.wait_event(event)
        for panel in panels:
            panel.record_stream(computing)

    def close(self) -> None:
        """Wait for the stream."""
        self._stream.synchronize()


def strides(panel: Panel) -> tuple[int, ...]:
    """By how many elements the indices of ``panel`` move in memory."""
    if is_tensor(panel):
        return tuple(panel.stride())
    return tuple(stride // panel.itemsize for stride in panel.strides)


def dtype_name(panel: Panel) -> str:
    """The dtype of ``panel`` as `weightaudit.dtypes` calls it."""
    return str(panel.dtype).removeprefix("torch.") if is_tensor(panel) else _name(panel.dtype)


@lru_cache(maxsize=64)
def _name(dtype: np.dtype[Any]) -> str:
    """numpy makes it anew each time."""
    return str(dtype.name)


def dense(tensor: torch.Tensor, what: str) -> torch.Tensor:
    """``tensor`` without its gradient, as it lies in memory; UsageError, which calls it ``what``, where it holds no
    entries there."""
    import torch

    tensor = tensor.detach().resolve_neg()
    if tensor.is_meta:
        raise UsageError(what, "a meta tensor has no entries", "Load the weights first")
    if tensor.layout != torch.strided:
        raise UsageError(what, f"its layout is {tensor.layout}", "Make it dense first: matrix.to_dense()")
    return tensor

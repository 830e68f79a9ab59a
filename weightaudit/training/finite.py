"""Which weights are NaN or infinite: one pass over each tensor, where it lies, and one word from each device."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def nonfinite_tensors(module: torch.nn.Module) -> list[str]:
    """Names of the parameters of ``module`` with an entry that is NaN or infinite."""
    import torch

    ends: dict[torch.device, list[tuple[str, torch.Tensor]]] = defaultdict(list)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dtype in _wide_floats() and parameter.numel() and parameter.layout == torch.strided:
                # NaN comes through minimum and maximum alike, and nothing overflows, as a sum would.
                least, most = torch.aminmax(parameter.detach())
                ends[parameter.device].append((name, (most - most) + (least - least)))
        found = []
        for known in ends.values():
            finite = torch.stack([torch.isfinite(end) for _, end in known]).tolist()
            found += [name for (name, _), fine in zip(known, finite, strict=True) if not fine]
    return found


def _wide_floats() -> tuple[torch.dtype, ...]:
    """Those that have minimum and maximum on every device."""
    import torch

    return torch.float64, torch.float32, torch.bfloat16, torch.float16


def settle(module: torch.nn.Module) -> None:
    """Wait for work that is queued on the devices of ``module``, so that it is not taken for the time of a look."""
    import torch

    for device in {parameter.device for parameter in module.parameters()}:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

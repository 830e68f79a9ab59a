"""What torch itself makes of a file, by its restricted reader."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import _weights_only_unpickler as restricted

NESTED = ("state_dict", "model_state_dict", "model", "module")


def loaded_by_torch(data: bytes) -> dict[str, torch.Tensor] | None:
    """The tensors as torch's restricted loader finds them; None where it refuses the file, in whatever way.

    They are those under "state_dict" and the like where there are any, and where none is at the top either, those under
    the one key that has some.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = _updated(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
            nested = [_updated(loaded[key]) for key in NESTED if isinstance(loaded.get(key), dict)]
            others = [_tensors(_updated(value)) for value in loaded.values() if isinstance(value, dict)]
        except Exception:  # it raises nearly anything
            return None
    alone = [tensors for tensors in others if tensors]
    known = next((tensors for tensors in map(_tensors, nested) if tensors), None) or _tensors(loaded)
    return known or (alone[0] if len(alone) == 1 else {})


def _updated(table: Any) -> dict[str, Any]:
    """As transformers takes it: an OrderedDict may claim to hold others than its items."""
    copy: dict[str, Any] = {}
    copy.update(table)
    return copy


def _tensors(table: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in table.items() if isinstance(value, torch.Tensor)}


class Failed:
    """What comes of a call that torch could not make, where that is forgiven."""


def forgiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch read on where a function fails, to see what it makes of the tensors elsewhere in the file."""
    functions = {
        name: _forgiven(value) if "rebuild" in name or name in ("torch.device", "_codecs.encode") else value
        for name, value in restricted._get_allowed_globals().items()
    }
    monkeypatch.setattr(restricted, "_get_allowed_globals", lambda: functions)


def _forgiven(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function, updated=())
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception:
            return Failed()

    return call


def bits(tensor: torch.Tensor) -> bytes:
    """The stored bytes: NaN payloads and types without comparison count too."""
    # A copy: a single entry of stride 0 counts as contiguous, and cannot be viewed as bytes.
    flat = tensor.detach().clone(memory_format=torch.contiguous_format).view(-1)
    return flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""

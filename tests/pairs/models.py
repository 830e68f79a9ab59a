"""Models made from others, and what `diff` says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from weightaudit.config import AuditConfig
from weightaudit.pairs.diff import diff_models
from weightaudit.records import Change, DiffResult

Tensors = dict[str, torch.Tensor]


def derived(base: Path, folder: Path, change: Callable[[Tensors], Tensors | None], **config: Any) -> Path:
    """A copy of ``base`` with its tensors changed."""
    tensors = load_file(base / "model.safetensors")
    tensors = change(tensors) or tensors
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    known = json.loads((base / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**known, **config}))
    return folder


def diff(base: Path, other: Path, **asked: Any) -> DiffResult:
    return diff_models(str(base), str(other), AuditConfig(), **asked)


def at(result: DiffResult, words: str) -> Change:
    (change,) = (change for change in result.changes if words in (change.place.words(), *change.tensors))
    return change


def noisy(tensors: Tensors) -> None:
    draw = torch.Generator().manual_seed(1)
    for name in tensors:
        tensors[name] = tensors[name] + 0.01 * torch.randn(tensors[name].shape, generator=draw)

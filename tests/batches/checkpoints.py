"""Many small checkpoints, no two alike: the known families at several depths and widths, each with its own seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.support.minilm import minilm_directory
from tests.support.models import RECIPES, build
from tests.support.rxnmapper import rxnmapper_directory

_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers")
_WIDTHS = ("intermediate_size", "n_inner", "d_ff", "ffn_dim")


def many(root: Path, count: int) -> list[Path]:
    """``count`` model directories under ``root``, the families in turn."""
    families = sorted(RECIPES)
    return [random_model(root, families[i % len(families)], i) for i in range(count)]


def random_model(root: Path, family: str, seed: int, *, layers: int | None = None) -> Path:
    """One of them: ``seed`` draws its weights, and its depth and width unless ``layers`` says how deep."""
    values = RECIPES[family][2]
    sizes: dict[str, Any] = {name: layers or 1 + seed % 3 for name in _DEPTHS if name in values}
    sizes |= {name: values[name] + 8 * (seed % 5) for name in _WIDTHS if name in values}
    model = build(family, **sizes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    folder = root / f"{family}-{seed:02}"
    model.save_pretrained(folder)
    return folder


def corrupt(model: Path, folder: Path) -> Path:
    """A copy of ``model`` whose weights end too early."""
    folder.mkdir()
    (folder / "config.json").write_bytes((model / "config.json").read_bytes())
    weights = (model / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    return folder


def real_checkpoints() -> list[Path]:
    """The pretrained checkpoints that installed packages carry."""
    return [folder for folder in (minilm_directory(), rxnmapper_directory()) if folder is not None]

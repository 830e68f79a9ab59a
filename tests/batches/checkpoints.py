"""Many small checkpoints, no two alike: the known families at several depths and widths, each with its own seed. They
are written tensor by tensor under the names that transformers gives them, for which it need not be loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.support.minilm import minilm_directory
from tests.support.models import RECIPES
from tests.support.plain_models import DEPTHS, WIDTHS, shapes
from tests.support.rxnmapper import rxnmapper_directory


def many(root: Path, count: int) -> list[Path]:
    """``count`` model directories under ``root``, the families in turn."""
    families = sorted(RECIPES)
    return [random_model(root, families[i % len(families)], i) for i in range(count)]


def random_model(root: Path, family: str, seed: int, *, layers: int | None = None) -> Path:
    """One of them: ``seed`` draws its weights, and its depth and width unless ``layers`` says how deep."""
    model_class, _, values = RECIPES[family]
    config: dict[str, Any] = {**values, "model_type": family, "architectures": [model_class]}
    config |= {name: layers or 1 + seed % 3 for name in DEPTHS if name in values}
    config |= {name: values[name] + 8 * (seed % 5) for name in WIDTHS if name in values}
    draw = np.random.default_rng(seed)
    tensors = {
        name: (draw.standard_normal(shape) * 0.2).astype(np.float32)
        for name, shape in sorted(shapes(family, config).items())
    }
    folder = root / f"{family}-{seed:02}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    save_file(tensors, folder / "model.safetensors")
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

"""Golden adapters as directories that PEFT would have written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from weightaudit.arrays import Array

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = "expected."


@dataclass(frozen=True)
class Golden:
    """``stored`` as PEFT saved it, ``expected`` PEFT's own changes by the names of the base's weights."""

    stored: dict[str, Array]
    expected: dict[str, Array]
    config: dict[str, Any]
    base: dict[str, Any]

    def write(self, folder: Path, **said: object) -> str:
        """The directory of the adapter, its config changed by ``said``."""
        return write(folder, self.stored, {**self.config, **said})


def golden(name: str) -> Golden:
    with safe_open(GOLDEN / f"adapter_{name}.safetensors", "numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no dict
        metadata = file.metadata()
    return Golden(
        {key: value for key, value in tensors.items() if not key.startswith(EXPECTED)},
        {key.removeprefix(EXPECTED): value for key, value in tensors.items() if key.startswith(EXPECTED)},
        json.loads(metadata["config"]),
        json.loads(metadata["base"]),
    )


def write(folder: Path, tensors: dict[str, Array], config: object = None, name: str = "adapter_model") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, folder / f"{name}.safetensors")
    if config is not None:
        (folder / "adapter_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return str(folder)

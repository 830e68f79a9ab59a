"""The golden files: what a library stored, as a checkpoint, and what it says that means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from weightaudit.arrays import Array
from weightaudit.checkpoint import Checkpoint, open_checkpoint

GOLDEN = Path(__file__).with_name("golden")
EXPECTED = "expected."


@contextmanager
def golden(name: str, folder: Path) -> Iterator[tuple[Checkpoint, dict[str, Array]]]:
    """(what a library stored, as a checkpoint in ``folder``; the library's own matrices by logical name)."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no mapping
    expected = {
        key.removeprefix(EXPECTED): tensor.numpy() for key, tensor in tensors.items() if key.startswith(EXPECTED)
    }
    stored = {key: tensor for key, tensor in tensors.items() if not key.startswith(EXPECTED)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored, folder / "model.safetensors", metadata=metadata)
    config = {"model_type": "llama"}
    if "quantization" in metadata:
        config["quantization"] = json.loads(metadata["quantization"])
    (folder / "config.json").write_text(json.dumps(config))
    with open_checkpoint(folder) as checkpoint:
        yield checkpoint, expected


def same(decoded: Array, expected: Array) -> bool:
    """Whether shapes and every bit are equal."""
    return decoded.shape == expected.shape and np.array_equal(decoded.view(np.uint32), expected.view(np.uint32))

"""Checkpoints shaped like the paper's six, with the real names, shapes, dtypes and shards, and random values.

    python -m benchmarks.checkpoints gpt2-xl DIR [--layers 4] [--seed 0] [--gaussian]

They stand in for the real ones where the Hub cannot be reached: what a scan costs depends on shapes, dtypes and the
kind of spectrum. DIR gets config.json, the weights, their index where sharded, and planted.json with the true σ₁ of
every matrix. The same arguments give the same bytes on the same machine.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.matrices import STD, Planted, gaussian, generator_for, heavy_tailed, stacked_sigma
from benchmarks.models import MODELS, Model, Tensor, sizes
from benchmarks.stream import Slot, write_safetensors
from weightaudit.dtypes import BY_NAME


@dataclass(frozen=True)
class Stored:
    """A tensor of one layer (None outside the layers) with its sizes filled in; ``shape`` is (out, in)."""

    spec: Tensor
    name: str
    layer: int | None
    shape: tuple[int, ...]
    dtype: str

    @property
    def slot(self) -> Slot:
        return Slot(self.name, self.dtype, self.shape[::-1] if self.spec.transposed else self.shape)


class Values:
    """What each tensor holds, a function of (seed, name); keeps the planted σ₁ of what it has made."""

    def __init__(self, tensors: list[Stored], seed: int, heavy: bool) -> None:
        self.tensors = {stored.name: stored for stored in tensors}
        self.seed = seed
        self.heavy = heavy
        self.sigma_max: dict[tuple[int | None, str], float | None] = {}

    def __call__(self, name: str) -> torch.Tensor:
        stored = self.tensors[name]
        return self._values(stored).to(BY_NAME[stored.dtype].torch)

    def _values(self, stored: Stored) -> torch.Tensor:
        shape, kind = stored.shape, stored.spec.kind
        if kind == "matrix":
            matrix = self._matrix(stored)
            return matrix.t() if stored.spec.transposed else matrix
        if kind == "causal mask":
            return torch.ones(shape).tril()
        if kind == "mask value":
            return torch.full(shape, -1e9)  # -inf once it is float16, as in GPT-J's file
        if kind == "positions":
            return torch.arange(math.prod(shape)).reshape(shape)
        noise = torch.randn(shape, generator=generator_for(self.seed, stored.name)) * STD
        return noise + 1.0 if kind == "norm" and stored.name.endswith(("weight", "gamma")) else noise

    def _matrix(self, stored: Stored) -> torch.Tensor:
        (rows, cols), roles, seed, name = stored.shape, stored.spec.roles, self.seed, stored.name
        planted: Planted
        if self.heavy:
            shared = f"{stored.layer} {stored.spec.group}" if stored.spec.group else ""
            planted = heavy_tailed(rows, cols, seed=seed, name=name, blocks=len(roles), shared=shared)
        else:
            planted = gaussian(rows, cols, seed=seed, name=name, blocks=len(roles))
        for role, sigma in zip(roles, planted.sigma_max, strict=True):
            self.sigma_max[stored.layer, role] = sigma
        return planted.matrix

    def planted(self) -> list[dict[str, Any]]:
        """One record for each matrix, QKV too: its layer, its role and its true σ₁, None where unknown."""
        sigma = dict(self.sigma_max)
        for layer in {layer for layer, role in sigma if role == "Q"}:
            sigma[layer, "QKV"] = stacked_sigma([sigma[layer, role] for role in ("Q", "K", "V")])
        order = sorted(sigma, key=lambda key: (-1 if key[0] is None else key[0], key[1]))
        return [{"layer": layer, "role": role, "sigma_max": sigma[layer, role]} for layer, role in order]


def tensors_of(model: Model, config: Mapping[str, Any]) -> list[Stored]:
    """Every tensor of the checkpoint, in the model's order."""
    named = sizes(model, dict(config))

    def fill(specs: tuple[Tensor, ...], layer: int | None) -> Iterator[Stored]:
        for spec in specs:
            name = spec.name if layer is None else spec.name.format(i=layer)
            shape = tuple(size if isinstance(size, int) else named[size] for size in spec.shape)
            yield Stored(spec, name, layer, shape, spec.dtype or model.dtype)

    stored = list(fill(model.before, None))
    for layer in range(named["layers"]):
        stored += fill(model.layer, layer)
    return stored + list(fill(model.after, None))


def shards_of(model: Model, tensors: list[Stored]) -> list[list[Stored]]:
    """The tensors of each file, in order. A slice of the depth is cut in the proportions of the whole model."""
    if model.max_shard is None:
        return [tensors]
    whole = sum(stored.slot.nbytes for stored in tensors_of(model, model.config))
    limit = model.max_shard * sum(stored.slot.nbytes for stored in tensors) / whole
    shards: list[list[Stored]] = [[]]
    filled = 0
    for stored in tensors:
        if shards[-1] and filled + stored.slot.nbytes > limit:
            shards.append([])
            filled = 0
        shards[-1].append(stored)
        filled += stored.slot.nbytes
    return shards


def generate(
    name: str,
    directory: Path,
    *,
    layers: int | None = None,
    seed: int = 0,
    heavy: bool = True,
    overrides: Mapping[str, Any] | None = None,
) -> int:
    """Write the checkpoint of model ``name`` into ``directory``, made if need be; returns the bytes of its tensors.

    ``layers`` takes a slice of the depth; ``overrides`` are other config values (tests make tiny models with them).
    Raises FileExistsError where the directory has something in it already.
    """
    model = MODELS[name]
    config = {**model.config, **(overrides or {})}
    if layers is not None:
        config[model.keys["layers"]] = layers
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty")

    tensors = tensors_of(model, config)
    values = Values(tensors, seed, heavy)
    shards = shards_of(model, tensors)
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        single = len(shards) == 1
        file = "model.safetensors" if single else f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_safetensors(directory / file, (stored.slot for stored in shard), values)
        weight_map.update((stored.name, file) for stored in shard)

    total = sum(stored.slot.nbytes for stored in tensors)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        _write_json(directory / "model.safetensors.index.json", index)
    _write_json(directory / "config.json", config)
    record = {"model": name, "seed": seed, "heavy_tailed": heavy, "matrices": values.planted()}
    _write_json(directory / "planted.json", record)
    return total


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a checkpoint shaped like a real one, with random values.")
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("directory", type=Path, help="made if need be; must be empty")
    parser.add_argument("--layers", type=int, help="layers to write (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gaussian", action="store_true", help="i.i.d. values instead of heavy-tailed spectra")
    options = parser.parse_args()
    nbytes = generate(
        options.model,
        options.directory,
        layers=options.layers,
        seed=options.seed,
        heavy=not options.gaussian,
    )
    print(f"{options.directory}: {nbytes / 1e6:,.0f} MB of tensors")


if __name__ == "__main__":
    main()

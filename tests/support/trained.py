"""A small checkpoint in which nothing is wrong, written as a user would have it, and what may happen to one.

Its matrices have spectra that fall as those of trained ones do, each its own, so that none looks untrained; its norms
drift with depth.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HIDDEN, FF, VOCAB, LAYERS, FEW = 64, 160, 200, 12, 3
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": FF,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,  # what a config does not say, transformers is asked for, and its import takes a process seconds
    "vocab_size": VOCAB,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
    "dtype": "float32",
}
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
INSIDE = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN, HIDDEN),
    "self_attn.v_proj": (HIDDEN, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (FF, HIDDEN),
    "mlp.up_proj": (FF, HIDDEN),
    "mlp.down_proj": (HIDDEN, FF),
}

Tensors = dict[str, torch.Tensor]


def name(layer: int, which: str) -> str:
    """ "k_proj" of layer 3 → "model.layers.3.self_attn.k_proj.weight"."""
    return next(f"model.layers.{layer}.{inside}.weight" for inside in INSIDE if inside.endswith(which))


def trained(shape: tuple[int, int], generator: torch.Generator, power: float = 0.8) -> torch.Tensor:
    """(rows, cols) float32: random directions, their weights falling as a power of their number; norm about √rows."""
    rows, cols = shape
    count = min(shape)
    weights = torch.arange(1, count + 1) ** -power
    left, right = torch.randn(rows, count, generator=generator), torch.randn(count, cols, generator=generator)
    values = (left * weights) @ right
    return values * (rows**0.5 / values.norm())


def sound(layers: int = LAYERS) -> Tensors:
    """Tensors of the whole model, the same at every call; of fewer ``layers``, those are its first."""
    return {one: tensor.clone() for one, tensor in _sound(layers).items()}


@cache
def _sound(layers: int) -> Tensors:
    generator = torch.Generator().manual_seed(0)
    tensors = {EMBED: trained((VOCAB, HIDDEN), generator), HEAD: trained((VOCAB, HIDDEN), generator)}
    for layer in range(layers):
        drift = 1 + 0.05 * layer
        for inside, shape in INSIDE.items():
            tensors[f"model.layers.{layer}.{inside}.weight"] = drift * trained(shape, generator)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = torch.ones(HIDDEN)
    tensors["model.norm.weight"] = torch.ones(HIDDEN)
    return tensors


def write(
    directory: Path,
    change: Callable[[Tensors], object] | None = None,
    shards: int = 1,
    layers: int = LAYERS,
    **config: Any,
) -> Path:
    """The sound model with ``change`` made to its tensors and ``config`` to its config.json; saved to ``directory``.

    Tensors go to the ``shards`` in turn. A scan takes as long as there are ``layers``: `FEW` are enough for whatever
    does not compare them with one another.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors = sound(layers)
    if change:
        change(tensors)
    (directory / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": layers, **config}))
    stored = {one: tensor.contiguous().clone() for one, tensor in tensors.items()}
    if shards == 1:
        save_file(stored, directory / "model.safetensors")
        return directory
    weight_map: dict[str, str] = {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(stored.items())[i::shards])
        save_file(part, directory / file)
        weight_map |= dict.fromkeys(part, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return directory

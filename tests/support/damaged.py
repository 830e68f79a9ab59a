"""A deep model with one fault of each kind that a person looks for in the page: NaN, zeros, untrained, exploded."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

LAYERS, HIDDEN, KEYS, FF, VOCAB = 40, 64, 32, 160, 300
NAN, ZERO, RANDOM, EXPLODED = 11, 20, 28, 35
"""The layers that are damaged: a down projection with NaN, an output projection of zeros, an untrained layer, and an up
projection that is far too large, the worst of all.
"""
_SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (KEYS, HIDDEN),
    "self_attn.v_proj": (KEYS, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (FF, HIDDEN),
    "mlp.up_proj": (FF, HIDDEN),
    "mlp.down_proj": (HIDDEN, FF),
}
_CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": FF,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}


def damaged_model(folder: Path) -> Path:
    """The model's directory."""
    generator = torch.Generator().manual_seed(0)

    def trained(shape: tuple[int, int], layer: int) -> torch.Tensor:
        """Columns and rows of different sizes, growing a little with depth."""
        drawn = torch.randn(shape, generator=generator) * 0.05 * (1 + layer / LAYERS)
        drawn *= torch.logspace(0, -0.3, shape[0])[:, None]
        return drawn * torch.logspace(0, -1.2 - layer / LAYERS / 2, shape[1])

    tensors = {
        "model.embed_tokens.weight": trained((VOCAB, HIDDEN), 0),
        "lm_head.weight": trained((VOCAB, HIDDEN), 3),
        "model.norm.weight": torch.ones(HIDDEN),
    }
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        for name, shape in _SHAPES.items():
            tensors[f"{at}{name}.weight"] = (
                torch.randn(shape, generator=generator) * 0.02 if layer == RANDOM else trained(shape, layer)
            )
        tensors[f"{at}input_layernorm.weight"] = torch.ones(HIDDEN)
        tensors[f"{at}post_attention_layernorm.weight"] = torch.ones(HIDDEN)
    tensors[f"model.layers.{NAN}.mlp.down_proj.weight"][3, 5:12] = float("nan")
    tensors[f"model.layers.{ZERO}.self_attn.o_proj.weight"].zero_()
    tensors[f"model.layers.{EXPLODED}.mlp.up_proj.weight"].mul_(3000)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    return folder

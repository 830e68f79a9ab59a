"""Tiny models of `tests.support.models` in names and shapes, without transformers, whose import takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.support.models import HIDDEN, POSITIONS, RECIPES, VOCAB

DEPTHS, WIDTHS = ("num_hidden_layers", "n_layer"), ("intermediate_size", "n_inner")
"""What a configuration calls its number of layers, and its hidden size of an MLP."""

_NORM = "H:H"
_ENCODER = {
    **dict.fromkeys(("attention.self.query", "attention.self.key", "attention.self.value"), "HH:H"),
    "attention.output.dense": "HH:H",
    "attention.output.LayerNorm": _NORM,
    "intermediate.dense": "FH:F",
    "output.dense": "HF:H",
    "output.LayerNorm": _NORM,
}
_EMBEDDINGS = {"word_embeddings": "VH", "position_embeddings": "PH", "token_type_embeddings": "KH", "LayerNorm": _NORM}
_NAMES: dict[str, tuple[dict[str, str], str, dict[str, str]]] = {
    "bert": (
        {
            **{f"bert.embeddings.{name}": shape for name, shape in _EMBEDDINGS.items()},
            "bert.pooler.dense": "HH:H",
            "cls.seq_relationship": "KH:K",
            "cls.predictions": ":V",
            "cls.predictions.transform.dense": "HH:H",
            "cls.predictions.transform.LayerNorm": _NORM,
        },
        "bert.encoder.layer",
        _ENCODER,
    ),
    "roberta": (
        {
            **{f"roberta.embeddings.{name}": shape for name, shape in _EMBEDDINGS.items()},
            "lm_head": ":V",
            "lm_head.dense": "HH:H",
            "lm_head.layer_norm": _NORM,
        },
        "roberta.encoder.layer",
        _ENCODER,
    ),
    "gpt2": (
        {"transformer.wte": "VH", "transformer.wpe": "PH", "transformer.ln_f": _NORM},
        "transformer.h",
        {
            "ln_1": _NORM,
            "attn.c_attn": "HT:T",
            "attn.c_proj": "HH:H",
            "ln_2": _NORM,
            "mlp.c_fc": "HF:F",
            "mlp.c_proj": "FH:H",
        },
    ),
    "gptj": (
        {"transformer.wte": "VH", "transformer.ln_f": _NORM, "lm_head": "VH:V"},
        "transformer.h",
        {
            **dict.fromkeys(("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj"), "HH"),
            "ln_1": _NORM,
            "mlp.fc_in": "FH:F",
            "mlp.fc_out": "HF:H",
        },
    ),
    "phi": (
        {"model.embed_tokens": "VH", "model.final_layernorm": _NORM, "lm_head": "VH:V"},
        "model.layers",
        {
            **dict.fromkeys(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.dense"), "HH:H"),
            "input_layernorm": _NORM,
            "mlp.fc1": "FH:F",
            "mlp.fc2": "HF:H",
        },
    ),
}
"""Family → its modules outside the layers, where these are, and a layer's: module → the sizes of its weight, and behind
a colon those of its bias.
"""


def shapes(family: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names of the tensors of a model of this configuration, as transformers saves it, and their shapes."""
    outside, where, layer = _NAMES[family]
    depth = next(config[name] for name in DEPTHS if name in config)
    width = next(config[name] for name in WIDTHS if name in config)
    sizes = {"H": HIDDEN, "T": 3 * HIDDEN, "F": width, "V": VOCAB, "P": POSITIONS, "K": config.get("type_vocab_size")}
    modules = {**outside, **{f"{where}.{i}.{name}": shape for i in range(depth) for name, shape in layer.items()}}
    return {
        f"{module}.{part}": tuple(sizes[letter] for letter in letters)
        for module, both in modules.items()
        for part, letters in zip(("weight", "bias"), both.split(":"), strict=False)
        if letters
    }


def plain_model(family: str, directory: Path) -> None:
    """Write ``family`` to ``directory``: random numbers, the same at every call, each tensor its own."""
    model_class, _, values = RECIPES[family]
    directory.mkdir(parents=True)
    config = {"model_type": family, "architectures": [model_class], "dtype": "float32", **values}
    (directory / "config.json").write_text(json.dumps(config))
    draw = np.random.default_rng(0)
    tensors = {}
    for name, shape in shapes(family, values).items():
        drawn = draw.standard_normal(shape) * 0.2
        tensors[name] = (drawn * np.logspace(0, -2, shape[-1]) if len(shape) > 1 else drawn).astype(np.float32)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})

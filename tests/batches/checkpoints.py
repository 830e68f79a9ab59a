"""Many small checkpoints, no two alike: the known families at several depths and widths, each with its own seed. They
are written tensor by tensor under the names that transformers gives them, for which it need not be loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.support.minilm import minilm_directory
from tests.support.models import HIDDEN, POSITIONS, RECIPES, VOCAB
from tests.support.rxnmapper import rxnmapper_directory

_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers")
_WIDTHS = ("intermediate_size", "n_inner", "d_ff", "ffn_dim")

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


def many(root: Path, count: int) -> list[Path]:
    """``count`` model directories under ``root``, the families in turn."""
    families = sorted(RECIPES)
    return [random_model(root, families[i % len(families)], i) for i in range(count)]


def random_model(root: Path, family: str, seed: int, *, layers: int | None = None) -> Path:
    """One of them: ``seed`` draws its weights, and its depth and width unless ``layers`` says how deep."""
    model_class, _, values = RECIPES[family]
    config: dict[str, Any] = {**values, "model_type": family, "architectures": [model_class]}
    config |= {name: layers or 1 + seed % 3 for name in _DEPTHS if name in values}
    config |= {name: values[name] + 8 * (seed % 5) for name in _WIDTHS if name in values}
    draw = np.random.default_rng(seed)
    tensors = {
        name: (draw.standard_normal(shape) * 0.2).astype(np.float32) for name, shape in sorted(_shapes(family, config))
    }
    folder = root / f"{family}-{seed:02}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    save_file(tensors, folder / "model.safetensors")
    return folder


def _shapes(family: str, config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Tensors of a model of this configuration, and their shapes."""
    outside, where, layer = _NAMES[family]
    depth = next(config[name] for name in _DEPTHS if name in config)
    width = next(config[name] for name in _WIDTHS if name in config)
    sizes = {"H": HIDDEN, "T": 3 * HIDDEN, "F": width, "V": VOCAB, "P": POSITIONS, "K": config.get("type_vocab_size")}
    modules = {**outside, **{f"{where}.{i}.{name}": shape for i in range(depth) for name, shape in layer.items()}}
    for module, shapes in modules.items():
        for part, letters in zip(("weight", "bias"), shapes.split(":"), strict=False):
            if letters:
                yield f"{module}.{part}", tuple(sizes[letter] for letter in letters)


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

"""Tiny random models of the known families, built by transformers and saved as a user would save them.

Every size differs from every other (hidden, ff, vocab, positions), so that a matrix taken for another cannot
fit by chance, and every parameter is random, biases and norms too, so that a wrong slice cannot equal a right
one. The columns of a matrix differ in size, so that none looks untrained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

HIDDEN, HEADS, LAYERS, FF, VOCAB, POSITIONS = 24, 3, 2, 40, 56, 32

_NEW = {
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": FF,
    "vocab_size": VOCAB,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
_OLD = {
    "n_embd": HIDDEN,
    "n_head": HEADS,
    "n_layer": LAYERS,
    "n_inner": FF,
    "vocab_size": VOCAB,
    "n_positions": POSITIONS,
    "bos_token_id": 0,
    "eos_token_id": 1,
}

# family: (model class that owns the output head, config class, config values)
RECIPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertForPreTraining", "BertConfig", {**_NEW, "type_vocab_size": 2}),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", {**_NEW, "type_vocab_size": 1}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _OLD),
    "phi": ("PhiForCausalLM", "PhiConfig", {**_NEW, "num_key_value_heads": HEADS}),
    "gptj": ("GPTJForCausalLM", "GPTJConfig", {**_OLD, "rotary_dim": 4}),
}


def build(family: str, model_class: str = "", **overrides: Any) -> Any:
    """A sound model of ``family``, of random numbers, in eval mode: float32, the same at every call.

    ``model_class`` names another class of transformers than the one with the output head; ``overrides`` are
    config values.
    """
    import torch  # here, for conftest.py imports this file, and whoever shares out the tests builds no model
    import transformers

    recipe_class, config_class, values = RECIPES[family]
    config = getattr(transformers, config_class)(**{**values, **overrides})
    model = getattr(transformers, model_class or recipe_class)(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            drawn = torch.randn(parameter.shape, generator=generator) * 0.2
            parameter.copy_(drawn * torch.logspace(0, -2, drawn.shape[-1]) if drawn.ndim > 1 else drawn)
    return model.eval()


def tiny_model(family: str, directory: Path, **save_kwargs: Any) -> Any:
    """Build a tiny model of ``family`` (bert, roberta, gpt2, phi, gptj), save it to ``directory``, return it
    live.

    ``save_kwargs`` go to ``save_pretrained`` (e.g. ``max_shard_size="20KB"`` for several shards).
    """
    model = build(family)
    model.save_pretrained(directory, **save_kwargs)
    return model

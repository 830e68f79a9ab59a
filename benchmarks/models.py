"""The six models of the paper as data: names, shapes, dtypes and files of their checkpoints on the Hub.

A size in a shape is a number or a name of `sizes`; ``{i}`` in a name counts the layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["matrix", "norm", "vector", "causal mask", "mask value", "positions"]
Size = int | str


@dataclass(frozen=True)
class Tensor:
    """One stored tensor. For a matrix, ``shape`` is (out, in) whatever ``transposed`` says about the file.

    ``roles`` are the vertical blocks of a matrix, one role each. Matrices of one ``group`` get the same right singular
    vectors, so that the σ₁ of their stack is known too. ``dtype`` None is the model's own.
    """

    name: str
    shape: tuple[Size, ...]
    kind: Kind
    roles: tuple[str, ...] = ()
    transposed: bool = False
    group: str = ""
    dtype: str | None = None


@dataclass(frozen=True)
class Model:
    """One checkpoint: config.json, and its tensors before, in and after the layers.

    ``keys`` name the config values behind the sizes ``layers, d, vocab, pos, ff``; no ``ff`` means 4·d.
    ``max_shard`` is the largest file in bytes of the whole model, None where all lies in one file.
    """

    config: dict[str, Any]
    keys: dict[str, str]
    dtype: str
    before: tuple[Tensor, ...]
    layer: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    max_shard: int | None = None


def sizes(model: Model, config: dict[str, Any]) -> dict[str, int]:
    """The named sizes of ``model`` under ``config``, which may differ from the model's own in its numbers."""
    named = {size: int(config[key]) for size, key in model.keys.items()}
    named["3d"] = 3 * named["d"]
    named.setdefault("ff", 4 * named["d"])
    return named


def _norm(name: str, weight: str = "weight", bias: str = "bias") -> tuple[Tensor, ...]:
    return tuple(Tensor(f"{name}.{part}", ("d",), "norm") for part in (weight, bias))


def _linear(
    name: str,
    out: Size,
    columns: Size,
    *roles: str,
    bias: bool = True,
    transposed: bool = False,
    group: str = "",
) -> tuple[Tensor, ...]:
    weight = Tensor(f"{name}.weight", (out, columns), "matrix", roles, transposed, group)
    return (weight, Tensor(f"{name}.bias", (out,), "vector")) if bias else (weight,)


def _table(name: str, rows: Size, role: str) -> tuple[Tensor, ...]:
    return _linear(name, rows, "d", role, bias=False)


def _bert_embeddings(prefix: str, token_types: int) -> tuple[Tensor, ...]:
    return (
        *_table(f"{prefix}.embeddings.word_embeddings", "vocab", "EMBED"),
        *_table(f"{prefix}.embeddings.position_embeddings", "pos", "POSITION"),
        *_table(f"{prefix}.embeddings.token_type_embeddings", token_types, "TOKEN_TYPE"),
    )


def _bert_layer(prefix: str, weight: str, bias: str) -> tuple[Tensor, ...]:
    layer = f"{prefix}.encoder.layer.{{i}}"
    return (
        *_linear(f"{layer}.attention.self.query", "d", "d", "Q", group="attention"),
        *_linear(f"{layer}.attention.self.key", "d", "d", "K", group="attention"),
        *_linear(f"{layer}.attention.self.value", "d", "d", "V", group="attention"),
        *_linear(f"{layer}.attention.output.dense", "d", "d", "O"),
        *_norm(f"{layer}.attention.output.LayerNorm", weight, bias),
        *_linear(f"{layer}.intermediate.dense", "ff", "d", "M1"),
        *_linear(f"{layer}.output.dense", "d", "ff", "M2"),
        *_norm(f"{layer}.output.LayerNorm", weight, bias),
    )


_BERT_KEYS = {
    "layers": "num_hidden_layers",
    "d": "hidden_size",
    "ff": "intermediate_size",
    "vocab": "vocab_size",
    "pos": "max_position_embeddings",
}
_GPT_KEYS = {"layers": "n_layer", "d": "n_embd", "vocab": "vocab_size", "pos": "n_positions"}

_BERT = Model(
    config={
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": 30522,
    },
    keys=_BERT_KEYS,
    dtype="float32",
    before=(
        *_bert_embeddings("bert", 2),
        *_norm("bert.embeddings.LayerNorm", "gamma", "beta"),  # named as in the TensorFlow original
    ),
    layer=_bert_layer("bert", "gamma", "beta"),
    after=(
        *_linear("bert.pooler.dense", "d", "d", "POOLER"),
        *_linear("cls.predictions.transform.dense", "d", "d", "TRANSFORM"),
        *_norm("cls.predictions.transform.LayerNorm", "gamma", "beta"),
        Tensor("cls.predictions.bias", ("vocab",), "vector"),
        *_linear("cls.seq_relationship", 2, "d", "NSP"),
    ),
)

_ROBERTA = Model(
    config={
        "architectures": ["RobertaForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514,
        "model_type": "roberta",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "type_vocab_size": 1,
        "vocab_size": 50265,
    },
    keys=_BERT_KEYS,
    dtype="float32",
    before=(
        Tensor("roberta.embeddings.position_ids", (1, "pos"), "positions", dtype="int64"),
        *_bert_embeddings("roberta", 1),
        *_norm("roberta.embeddings.LayerNorm"),
    ),
    layer=_bert_layer("roberta", "weight", "bias"),
    after=(
        *_linear("roberta.pooler.dense", "d", "d", "POOLER"),
        *_linear("lm_head.dense", "d", "d", "TRANSFORM"),
        *_norm("lm_head.layer_norm"),
        Tensor("lm_head.bias", ("vocab",), "vector"),
    ),
)


def _gpt2(layers: int, hidden: int, heads: int) -> Model:
    """No prefix, no output head (tied), Conv1D weights stored (in, out), the causal mask stored in each layer."""
    return Model(
        config={
            "activation_function": "gelu_new",
            "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.1,
            "bos_token_id": 50256,
            "embd_pdrop": 0.1,
            "eos_token_id": 50256,
            "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gpt2",
            "n_ctx": 1024,
            "n_embd": hidden,
            "n_head": heads,
            "n_layer": layers,
            "n_positions": 1024,
            "resid_pdrop": 0.1,
            "vocab_size": 50257,
        },
        keys=_GPT_KEYS,
        dtype="float32",
        before=(*_table("wte", "vocab", "EMBED"), *_table("wpe", "pos", "POSITION")),
        layer=(
            *_norm("h.{i}.ln_1"),
            Tensor("h.{i}.attn.bias", (1, 1, "pos", "pos"), "causal mask"),
            *_linear("h.{i}.attn.c_attn", "3d", "d", "Q", "K", "V", transposed=True),
            *_linear("h.{i}.attn.c_proj", "d", "d", "O", transposed=True),
            *_norm("h.{i}.ln_2"),
            *_linear("h.{i}.mlp.c_fc", "ff", "d", "M1", transposed=True),
            *_linear("h.{i}.mlp.c_proj", "d", "ff", "M2", transposed=True),
        ),
        after=_norm("ln_f"),
    )


_PHI = Model(
    config={
        "architectures": ["PhiForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 50256,
        "embd_pdrop": 0.0,
        "eos_token_id": 50256,
        "hidden_act": "gelu_new",
        "hidden_size": 2560,
        "initializer_range": 0.02,
        "intermediate_size": 10240,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048,
        "model_type": "phi",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "partial_rotary_factor": 0.4,
        "qk_layernorm": False,
        "resid_pdrop": 0.1,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": True,
        "vocab_size": 51200,
    },
    keys=_BERT_KEYS,
    dtype="float16",
    max_shard=5_000_000_000,  # transformers' default of the time: two files
    before=_table("model.embed_tokens", "vocab", "EMBED"),
    layer=(
        *_norm("model.layers.{i}.input_layernorm"),
        *_linear("model.layers.{i}.self_attn.q_proj", "d", "d", "Q", group="attention"),
        *_linear("model.layers.{i}.self_attn.k_proj", "d", "d", "K", group="attention"),
        *_linear("model.layers.{i}.self_attn.v_proj", "d", "d", "V", group="attention"),
        *_linear("model.layers.{i}.self_attn.dense", "d", "d", "O"),
        *_linear("model.layers.{i}.mlp.fc1", "ff", "d", "M1"),
        *_linear("model.layers.{i}.mlp.fc2", "d", "ff", "M2"),
    ),
    after=(*_norm("model.final_layernorm"), *_linear("lm_head", "vocab", "d", "HEAD")),
)

# The Hub has GPT-J as PyTorch .bin files (float32 on main, float16 on its own branch). Here the float16 tensors are
# written as sharded safetensors: same names, shapes, dtype and buffers, another container.
_GPTJ = Model(
    config={
        "activation_function": "gelu_new",
        "architectures": ["GPTJForCausalLM"],
        "attn_pdrop": 0.0,
        "bos_token_id": 50256,
        "embd_pdrop": 0.0,
        "eos_token_id": 50256,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gptj",
        "n_embd": 4096,
        "n_head": 16,
        "n_inner": None,
        "n_layer": 28,
        "n_positions": 2048,
        "resid_pdrop": 0.0,
        "rotary_dim": 64,
        "scale_attn_weights": True,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": True,
        "vocab_size": 50400,
    },
    keys=_GPT_KEYS,
    dtype="float16",
    max_shard=5_000_000_000,
    before=_table("transformer.wte", "vocab", "EMBED"),
    layer=(
        *_norm("transformer.h.{i}.ln_1"),
        Tensor("transformer.h.{i}.attn.bias", (1, 1, "pos", "pos"), "causal mask", dtype="uint8"),
        Tensor("transformer.h.{i}.attn.masked_bias", (), "mask value"),
        *_linear("transformer.h.{i}.attn.k_proj", "d", "d", "K", bias=False, group="attention"),
        *_linear("transformer.h.{i}.attn.v_proj", "d", "d", "V", bias=False, group="attention"),
        *_linear("transformer.h.{i}.attn.q_proj", "d", "d", "Q", bias=False, group="attention"),
        *_linear("transformer.h.{i}.attn.out_proj", "d", "d", "O", bias=False),
        *_linear("transformer.h.{i}.mlp.fc_in", "ff", "d", "M1"),
        *_linear("transformer.h.{i}.mlp.fc_out", "d", "ff", "M2"),
    ),
    after=(*_norm("transformer.ln_f"), *_linear("lm_head", "vocab", "d", "HEAD")),
)

MODELS: dict[str, Model] = {
    "bert-base-uncased": _BERT,
    "roberta-base": _ROBERTA,
    "gpt2": _gpt2(layers=12, hidden=768, heads=12),
    "gpt2-large": _gpt2(layers=36, hidden=1280, heads=20),
    "gpt2-xl": _gpt2(layers=48, hidden=1600, heads=25),
    "phi-2": _PHI,
    "gpt-j-6b": _GPTJ,
}

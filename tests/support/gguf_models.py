"""Models written twice: as transformers names and stores them, and as llama.cpp's converter would write them.

How the converter renames, permutes, transposes and stacks is written here anew, from its source.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import weightaudit as wa
from tests.support.gguf_files import Array, write_gguf

H, HEADS, KV, D, FF, VOCAB, LAYERS, EXPERTS = 64, 4, 2, 32, 96, 160, 2, 3
NUMBERS = [
    "stack",
    "layer",
    "expert",
    "role",
    "rows",
    "cols",
    "frobenius_norm",
    "spectral_norm",
    "stable_rank",
    "max_abs",
]


class Random:
    """Matrices of a model, each another."""

    def __init__(self, dtype: Any) -> None:
        self._generator = np.random.default_rng(3)
        self._dtype = dtype

    def __call__(self, *shape: int) -> Array:
        return (self._generator.standard_normal(shape) / 8).astype(self._dtype)


@dataclass(frozen=True)
class Model:
    """``config`` and ``own``: the model as transformers has it; ``values`` and ``converted``: as llama.cpp does."""

    config: Mapping[str, Any]
    own: Mapping[str, Array]
    values: Mapping[str, Any]
    converted: Mapping[str, Array]


def permuted(matrix: Array, heads: int) -> Array:
    """`LlamaModel.permute` of llama.cpp's converter."""
    shape = matrix.shape
    return np.ascontiguousarray(
        matrix.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
    )


def header(architecture: str, **values: Any) -> dict[str, Any]:
    told = {
        "block_count": LAYERS,
        "embedding_length": H,
        "feed_forward_length": FF,
        "attention.head_count": HEADS,
        **{key.replace("__", "."): value for key, value in values.items()},
    }
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{key}": value for key, value in told.items() if value is not None},
        "tokenizer.ggml.tokens": [f"t{i}" for i in range(VOCAB)],
    }


LLAMA_CONFIG = {
    "model_type": "llama",
    "hidden_size": H,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV,
    "head_dim": D,
    "intermediate_size": FF,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
}


def llama(new: Random, *, fused: bool = False, tied: bool = False) -> Model:
    own, converted = {"model.embed_tokens.weight": new(VOCAB, H)}, {}
    converted["token_embd.weight"] = own["model.embed_tokens.weight"]
    for i in range(LAYERS):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        own[f"{p}self_attn.q_proj.weight"] = q = new(HEADS * D, H)
        own[f"{p}self_attn.k_proj.weight"] = k = new(KV * D, H)
        own[f"{p}self_attn.v_proj.weight"] = v = new(KV * D, H)
        if fused:
            converted[f"{b}attn_qkv.weight"] = np.concatenate([permuted(q, HEADS), permuted(k, KV), v])
        else:
            converted |= {f"{b}attn_q.weight": permuted(q, HEADS), f"{b}attn_k.weight": permuted(k, KV)}
            converted[f"{b}attn_v.weight"] = v
        for name, to, shape in (
            ("self_attn.o_proj", "attn_output", (H, HEADS * D)),
            ("mlp.gate_proj", "ffn_gate", (FF, H)),
            ("mlp.up_proj", "ffn_up", (FF, H)),
            ("mlp.down_proj", "ffn_down", (H, FF)),
        ):
            converted[f"{b}{to}.weight"] = own[f"{p}{name}.weight"] = new(*shape)
        converted[f"{b}attn_norm.weight"] = own[f"{p}input_layernorm.weight"] = new(H)
    if not tied:
        converted["output.weight"] = own["lm_head.weight"] = new(VOCAB, H)
    values = header("llama", attention__head_count_kv=KV, attention__key_length=D, attention__value_length=D)
    return Model({**LLAMA_CONFIG, "tie_word_embeddings": tied}, own, values, converted)


def gpt2(new: Random) -> Model:
    """Conv1D: (in, out) in transformers, (out, in) in GGUF."""
    own = {"wte.weight": new(VOCAB, H), "wpe.weight": new(32, H)}
    converted = {"token_embd.weight": own["wte.weight"], "position_embd.weight": own["wpe.weight"]}
    for i in range(LAYERS):
        for name, to, shape in (
            ("attn.c_attn", "attn_qkv", (H, 3 * H)),
            ("attn.c_proj", "attn_output", (H, H)),
            ("mlp.c_fc", "ffn_up", (H, FF)),
            ("mlp.c_proj", "ffn_down", (FF, H)),
        ):
            own[f"h.{i}.{name}.weight"] = matrix = new(*shape)
            converted[f"blk.{i}.{to}.weight"] = np.ascontiguousarray(matrix.T)
    config = {"model_type": "gpt2", "n_embd": H, "n_head": HEADS, "n_layer": LAYERS, "n_inner": FF}
    return Model({**config, "vocab_size": VOCAB, "n_positions": 32}, own, header("gpt2", context_length=32), converted)


def mixtral(new: Random, *, stacked: bool = True, fused: bool = False) -> Model:
    base = llama(new)
    own = {name: matrix for name, matrix in base.own.items() if ".mlp." not in name}
    converted = {name: matrix for name, matrix in base.converted.items() if ".ffn_" not in name}
    for i in range(LAYERS):
        p = f"model.layers.{i}.block_sparse_moe."
        converted[f"blk.{i}.ffn_gate_inp.weight"] = own[f"{p}gate.weight"] = new(EXPERTS, H)
        matrices = {}
        for short, to, shape in (("w1", "gate", (FF, H)), ("w3", "up", (FF, H)), ("w2", "down", (H, FF))):
            each = [new(*shape) for _ in range(EXPERTS)]
            own |= {f"{p}experts.{e}.{short}.weight": matrix for e, matrix in enumerate(each)}
            matrices[to] = each
        if fused:
            both = zip(matrices.pop("gate"), matrices.pop("up"), strict=True)
            matrices["gate_up"] = [np.concatenate(pair) for pair in both]
        for to, each in matrices.items():
            if stacked:
                converted[f"blk.{i}.ffn_{to}_exps.weight"] = np.stack(each)
            else:
                converted |= {f"blk.{i}.ffn_{to}.{e}.weight": matrix for e, matrix in enumerate(each)}
    values = {**base.values, "llama.expert_count": EXPERTS}
    return Model({**base.config, "model_type": "mixtral", "num_local_experts": EXPERTS}, own, values, converted)


RANK, Q_RANK, NOPE, ROPE, V_DIM = 32, 96, 64, 32, 96


def deepseek(new: Random, *, split: bool) -> Model:
    """Multi-head latent attention: ``kv_b_proj`` whole, or as newer files have it."""
    base = llama(new)
    own = {name: matrix for name, matrix in base.own.items() if ".self_attn." not in name}
    converted = {name: matrix for name, matrix in base.converted.items() if ".attn_" not in name}
    for i in range(LAYERS):
        p, b = f"model.layers.{i}.self_attn.", f"blk.{i}."
        for name, to, shape in (
            ("q_a_proj", "attn_q_a", (Q_RANK, H)),
            ("q_b_proj", "attn_q_b", (HEADS * (NOPE + ROPE), Q_RANK)),
            ("kv_a_proj_with_mqa", "attn_kv_a_mqa", (RANK + ROPE, H)),
            ("o_proj", "attn_output", (H, HEADS * V_DIM)),
        ):
            converted[f"{b}{to}.weight"] = own[f"{p}{name}.weight"] = new(*shape)
        own[f"{p}kv_b_proj.weight"] = both = new(HEADS * (NOPE + V_DIM), RANK)
        if split:
            heads = both.reshape(HEADS, NOPE + V_DIM, RANK)
            converted[f"{b}attn_k_b.weight"] = np.ascontiguousarray(heads[:, :NOPE].transpose(0, 2, 1))
            converted[f"{b}attn_v_b.weight"] = np.ascontiguousarray(heads[:, NOPE:])
        else:
            converted[f"{b}attn_kv_b.weight"] = both
    config = {
        **{key: value for key, value in base.config.items() if key != "head_dim"},
        "model_type": "deepseek_v3",
        "num_key_value_heads": HEADS,
        "q_lora_rank": Q_RANK,
        "kv_lora_rank": RANK,
        "qk_nope_head_dim": NOPE,
        "qk_rope_head_dim": ROPE,
        "v_head_dim": V_DIM,
        "n_routed_experts": EXPERTS,
        "first_k_dense_replace": LAYERS,
        "num_nextn_predict_layers": 0,
    }
    values = header(
        "deepseek2",
        attention__head_count_kv=1 if split else HEADS,
        attention__key_length=RANK + ROPE if split else NOPE + ROPE,
        attention__value_length=RANK if split else V_DIM,
        attention__key_length_mla=NOPE + ROPE if split else None,
        attention__value_length_mla=V_DIM if split else None,
        attention__q_lora_rank=Q_RANK,
        attention__kv_lora_rank=RANK,
        rope__dimension_count=ROPE,
    )
    return Model(config, own, values, converted)


def t5(new: Random) -> Model:
    own = {"shared.weight": new(VOCAB, H)}
    converted = {"token_embd.weight": own["shared.weight"]}
    for stack, short in (("encoder", "enc"), ("decoder", "dec")):
        for i in range(LAYERS):
            p, b = f"{stack}.block.{i}.layer.", f"{short}.blk.{i}."
            last = 1 if stack == "encoder" else 2
            attentions = [(f"{p}0.SelfAttention.", f"{b}attn_")]
            attentions += [(f"{p}1.EncDecAttention.", f"{b}cross_attn_")] if stack == "decoder" else []
            for theirs, ours in attentions:
                for name in "qkvo":
                    shape = (H, HEADS * D) if name == "o" else (HEADS * D, H)
                    converted[f"{ours}{name}.weight"] = own[f"{theirs}{name}.weight"] = new(*shape)
            for name, to, shape in (("wi_0", "gate", (FF, H)), ("wi_1", "up", (FF, H)), ("wo", "down", (H, FF))):
                full = f"{p}{last}.DenseReluDense.{name}.weight"
                converted[f"{b}ffn_{to}.weight"] = own[full] = new(*shape)
        bias = new(32, HEADS)
        own[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = bias
        converted[f"{short}.blk.0.attn_rel_b.weight"] = np.ascontiguousarray(bias.T)
    converted["output.weight"] = own["lm_head.weight"] = new(VOCAB, H)
    config = {"model_type": "t5", "d_model": H, "num_layers": LAYERS, "num_heads": HEADS, "d_kv": D, "d_ff": FF}
    config |= {"vocab_size": VOCAB, "tie_word_embeddings": False}
    return Model(config, own, header("t5", attention__key_length=D, attention__value_length=D), converted)


def phi3(new: Random) -> Model:
    """``ffn_up`` holds the gate too."""
    own, converted = {"model.embed_tokens.weight": new(VOCAB, H)}, {}
    converted["token_embd.weight"] = own["model.embed_tokens.weight"]
    for i in range(LAYERS):
        for name, to, shape in (
            ("self_attn.qkv_proj", "attn_qkv", ((HEADS + 2 * KV) * D, H)),
            ("self_attn.o_proj", "attn_output", (H, HEADS * D)),
            ("mlp.gate_up_proj", "ffn_up", (2 * FF, H)),
            ("mlp.down_proj", "ffn_down", (H, FF)),
        ):
            converted[f"blk.{i}.{to}.weight"] = own[f"model.layers.{i}.{name}.weight"] = new(*shape)
    converted["output.weight"] = own["lm_head.weight"] = new(VOCAB, H)
    values = header("phi3", attention__head_count_kv=KV, attention__key_length=D, attention__value_length=D)
    return Model({**LLAMA_CONFIG, "model_type": "phi3"}, own, values, converted)


MODELS: dict[str, Callable[[Random], Model]] = {
    "llama": llama,
    "llama, fused": lambda new: llama(new, fused=True),
    "llama, tied": lambda new: llama(new, tied=True),
    "gpt2": gpt2,
    "mixtral, stacked": mixtral,
    "mixtral, an expert a tensor": lambda new: mixtral(new, stacked=False),
    "mixtral, gate and up fused": lambda new: mixtral(new, fused=True),
    "deepseek, old": lambda new: deepseek(new, split=False),
    "deepseek, new": lambda new: deepseek(new, split=True),
    "t5": t5,
    "phi3": phi3,
}


def write_both(model: Model, folder: Path) -> tuple[Path, Path]:
    """The model in transformers' names, and as a GGUF file."""
    (own := folder / "own").mkdir()
    (own / "config.json").write_text(json.dumps(model.config))
    save_file({name: np.ascontiguousarray(matrix) for name, matrix in model.own.items()}, own / "model.safetensors")
    return own, write_gguf(folder / "gguf" / "model-F32.gguf", model.values, model.converted)


def entries(model: Path) -> dict[str, Array]:
    return {matrix.key: matrix.load().numpy() for matrix in wa.matrices(model)}

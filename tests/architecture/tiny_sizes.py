"""Sizes of the tiny models: what the usual fields get, and what single model types need besides."""

from __future__ import annotations

from typing import Any

H, HEADS, KV, HEAD_DIM, FF, EXPERT_FF, VOCAB, POSITIONS, LAYERS, EXPERTS = 48, 4, 2, 16, 80, 24, 112, 64, 2, 3

SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embed_dim"), H),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), HEADS),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), HEADS),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), LAYERS),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers", "num_encoder_layers"), LAYERS),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "d_inner", "ffn_hidden_size"), FF),
    "encoder_ffn_dim": FF,
    "decoder_ffn_dim": FF + 8,
    **dict.fromkeys(("moe_intermediate_size", "expert_intermediate_size"), EXPERT_FF),
    "shared_expert_intermediate_size": EXPERT_FF + 4,
    "shared_intermediate_size": EXPERT_FF + 4,
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"), EXPERTS),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 1),
    **dict.fromkeys(("n_group", "topk_group", "n_groups"), 1),
    "num_key_value_heads": KV,
    "num_kv_heads": KV,
    **dict.fromkeys(("head_dim", "d_kv", "d_head", "kv_channels"), HEAD_DIM),
    "q_lora_rank": 20,
    "kv_lora_rank": 28,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
    "vocab_size": VOCAB,
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions"), POSITIONS),
    "type_vocab_size": 2,
    "pad_token_id": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
}

CLASSES: dict[str, str] = {}

_ALL_KEYS = {"num_key_value_heads": HEADS}
_INDEXER = {"index_head_dim": 16, "index_n_heads": 2}

OVERRIDES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("deepseek_v2", "deepseek_v3", "axk1", "glm4_moe_lite", "minicpm3", "youtu"), _ALL_KEYS),
    **{name: {**_ALL_KEYS, **_INDEXER} for name in ("deepseek_v32", "glm_moe_dsa", "axk2")},
    "gptj": {"rotary_dim": 4},
    "codegen": {"rotary_dim": 4},
    "helium": {"head_dim": 12},
    "phimoe": {"num_local_experts": 2, "num_experts_per_tok": 2},
    "stablelm": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
    "longcat_flash": {**_ALL_KEYS, "ffn_hidden_size": FF, "expert_ffn_hidden_size": EXPERT_FF, "zero_expert_num": 1},
}

INPUTS: dict[str, dict[str, Any]] = {}
"""Inputs that a model type needs besides the token, or instead."""

UNPROVEN: dict[str, dict[str, str]] = {}
"""Roles that cannot be proved so, and why: model type → role → reason."""

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

TOWER_SIZES: dict[str, Any] = {
    **SIZES,
    **dict.fromkeys(("hidden_size", "d_model", "embed_dim"), 32),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim"), 40),
    **dict.fromkeys(("num_hidden_layers", "encoder_layers", "depth"), 3),
    "head_dim": 8,
    "image_size": 8,
    "patch_size": 4,
    "num_mel_bins": 4,
    "max_source_positions": 4,
    "out_hidden_size": H,
}
"""Towers have other sizes than the language model beside them, so that none is taken for the other."""

CLASSES: dict[str, str] = {
    name: f"{stem}ForConditionalGeneration"
    for name, stem in (
        *(("whisper", "Whisper"), ("qwen3_5", "Qwen3_5"), ("qwen3_5_moe", "Qwen3_5Moe"), ("llama4", "Llama4")),
        *(("gemma4", "Gemma4"), ("gemma4_unified", "Gemma4Unified"), ("mllama", "Mllama"), ("emu3", "Emu3")),
    )
}
"""Classes other than those of the mappings, which give the decoder alone."""

_IMAGE_TOKENS = {"<image>": 3, "IMGIMGAZ": 4, "IMGIMGBZ": 5, "<|visual token 000000|>": 4, "<|extra_200|>": 6}
"""Words of models whose images are tokens."""
_ALL_KEYS = {"num_key_value_heads": HEADS}
_INDEXER = {"index_head_dim": 16, "index_n_heads": 2}

_MAMBA = {"mamba_n_heads": 12, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}
_ROPE = {"rope_type": "default", "rope_theta": 1e4}
_LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 10,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_QWEN_HYBRIDS = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text")
_GEMMA4 = {
    "global_head_dim": 20,
    "num_global_key_value_heads": 1,
    "hidden_size_per_layer_input": 12,
    "vocab_size_per_layer_input": VOCAB,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_kv_shared_layers": 0,
}
_GEMMA4_U = {"global_head_dim": 20, "num_global_key_value_heads": 1}
_GEMMA4_TOWER = {
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads"), HEADS),
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "head_dim": 8,
    "position_embedding_size": 16,
    "patch_size": 4,
}
_GEMMA3N = {
    "hidden_size_per_layer_input": 12,
    "vocab_size_per_layer_input": VOCAB,
    "laurel_rank": 8,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_kv_shared_layers": 0,
    "intermediate_size": FF,
    "activation_sparsity_pattern": [0.0, 0.0],
}
_BY_KIND = {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}}
_NEMOTRON_H = {
    "hybrid_override_pattern": "M*E-",
    "layers_block_type": ["mamba", "attention", "moe", "mlp"],
    "num_hidden_layers": 4,
    "mamba_head_dim": 8,
    "mamba_num_heads": 12,
    "ssm_state_size": 8,
    "moe_shared_expert_intermediate_size": 28,
}


def _mrope(*sections: int) -> dict[str, Any]:
    """Rotary embeddings of time, height and width; at position 0 they are the identity too."""
    return {"text_config": {"rope_parameters": {**_ROPE, "mrope_section": list(sections)}}}


OVERRIDES: dict[str, dict[str, Any]] = {
    **{name: _mrope(2, 2, 2) for name in ("glm46v", "glm4v", "glm_ocr", "glmga")},
    **{name: _mrope(2, 2, 2) for name in ("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni_thinker")},
    "glm4v_moe": _mrope(1, 1, 1),
    "paddleocr_vl": _mrope(2, 3, 3),
    **dict.fromkeys(
        ("deepseek_v2", "deepseek_v3", "axk1", "glm4_moe_lite", "minicpm3", "youtu", "sarvam_mla", "mistral4"),
        _ALL_KEYS,
    ),
    **{name: {**_ALL_KEYS, **_INDEXER} for name in ("deepseek_v32", "glm_moe_dsa", "axk2")},
    "florence2": {
        "text_config": {"model_type": "bart"},
        "vision_config": {
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 2],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "embed_dim": [16, 32],
            "num_heads": [2, 4],
            "num_groups": [2, 4],
            "window_size": 4,
            "projection_dim": H,
        },
    },
    "molmo2": {
        "adapter_config": {"vision_feature_layer": [1, 0], "text_hidden_size": H},
        "vision_config": {"image_size": [8, 8], "num_key_value_heads": HEADS},
    },
    "ernie4_5_vl_moe": {
        "text_config": {
            "moe_intermediate_size": [EXPERT_FF, EXPERT_FF - 8],
            "rope_parameters": {**_ROPE, "mrope_section": [2, 2, 2]},
        },
    },
    "kosmos-2": {"text_config": {"attention_heads": HEADS, "layers": LAYERS}},
    "kosmos-2.5": {"text_config": {"attention_heads": HEADS, "layers": LAYERS}},
    "granite4_vision": {
        "deepstack_layer_map": [[-1, 0]],
        "spatial_target_layers": [1],
        "downsample_rate": "1/2",
        "vision_config": {"hidden_size": 64},
    },
    "chameleon": {
        "vocabulary_map": _IMAGE_TOKENS,
        "vq_config": {"base_channels": 32, "embed_dim": 8, "num_embeddings": 4},
    },
    "emu3": {
        "vocabulary_map": _IMAGE_TOKENS,
        "vq_config": {"base_channels": 32, "codebook_size": 4, "hidden_size": 32},
    },
    "muse_spark": {
        "audio_config": {"num_hidden_layers": 4, "hidden_sizes": [8, 12, 16, 20]},
        "text_config": {"moe_hidden_size": 36},
        "out_hidden_size": H,
        "projector_hidden_size": 28,
    },
    "vibevoice_asr": {
        f"{kind}_tokenizer_encoder_config": {"num_filters": 2, "depths": [1, 1, 1, 1, 1, 1, 1]}
        for kind in ("semantic", "acoustic")
    },
    "cosmos3_edge": {"text_config": {"rope_parameters": {**_ROPE, "mrope_section": [4, 2, 2]}}},
    "dots3_note": {"text_config": _ALL_KEYS},
    "hy_v4_vl": {
        "text_config": {**_ALL_KEYS, **_INDEXER, "rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
        "vision_config": _ALL_KEYS,
    },
    "glm5_next": {"text_config": {**_ALL_KEYS, **_INDEXER, "qk_rope_head_dim": 0, "qk_nope_head_dim": 12}},
    "nemotron_h_omni": {"text_config": _NEMOTRON_H, "vision_config": {"video_temporal_patch_size": 2}},
    "cohere_compass_text": _BY_KIND,
    "cohere_compass": {"text_config": _BY_KIND},
    "deepseek_ocr2": {"text_config": {**_ALL_KEYS, "mlp_layer_types": ["dense", "sparse"]}},
    "pp_formulanet": {"vision_config": {"decoder_hidden_size": H}},
    "granite_docling": {"vision_config": {"scale_factor": 2}},
    "hunyuan_vl": {**_mrope(2, 2, 2, 2), "vision_config": _ALL_KEYS},
    "kimi_k25": {"text_config": _ALL_KEYS},
    "step3p7": {"text_config": {"mlp_layer_types": ["dense", "sparse"], "sliding_window": 8}},
    "unlimited_ocr": {"text_config": _ALL_KEYS},
    "mistral_large4": {"text_config": _ALL_KEYS},
    "gptj": {"rotary_dim": 4},
    "flint": {"mlp_only_layers": [0]},  # by default the first two layers, which are all that a tiny model has
    "janus": {
        "vision_config": {"projection_dim": 32},
        "vq_config": {
            "embed_dim": 8,
            "num_embeddings": 32,
            "projection_dim": 32,
            "image_token_embed_dim": 32,
            "base_channels": 32,
        },
    },
    "codegen": {"rotary_dim": 4},
    "fsmt": {"src_vocab_size": VOCAB, "tgt_vocab_size": VOCAB},
    "fuyu": {"image_size": 32, "patch_size": 4, "image_token_id": 9, "text_config": {"num_key_value_heads": HEADS}},
    "whisper": {"max_source_positions": 1, "num_mel_bins": 4},
    "esm": {"vocab_size": VOCAB, "mask_token_id": 3},
    "distilbert": {"hidden_dim": FF},
    "albert": {"embedding_size": 20},
    "electra": {"embedding_size": 20},
    "convbert": {"embedding_size": 20},
    "rembert": {"input_embedding_size": 20, "output_embedding_size": 28},
    "luke": {"entity_vocab_size": 30, "entity_emb_size": 20},
    "roc_bert": {
        "shape_vocab_size": 30,
        "pronunciation_vocab_size": 34,
        "shape_embed_dim": 20,
        "pronunciation_embed_dim": 12,
    },
    "longformer": {"attention_window": 4},
    "led": {"attention_window": 4},
    "pegasus_x": {"num_global_tokens": 2, "block_size": 4},
    "longt5": {"local_radius": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "ctrl": {"dff": FF},
    "dbrx": {
        "attn_config": {"kv_n_heads": KV, "rope_theta": 1e4, "clip_qkv": 8},
        "ffn_config": {"ffn_hidden_size": FF, "moe_num_experts": EXPERTS, "moe_top_k": EXPERTS, "hidden_size": H},
    },
    "xlnet": {"d_head": 12},
    "prophetnet": {"num_encoder_attention_heads": HEADS, "num_decoder_attention_heads": HEADS},
    "xmod": {"default_language": "en_XX"},
    "llama4_text": {"intermediate_size_mlp": FF + 8},
    "jamba": {"attn_layer_offset": 1, "attn_layer_period": 2, "mamba_d_state": 8},
    "falcon_h1": {"mamba_d_ssm": 96, **_MAMBA},
    "bamba": {"attn_layer_indices": [1], **_MAMBA},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], **_MAMBA},
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8},  # widths are rounded up to it
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1, "rope_parameters": _ROPE},
    "lfm3": {"layer_types": ["conv", "full_attention"]},
    **{name: {"layer_types": ["linear_attention", "full_attention"], **_LINEAR} for name in _QWEN_HYBRIDS},
    "olmo_hybrid": {"num_key_value_heads": HEADS},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "nemotron_h": _NEMOTRON_H,
    "mamba2": {"num_heads": 12, "head_dim": 8, "state_size": 8, "n_groups": 1},
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "block_size": 4},
    "esmc": {"num_key_value_heads": HEADS, "head_dim": 12},
    "dots3_note_text": {"num_key_value_heads": HEADS, **_INDEXER},
    "cpmant": {"dim_ff": FF, "dim_head": 12, "prompt_types": 4, "prompt_length": 4, "segment_types": 4},
    "gemma3n_text": _GEMMA3N,
    "gemma4_text": _GEMMA4,
    "gemma4_unified_text": _GEMMA4_U,
    "gemma4": {"text_config": _GEMMA4, "vision_config": _GEMMA4_TOWER},
    "gemma4_unified": {"text_config": _GEMMA4_U, "vision_config": {"mm_embed_dim": 32, "mm_posemb_size": 8}},
    "mobilebert": {
        "embedding_size": 20,
        "intra_bottleneck_size": 32,
        "true_hidden_size": 32,
        "num_feedforward_networks": 2,
    },
    "mllama": {"text_config": {"cross_attention_layers": [1]}},
    **{
        name: {
            "text_config": {"layer_types": ["linear_attention", "full_attention"], **_LINEAR},
            "vision_config": {"out_hidden_size": H, "depth": 1, "num_position_embeddings": 16},
        }
        for name in ("qwen3_5", "qwen3_5_moe")
    },
    "llama4": {
        "text_config": {"intermediate_size_mlp": FF + 8},
        "vision_config": {
            "vision_output_dim": 32,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
            "intermediate_size": 128,
        },
    },
    "kimi_linear": {
        **_ALL_KEYS,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_attn_config": {"num_heads": 4, "head_dim": 8, "short_conv_kernel_size": 4},
    },
    "dory": {"num_hidden_layers": 3, "n_input_layers": 1, "n_output_layers": 1, "n_recurrent_loops": 1},
    "neomme": {"patch_size": 4, "embedding_rank": 20, "layer_types": ["sliding_attention", "full_attention"]},
    "hy_v4": {**_ALL_KEYS, **_INDEXER},
    "bailing_hybrid": {
        **_ALL_KEYS,
        "n_group": 1,
        "topk_group": 1,
        "head_dim": 8,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "deepseek_v4": {
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "o_groups": 2,
        "o_lora_rank": 12,
        "index_head_dim": 16,
        "index_n_heads": 2,
        "layer_types": ["sliding_attention", "heavily_compressed_attention", "compressed_sparse_attention"],
        "mlp_layer_types": ["moe", "moe", "moe"],
    },
    "jetmoe": {"num_attention_heads": KV * EXPERTS},
    "squeezebert": {"embedding_size": H},
    "qwen4_exp_text": {
        "layer_types": ["linear_attention", "full_attention"],
        **_LINEAR,
        "hc_lowrank": 20,
        "ple_layer_ids": [1],
        "heads_per_ngram": 2,
        "ngram_vocab_size_base": 20,
        "make_ngram_vocab_size_divisible_by": 8,
        "split_ngram_parts": 2,
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 4,
        "indexer_compress_ratio": 2,
    },
    "pix2struct": {
        "vision_config": {"hidden_size": H, "patch_embed_hidden_size": 48, "d_ff": 40, "d_kv": 8, "seq_len": 4},
        "text_config": {"d_kv": H // HEADS},
    },
    "zamba": {
        "num_hidden_layers": 3,
        "layer_types": ["mamba", "hybrid", "hybrid"],
        "attention_head_dim": 24,
        "mamba_d_state": 8,
        "n_mamba_heads": 2,
        "use_mamba_kernels": False,
    },
    "zamba2": {
        "num_hidden_layers": 2,
        "layers_block_type": ["mamba", "hybrid"],
        "adapter_rank": 12,
        "use_shared_attention_adapter": False,
        "mamba_d_state": 8,
        "use_mamba_kernels": False,
    },
    "reformer": {
        "axial_pos_embds_dim": [16, 32],
        "axial_pos_shape": [8, 8],
        "attn_layers": ["local", "lsh"],
        "attention_head_size": HEAD_DIM,
        "feed_forward_size": FF,
    },
    "inkling_text": {
        "layer_types": ["hybrid_sliding", "hybrid"],
        "mlp_layer_types": ["dense", "sparse"],
        "swa_head_dim": 20,
        "swa_num_attention_heads": HEADS,
        "swa_num_key_value_heads": KV,
        "d_rel": 4,
        "rel_extent": 8,
        "sliding_window_size": 8,
    },
    "helium": {"head_dim": 12},
    "phimoe": {"num_local_experts": 2, "num_experts_per_tok": 2},
    "stablelm": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
    "longcat_flash": {
        **_ALL_KEYS,
        "head_dim": 8,
        "ffn_hidden_size": FF,
        "expert_ffn_hidden_size": EXPERT_FF,
        "zero_expert_num": 0,
    },
    "hrm_text": {"num_layers_per_stack": LAYERS, "H_cycles": 1, "L_cycles": 1, "L_bp_cycles": [1]},
    "blt": {
        "encoder_hash_byte_group_vocab": 10,
        "encoder_hash_byte_group_size": [3, 4],
        "encoder_config": {"hidden_size": 32, "hidden_size_global": H, "intermediate_size": FF},
        "decoder_config": {"hidden_size": 32, "hidden_size_global": H, "intermediate_size": FF},
        "patcher_config": {"hidden_size": 40, "intermediate_size": FF},
        "global_config": {"intermediate_size": FF},
    },
}

PASSING: dict[str, str] = {"inkling_text": r".*sconv\.conv1d\.weight"}
"""Convolutions over time that are made to let the last token pass as it is, by pattern of names: what they do to keys
and values is otherwise another factor for each entry, and no proof sees through it.
"""

_STATE = [[[n / 48 for n in range(48)]]]
INPUTS: dict[str, dict[str, Any]] = {
    "idefics": {"image_encoder_embeddings": [[[[n / 32 for n in range(32)]]]], "image_attention_mask": [[[1]]]},
    "trocr": {"encoder_hidden_states": _STATE},
    "udop": {"bbox": [[[0.1, 0.2, 0.3, 0.5]]]},
    "pix2struct": {"encoder_outputs": [_STATE]},
    "whisper": {"input_features": [[[0.1, 0.7], [0.3, -0.2], [-0.5, 0.6], [0.9, 0.2]]], "decoder_input_ids": [[5]]},
}
"""Inputs that a model type needs besides the token, or instead."""

AGAIN: dict[str, dict[str, Any]] = {
    "pp_formulanet": {"pixel_values": [[[[0.1, 0.7] * 4] * 8] * 3]},
    "evolla": {"protein_input_ids": [[4, 5]], "protein_attention_mask": [[1, 1]]},
    "ernie4_5_vl_moe": {"moe_mm_token_type_ids": [[1]]},
    "molmo2": {"input_ids": [[VOCAB + 10]]},
    "luke": {"entity_ids": [[3]], "entity_position_ids": [[[0]]]},
    "fuyu": {"input_ids": [[9]], "pixel_values": [[[n / 48 for n in range(48)]]]},
    "pix2struct": {"flattened_patches": [[[1.0, 2.0, *(n / 48 for n in range(48))]]]},
    "neomme": {"input_ids": [[6]], "pixel_values": [[n / 48 for n in range(48)]]},
}
"""Inputs of a second run, for maps that the first does not reach (of an image, of entities)."""

GATE_FACTORS: dict[str, float] = {"dory": H**0.5}
"""What a model type multiplies the gate of its MLP by, before the activation."""

_OF_IMAGE = {"encoder_hidden_states": [[[n / 32 for n in range(32)]]]}
ALONE: dict[str, tuple[str, dict[str, Any]]] = {
    "blip": ("text_decoder", _OF_IMAGE),
    "pp_formulanet": ("model.decoder", {"encoder_hidden_states": _STATE}),
    "kosmos-2": ("text_model", {}),
    **dict.fromkeys(("blip-2", "instructblip", "instructblipvideo", "llama4"), ("language_model", {})),
    "voxtral_realtime": ("model.language_model", {"t_cond": [[0.3] * 48]}),
}
"""Model types that run on images or sound only: the module that is their language model, which runs by itself, and what
it is given besides the token.
"""

NOT_BUILT: dict[str, str] = dict.fromkeys(
    ("gemma3n", "fast_vlm", "perception_lm"), "its vision tower needs the package timm"
)
"""Model types whose class cannot be built here, and why."""

UNPROVEN: dict[str, dict[str, str]] = {
    "lara_mini": {"LINEAR_IN": "is four maps, which only the files join"},
    "paligemma": dict.fromkeys("QK", "its positions begin at 1, where rotary embeddings turn"),
    "mllama": dict.fromkeys(
        ("XQ", "XK", "XV", "XO", "1/M1", "1/M2", "1/GATE"), "cross-attention runs on an image only, in layer 1"
    ),
    "pegasus_x": dict.fromkeys(
        ("encoder/V", "encoder/O", "decoder/O", "decoder/XO"), "its encoder mixes blocks of tokens with global tokens"
    ),
    "prophetnet": {"NGRAM": "is added, not looked up"},
    "whisper": {"POSITION": "is cut, not looked up"},
    **{name: dict.fromkeys("QKVO", "its attention has no softmax of a product") for name in ("mra", "yoso")},
}
"""Roles that cannot be proved so, and why: model type → role → reason. A role
may be a stack's or a layer's (``encoder/Q``, ``1/M1``); the role * is all, the model is not run.
"""

LISTED: dict[str, dict[str, str]] = {
    "muse_spark": {"audio": "stages of convolutions"},
    "pp_formulanet": {"vision": "SAM: relative positions in each layer"},
    "deepseek_ocr2": {"vision": "two towers: SAM, with relative positions, then a language model"},
    "florence2": {"vision": "stages of different widths, which attend within windows, then among channels"},
    "molmo2": {"vision": "its MLP's maps are numbered"},
    "kimi_k25": {"vision": "its MLP's maps are numbered from 0"},
    "unlimited_ocr": {"vision": "two towers: SAM, with relative positions, then CLIP"},
    "gemma4_unified": {"vision": "patches go through one map"},
    "mllama": {"vision": "two stacks of layers, one after the other"},
    "phi4_multimodal": {"audio": "a conformer"},
}
"""Model type → towers of another layout than the plain one, and why; they are listed by a rule that names them."""

MORE_ATTENTIONS: dict[str, str] = {
    "zamba": "several layers run one block of attention, stored in the first of them",
    "albert": "one layer's matrices run as every layer",
    "paligemma": "none of its attentions is known by query and key, as its positions begin at 1",
    "pegasus_x": "its encoder mixes blocks of tokens with global tokens",
    "prophetnet": "each decoder layer attends once more for the token after the next",
}
"""Model types that run attentions of which the map has no layer of its own, or layers in another order, and why."""

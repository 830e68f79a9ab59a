"""Where our map says less than a loader, and why."""

from __future__ import annotations

NOT_YET = "not learned yet"
NO_INVENTORY: dict[str, str] = {
    "janus": "its image tokenizer is a list of lists of blocks, of which no number tells the sizes",
    **dict.fromkeys(
        ("zamba", "zamba2"), "a layer has its state space under one of two names, by lists that were not varied"
    ),
    "mobilebert": "the values of its config that decide what there is were not seen apart",
    **dict.fromkeys(
        (
            *("qwen2_5_omni_thinker", "qwen3_omni_moe_thinker", "seamless_m4t", "seamless_m4t_v2", "ultravbert"),
            *("video_llama_3", "deepseek_ocr2", "emu3", "ernie4_5_vl_moe", "granite4_vision", "hy_v4_vl", "kosmos-2"),
            *("kosmos-2.5", "muse_spark", "nemotron_h_omni", "pp_formulanet", "vibevoice_asr", "phi4_multimodal"),
        ),
        NOT_YET,
    ),
}
"""Model types that are held to the roles that their layers show, and why."""

_SMALL = "is there where two numbers of the config differ, which no condition says"
_KEYS = "is there or not by layer and by keys of the config that were not seen apart"

_LENGTH = "how many there are is the length of a list"
_NO_VISION = "a model of text alone has no vision_config"
_SHARED = {"v_proj": "some layers use their keys as values"}

_RANK = "queries are of low rank or not, in some layers, and linear layers have a q_proj in any case"

UNMISSED: dict[str, dict[str, str]] = {
    **{name: {r"q_(a|b)?_?(proj|layernorm)": _RANK} for name in ("kimi_linear", "bailing_hybrid")},
    **{name: {r"embeddings_project\.": _SMALL} for name in ("electra", "convbert")},
    "luke": {
        "entity_embedding_dense": _SMALL,
        r"embeddings\.word_embeddings": "a head of its own that is stored is taken for the one tied to it",
    },
    **dict.fromkeys(("gemma4_text", "gemma4_unified_text"), _SHARED),
    "gemma4": {**_SHARED, r"vision_tower\.patch_embedder|embed_vision": _NO_VISION},
    "gemma4_unified": {**_SHARED, "embed_vision|vision_embedder": _NO_VISION},
    "granite_docling": {"deepstack_mergers": _LENGTH},
    "gpt_neox_japanese": {"dense_bias": "only the last layer has it"},
    "llama4": {"lm_head": "whether it is tied was not seen apart from other keys"},
    "mimo_v2_flash": {"attention_sink_bias": _KEYS},
    **{
        name: {"deepstack_merger_list": _LENGTH}
        for name in ("qwen3_vl", "qwen3_vl_moe", "cohere_compass", "cosmos3_omni")
    },
    "chameleon": {"nin_shortcut": "is there where two entries of a list of the config differ"},
    "qwen4_exp_text": {r"layers\.0\.ple\.": "which layers have n-gram embeddings is a list of their numbers"},
    "blt": {"token_embedding_projection": _SMALL},
    "inkling_text": {r"embed_tokens\.weight": "its config says that it is tied, and its class ties nothing"},
    "deepseek_v4": {r"gate\.bias": "layers that choose experts by a table have none, which no condition says"},
    "longcat_flash": {r"experts\.\d+\.down_proj": "experts that give back what they get have none"},
    "tapas": {"token_type_embeddings_": _LENGTH},
}
"""Tensors that may be absent without being told: model type → pattern of names → reason."""

_ANY = "no expression over one config's numbers is its size"
_JOINT = "its size was not varied alone: no model is built where it does not go with others"
_LAYER = {"[qk]_norm": "it differs from layer to layer"}

UNSHAPED: dict[str, dict[str, str]] = {
    "deepseek_v4": {r"hc_(attn|ffn)_(base|scale)|\.ape": _ANY},
    "deepseek_vl_hybrid": {"rel_pos": _ANY},
    "evolla": {"inv_freq": _ANY},
    "got_ocr2": {"rel_pos": _ANY},
    **dict.fromkeys(("inkling_text", "gemma4", "gemma4_text", "gemma4_unified", "gemma4_unified_text"), _LAYER),
    "glm_ocr": {"attn.[qk]_norm": _ANY},
    "hunyuan_vl": {"(query|key)_layernorm": _ANY},
    "granite_docling": {"fine.projection|mlp_fc2|text_model.*norm": _JOINT},
    "lfm3_vl": {"[qk]_layernorm": _ANY},
    "mllama": {"tile_embedding": _ANY},
    "olmoe": {"k_norm": "its class computes it of the hidden size, whatever the size of heads that it is given"},
    "t5gemma2": {"norm|eoi_embedding": _JOINT},
    "qwen4_exp_text": {
        "ngram_": "its sizes are sums of the primes that follow a number of the config",
        "self_attn.[qk]_norm": _ANY,
    },
    "pp_chart2table": {"rel_pos": _ANY},
    "unlimited_ocr": {"rel_pos|net_3": _ANY},
    "xlstm": {"multihead_norm": _ANY},
}
"""Tensors that may have another shape without being told, likewise."""

NO_LANGUAGE_MODEL = {
    "Blip2TextModelWithProjection": "a Q-Former: it reads texts and has no language model",
    "SeamlessM4TCodeHifiGan": "the vocoder, which is saved within a model",
    "SeamlessM4TTextToUnitForConditionalGeneration": "makes units of texts; it is saved within a model",
}
"""Classes of a model type's configuration that are refused or accused when they are saved alone, and why."""

"""Where our map says less than a loader, and why."""

from __future__ import annotations

NOT_YET = "not learned yet"
NO_INVENTORY: dict[str, str] = {
    **dict.fromkeys(
        ("esmc", "laguna", "mobilebert", "beam"),
        "what was learned at tiny sizes did not hold at the sizes of its default config",
    ),
    **dict.fromkeys(("gemma4", "gemma4_unified"), "its towers are there or not as a nested config is"),
    "janus": "its image tokenizer is a list of lists of blocks, of which no number tells the sizes",
    **dict.fromkeys(
        (
            *("lfm2_vl", "lfm3_vl", "lighton_ocr", "llama4", "llava_next_video", "minicpm_ocr", "minicpmv4_6"),
            *("minicpmv4_7", "minimax_m3_vl", "mistral3", "mllama", "modernvbert", "moss_transcribe_diarize"),
            *("musicflamingo", "omniasr", "ovis2", "paddleocr_vl", "paligemma", "phi4_multimodal", "pp_chart2table"),
            *("qwen2_5_omni_thinker", "qwen2_audio", "qwen3_5", "qwen3_5_moe", "qwen3_omni_moe_thinker", "qwen3_vl"),
            *("seamless_m4t", "seamless_m4t_v2", "shieldgemma2", "smolvlm", "ultravbert", "video_llama_3"),
            *("video_llava", "vipllava", "voxtral", "voxtral_realtime"),
        ),
        NOT_YET,
    ),
}
"""Model types that are held to the roles that their layers show, and why."""

_SMALL = "is there where two numbers of the config differ, which no condition says"
_KEYS = "is there or not by layer and by keys of the config that were not seen apart"

UNMISSED: dict[str, dict[str, str]] = {
    **{name: {r"embeddings_project\.": _SMALL} for name in ("electra", "convbert")},
    "luke": {
        "entity_embedding_dense": _SMALL,
        r"embeddings\.word_embeddings": "a head of its own that is stored is taken for the one tied to it",
    },
    **{name: {"v_proj": "some layers use their keys as values"} for name in ("gemma4_text", "gemma4_unified_text")},
    "gpt_neox_japanese": {"dense_bias": "only the last layer has it"},
    "mimo_v2_flash": {"attention_sink_bias": _KEYS},
    "tapas": {"token_type_embeddings_": "how many there are is the length of a list"},
}
"""Tensors that may be absent without being told: model type → pattern of names → reason."""

_ANY = "no expression over one config's numbers is its size"
_SQUARE = "its size was not varied alone: no model is built where it does not go with others"

UNSHAPED: dict[str, dict[str, str]] = {
    "deepseek_vl_hybrid": {"rel_pos": _ANY},
    "got_ocr2": {"rel_pos": _ANY},
    "falcon_h1": {"dt_bias|A_log|D$": _SQUARE},
    **{name: {"[qk]_norm": "it differs from layer to layer"} for name in ("gemma4_text", "gemma4_unified_text")},
    "glm_ocr": {"attn.[qk]_norm": _ANY},
    "olmoe": {"k_norm": "its class computes it of the hidden size, whatever the size of heads that it is given"},
    "luke": {"entity_embedding_dense": _SMALL},
    "t5gemma2": {".*": _SQUARE},
    "tapas": {"token_type_embeddings_": "how many there are is the length of a list"},
    "xlnet": {"_bias": _SQUARE},
    "xlstm": {"multihead_norm": _ANY},
}
"""Tensors that may have another shape without being told, likewise."""

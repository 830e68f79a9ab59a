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

UNMISSED: dict[str, dict[str, str]] = {"*": {}}
"""Tensors that may be absent without being told: model type → pattern of names → reason."""

UNSHAPED: dict[str, dict[str, str]] = {"*": {}}
"""Tensors that may have another shape without being told, likewise."""

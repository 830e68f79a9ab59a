"""Model types that are proved in each run of the tests, the others where the slow ones run too: together they are of
every family, and have every role and every kind of rule that the specs know.
"""

from __future__ import annotations

BY_DEFAULT = (
    *("albert", "aria_text", "axk2", "bailing_hybrid", "beam", "bert", "biogpt", "blip", "bloom", "blt"),
    *("codegen", "convbert", "cosmos3_omni", "cpmant", "ctrl", "dbrx", "deberta-v2", "deepseek_v4", "distilbert"),
    *("dory", "encoder-decoder", "ernie4_5_vl_moe", "esm", "evolla", "exaone", "falcon", "flaubert", "fnet"),
    *("gemma3n_text", "glm4", "gpt-sw3", "gpt_bigcode", "gpt_neo", "gpt_neox_japanese", "gpt_oss", "gptj"),
    *("hrm_text", "hy_v4", "ibert", "idefics", "inkling_text", "janus", "jetmoe", "kimi_k25", "kimi_linear"),
    *("lara_mini", "lfm2", "llama", "longcat_flash", "longformer", "longt5", "luke", "mamba", "minimax"),
    *("minimax_m3_vl_text", "mistral4", "mistral_large4", "mobilebert", "modernbert", "molmo2", "moshi", "mpnet"),
    *("mpt", "muse_spark", "nemotron_h", "neomme", "nomic_bert", "openai-gpt", "pegasus_x", "phi", "pix2struct"),
    *("prophetnet", "qwen3_5_text", "qwen3_vl_moe", "qwen4_exp_text", "recurrent_gemma", "reformer", "roberta"),
    *("rwkv", "sarvam_moe", "squeezebert", "step3p7", "t5gemma", "t5gemma2", "udop", "ultrabert", "video_llava"),
    *("voxtral_realtime", "xlnet", "xlstm", "xmod", "zamba", "zamba2"),
)

_HEADS = ("CLASSIFIER", "CLASSIFIER_DENSE", "MASK_CLASSIFIER", "NSP", "QA", "TEXT_PROJECTION")
_BY_CONFIG = (
    "K_POS",
    "Q_POS",
    "LANGUAGE",
    "EMBED_OUT",
    "HEAD_NEW",
    *(f"{one}_ADAPTER_{ab}" for one in "QKV" for ab in "AB"),
)
_BUFFERS = (
    *("causal mask", "experts of each token", "position and token-type numbers", "position numbers"),
    *("rotary frequencies", "rotary table", "sinusoidal positions"),
)
NOT_PROVED: dict[str, str] = {
    **{f"role {role}": "of classes without the language model's head" for role in _HEADS},
    **{f"role {role}": "of a config other than the tiny one, or of files that no class saves" for role in _BY_CONFIG},
    **{f"ignored buffer: {rule}": "of older files" for rule in _BUFFERS},
    "ignored layer that predicts further tokens": "no class has it",
    "ignored resampler of images": "of code that lies beside the weights",
    "{pair}": "of names that transformers does not save",
    "packing grouped": "by another config of Falcon, below",
    **dict.fromkeys(("audio tower: packing contiguous", "video tower: packing contiguous"), "no class fuses them so"),
    "video tower: role GATE": "no class has one",
}
"""Features that none of them has, and why; none of the others has them either."""

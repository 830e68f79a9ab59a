"""Model types that are proved in each run of the tests, the others where the slow ones run too: together they are of
every family, and have every role and every kind of rule that the specs know.
"""

from __future__ import annotations

BY_DEFAULT = (
    *("albert", "axk2", "bailing_hybrid", "bart", "bert", "blip", "bloom", "blt", "codegen", "convbert"),
    *("cosmos3_omni", "cpmant", "ctrl", "dbrx", "deberta", "deepseek_v3", "deepseek_v4", "distilbert", "dory"),
    *("encoder-decoder", "ernie4_5_vl_moe", "esm", "evolla", "exaone", "falcon", "fnet", "gemma3n_text"),
    *("gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox_japanese", "gpt_oss", "gptj", "granitemoe", "hrm_text"),
    *("hy_v4", "ibert", "idefics", "inkling_text", "janus", "jetmoe", "kimi_k25", "kimi_linear", "lara_mini"),
    *("lfm2", "llama", "llama4_text", "llava", "longcat_flash", "longformer", "luke", "mamba", "minimax"),
    *("mistral4", "mistral_large4", "mixtral", "mobilebert", "modernbert-decoder", "molmo2", "moshi", "mpnet"),
    *("mpt", "muse_spark", "nemotron_h", "neomme", "nomic_bert", "openai-gpt", "pegasus_x", "phi", "phi3"),
    *("pix2struct", "pp_formulanet", "prophetnet", "qwen3_5", "qwen3_vl_moe", "qwen4_exp_text"),
    *("recurrent_gemma", "reformer", "roberta", "rwkv", "sarvam_moe", "squeezebert", "step3p7", "t5"),
    *("t5gemma", "t5gemma2", "udop", "ultrabert", "video_llava", "voxtral_realtime", "xglm", "xlm", "xlnet"),
    *("xlstm", "xmod", "zamba", "zamba2"),
)

NOT_PROVED: dict[str, str] = {}
"""Features that none of them has, and why."""

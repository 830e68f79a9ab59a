"""Make the golden files of adapters: ``python tests/quantised/make_adapters.py`` where peft and transformers are.

Each holds what PEFT saved of an adapter of a tiny model, under its own names, PEFT's own change of each weight as
``expected.NAME``, and adapter_config.json in the metadata. All factors are random, so that no change is zero.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

_find = importlib.util.find_spec
OTHERS = ("gptqmodel", "hqq", "awq", "torchao", "bitsandbytes")
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in OTHERS else _find(name, *rest)
"""PEFT imports these where they are installed, and needs none of them here."""

import peft  # noqa: E402
import torch  # noqa: E402
from peft.tuners.lora.layer import ParamWrapper  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
)

GOLDEN = Path(__file__).parent / "golden"
LLAMA = LlamaConfig(
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=40,
    tie_word_embeddings=False,
)
GPT2 = GPT2Config(n_embd=12, n_layer=1, n_head=2, vocab_size=20, n_positions=8)
MIXTRAL = MixtralConfig(
    hidden_size=12,
    intermediate_size=20,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    num_local_experts=3,
    vocab_size=20,
)
ATTENTION = ["q_proj", "v_proj"]
CASES: dict[str, tuple[Any, Any]] = {
    "lora": (
        LLAMA,
        peft.LoraConfig(
            r=3,
            lora_alpha=5,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
            rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 4},
            alpha_pattern={"up_proj": 7, "^model.layers.0.self_attn.k_proj": 11},
        ),
    ),
    "rslora": (LLAMA, peft.LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=ATTENTION)),
    "dora": (LLAMA, peft.LoraConfig(r=3, lora_alpha=5, use_dora=True, target_modules=ATTENTION)),
    "adalora": (LLAMA, peft.AdaLoraConfig(init_r=3, target_r=2, lora_alpha=5, total_step=9, target_modules=ATTENTION)),
    "conv1d": (GPT2, peft.LoraConfig(r=2, lora_alpha=6, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "saved": (
        LLAMA,
        peft.LoraConfig(r=2, lora_alpha=6, target_modules=["embed_tokens", "q_proj"], modules_to_save=["lm_head"]),
    ),
    "experts": (
        MIXTRAL,
        peft.LoraConfig(
            r=2,
            lora_alpha=6,
            target_modules=["q_proj"],
            target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        ),
    ),
    "loha": (LLAMA, peft.LoHaConfig(r=2, target_modules=ATTENTION)),
    "lokr": (LLAMA, peft.LoKrConfig(r=2, target_modules=ATTENTION)),
    "ia3": (LLAMA, peft.IA3Config(target_modules=ATTENTION, feedforward_modules=[])),
    "vera": (LLAMA, peft.VeraConfig(r=2, target_modules=["q_proj"])),
    "oft": (LLAMA, peft.OFTConfig(oft_block_size=4, target_modules=ATTENTION)),
    "boft": (LLAMA, peft.BOFTConfig(boft_block_size=4, target_modules=["q_proj"])),
    "prompt": (LLAMA, peft.PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")),
}
MEASURED = ("lora", "rslora", "dora", "adalora", "conv1d", "saved", "experts")


def expected(model: Any) -> dict[str, torch.Tensor]:
    """PEFT's own change of every weight, (out, in) as the matrix that it changes means it."""
    found: dict[str, torch.Tensor] = {}
    for path, module in model.base_model.model.named_modules():
        if not hasattr(module, "get_delta_weight") or "default" not in getattr(module, "r", {}):
            continue
        delta = module.get_delta_weight("default").detach().float()
        if isinstance(module, ParamWrapper):
            name = f"{path.replace('.base_layer', '')}.{module.parameter_name}"
        else:
            name = f"{path}.weight"
            delta = delta.T if getattr(module, "fan_in_fan_out", False) else delta
        found[f"expected.{name}"] = delta.contiguous()
    return found


def make(name: str) -> None:
    """One golden file."""
    torch.manual_seed(len(name))
    base, config = CASES[name]
    model = peft.get_peft_model(AutoModelForCausalLM.from_config(base), config)
    for parameter, values in model.named_parameters():
        if name in MEASURED and "lora_" in parameter and "magnitude" not in parameter:
            torch.nn.init.normal_(values)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        stored = load_file(f"{folder}/adapter_model.safetensors")
        said = json.loads(Path(folder, "adapter_config.json").read_text())
    said["base_model_name_or_path"] = f"tiny/{base.model_type}"
    metadata = {"peft": peft.__version__, "config": json.dumps(said), "base": json.dumps(base.to_dict())}
    truth = expected(model) if name in MEASURED else {}
    save_file({**stored, **truth}, GOLDEN / f"adapter_{name}.safetensors", metadata)


if __name__ == "__main__":
    for case in CASES:
        make(case)

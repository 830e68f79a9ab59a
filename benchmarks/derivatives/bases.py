"""Models that others are made from: a real one, and tiny ones whose weights look trained."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks.matrices import generator_for

Tensors = dict[str, torch.Tensor]

HIDDEN, HEADS, KV_HEADS, FF, VOCAB, POSITIONS, EXPERTS = 256, 8, 4, 384, 512, 64, 4
HEAD_SIZE = HIDDEN // HEADS
SPIKES = 32
"""Singular values that stand out of the bulk of a matrix that looks trained."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_NEW = {
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "intermediate_size": FF,
    "num_hidden_layers": 3,
    "vocab_size": VOCAB,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True)
class Family:
    """``name`` is the class of transformers, ``roles`` patterns of the tensors' names; ``lora`` names the modules that
    an adapter of the attention alone changes.

    ``transposed`` says that a layer's matrices are stored (in, out).
    """

    name: str
    config: dict[str, Any]
    roles: Mapping[str, str]
    lora: tuple[str, ...]
    heads: int
    kv_heads: int
    transposed: bool = False


_LLAMA = {
    "Q": r"self_attn\.q_proj\.weight",
    "K": r"self_attn\.k_proj\.weight",
    "V": r"self_attn\.v_proj\.weight",
    "O": r"self_attn\.o_proj\.weight",
}
FAMILIES = {
    "bert": Family(
        "BertModel",
        {},
        {
            "Q": r"attention\.self\.query\.weight",
            "K": r"attention\.self\.key\.weight",
            "V": r"attention\.self\.value\.weight",
            "O": r"attention\.output\.dense\.weight",
            "M1": r"intermediate\.dense\.weight",
            "M2": r"\d\.output\.dense\.weight",
        },
        ("query", "value"),
        12,
        12,
    ),
    "llama": Family(
        "LlamaForCausalLM",
        {"model_type": "llama", **_NEW},
        {
            **_LLAMA,
            "GATE": r"mlp\.gate_proj\.weight",
            "M1": r"mlp\.up_proj\.weight",
            "M2": r"mlp\.down_proj\.weight",
        },
        ("q_proj", "v_proj"),
        HEADS,
        KV_HEADS,
    ),
    "mixtral": Family(
        "MixtralForCausalLM",
        {
            "model_type": "mixtral",
            **_NEW,
            "num_hidden_layers": 2,
            "num_local_experts": EXPERTS,
            "num_experts_per_tok": 2,
        },
        {
            **_LLAMA,
            "GATE": r"experts\.\d+\.w1\.weight",
            "M1": r"experts\.\d+\.w3\.weight",
            "M2": r"experts\.\d+\.w2\.weight",
        },
        ("q_proj", "v_proj"),
        HEADS,
        KV_HEADS,
    ),
    "gpt2": Family(
        "GPT2LMHeadModel",
        {
            "model_type": "gpt2",
            "n_embd": HIDDEN,
            "n_head": HEADS,
            "n_layer": 3,
            "n_inner": FF,
            "vocab_size": VOCAB,
            "n_positions": POSITIONS,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
        },
        {
            "QKV": r"attn\.c_attn\.weight",
            "O": r"attn\.c_proj\.weight",
            "M1": r"mlp\.c_fc\.weight",
            "M2": r"mlp\.c_proj\.weight",
        },
        ("c_attn",),
        HEADS,
        HEADS,
        transposed=True,
    ),
    "t5": Family(
        "T5ForConditionalGeneration",
        {
            "model_type": "t5",
            "d_model": HIDDEN,
            "d_kv": HEAD_SIZE,
            "d_ff": FF,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "num_heads": HEADS,
            "vocab_size": VOCAB,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 0,
        },
        {
            "Q": r"Attention\.q\.weight",
            "K": r"Attention\.k\.weight",
            "V": r"Attention\.v\.weight",
            "O": r"Attention\.o\.weight",
            "M1": r"DenseReluDense\.wi\.weight",
            "M2": r"DenseReluDense\.wo\.weight",
        },
        ("q", "v"),
        HEADS,
        HEADS,
    ),
}
TINY = ("llama", "gpt2", "mixtral", "t5")


@dataclass(frozen=True)
class Model:
    """A model in ``folder``, of which others are made with random numbers of ``seed``."""

    family: str
    folder: Path
    seed: int

    @property
    def about(self) -> Family:
        return FAMILIES[self.family]

    @cached_property
    def config(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "config.json").read_text())
        return read

    @cached_property
    def stored(self) -> Tensors:
        """All tensors by name; not to be written to."""
        return read(self.folder)

    def copy(self) -> Tensors:
        """All tensors by name, to be changed."""
        return {name: tensor.clone() for name, tensor in self.stored.items()}

    def generator(self, *names: str) -> torch.Generator:
        return generator_for(self.seed, self.family, *names)

    def live(self, dtype: str = "float32", folder: Path | None = None, **options: Any) -> Any:
        """The model as transformers loads it, in eval mode."""
        import transformers

        chosen = getattr(transformers, self.about.name)
        return chosen.from_pretrained(folder or self.folder, dtype=DTYPES.get(dtype, dtype), **options).eval()

    def role(self, name: str) -> str:
        """Role of a tensor in a layer; "" of any other."""
        return next((role for role, pattern in self.about.roles.items() if re.search(pattern, name)), "")

    def of(self, *roles: str) -> list[str]:
        """Names of the layers' matrices, in order; of these roles only where there are any."""
        return [name for name in self.stored if (role := self.role(name)) and (not roles or role in roles)]

    def oriented(self, name: str, W: torch.Tensor) -> torch.Tensor:
        """A matrix as (out, in); its inverse is itself."""
        return W.T if self.about.transposed and self.role(name) else W

    @cached_property
    def matrices(self) -> list[str]:
        """Names of all floating-point tensors of two dimensions."""
        return [name for name, W in self.stored.items() if W.ndim == 2 and W.is_floating_point()]

    @cached_property
    def tables(self) -> list[str]:
        """Names of the matrices whose rows are tokens."""
        words = ("word_embeddings", "embed_tokens", "lm_head", "wte", "shared")
        return [name for name in self.matrices if any(word in name for word in words)]


def layer_of(name: str) -> int | None:
    """Number of the layer that a tensor belongs to."""
    found = re.search(r"(?:layer|layers|h|block)\.(\d+)\.", name)
    return int(found[1]) if found else None


def in_layer(name: str, layer: int) -> str:
    """The same name in another layer."""
    return re.sub(r"((?:layer|layers|h|block)\.)\d+\.", rf"\g<1>{layer}.", name, count=1)


def read(folder: Path) -> Tensors:
    """Tensors of all safetensors files in ``folder``."""
    tensors: Tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as opened:
            tensors |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return tensors


def write(folder: Path, tensors: Tensors, config: Mapping[str, Any], shards: int = 1) -> None:
    """A checkpoint of ``shards`` safetensors files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config), indent=1))
    # clone() keeps strides: what is a view of another is laid out anew.
    whole = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    if shards == 1:
        save_file(whole, folder / "model.safetensors", {"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for i in range(shards):
        part = dict(list(whole.items())[i::shards])
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        save_file(part, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def make_tiny(family: str, folder: Path, seed: int) -> None:
    """A small model of ``family`` in float32, saved as transformers does it."""
    import transformers

    about = FAMILIES[family]
    values = dict(about.config)
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    model = getattr(transformers, about.name)(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_trained(tuple(parameter.shape), generator_for(seed, family, name)))
    model.save_pretrained(folder)


def _trained(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """A heavy-tailed bulk whose columns differ in size, below singular values that fall as a power of their number."""

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator)

    if len(shape) == 1:
        return 1 + 0.1 * normal(*shape)
    if len(shape) > 2:
        return torch.stack([_trained(shape[1:], generator) for _ in range(shape[0])])
    rows, cols = shape
    # Student's t of 5 degrees of freedom.
    tails = (torch.stack([normal(rows, cols) ** 2 for _ in range(5)]).mean(0)).rsqrt()
    bulk = normal(rows, cols) * tails * (0.2 * normal(cols)).exp()
    count = min(SPIKES, min(shape) // 2)
    if count > 1:
        left, right = torch.linalg.qr(normal(rows, count))[0], torch.linalg.qr(normal(cols, count))[0]
        sizes = 1.5 * (rows**0.5 + cols**0.5) * torch.arange(1, count + 1) ** -0.4
        bulk = bulk + (left * sizes) @ right.T
    return 0.03 * bulk

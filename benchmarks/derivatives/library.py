"""What transformers, bitsandbytes and gguf make: casts, resized vocabularies, quantised files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.derivatives.bases import (
    Model,
    layer_of,
    read,
    write,
)
from benchmarks.derivatives.expected import UNCHANGED, Made, one
from benchmarks.derivatives.makers import ALL, maker


def _cast(model: Model, into: Path, dtype: str) -> Made:
    model.live(dtype).save_pretrained(into)
    return Made({}, cast=True)


@maker(ALL, by="transformers")
def cast_bfloat16(model: Model, into: Path) -> Made:
    return _cast(model, into, "bfloat16")


@maker(ALL, by="transformers")
def cast_float16(model: Model, into: Path) -> Made:
    return _cast(model, into, "float16")


@maker("llama gpt2", by="transformers")
def widened_from_bfloat16(model: Model, into: Path) -> Made:
    """float32 files of bfloat16 numbers."""
    model.live("float32", model.folder.with_name("base-bfloat16")).save_pretrained(into)
    return Made({}, base="base-bfloat16", identical=True)


def _resized(model: Model, into: Path, words: int) -> Made:
    torch.manual_seed(model.seed)
    live = model.live()
    live.resize_token_embeddings(words)
    live.save_pretrained(into)
    return Made({}, identical=False, facts={"vocabulary": words})


@maker("bert llama gpt2 t5", by="transformers")
def vocabulary_grown(model: Model, into: Path) -> Made:
    return _resized(model, into, len(model.stored[model.tables[0]]) + 8)


@maker("llama gpt2", by="transformers")
def vocabulary_cut(model: Model, into: Path) -> Made:
    return _resized(model, into, len(model.stored[model.tables[0]]) - 12)


@maker("bert llama gpt2", by="bitsandbytes")
def nf4_dequantised(model: Model, into: Path) -> Made:
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    tensors, expected = model.copy(), {}
    for name in model.of():
        W = model.oriented(name, tensors[name]).contiguous()
        codes, state = quantize_4bit(W, blocksize=64, quant_type="nf4")
        tensors[name] = model.oriented(name, dequantize_4bit(codes, state)).clone()
        expected[name] = one("quantised", bits=4, group=64)
    write(into, tensors, model.config)
    return Made(expected)


@maker("bert llama", by="bitsandbytes")
def int8_dequantised(model: Model, into: Path) -> Made:
    """LLM.int8(): a scale for each row."""
    from bitsandbytes.functional import int8_vectorwise_dequant, int8_vectorwise_quant

    tensors, expected = model.copy(), {}
    for name in model.of():
        codes, scales, _ = int8_vectorwise_quant(tensors[name].to(torch.float16))
        tensors[name] = int8_vectorwise_dequant(codes, scales).to(torch.float32)
        expected[name] = one("quantised", bits=8)
    write(into, tensors, model.config)
    return Made(expected)


def _stored_quantised(model: Model, into: Path, bits: int, **options: Any) -> Made:
    from transformers import BitsAndBytesConfig

    live = model.live("float32", quantization_config=BitsAndBytesConfig(**options), device_map="cpu")
    live.save_pretrained(into)
    changed = [name for name in model.of() if f"{name}.absmax" in read(into) or f"{name[:-6]}SCB" in read(into)]
    return Made({name: one("quantised", bits=bits) for name in changed}, facts={"stored": "bitsandbytes"})


@maker("bert llama", by="bitsandbytes, transformers")
def nf4_stored(model: Model, into: Path) -> Made:
    return _stored_quantised(model, into, 4, load_in_4bit=True, bnb_4bit_quant_type="nf4")


@maker("llama", by="bitsandbytes, transformers")
def int8_stored(model: Model, into: Path) -> Made:
    return _stored_quantised(model, into, 8, load_in_8bit=True)


@maker("llama", by="gguf")
def gguf_q8_0(model: Model, into: Path) -> Made:
    return _gguf(model, into, "Q8_0", 8)


@maker("llama", by="gguf")
def gguf_q4_0(model: Model, into: Path) -> Made:
    return _gguf(model, into, "Q4_0", 4)


def _gguf(model: Model, into: Path, kind: str, bits: int) -> Made:
    """As llama.cpp writes it: rows of Q and K in its order of rotary pairs."""
    import gguf

    from benchmarks.quantised_models import GGUF_NAMES

    quantised = gguf.GGMLQuantizationType[kind]
    into.mkdir(parents=True, exist_ok=True)
    config = model.config
    writer = gguf.GGUFWriter(into / f"model-{kind}.gguf", "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_vocab_size(config["vocab_size"])
    expected = {}
    for name, W in model.stored.items():
        to, values = _gguf_name(name, GGUF_NAMES), W.numpy()
        if role := model.role(name):
            if role in ("Q", "K"):
                heads = config["num_attention_heads" if role == "Q" else "num_key_value_heads"]
                halves = values.reshape(heads, 2, -1, values.shape[1])
                values = halves.swapaxes(1, 2).reshape(values.shape)
            writer.add_tensor(to, gguf.quants.quantize(values, quantised), raw_dtype=quantised)
            expected[to] = one("quantised", bits=bits, group=32)
        else:
            writer.add_tensor(to, values)
            expected[to] = UNCHANGED
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Made(expected, facts={"adapter": False, "format": "gguf"}, renamed=True)


def _gguf_name(name: str, names: Mapping[str, str]) -> str:
    whole = {"model.embed_tokens": "token_embd", "lm_head": "output", "model.norm": "output_norm"}
    stem = name.removesuffix(".weight")
    if stem in whole:
        return f"{whole[stem]}.weight"
    inside = {**names, "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    return f"blk.{layer_of(name)}.{inside[stem.split('.', 3)[3]]}.weight"


@maker("llama", by="benchmarks.quantised_models")
def gptq_stored(model: Model, into: Path) -> Made:
    from benchmarks.quantised_models import FORMATS

    method = FORMATS["gptq"]
    tensors, expected = model.copy(), {}
    for name in model.of():
        parts, _ = method.pack(tensors.pop(name).numpy())
        stem = name.removesuffix(".weight")
        tensors |= {f"{stem}.{suffix}": torch.from_numpy(part) for suffix, part in parts.items()}
        expected[name] = one("quantised", bits=4, group=128)
    write(into, tensors, {**model.config, "quantization_config": dict(method.method)})
    return Made(expected, facts={"stored": "gptq"})

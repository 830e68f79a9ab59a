"""Checkpoints of one model in bfloat16 and quantised, and a slice of a large mixture of experts in FP8.

    python -m benchmarks.quantised_models fp8 DIR LAYERS
    python -m benchmarks.quantised_models deepseek DIR

The quantised file is made first and the bfloat16 one of what it means, so that both have the same spectra and a scan of
either takes the same passes. Entries are heavy-tailed (Student's t of 5 degrees of freedom, columns of their own size).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.stream import Slot, write_safetensors

Array = NDArray[Any]
Stored = dict[str, Array]

HIDDEN, FF, VOCAB, HEADS, KV_HEADS = 2048, 8192, 32000, 32, 8
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": FF,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_BELOW = (-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0.0)
_ABOVE = (0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0)
NF4 = np.array((*_BELOW, *_ABOVE), np.float32)


@dataclass(frozen=True)
class Format:
    """``pack`` gives what is stored of a float32 matrix under its suffixes, and the float32 numbers that this means."""

    method: Mapping[str, Any]
    pack: Callable[[Array], tuple[Stored, Array]]


def _fp8(W: Array) -> tuple[Stored, Array]:
    out, cols = W.shape
    blocks = W.reshape(out // 128, 128, cols // 128, 128)
    scales = np.abs(blocks).max((1, 3)) / np.float32(448)
    codes = (blocks / scales[:, None, :, None]).astype(ml_dtypes.float8_e4m3fn)
    means = codes.astype(np.float32) * scales[:, None, :, None]
    return {"weight": codes.reshape(W.shape), "weight_scale_inv": scales}, means.reshape(W.shape)


def _gptq(W: Array) -> tuple[Stored, Array]:
    cols, out = W.T.shape
    groups = W.T.reshape(cols // 128, 128, out)
    scales = (np.abs(groups).max(1) / 7.5).astype(np.float16)
    wide = scales.astype(np.float32)[:, None]
    codes = np.clip(np.round(groups / wide) + 8, 0, 15)
    fields = codes.astype(np.uint32).reshape(cols // 8, 8, out) << (4 * np.arange(8, dtype=np.uint32))[:, None]
    words = np.bitwise_or.reduce(fields, axis=1).view(np.int32)
    zeros = np.full((cols // 128, out // 8), 0x77777777, np.int32)
    order = (np.arange(cols) // 128).astype(np.int32)
    means = ((codes - 8).astype(np.float32) * wide).reshape(cols, out).T
    return {"qweight": words, "qzeros": zeros, "scales": scales, "g_idx": order}, means


def _nf4(W: Array) -> tuple[Stored, Array]:
    blocks = W.reshape(-1, 64)
    scales = np.abs(blocks).max(1)
    codes = np.searchsorted((NF4[1:] + NF4[:-1]) / 2, blocks / scales[:, None]).astype(np.uint8)
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": list(W.shape)}
    stored = {
        "weight": (codes.reshape(-1, 2)[:, 0] << 4 | codes.reshape(-1, 2)[:, 1])[:, None],
        "weight.absmax": scales,
        "weight.quant_map": NF4,
        "weight.quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(state).encode(), np.uint8),
    }
    return stored, (NF4[codes] * scales[:, None]).reshape(W.shape)


def _q4_k(W: Array) -> tuple[Stored, Array]:
    """Blocks of Q4_K whose scales and codes are like those of ``W``; no search for the best, which takes minutes."""
    groups = W.reshape(-1, 8, 32)
    least, most = groups.min(2), groups.max(2)
    steps, offsets = (most - least) / 15, np.maximum(-least, 0)
    d = (np.maximum(steps.max(1), 1e-8) / 63).astype(np.float16)
    m = (np.maximum(offsets.max(1), 1e-8) / 63).astype(np.float16)
    s = np.clip(np.round(steps / d.astype(np.float32)[:, None]), 1, 63).astype(np.uint8)
    n = np.clip(np.round(offsets / m.astype(np.float32)[:, None]), 0, 63).astype(np.uint8)
    scale, offset = d.astype(np.float32)[:, None] * s, m.astype(np.float32)[:, None] * n
    codes = np.clip(np.round((groups + offset[..., None]) / scale[..., None]), 0, 15).astype(np.uint8)
    block = np.empty((len(groups), 144), np.uint8)
    block[:, 0:2], block[:, 2:4] = d[:, None].view(np.uint8), m[:, None].view(np.uint8)
    block[:, 4:8], block[:, 8:12] = s[:, :4] | (s[:, 4:] >> 4) << 6, n[:, :4] | (n[:, 4:] >> 4) << 6
    block[:, 12:16] = s[:, 4:] & 15 | (n[:, 4:] & 15) << 4
    pairs = codes.reshape(-1, 4, 2, 32)
    block[:, 16:] = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)
    return {"blocks": block.reshape(len(W), -1)}, (codes * scale[..., None] - offset[..., None]).reshape(W.shape)


FORMATS = {
    "fp8": Format({"quant_method": "fp8", "weight_block_size": [128, 128]}, _fp8),
    "gptq": Format({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}, _gptq),
    "nf4": Format({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, _nf4),
    "q4_k": Format({}, _q4_k),
}


def write_twins(format: str, layers: int, folder: Path) -> tuple[Path, Path]:
    """A Llama-shaped model of so many layers in ``format``, and in bfloat16; where each is."""
    rng = np.random.default_rng(0)
    plain = {name: _bfloat16(_heavy(rng, VOCAB, HIDDEN)) for name in ("model.embed_tokens.weight", "lm_head.weight")}
    norms = [f"model.layers.{i}.{n}_layernorm.weight" for i in range(layers) for n in ("input", "post_attention")]
    plain |= {name: np.ones(HIDDEN, ml_dtypes.bfloat16) for name in ("model.norm.weight", *norms)}
    stored, twin = dict(plain), dict(plain)
    for module, out, cols in _modules(layers):
        parts, means = FORMATS[format].pack(_heavy(rng, out, cols))
        stored |= {f"{module}.{suffix}": part for suffix, part in parts.items()}
        twin[f"{module}.weight"] = _bfloat16(means)
    config = {**CONFIG, "num_hidden_layers": layers}
    quantised, whole = folder / format, folder / f"{format}-bfloat16"
    _write(whole, config, twin)
    if format == "q4_k":
        quantised.mkdir(parents=True, exist_ok=True)
        _write_gguf(quantised / "model-Q4_K.gguf", layers, stored)
    else:
        _write(quantised, {**config, "quantization_config": FORMATS[format].method}, stored)
    return quantised, whole


def _modules(layers: int) -> Iterator[tuple[str, int, int]]:
    kv = HIDDEN // HEADS * KV_HEADS
    for i in range(layers):
        for name, out, cols in (
            *(("self_attn.q_proj", HIDDEN, HIDDEN), ("self_attn.k_proj", kv, HIDDEN), ("self_attn.v_proj", kv, HIDDEN)),
            *(("self_attn.o_proj", HIDDEN, HIDDEN), ("mlp.gate_proj", FF, HIDDEN), ("mlp.up_proj", FF, HIDDEN)),
            ("mlp.down_proj", HIDDEN, FF),
        ):
            yield f"model.layers.{i}.{name}", out, cols


def _heavy(rng: np.random.Generator, out: int, cols: int) -> Array:
    sizes = 0.02 * np.exp(0.2 * rng.standard_normal(cols))
    return (rng.standard_t(5, (out, cols)) * sizes).astype(np.float32)


def _bfloat16(W: Array) -> Array:
    return W.astype(ml_dtypes.bfloat16)


def _as_torch(array: Array) -> torch.Tensor:
    plain = np.ascontiguousarray(array)
    if plain.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(plain.view(np.int16)).view(torch.bfloat16)
    if plain.dtype == ml_dtypes.float8_e4m3fn:
        return torch.from_numpy(plain.view(np.uint8)).view(torch.float8_e4m3fn)
    return torch.from_numpy(plain.copy())


def _write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    slots = [Slot(name, array.dtype.name, array.shape) for name, array in tensors.items()]
    write_safetensors(folder / "model.safetensors", slots, lambda name: _as_torch(tensors[name]))


def _write_gguf(path: Path, layers: int, stored: Mapping[str, Array]) -> None:
    import gguf

    kinds = gguf.GGMLQuantizationType
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FF)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_vocab_size(VOCAB)
    names = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight"}
    for name, to in names.items():
        writer.add_tensor(to, stored[name].view(np.uint8), raw_dtype=kinds.BF16)
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    for i in range(layers):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{i}.{norm}.weight", np.ones(HIDDEN, np.float32))
        for module, to in GGUF_NAMES.items():
            blocks = stored[f"model.layers.{i}.{module}.blocks"]
            writer.add_tensor(f"blk.{i}.{to}.weight", blocks, raw_dtype=kinds.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


DEEPSEEK = {
    "model_type": "deepseek_v3",
    "architectures": ["DeepseekV3ForCausalLM"],
    "hidden_size": 7168,
    "vocab_size": 129280,
    "num_hidden_layers": 3,
    "first_k_dense_replace": 2,
    "moe_layer_freq": 1,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "num_nextn_predict_layers": 0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "quantization_config": FORMATS["fp8"].method,
}
"""DeepSeek-V3 but for its depth: two dense layers and one of 256 experts."""
SHARD = 4_000_000_000


def write_deepseek(folder: Path) -> Path:
    """Three layers of a 671-billion-parameter model in FP8, 16 GB, of its names, shapes and dtypes.

    Codes are windows of one heavy-tailed sample: so many random numbers would take longer than the scan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    codes = np.clip(rng.standard_t(4, 1 << 25) * 20, -448, 448).astype(ml_dtypes.float8_e4m3fn)
    plain = _bfloat16((rng.standard_t(4, 1 << 25) * 0.02).astype(np.float32))

    def values(slot: Slot) -> torch.Tensor:
        n = math.prod(slot.shape)
        if slot.name.endswith("norm.weight"):
            return torch.ones(slot.shape, dtype=torch.bfloat16)
        if slot.dtype == "float32":
            return torch.from_numpy((2e-4 * np.exp(0.3 * rng.standard_normal(slot.shape))).astype(np.float32))
        sample = codes if slot.dtype == "float8_e4m3fn" else plain
        at = int(rng.integers(len(sample)))
        return _as_torch(np.resize(np.roll(sample, at), n).reshape(slot.shape))

    shards: list[list[Slot]] = [[]]
    for slot in _deepseek_slots():
        if sum(one.nbytes for one in shards[-1]) + slot.nbytes > SHARD:
            shards.append([])
        shards[-1].append(slot)
    weight_map: dict[str, str] = {}
    for number, slots in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        by_name = {slot.name: slot for slot in slots}
        write_safetensors(folder / name, slots, lambda wanted, known=by_name: values(known[wanted]))  # type: ignore[misc]
        weight_map |= dict.fromkeys(by_name, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(DEEPSEEK, indent=1))
    return folder


def _deepseek_slots() -> Iterator[Slot]:
    hidden, vocab, ff, expert_ff, experts = 7168, 129280, 18432, 2048, 256

    def fp8(module: str, out: int, cols: int) -> Iterator[Slot]:
        yield Slot(f"{module}.weight", "float8_e4m3fn", (out, cols))
        yield Slot(f"{module}.weight_scale_inv", "float32", (-(-out // 128), -(-cols // 128)))

    def mlp(module: str, width: int) -> Iterator[Slot]:
        for name, out, cols in (("gate", width, hidden), ("up", width, hidden), ("down", hidden, width)):
            yield from fp8(f"{module}.{name}_proj", out, cols)

    yield Slot("model.embed_tokens.weight", "bfloat16", (vocab, hidden))
    for i in range(3):
        layer = f"model.layers.{i}"
        for name, out, cols in (
            *(("q_a_proj", 1536, hidden), ("q_b_proj", 128 * 192, 1536), ("kv_a_proj_with_mqa", 576, hidden)),
            *(("kv_b_proj", 128 * 256, 512), ("o_proj", hidden, 128 * 128)),
        ):
            yield from fp8(f"{layer}.self_attn.{name}", out, cols)
        for name, size in (("self_attn.q_a_layernorm", 1536), ("self_attn.kv_a_layernorm", 512)):
            yield Slot(f"{layer}.{name}.weight", "bfloat16", (size,))
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield Slot(f"{layer}.{name}.weight", "bfloat16", (hidden,))
        if i < 2:
            yield from mlp(f"{layer}.mlp", ff)
            continue
        yield Slot(f"{layer}.mlp.gate.weight", "bfloat16", (experts, hidden))
        yield Slot(f"{layer}.mlp.gate.e_score_correction_bias", "float32", (experts,))
        for expert in range(experts):
            yield from mlp(f"{layer}.mlp.experts.{expert}", expert_ff)
        yield from mlp(f"{layer}.mlp.shared_experts", expert_ff)
    yield Slot("model.norm.weight", "bfloat16", (hidden,))
    yield Slot("lm_head.weight", "bfloat16", (vocab, hidden))


if __name__ == "__main__":
    if sys.argv[1] == "deepseek":
        write_deepseek(Path(sys.argv[2]))
    else:
        write_twins(sys.argv[1], int(sys.argv[3]), Path(sys.argv[2]))

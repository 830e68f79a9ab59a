"""Trained models, quantised in every way that is read: a gate passes them, and says so where a part was not read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.quantised import packers
from tests.support.gguf_files import q8_0, write_gguf
from tests.support.gguf_models import MODELS as MODELS_OF_GGUF
from tests.support.linear_packers import AWQ, COMPRESSED, FP8, GPTQ, awq, compressed, fp8, gptq
from tests.support.running import CommandLine
from tests.support.trained import trained
from weightaudit.arrays import Array

Packed = tuple[dict[str, Array], Array]
Pack = Callable[[Array], Packed]
LAYERS, EXPERTS, HIDDEN, INNER, VOCAB = 2, 3, 64, 64, 128
DENSE: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": 2 * INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
    "dtype": "float32",
}
MOE = DENSE | {
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": INNER,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
}


class Trained:
    """Matrices as training leaves them, each another; gains of norms are one."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)

    def __call__(self, *shape: int) -> Array:
        if len(shape) == 1:
            return np.ones(shape, np.float32)
        return trained((shape[0], shape[1]), self._generator).numpy()


def weights(config: Mapping[str, Any]) -> dict[str, Array]:
    """Of a dense model, or of one that has experts in each layer."""
    new = Trained()
    found = {"model.embed_tokens.weight": new(VOCAB, HIDDEN), "lm_head.weight": new(VOCAB, HIDDEN)}
    found["model.norm.weight"] = new(HIDDEN)
    experts = "num_experts" in config
    for layer in range(LAYERS):
        path = f"model.layers.{layer}"
        found |= {f"{path}.self_attn.{one}_proj.weight": new(HIDDEN, HIDDEN) for one in "qkvo"}
        found |= {f"{path}.{one}_layernorm.weight": new(HIDDEN) for one in ("input", "post_attention")}
        if experts:
            found |= {f"{path}.self_attn.{one}_norm.weight": new(16) for one in "qk"}
            found[f"{path}.mlp.gate.weight"] = new(EXPERTS, HIDDEN)
        inner = INNER if experts else 2 * INNER
        for module in (f"experts.{i}." for i in range(EXPERTS)) if experts else ("",):
            found |= {f"{path}.mlp.{module}{one}_proj.weight": new(inner, HIDDEN) for one in ("gate", "up")}
            found[f"{path}.mlp.{module}down_proj.weight"] = new(HIDDEN, inner)
    return found


def nvfp4(W: Array) -> Packed:
    """ModelOpt's."""
    blocks, whole = W.reshape(-1, 16), abs(W).max() / (6 * 448)
    scales = (abs(blocks).max(axis=1) / (6 * whole)).astype(ml_dtypes.float8_e4m3fn)
    codes = packers.nearest(blocks / (scales.astype(np.float32) * whole)[:, None], packers.E2M1).reshape(W.shape)
    stored = {"weight": codes[:, ::2] | codes[:, 1::2] << 4, "weight_scale": scales.reshape(len(W), -1)}
    return stored | {"weight_scale_2": np.array(whole, np.float32)}, W


def mxfp4(W: Array) -> Packed:
    """DeepSeek's."""
    codes, exponents = packers.powers(W)
    codes = codes.reshape(W.shape)
    packed = (codes[:, ::2] | codes[:, 1::2] << 4).view(np.int8)
    return {"weight": packed, "scale": exponents.view(ml_dtypes.float8_e8m0fnu)}, W


def torchao(W: Array) -> Packed:
    scales = abs(W).max(axis=1, keepdims=True) / 127
    return {"_weight_qdata": np.round(W / scales).astype(np.int8), "_weight_scale": scales}, W


def bitnet(W: Array) -> Packed:
    scale = abs(W).mean()
    quarters = (np.round(W / scale).clip(-1, 1) + 1).astype(np.uint8).reshape(4, -1, W.shape[1])
    codes = (quarters << np.array([0, 2, 4, 6], np.uint8)[:, None, None]).sum(axis=0, dtype=np.uint8)
    return {"weight": codes, "weight_scale": np.array([1 / scale], np.float32)}, W


def is_layer(name: str) -> bool:
    """A matrix of a layer, but a router's."""
    return "layers." in name and name.endswith("proj.weight")


@dataclass(frozen=True)
class Way:
    """How matrices are packed, what the config says of it, and of which part another shape is not read."""

    pack: Pack
    spoiled: str
    said: Mapping[str, Any] = field(default_factory=dict)


def method(said: Mapping[str, Any]) -> dict[str, Any]:
    return {"quantization_config": said}


WAYS = {
    "GPTQ": Way(gptq, "scales", method(GPTQ)),
    "AWQ": Way(awq, "scales", method(AWQ)),
    "FP8": Way(fp8, "weight_scale_inv", method(FP8)),
    "compressed-tensors": Way(compressed, "weight_scale", method(COMPRESSED)),
    "NF4": Way(packers.nf4, "weight.absmax"),
    "NF4, scales of 8 bits": Way(partial(packers.nf4, double=True), "weight.absmax"),
    "int8": Way(packers.int8, "SCB"),
    "NVFP4": Way(nvfp4, "weight_scale", method({"quant_method": "modelopt"})),
    "MXFP4": Way(mxfp4, "scale"),
    "MLX": Way(packers.mlx, "scales", {"quantization": {"bits": 4, "group_size": 32}}),
    "torchao": Way(torchao, "_weight_scale", method({"quant_method": "torchao"})),
    "quanto": Way(packers.quanto, "weight._scale"),
    "HQQ": Way(packers.hqq, "scale"),
    "BitNet": Way(bitnet, "weight_scale", method({"quant_method": "bitnet"})),
}
"""Every row of the table of formats in docs/quantised.md, but GGUF."""


def write(
    config: Mapping[str, Any],
    way: Way,
    folder: Path,
    *,
    spoil: bool = False,
    own: Mapping[str, Array] | None = None,
) -> Path:
    """The model, its layers' matrices packed; ``spoil`` has one part of the first be another. Its weights are its
    ``own``, if any are given."""
    stored: dict[str, Array] = {}
    metadata = {"format": "pt"}
    for name, weight in (weights(config) if own is None else own).items():
        if not is_layer(name):
            stored[name] = weight
            continue
        module = name.removesuffix(".weight")
        parts = {end: np.array(part, order="C") for end, part in way.pack(weight)[0].items()}
        if spoil:
            part = parts[way.spoiled]
            parts[way.spoiled], spoil = np.concatenate([part, part]), False
        stored |= {f"{module}.{end}": part for end, part in parts.items()}
        metadata[name] = json.dumps({"_type": "Int8Tensor", "_data": {"block_size": [1, weight.shape[1]]}})
    folder.mkdir()
    save_file(stored, folder / "model.safetensors", metadata if way.pack is torchao else {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config, **way.said}))
    return folder


def cases(*usual: tuple[str, str]) -> list[Any]:
    """Every kind of model in every way; those that are not ``usual`` take long together."""
    return [
        pytest.param(kind, way, marks=() if (kind, way) in usual else pytest.mark.slow)
        for kind in MODELS
        for way in WAYS
    ]


MODELS: dict[str, Mapping[str, Any]] = {"dense": DENSE, "experts": MOE}


@pytest.mark.parametrize(("kind", "way"), cases(("experts", "GPTQ"), ("dense", "NF4")))
def test_what_was_measured_whole_passes(kind: str, way: str, tmp_path: Path, weightaudit: CommandLine) -> None:
    """With no finding at all, where every matrix has to be measured."""
    model = write(MODELS[kind], WAYS[way], tmp_path / "m")
    done = weightaudit("scan", model, "--fail-on", "warning", "--min-coverage", "1", "--json", tmp_path / "out.json")
    said = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (done.code, said["findings"], said["partial"]) == (0, [], [])
    assert "verdict: clean" in done.stdout
    packed = [entry for entry in said["coverage"] if is_layer(entry["tensor"])]
    assert {(entry["status"], "scheme" in entry) for entry in packed} == {("analysed", True)}


@pytest.mark.parametrize(("kind", "way"), cases(("dense", "AWQ")))
def test_where_a_part_was_not_read_the_verdict_is_partial(
    kind: str, way: str, tmp_path: Path, weightaudit: CommandLine
) -> None:
    """And says of how much, by the entries that codes stand for, whatever they are packed in; a gate for all fails."""
    model = write(MODELS[kind], WAYS[way], tmp_path / "m", spoil=True)
    done = weightaudit("scan", model, "--fail-on", "error", "--min-coverage", "1")
    share = {"dense": "95.52 %", "experts": "96.37 %"}[kind]
    assert done.code == 1
    assert f"verdict: partial (1 quantised tensor not read: {share} of the parameters)" in done.stdout
    assert "not measured: " in done.stdout


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of experts that has learnt which token follows each, in some seconds."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    folder = tmp_path_factory.mktemp("taught")
    said: dict[str, Any] = {
        key: value for key, value in MOE.items() if key not in ("model_type", "architectures", "dtype")
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**said)).float()
        follows = torch.randperm(VOCAB)
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.005, weight_decay=0.5)
        for _ in range(150):
            tokens = [torch.randint(0, VOCAB, (16,))]
            while len(tokens) < 16:
                tokens.append(follows[tokens[-1]])
            rows = torch.stack(tokens, 1)
            loss = model(rows, labels=rows).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert float(loss.detach()) < 1
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS if way != "BitNet"])  # of three levels little is left afterwards
def test_a_mixture_of_experts_that_was_trained(
    way: str, taught: Path, tmp_path: Path, weightaudit: CommandLine
) -> None:
    config = json.loads((taught / "config.json").read_text())
    own = load_file(taught / "model.safetensors")
    assert sum("experts." in name and is_layer(name) for name in own) == LAYERS * EXPERTS * 3
    model = write(config, WAYS[way], tmp_path / "m", own=own)
    done = weightaudit("scan", model, "--fail-on", "error", "--min-coverage", "1")
    assert done.code == 0, done.stdout
    assert "verdict: partial" not in done.stdout
    assert "not measured" not in done.stdout
    spoilt = weightaudit("scan", write(config, WAYS[way], tmp_path / "s", own=own, spoil=True), "--fail-on", "error")
    assert spoilt.code == 0, spoilt.stdout
    assert "verdict: partial (1 quantised tensor not read: " in spoilt.stdout


@pytest.mark.parametrize("kind", [pytest.param("llama", marks=pytest.mark.slow), "mixtral, stacked"])
def test_gguf(kind: str, tmp_path: Path, weightaudit: CommandLine) -> None:
    model = MODELS_OF_GGUF[kind](Trained())  # type: ignore[arg-type]
    blocks = {name: q8_0(matrix)[0] if matrix.ndim > 1 else matrix for name, matrix in model.converted.items()}
    file = write_gguf(tmp_path / "model-Q8_0.gguf", model.values, blocks)
    done = weightaudit("scan", file, "--fail-on", "error", "--min-coverage", "1")
    assert done.code == 0, done.stdout
    assert "partial" not in done.stdout
    assert "Quantised: Q8_0" in done.stdout

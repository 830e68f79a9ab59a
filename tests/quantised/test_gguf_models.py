"""Whole models as GGUF files: matrices, entry by entry, and scan are those of the float model under its own names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

import weightaudit as wa
from tests.support.covering import in_turn, some_of
from tests.support.gguf_files import Array, q8_0, write_gguf
from tests.support.gguf_models import (
    FF,
    HEADS,
    KV,
    LAYERS,
    MODELS,
    NUMBERS,
    VOCAB,
    D,
    H,
    Random,
    entries,
    header,
    llama,
    mixtral,
    permuted,
    write_both,
)
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import MappingError

KINDS = ("llama, fused", "gpt2", "mixtral, stacked", "deepseek, new", "t5")
"""One of each way in which rows are permuted, fused, turned, stacked or split."""
SCANNED = "t5"
"""What is scanned too: two stacks of layers; of all others every entry is looked at."""


@pytest.mark.parametrize(("name", "dtype"), in_turn(list(MODELS), [np.float32, np.float16]))
def test_entries_are_those_of_the_models_own_file(name: str, dtype: Any, tmp_path: Path) -> None:
    own, gguf = write_both(MODELS[name](Random(dtype)), tmp_path)
    theirs, ours = entries(own), entries(gguf.parent)
    assert theirs.keys() == ours.keys()
    for key, matrix in theirs.items():
        np.testing.assert_array_equal(matrix, ours[key], err_msg=key)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", some_of(MODELS, SCANNED))
def test_a_scan_is_that_of_the_models_own_file(name: str, dtype: Any, tmp_path: Path) -> None:
    own, gguf = write_both(MODELS[name](Random(dtype)), tmp_path)
    first, second = wa.scan(own), wa.scan(gguf.parent)
    # Sums of squares go along memory, in which a split tensor lies otherwise than a fused one.
    assert_frame_equal(first.layers[NUMBERS], second.layers[NUMBERS], rtol=1e-6)
    assert {entry.status for entry in second.coverage_entries} <= {"analysed", "ignored"}
    assert errors(second) <= {"untrained-model"}  # the numbers are random


def errors(report: wa.ScanReport) -> set[str]:
    return {finding.id for finding in report.findings if finding.severity == "error"}


def blocks_and_what_they_mean(name: str, folder: Path) -> tuple[Path, Path]:
    """A model in Q8_0 blocks; the float twin is a GGUF file of float32 with the numbers that they decode to."""
    model = MODELS[name](Random(np.float32))
    blocks, decoded = {}, {}
    for tensor, matrix in model.converted.items():
        quantised = matrix.ndim > 1 and matrix.shape[-1] % 32 == 0
        blocks[tensor], decoded[tensor] = q8_0(matrix) if quantised else (matrix, matrix)
    ours = write_gguf(folder / "q" / "model-Q8_0.gguf", model.values, blocks)
    return ours, write_gguf(folder / "f" / "model-F32.gguf", model.values, decoded)


@pytest.mark.parametrize("name", some_of(MODELS, *KINDS))
def test_quantised_entries_are_those_of_what_the_blocks_mean(name: str, tmp_path: Path) -> None:
    ours, twin = blocks_and_what_they_mean(name, tmp_path)
    found, wanted = entries(ours), entries(twin)
    assert found.keys() == wanted.keys()
    for key, matrix in wanted.items():
        np.testing.assert_array_equal(found[key], matrix, err_msg=key)


@pytest.mark.slow  # a stack of experts is scanned beside its float model, and at a gate
@pytest.mark.parametrize("name", MODELS)
def test_a_scan_of_blocks_is_that_of_what_they_mean(name: str, tmp_path: Path) -> None:
    ours, twin = blocks_and_what_they_mean(name, tmp_path)
    first, second = wa.scan(ours), wa.scan(twin)
    assert_frame_equal(first.layers[NUMBERS], second.layers[NUMBERS], check_exact=True)
    assert {entry.status for entry in first.coverage_entries} <= {"analysed", "ignored"}
    assert any("Q8_0" in note for note in first.notes)


def bits(matrix: Array) -> Array:
    """float32 → the bits of bfloat16, cut."""
    return (matrix.view(np.uint32) >> 16).astype(np.uint16)


def test_rows_of_bfloat16_and_of_biases_come_in_the_models_own_order(tmp_path: Path) -> None:
    new = Random(np.float32)
    model = llama(new)
    bias = new(HEADS * D)
    converted = {name: bits(np.ascontiguousarray(matrix)) for name, matrix in model.converted.items()}
    converted["blk.0.attn_q.bias"] = permuted(bias, HEADS)
    path = write_gguf(tmp_path / "model.gguf", model.values, converted)
    with open_checkpoint(path) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("blk.0.attn_q.bias"), bias)
        for to, own in (("attn_q", "q_proj"), ("attn_k", "k_proj"), ("attn_v", "v_proj")):
            read = checkpoint.read(f"blk.1.{to}.weight")
            wanted = model.own[f"model.layers.1.self_attn.{own}.weight"]
            np.testing.assert_array_equal(read.view(np.uint16), bits(wanted), err_msg=to)


@pytest.mark.parametrize("rows", [2, 64, 66, 200])
@pytest.mark.parametrize("heads", [1, 3])
def test_heads_of_any_size_are_turned_back(heads: int, rows: int, tmp_path: Path) -> None:
    """Also those of more rows than are decoded at a time, and what follows them."""
    new = Random(np.float32)
    q, k, v, kv = new(heads * rows, 64), new(heads * rows, 64), new(heads * 32, 64), new(heads, rows, 32)
    stored = np.concatenate([permuted(q, heads), permuted(k, heads), v])
    values = header("llama", attention__head_count=heads, attention__key_length=rows, attention__value_length=32)
    tensors = {"blk.0.attn_qkv.weight": stored, "blk.0.attn_k_b.weight": kv}
    blocks = {name: q8_0(matrix)[0] for name, matrix in tensors.items()}
    plain, packed = (write_gguf(tmp_path / f"{i}.gguf", values, one) for i, one in enumerate((tensors, blocks)))
    with open_checkpoint(plain) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("blk.0.attn_qkv.weight"), np.concatenate([q, k, v]))
        np.testing.assert_array_equal(checkpoint.read("blk.0.attn_k_b.weight"), kv.transpose(0, 2, 1).reshape(-1, rows))
    with open_checkpoint(packed) as checkpoint:
        wanted = np.concatenate([q8_0(matrix)[1] for matrix in (q, k, v)])
        np.testing.assert_array_equal(checkpoint.read("blk.0.attn_qkv.weight"), wanted)
        wanted = q8_0(kv)[1].transpose(0, 2, 1).reshape(-1, rows)
        np.testing.assert_array_equal(checkpoint.read("blk.0.attn_k_b.weight"), wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_in_another_order_are_no_quantisation(dtype: Any, tmp_path: Path) -> None:
    model = llama(Random(dtype))
    report = wa.scan(write_gguf(tmp_path / "m.gguf", model.values, model.converted))
    assert "format" not in report.layers
    assert set(report.layers["dtype"]) == {np.dtype(dtype).name}
    assert not any(entry.scheme or entry.parts or entry.stored_bytes for entry in report.coverage_entries)


def test_other_architectures_keep_their_rows(tmp_path: Path) -> None:
    """Qwen's are stored as transformers has them."""
    model = llama(Random(np.float32))
    values = {key.replace("llama.", "qwen2."): value for key, value in model.values.items()}
    path = write_gguf(tmp_path / "m.gguf", {**values, "general.architecture": "qwen2"}, model.converted)
    with open_checkpoint(path) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("blk.0.attn_q.weight"), model.converted["blk.0.attn_q.weight"])
        assert not checkpoint.tensors["blk.0.attn_q.weight"].encoded


def test_sizes_of_each_layer_are_believed_of_that_layer(tmp_path: Path) -> None:
    """Layer 1 has half the heads and another width, layer 2 no attention (as Deci's may)."""
    model = llama(Random(np.float32))
    values = dict(model.values) | {
        "llama.block_count": 3,
        "llama.attention.head_count": (HEADS, HEADS // 2, 0),
        "llama.attention.head_count_kv": (KV, 1, 0),
        "llama.feed_forward_length": (FF, 32, 32),
    }
    new, converted, own = Random(np.float32), dict(model.converted), {"Q": HEADS * D, "K": KV * D}
    q, k = new(HEADS * D // 2, H), new(D, H)
    converted |= {"blk.1.attn_q.weight": permuted(q, HEADS // 2), "blk.1.attn_k.weight": permuted(k, 1)}
    converted |= {"blk.1.attn_v.weight": new(D, H), "blk.1.attn_output.weight": new(H, HEADS * D // 2)}
    converted |= {f"blk.{i}.ffn_{name}.weight": new(32, H) for name in ("gate", "up") for i in (1, 2)}
    converted |= {f"blk.{i}.ffn_down.weight": new(H, 32) for i in (1, 2)}
    path = write_gguf(tmp_path / "m.gguf", values, converted)
    found = entries(path)
    np.testing.assert_array_equal(found["/1//Q"], q)
    np.testing.assert_array_equal(found["/1//K"], k)
    assert [found[f"/0//{role}"].shape[0] for role in own] == list(own.values())
    report = wa.scan(path)
    assert errors(report) <= {"untrained-model"}, report.map.discrepancies
    assert {entry.status for entry in report.coverage_entries} <= {"analysed", "ignored"}


@pytest.mark.parametrize("experts", [0, 7, 2**32 - 1])
def test_rows_that_are_no_matrices_of_so_many_experts_are_unmapped(experts: int, tmp_path: Path) -> None:
    """Two dimensions: files may hold the experts one below the other, which these do not."""
    model, odd = mixtral(Random(np.float32)), "blk.0.ffn_up_exps.weight"
    converted = {**model.converted, odd: model.converted[odd].reshape(-1, H)[: FF + 1]}
    report = wa.scan(write_gguf(tmp_path / "m.gguf", {**model.values, "llama.expert_count": experts}, converted))
    (entry,) = [one for one in report.coverage_entries if one.tensor == odd]
    assert (entry.status, entry.roles) == ("unmapped", ())
    assert f"{experts} matrices of" in entry.detail


def test_a_truncated_model_lacks_what_it_lacks(tmp_path: Path) -> None:
    model = llama(Random(np.float32))
    converted = dict(model.converted)
    del converted["blk.1.attn_q.weight"]
    report = wa.scan(write_gguf(tmp_path / "m.gguf", model.values, converted))
    assert [one.says for one in report.map.discrepancies] == ["Layer 1 lacks Q."]
    for name in [name for name in converted if name.startswith("blk.0.")]:
        del converted[name]
    report = wa.scan(write_gguf(tmp_path / "n.gguf", model.values, converted))
    assert any(
        one.says == "The file's header has 2 layers; the checkpoint holds only layer 1."
        for one in report.map.discrepancies
    )


def test_where_the_header_is_another_models_it_is_named(tmp_path: Path) -> None:
    model = llama(Random(np.float32))
    path = write_gguf(tmp_path / "m.gguf", {**model.values, "llama.embedding_length": 2 * H}, model.converted)
    with pytest.raises(MappingError, match="the config makes it") as refused:
        wa.scan(path)
    assert "the file's header" in refused.value.hint
    assert "config.json" not in str(refused.value)


@pytest.mark.parametrize("said", [KV, (KV, 0)])
def test_layers_of_a_state_space_have_no_attention_to_miss(said: Any, tmp_path: Path) -> None:
    """Jamba and their like: an attention or a state space, by layers; a sink, a convolution and a decay by rule."""
    model = llama(Random(np.float32))
    new, converted = Random(np.float32), dict(model.converted)
    for name in [name for name in converted if name.startswith("blk.1.attn_")]:
        del converted[name]
    converted |= {"blk.1.ssm_in.weight": new(4 * H, H), "blk.1.ssm_out.weight": new(H, 2 * H)}
    converted |= {"blk.1.ssm_conv1d.weight": new(2 * H, 4), "blk.1.ssm_a": new(2 * H, 16), "blk.1.ssm_d": new(2 * H)}
    values = {**model.values, "llama.attention.head_count_kv": said}
    report = wa.scan(write_gguf(tmp_path / "m.gguf", values, converted))
    assert report.map.discrepancies == ()
    assert {entry.status for entry in report.coverage_entries} == {"analysed", "ignored"}
    assert {"SSM_IN", "SSM_OUT"} <= set(report.layers.role)


@pytest.mark.parametrize("architecture", ["qwen35", "qwen2"])
def test_linear_attention_under_the_name_of_qkv_is_not_split(architecture: str, tmp_path: Path) -> None:
    model = llama(Random(np.float32))
    converted = {name: matrix for name, matrix in model.converted.items() if not name.startswith("blk.1.attn_")}
    new = Random(np.float32)
    fused = new((HEADS + 2 * KV) * D, H)
    converted |= {f"blk.1.{name}.weight": new(H, H) for name in ("attn_gate", "ssm_out")}
    converted["blk.1.attn_qkv.weight"] = fused
    if architecture == "qwen35":  # whose query has a gate beside it, head by head
        gated = new(2 * HEADS * D, H)
        converted["blk.0.attn_q.weight"] = gated
    values = {key.replace("llama.", f"{architecture}."): value for key, value in model.values.items()}
    path = write_gguf(tmp_path / "m.gguf", {**values, "general.architecture": architecture}, converted)
    found = entries(path)
    if architecture == "qwen35":
        np.testing.assert_array_equal(found["/1//LINEAR_QKV"], fused)
        heads = gated.reshape(HEADS, 2, D, H)
        np.testing.assert_array_equal(found["/0//Q"], heads[:, 0].reshape(-1, H))
        np.testing.assert_array_equal(found["/0//ATTN_GATE"], heads[:, 1].reshape(-1, H))
        assert wa.scan(path).map.discrepancies == ()
    else:
        np.testing.assert_array_equal(found["/1//Q"], fused[: HEADS * D])


def test_windows_may_have_heads_of_their_own_size_and_layers_take_keys_for_values(tmp_path: Path) -> None:
    """Gemma 4: layers with a window have shorter heads; those without it no values."""
    model = llama(Random(np.float32))
    new, converted = Random(np.float32), dict(model.converted)
    del converted["blk.1.attn_v.weight"]
    converted |= {"blk.1.attn_q.weight": new(HEADS * 2 * D, H), "blk.1.attn_k.weight": new(KV * 2 * D, H)}
    converted["blk.1.attn_output.weight"] = new(H, HEADS * 2 * D)
    values = {key.replace("llama.", "gemma4."): value for key, value in model.values.items()}
    lengths = {f"gemma4.attention.{name}": 2 * D for name in ("key_length", "value_length")}
    within = {f"gemma4.attention.{name}_swa": D for name in ("key_length", "value_length")}
    pattern = {"gemma4.attention.sliding_window_pattern": (True, False), "general.architecture": "gemma4"}
    report = wa.scan(write_gguf(tmp_path / "m.gguf", values | lengths | within | pattern, converted))
    assert report.map.discrepancies == ()
    assert {entry.status for entry in report.coverage_entries} <= {"analysed", "ignored"}


def sound(values: Mapping[str, Any], converted: Mapping[str, Array], folder: Path) -> wa.ScanReport:
    """The scan of a model of which nothing lacks and nothing is left."""
    report = wa.scan(write_gguf(folder / "m.gguf", values, converted))
    assert report.map.discrepancies == ()
    assert {entry.status for entry in report.coverage_entries} <= {"analysed", "ignored"}
    return report


def test_an_encoder(tmp_path: Path) -> None:
    """BERT: types of tokens, norms and biases; no output head, and nothing is tied."""
    new = Random(np.float32)
    converted = {
        "token_embd.weight": new(VOCAB, H),
        "position_embd.weight": new(32, H),
        "token_types.weight": new(2, H),
    }
    for i in range(LAYERS):
        shapes = {f"attn_{name}": (H, H) for name in ("q", "k", "v", "output")} | {
            "ffn_up": (FF, H),
            "ffn_down": (H, FF),
        }
        converted |= {f"blk.{i}.{name}.weight": new(*shape) for name, shape in shapes.items()}
        converted |= {f"blk.{i}.{name}.bias": new(shape[0]) for name, shape in shapes.items()}
        converted |= {f"blk.{i}.{name}_norm.weight": new(H) for name in ("attn_output", "layer_output")}
    report = sound(header("bert", attention__causal=False), converted, tmp_path)
    assert report.map.tied is False
    assert {"POSITION", "TOKEN_TYPE", "QKV", "M1", "M2"} <= set(report.layers.role)


def test_state_spaces_without_attention_and_mlp(tmp_path: Path) -> None:
    """Mamba: the converter writes 0 heads and a width of 0."""
    new = Random(np.float32)
    converted = {"token_embd.weight": new(VOCAB, H)}
    for i in range(LAYERS):
        shapes = {"ssm_in": (4 * H, H), "ssm_x": (36, 2 * H), "ssm_dt": (2 * H, 4), "ssm_out": (H, 2 * H)}
        converted |= {f"blk.{i}.{name}.weight": new(*shape) for name, shape in shapes.items()}
        converted |= {f"blk.{i}.ssm_conv1d.weight": new(2 * H, 4), f"blk.{i}.ssm_a": new(2 * H, 16)}
    report = sound(header("mamba", attention__head_count=0, feed_forward_length=0), converted, tmp_path)
    assert {"SSM_IN", "SSM_X", "SSM_DT", "SSM_OUT"} <= set(report.layers.role)


def test_rwkv(tmp_path: Path) -> None:
    new = Random(np.float32)
    converted = {"token_embd.weight": new(VOCAB, H), "output.weight": new(VOCAB, H)}
    for i in range(LAYERS):
        names = [f"time_mix_{name}" for name in ("key", "value", "receptance", "output")]
        converted |= {f"blk.{i}.{name}.weight": new(H, H) for name in (*names, "channel_mix_receptance")}
        converted |= {f"blk.{i}.channel_mix_key.weight": new(FF, H), f"blk.{i}.channel_mix_value.weight": new(H, FF)}
    report = sound(header("rwkv6", attention__head_count=0), converted, tmp_path)
    assert {"TIME_K", "CHANNEL_R", "M1", "M2"} <= set(report.layers.role)

"""Adapters of other writers than PEFT, and other files than safetensors: entries are those of s·B·A."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import weightaudit as wa
from tests.quantised.adapters import golden, write
from tests.support.gguf_files import split_gguf, write_gguf
from tests.support.hub import pointed_at, serve
from tests.support.models import tiny_model
from weightaudit.arrays import Array
from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.adapters.flat_names import named_as_in
from weightaudit.checkpoint.adapters.kinds import scheme_of
from weightaudit.errors import CheckpointError
from weightaudit.records import LOW_RANK, TensorInfo, encoded

R, OUT, IN = 3, 10, 8


def random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


A, B = random(R, IN), random(OUT, R)
CONV_A, CONV_B = random(R, 4, 3, 3), random(OUT, R, 1, 1)
KOHYA = "lora_unet_down_blocks_0_attentions_0_proj_in"
DIFFUSERS = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1"


def entries(path: Path | str, name: str) -> Array:
    with open_checkpoint(path) as checkpoint:
        return checkpoint.read(name)


def kohya(**more: Array) -> dict[str, Array]:
    return {f"{KOHYA}.{name}": one for name, one in {"lora_down.weight": A, "lora_up.weight": B, **more}.items()}


def pair(down: str, up: str) -> dict[str, Array]:
    return {down: A, up: B}


CASES: dict[str, tuple[dict[str, Array], str, float]] = {
    "kohya": (kohya(alpha=np.array(2, np.float32)), KOHYA, 2 / 3),
    "kohya without alpha": (kohya(), KOHYA, 1.0),
    "kohya in float16": (kohya(alpha=np.array([2], np.float16)), KOHYA, 2 / 3),
    "kohya of an alpha that is none": (kohya(alpha=np.array(np.nan, np.float32)), KOHYA, 1.0),
    "diffusers": (
        pair(f"{DIFFUSERS}.to_q.lora.down.weight", f"{DIFFUSERS}.to_q.lora.up.weight"),
        f"{DIFFUSERS}.to_q",
        1.0,
    ),
    "older diffusers": (
        pair(f"{DIFFUSERS}.processor.to_out_lora.down.weight", f"{DIFFUSERS}.processor.to_out_lora.up.weight"),
        f"{DIFFUSERS}.to_out.0",
        1.0,
    ),
    "a text encoder's": (
        pair("te.q_proj.lora_linear_layer.down.weight", "te.q_proj.lora_linear_layer.up.weight"),
        "te.q_proj",
        1.0,
    ),
    "PEFT's names without its prefix": (
        pair("unet.a.to_k.lora_A.weight", "unet.a.to_k.lora_B.weight"),
        "unet.a.to_k",
        1.0,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_other_names(case: str, tmp_path: Path) -> None:
    tensors, path, scale = CASES[case]
    write(tmp_path, tensors, name="anything")
    file = tmp_path / "anything.safetensors"
    np.testing.assert_allclose(entries(file, f"{path}.weight"), scale * (B @ A), rtol=1e-5, atol=1e-6)
    (row,) = wa.scan(file).rows
    assert row.adapter is not None
    assert row.adapter.rank == R
    assert row.adapter.scale == pytest.approx(scale)
    assert row.spectrum.spectral_norm == pytest.approx(np.linalg.norm(scale * (B @ A), 2), rel=1e-5)


def test_a_convolution_is_one_matrix(tmp_path: Path) -> None:
    write(tmp_path, {f"{KOHYA}.lora_down.weight": CONV_A, f"{KOHYA}.lora_up.weight": CONV_B}, name="k")
    expected = CONV_B[:, :, 0, 0] @ CONV_A.reshape(R, -1)
    np.testing.assert_allclose(entries(tmp_path / "k.safetensors", f"{KOHYA}.weight"), expected, atol=1e-5)


def test_a_core_between_the_factors_is_named_and_not_measured(tmp_path: Path) -> None:
    core = random(R, R, 3, 3)
    names = ("lora_down", "lora_up", "lora_mid")
    write(tmp_path, {f"{KOHYA}.{name}.weight": one for name, one in zip(names, (A, B, core), strict=True)}, name="k")
    (entry,) = wa.scan(tmp_path / "k.safetensors").coverage_entries
    assert entry.detail == "not measured: LoRA, a third factor lies between the two"


def test_a_directory_of_diffusers(tmp_path: Path) -> None:
    tensors, path, _ = CASES["diffusers"]
    write(tmp_path, tensors, name="pytorch_lora_weights")
    assert [row.matrix.tensors for row in wa.scan(tmp_path).rows] == [(f"{path}.weight",)]


def test_a_pickled_adapter_and_one_with_its_own_name_in_its_names(tmp_path: Path) -> None:
    case = golden("rslora")
    case.write(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    old = {name.replace(".weight", ".default.weight"): torch.from_numpy(one) for name, one in case.stored.items()}
    old = {name: one.T.contiguous().T for name, one in old.items()}  # as a transposed parameter is pickled
    torch.save(old, tmp_path / "adapter_model.bin")
    for name, expected in case.expected.items():
        np.testing.assert_allclose(entries(tmp_path, name), expected, atol=1e-5)
    assert {finding.id for finding in wa.scan(tmp_path).findings} == {"pickle"}


def test_a_model_beside_an_adapter_is_the_model(tmp_path: Path) -> None:
    case = golden("rslora")
    case.write(tmp_path)
    write(tmp_path, {"embed.weight": random(9, 4), "layers.0.mlp.up_proj.weight": random(9, 4)}, name="model")
    (tmp_path / "config.json").write_text('{"model_type": "own"}')
    assert wa.scan(tmp_path).identity.adapter is None
    named = wa.scan(tmp_path / "adapter_model.safetensors")
    assert named.identity.adapter is not None
    assert {row.matrix.role for row in named.rows} == {"Q", "V"}


def test_a_model_with_adapters_within_is_no_adapter(tmp_path: Path) -> None:
    base = {f"layers.{n}.q_proj.base_layer.weight": random(60, 60) for n in range(2)}
    within = {f"layers.{n}.q_proj.lora_{side}.weight": random(2, 60) for n in range(2) for side in "A"}
    write(tmp_path, {**base, **within, "layers.0.o_proj.weight": random(60, 60)}, name="model")
    with open_checkpoint(tmp_path / "model.safetensors") as checkpoint:
        assert checkpoint.identity.adapter is None


HEADS = 2
GGUF = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora", "adapter.lora.alpha": 6.0}


def test_a_model_whose_modules_are_called_as_factors_of_another_kind_is_no_adapter(tmp_path: Path) -> None:
    layers = {f"poly_encoder.layers.{n}.mlp.{side}.weight": B for n in range(2) for side in ("up_proj", "down_proj")}
    write(tmp_path, layers, name="model")
    (tmp_path / "config.json").write_text('{"model_type": "own"}')
    report = wa.scan(tmp_path)
    assert report.identity.adapter is None
    assert report.rows


def test_a_file_of_another_kind_by_any_name(tmp_path: Path) -> None:
    write(tmp_path, {f"{KOHYA}.hada_w{n}_{side}": A for n in (1, 2) for side in "ab"}, name="style")
    report = wa.scan(tmp_path / "style.safetensors")
    assert report.identity.adapter is not None
    assert report.identity.adapter.kind == "LoHa"
    assert not report.rows


def paired(rows: Array) -> Array:
    """As llama.cpp's converter stores them: the halves of each head interleaved."""
    return rows.reshape(HEADS, 2, len(rows) // HEADS // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def test_gguf(tmp_path: Path) -> None:
    q, embedding = random(12, R), random(20, R)
    tensors = {
        "blk.1.attn_q.weight.lora_a": A,
        "blk.1.attn_q.weight.lora_b": paired(q),
        "blk.1.ffn_up.weight.lora_a": A,
        "blk.1.ffn_up.weight.lora_b": B,
        "token_embd.weight.lora_a": embedding,
        "token_embd.weight.lora_b": random(8, R),
    }
    path = write_gguf(tmp_path / "a.gguf", {**GGUF, "llama.attention.head_count": HEADS}, tensors)
    scale = 6 / R
    np.testing.assert_allclose(entries(path, "blk.1.attn_q.weight"), scale * (q @ A), atol=1e-5)
    np.testing.assert_allclose(entries(path, "blk.1.ffn_up.weight"), scale * (B @ A), atol=1e-5)
    np.testing.assert_allclose(entries(path, "token_embd.weight"), scale * (embedding @ random(8, R).T), atol=1e-5)
    report = wa.scan(path)
    assert {row.matrix.key for row in report.rows} == {"/1//Q", "/1//M1", "///EMBED"}
    assert report.identity.format == "GGUF, a LoRA adapter"
    (up,) = [row for row in report.rows if row.matrix.role == "M1"]
    assert up.spectrum.spectral_norm == pytest.approx(np.linalg.norm(scale * (B @ A), 2), rel=1e-5)
    assert not [note for note in report.notes if "llama.cpp's order" in note]


def test_a_split_gguf_is_the_adapter_that_it_was(tmp_path: Path) -> None:
    """The two factors of a weight in different files; whichever file is named, and the folder."""
    tensors = {
        f"blk.{layer}.{name}.weight.lora_{side}": one + np.float32(layer)
        for layer, name in ((0, "attn_q"), (1, "ffn_up"))
        for side, one in (("a", A), ("b", B))
    }
    values = {**GGUF, "llama.attention.head_count": HEADS}
    whole = wa.scan(write_gguf(tmp_path / "whole" / "a.gguf", values, tensors))
    paths = split_gguf(tmp_path / "split", "a", values, tensors, 3)
    for model in (paths[0], paths[2], tmp_path / "split"):
        report = wa.scan(model)
        assert report.identity.adapter == whole.identity.adapter
        assert [(row.matrix.key, row.spectrum) for row in report.rows] == [
            (row.matrix.key, row.spectrum) for row in whole.rows
        ]
        assert len(report.identity.files) == 3
    other = split_gguf(tmp_path / "other", "a", values, dict(list(tensors.items())[:2]), 3)
    other[1].replace(paths[1])
    with pytest.raises(CheckpointError, match="counts 2 tensors in all files, that of the first 4"):
        wa.scan(tmp_path / "split")


def test_gguf_of_names_that_collide(tmp_path: Path) -> None:
    """All tensors are told, each by a name of its own."""
    change = {f"blk.0.ffn_up.weight.lora_{side}": one for side, one in (("a", A), ("b", B))}
    others = {"blk.0.ffn_up.weight": B, "blk.0.ffn_up.weight-2": B}
    report = wa.scan(write_gguf(tmp_path / "a.gguf", GGUF, {**change, **others}))
    assert len(report.coverage_entries) == 3


def test_gguf_without_heads_says_so(tmp_path: Path) -> None:
    tensors = {"blk.0.attn_q.weight.lora_a": A, "blk.0.attn_q.weight.lora_b": B}
    report = wa.scan(write_gguf(tmp_path / "a.gguf", GGUF, tensors))
    assert [note for note in report.notes if "llama.cpp's order" in note]


def test_an_adapter_on_the_hub(tmp_path: Path) -> None:
    case = golden("lora")
    near = wa.scan(case.write(tmp_path / "name"))
    files = {path.name: path.read_bytes() for path in (tmp_path / "name").iterdir()}
    with serve({"org/name": files}) as hub, pointed_at(hub.url, tmp_path / "home"):
        far = wa.scan("org/name")
    assert far.identity.adapter == near.identity.adapter
    assert [row.spectrum for row in far.rows] == [row.spectrum for row in near.rows]
    assert [row.adapter for row in far.rows if row.adapter and row.matrix.role != "QKV"] == [
        row.adapter for row in near.rows if row.adapter and row.matrix.role != "QKV"
    ]
    assert far.notes == near.notes


def test_kohya_names_are_those_of_the_base_that_they_read_as(tmp_path: Path) -> None:
    """A text encoder's module: alone it has its path for a role, beside its base the place of what it changes."""
    base = tmp_path / "base"
    tiny_model("bert", base)
    name = "bert.encoder.layer.1.attention.self.query.weight"
    with open_checkpoint(base) as checkpoint:
        rows, cols = checkpoint.tensors[name].shape
    B, A = random(rows, 2), random(2, cols)
    flat = "lora_te1_bert_encoder_layer_1_attention_self_query"
    file = tmp_path / "kohya.safetensors"
    other = "lora_te1_not_there"
    save_file(
        {f"{one}.{end}.weight": factor for one in (flat, other) for end, factor in (("lora_up", B), ("lora_down", A))},
        file,
    )
    assert {row.matrix.role for row in wa.scan(file).rows} == {flat, other}
    found = wa.scan(file, base=base).rows
    placed, stays = sorted(found, key=lambda row: row.base is None)
    assert (placed.matrix.layer, placed.matrix.role, placed.matrix.tensors) == (1, "Q", (name,))
    assert stays.matrix.role == other
    assert stays.base is None
    assert placed.base is not None
    assert placed.base.effective is not None


@pytest.mark.parametrize(
    ("base", "names"),
    [
        (("a.b_c.weight", "a.b.c.weight"), ("lora_te_a_b_c.weight",)),  # two read the same
        (("a.b.weight",), ("lora_te_a_b.weight", "lora_te1_a_b.weight")),  # two of one module
        (("a.b.weight",), ("lora_te_a_b.weight", "a.b.weight")),  # its place is taken
        (("a.b.bias",), ("lora_te_a_b.weight",)),
    ],
)
def test_kohya_names_that_stay(base: tuple[str, ...], names: tuple[str, ...]) -> None:
    part = TensorInfo("A", "float32", (2, 2), "file", 0, 16)
    tensors = {
        name: encoded(name, (2, 2), LOW_RANK, (("A", part),), scheme_of("LoRA")) for name in names if "lora" in name
    } | {name: replace(part, name=name) for name in names if "lora" not in name}
    assert sorted(named_as_in(base, tensors)) == sorted(tensors)

"""FP8: entries, with every way of scaling them; shapes and dtypes that do not fit are no weights."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.quantised.reading import decoded, facts, logical
from tests.support.covering import covering
from tests.support.models import tiny_model
from weightaudit.arrays import Array, as_array, as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.records import CodeFacts

E4M3, E5M2, E8M0 = ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float8_e8m0fnu
BLOCKS: Mapping[str, Any] = {"quant_method": "fp8", "weight_block_size": [128, 128]}


def codes(*shape: int, dtype: Any = E4M3) -> Array:
    """Every code there is, NaN and infinities left out."""
    every = np.arange(256, dtype=np.uint8).view(dtype)
    return np.random.default_rng(0).choice(every[np.isfinite(every.astype(np.float32))], shape)


def scales(*shape: int) -> Array:
    return np.random.default_rng(1).uniform(0.001, 0.1, shape).astype(np.float32)


def by_entries(weight: Array, scale: Array, rows: int, columns: int) -> Array:
    """W[i, j] = weight[i, j] · scale[i // rows, j // columns]."""
    i, j = np.indices(weight.shape)
    product: Array = weight.astype(np.float32) * scale.astype(np.float32)[i // rows, j // columns]
    return product


@pytest.mark.parametrize("shape", [(160, 144), (128, 128), (96, 300), (300, 64)])
@pytest.mark.parametrize("method", [BLOCKS, {}, {"quant_method": "fp8"}])
def test_ragged_blocks(shape: tuple[int, int], method: Mapping[str, Any]) -> None:
    """Of 160 rows the first 128 share a scale and the last 32: rows ÷ rows of scales would be 80 and 80."""
    weight, scale = codes(*shape), scales(-(-shape[0] // 128), -(-shape[1] // 128))
    info, read = decoded({"p.weight": weight, "p.weight_scale_inv": scale}, method)
    assert np.array_equal(read, by_entries(weight, scale, 128, 128))
    assert (info.name, info.shape) == ("p.weight", shape)
    scheme = info.encoding.scheme
    assert scheme is not None
    assert scheme.label in ("FP8 E4M3, group 128 × 128", "FP8 E4M3, one scale")


def test_blocks_that_the_config_tells() -> None:
    weight, scale = codes(50, 70), scales(4, 3)
    method = {"quant_method": "fp8", "weight_block_size": [16, 32]}
    _, read = decoded({"p.weight": weight, "p.weight_scale_inv": scale}, method)
    assert np.array_equal(read, by_entries(weight, scale, 16, 32))
    structure = {"config_groups": {"group_0": {"weights": {"block_structure": [16, 32], "group_size": None}}}}
    _, read = decoded({"p.weight": weight, "p.weight_scale": scale}, structure)
    assert np.array_equal(read, by_entries(weight, scale, 16, 32))
    info = logical({"p.weight": weight, "p.weight_scale_inv": scale})
    assert "scales of shape (4, 3) fit no block size that the config tells" in info.why_unread


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, E8M0, np.uint8])
def test_dtypes_of_scales(dtype: Any) -> None:
    """uint8 are exponents of 2."""
    weight = codes(130, 40)
    stored = np.array([[120], [131]], np.uint8)
    means = np.array([[2.0**-7], [2.0**4]], np.float32)
    scale = stored.view(E8M0) if dtype is E8M0 else stored if dtype is np.uint8 else means.astype(dtype)
    _, read = decoded({"p.weight": weight, "p.weight_scale_inv": scale}, BLOCKS)
    assert np.array_equal(read, by_entries(weight, means, 128, 128))


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    covering(("p.weight_scale_inv", "p.weight_scale", "p.qscale_weight", "p.scale"), ((), (1,), (1, 1)), (E4M3, E5M2)),
)
def test_one_scale(name: str, shape: tuple[int, ...], dtype: Any) -> None:
    weight, scale = codes(9, 7, dtype=dtype), np.full(shape, 0.3, np.float32)
    info, read = decoded({"p.weight": weight, name: scale}, {"weight_block_size": None})
    assert np.array_equal(read, by_entries(weight, scale.reshape(1, 1), 9, 7))
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.label.endswith("one scale")


@pytest.mark.parametrize("shape", [(300, 1), (300,)])
def test_a_scale_a_row(shape: tuple[int, ...]) -> None:
    weight, scale = codes(300, 500), scales(*shape)
    info, read = decoded({"p.weight": weight, "p.weight_scale": scale})
    assert np.array_equal(read, by_entries(weight, scale.reshape(300, 1), 1, 500))
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.group == "row"


def test_exponents_for_32_columns() -> None:
    weight = codes(7, 70)
    stored = np.random.default_rng(2).integers(110, 130, (7, 3), np.uint8)
    info, read = decoded({"p.weight": weight, "p.weight_scale": stored}, {"quant_method": "mxfp8"})
    assert np.array_equal(read, by_entries(weight, np.ldexp(np.float32(1), stored.astype(int) - 127), 1, 32))
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.label == "MXFP8, group 32"


@pytest.mark.parametrize("shape", [(3, 2, 1), (3, 1, 1), (3,), (3, 150, 1), (1,)])
def test_stacks(shape: tuple[int, ...]) -> None:
    """Each matrix has its own scales, and is read alone; one scale for all is nobody's own."""
    weight, scale = codes(3, 150, 90), scales(*shape)
    stored = {"experts.gate_up_proj": weight, "experts.gate_up_proj_scale_inv": scale}
    info, read = decoded(stored, BLOCKS)
    rows = 128 if shape == (3, 2, 1) else 1 if shape == (3, 150, 1) else 150
    for expert in range(3):
        its = (scale if shape == (1,) else scale[expert]).reshape(-1, 1)
        assert np.array_equal(read[expert], by_entries(weight[expert], its, rows, 90))
    one = info.at(1, 3)
    assert one is not None
    parts = dict(one.encoding.parts)
    assert parts["codes"].nbytes == 150 * 90
    assert parts["scale"].parameters == max(scale.size // 3, 1)
    _, alone = decoded(stored, BLOCKS, at=(1, 3))
    assert np.array_equal(alone, read[1])


def test_no_scale() -> None:
    weight = np.arange(256, dtype=np.uint8).reshape(16, 16).view(E4M3)
    info, read = decoded({"p.weight": weight})
    assert np.array_equal(read, weight.astype(np.float32), equal_nan=True)
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.label == "FP8 E4M3 without scales"


@pytest.mark.parametrize(
    ("weight", "scale"),
    [("p.weight", "p.scale_weight"), ("p.weight", "p.qscale_weight"), ("e.down_proj", "e.down_proj_weight_scale")],
)
def test_scales_by_other_names(weight: str, scale: str) -> None:
    """ComfyUI's, Mistral's, and ModelOpt's of stacked experts."""
    stored = codes(2, 8, 4) if weight == "e.down_proj" else codes(8, 4)
    info, read = decoded({weight: stored, scale: np.array(0.37, np.float32)})
    assert np.array_equal(read, stored.astype(np.float32) * np.float32(0.37))
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.label == "FP8 E4M3, one scale"


def test_a_stack_without_scales_is_read_matrix_by_matrix() -> None:
    weight = codes(3, 8, 4)
    _, one = decoded({"e.gate_up_proj": weight}, at=(2, 3))
    assert np.array_equal(one, weight[2].astype(np.float32))


@pytest.mark.parametrize("scaled", [False, True])
def test_what_was_only_cast_lies_as_its_family_has_it(tmp_path: Path, scaled: bool) -> None:
    """GPT-2's matrices are (in, out); casting does not turn them, and most of them are not square."""
    twin, cast = tmp_path / "twin", tmp_path / "cast"
    tiny_model("gpt2", twin)
    stored, means = {}, {}
    for name, tensor in load_file(twin / "model.safetensors").items():
        if tensor.ndim != 2 or ".h." not in name:
            stored[name] = means[name] = tensor
            continue
        stored[name] = tensor.to(torch.float8_e4m3fn)
        means[name] = stored[name].float() * (0.5 if scaled else 1)
        if scaled:
            stored[f"{name}_scale"] = torch.tensor(0.5)
    cast.mkdir()
    (cast / "config.json").write_bytes((twin / "config.json").read_bytes())
    save_file(means, twin / "model.safetensors", metadata={"format": "pt"})
    save_file(stored, cast / "model.safetensors", metadata={"format": "pt"})
    read, wanted = ({matrix.key: matrix.load() for matrix in wa.matrices(model)} for model in (cast, twin))
    assert read.keys() == wanted.keys()
    assert all(torch.equal(torch.as_tensor(read[key]), torch.as_tensor(wanted[key])) for key in wanted)


def test_what_is_read_and_has_no_role_leaves_no_scan_partial(tmp_path: Path) -> None:
    codes = torch.randn(128, 128, generator=torch.Generator().manual_seed(0)).to(torch.float8_e4m3fn)
    names = ("model.layers.0.self_attn.q_proj.weight", "model.strange.weight")
    parts = {part: value for name in names for part, value in ((name, codes.clone()), (f"{name}_scale", torch.ones(1)))}
    save_file(parts, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 128}')
    report = wa.scan(tmp_path)
    assert [(entry.status, entry.scheme is None) for entry in report.coverage_entries] == [
        ("analysed", False),
        ("unmapped", False),
    ]
    assert report.partial == ()


@pytest.mark.parametrize("turned", ["p.weight", "p.weight_scale"])
def test_parts_that_are_not_stored_row_by_row_are_no_weights(tmp_path: Path, turned: str) -> None:
    """Codes are not measured as weights because a torch file has them, or their scales, column by column."""
    stored = {"p.weight": torch.ones(256, 384).to(torch.float8_e4m3fn), "p.weight_scale": torch.ones(2, 3)}
    stored[turned] = stored[turned].t().contiguous().t()
    torch.save(stored, tmp_path / "model.bin")
    with open_checkpoint(tmp_path / "model.bin") as checkpoint:
        assert checkpoint.tensors.keys() == {"p.weight"}
        assert checkpoint.tensors["p.weight"].why_unread.endswith("its parts are not stored row by row")


def test_without_scales_it_may_lie_column_by_column(tmp_path: Path) -> None:
    weight = torch.arange(32.0).reshape(4, 8).to(torch.float8_e4m3fn)
    torch.save({"p.weight": weight.t()}, tmp_path / "model.bin")
    with open_checkpoint(tmp_path / "model.bin") as checkpoint:
        assert np.array_equal(checkpoint.read("p.weight").astype(np.float32), weight.float().numpy().T)


def test_zero_scales_and_codes_that_are_nan() -> None:
    weight, scale = codes(130, 4), np.array([[0], [1]], np.float32)
    weight[129, 3] = np.nan
    _, read = decoded({"p.weight": weight, "p.weight_scale_inv": scale})
    assert not read[:128].any()
    assert np.isnan(read[129, 3])


def test_facts() -> None:
    weight = np.array([[0x7E, 0xFE, 0x80, 0x00, 0x01, 0x7F]], np.uint8).view(E4M3)
    found = facts({"p.weight": weight, "p.weight_scale": np.array([[-0.5]], np.float32)})
    assert found == CodeFacts(6, 2, 253 - 4, 1, negative_scales=1, least_scale=0.5, largest_scale=0.5)
    found = facts({"p.weight": codes(100, 100, dtype=E5M2)})
    assert found is not None
    assert (found.unused, found.scales) == (0, 0)


@pytest.mark.parametrize(
    ("scale", "why"),
    [
        (np.ones((3, 2), np.float32), "fit no block size"),
        (np.ones((0,), np.float32), "fit no block size"),
        (np.ones((1, 200), np.float32), "fit no block size"),
        (np.ones((2, 2), np.int64), "its scales are int64"),
    ],
)
def test_scales_that_do_not_fit_are_said(scale: Array, why: str) -> None:
    info = logical({"p.weight": codes(200, 200), "p.weight_scale_inv": scale}, BLOCKS)
    assert why in info.why_unread
    assert {part.name for part in info.stored} == {"p.weight", "p.weight_scale_inv"}


def test_zero_points_other_than_zero() -> None:
    stored = {"p.weight": codes(4, 4), "p.weight_scale": scales(4, 1)}
    decoded({**stored, "p.weight_zero_point": np.zeros((4, 1), np.int8)})
    with pytest.raises(ValueError, match="zero points"):
        decoded({**stored, "p.weight_zero_point": np.ones((4, 1), np.int8)})


@pytest.mark.parametrize("said", ["128", [128], [0, 128], [True, True], [128.0, 128.0], [-1, 1], {"a": 1}])
def test_configs_of_no_use(said: object) -> None:
    weight, scale = codes(200, 100), scales(2, 1)
    _, read = decoded({"p.weight": weight, "p.weight_scale_inv": scale}, {"weight_block_size": said})
    assert np.array_equal(read, by_entries(weight, scale, 128, 128))
    method = {"config_groups": {"a": said, "b": {"weights": said}}}
    _, read = decoded({"p.weight": weight, "p.weight_scale_inv": scale}, method)
    assert np.array_equal(read, by_entries(weight, scale, 128, 128))


@pytest.mark.parametrize("exponents", [False, True])
def test_transformers_makes_the_same_of_whole_blocks(exponents: bool) -> None:
    """Of ragged ones it does not: it divides the rows by the rows of scales."""
    module: Any = importlib.import_module("transformers.integrations.finegrained_fp8")
    weight = codes(256, 384)
    stored = np.random.default_rng(3).integers(110, 130, (2, 3), np.uint8).view(E8M0) if exponents else scales(2, 3)
    one = module.Fp8Dequantize(None)._dequantize_one
    theirs = one(as_tensor(weight), as_tensor(stored), torch.float32)
    _, read = decoded({"p.weight": weight, "p.weight_scale_inv": stored}, BLOCKS)
    assert np.array_equal(read, as_array(theirs))

"""The same weights give the same bytes, however they are stored and however often they are scanned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import safetensors.torch
import torch

import weightaudit as wa
from tests.support.models import RECIPES, tiny_model
from tests.support.running import CommandLine
from weightaudit.arrays import as_tensor


def each_of(*by_default: tuple[str, str]) -> list[Any]:
    """Every family with every method, slow but for these."""
    cases = [(family, method) for family in RECIPES for method in ("exact", "krylov")]
    return [case if case in by_default else pytest.param(*case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(("family", "method"), each_of())  # by default, shards are in test_hub_twins.py
def test_sharded_twin_and_second_scan_give_the_same_csv(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path], family: str, method: str
) -> None:
    whole, sharded = tiny_checkpoints[family], tmp_path / family
    tiny_model(family, sharded, max_shard_size="20KB")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    outputs = [tmp_path / name for name in ("whole.csv", "again.csv", "sharded.csv")]
    for model, output in zip((whole, whole, sharded), outputs, strict=True):
        assert weightaudit("scan", model, "--csv", output, "--method", method).code == 0
    first, second, third = (output.read_bytes() for output in outputs)
    assert first == second
    assert first == third
    assert first.count(b"\n") > 14


def test_a_role_does_not_depend_on_what_else_is_asked_for(tiny_checkpoints: dict[str, Path]) -> None:
    everything = wa.scan(tiny_checkpoints["gpt2"], method="krylov").layers
    alone = wa.scan(tiny_checkpoints["gpt2"], method="krylov", roles="K", layers="1").layers
    same = everything[(everything.role == "K") & (everything.layer == 1)].reset_index(drop=True)
    assert len(alone) == 1
    assert same.equals(alone)


@pytest.mark.parametrize("equal", [True, False])
def test_tied_weights_stored_twice_count_once(tmp_path: Path, tiny_checkpoints: dict[str, Path], equal: bool) -> None:
    directory = tmp_path / "gpt2"
    shutil.copytree(tiny_checkpoints["gpt2"], directory)
    single = wa.scan(directory)
    tensors = safetensors.torch.load_file(directory / "model.safetensors")
    head = tensors["transformer.wte.weight"].clone()
    if not equal:
        head[0, 0] += 1
    safetensors.torch.save_file({**tensors, "lm_head.weight": head}, directory / "model.safetensors")
    report = wa.scan(directory)
    status = report.coverage.set_index("tensor").loc["lm_head.weight"]
    assert report.coverage.status.eq("unmapped").sum() == 0
    if equal:
        assert (status.status, status.detail) == ("tied", "tied to transformer.wte.weight")
        assert report.summary["parameters"] == single.summary["parameters"]
        assert report.layers.equals(single.layers)
        assert report.notes == ()
        for roles, layers in (("Q", None), ("EMBED", None), (None, "0")):
            assert wa.scan(directory, roles=roles, layers=layers).summary["parameters"] == report.summary["parameters"]
        head_alone = wa.scan(directory, roles="HEAD")
        assert head_alone.layers.tensors.tolist() == ["lm_head.weight"]
        assert head_alone.layers.frobenius_norm[0] == report.layers.frobenius_norm[0]
        original = head_alone.coverage.set_index("tensor").loc["transformer.wte.weight"]
        assert original.detail == "tied to lm_head.weight by the config; left out, so not compared"
        assert head_alone.summary["parameters"] == report.summary["parameters"]
    else:
        assert status.status == "analysed"
        assert report.summary["parameters"] == single.summary["parameters"] + head.numel()
        (found,) = [finding for finding in report.findings if finding.id == "tie-broken"]
        assert found.tensors == ("lm_head.weight", "transformer.wte.weight")
        assert "different values" in found.detail


def test_nan_is_counted_and_the_scan_goes_on(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    directory = tmp_path / "bert"
    shutil.copytree(tiny_checkpoints["bert"], directory)
    tensors = safetensors.torch.load_file(directory / "model.safetensors")
    tensors["bert.encoder.layer.1.attention.self.query.weight"][0, :2] = torch.tensor([torch.nan, torch.inf])
    safetensors.torch.save_file(tensors, directory / "model.safetensors")
    report = wa.scan(directory)
    clean = wa.scan(tiny_checkpoints["bert"])
    bad = report.layers.nonfinite > 0
    assert report.layers[bad][["layer", "role"]].values.tolist() == [[1, "Q"], [1, "QKV"]]
    assert report.layers[bad].spectral_norm.isna().all()
    assert report.layers[~bad].equals(clean.layers[~bad])
    assert report.summary["nonfinite"] == 2
    (found,) = [finding for finding in report.findings if finding.severity == "error"]
    assert (found.id, found.layer, found.role, found.value) == ("nonfinite", 1, "Q", 2)
    bad_part = ("--layers", "1", "--roles", "Q")
    done = weightaudit("scan", directory, *bad_part, "--csv", tmp_path / "bert.csv")
    assert done.code == 1
    assert (tmp_path / "bert.csv").exists()
    assert "error  nonfinite: 2 of 576 entries of layer 1 Q are NaN or infinite" in done.stdout
    assert weightaudit("scan", directory, *bad_part, "--fail-on", "never").code == 0


def in_one_piece(blocks: list[torch.Tensor]) -> torch.Tensor:
    """A copy of their stack, its memory as theirs: along the rows or, stored transposed, along the columns."""
    if all(block.stride(1) == 1 for block in blocks):
        return torch.cat(blocks)
    return torch.cat([block.t() for block in blocks], dim=1).t()


@pytest.mark.parametrize(("family", "method"), each_of(("bert", "exact"), ("gpt2", "krylov")))
def test_a_matrix_and_its_twin_give_the_same_numbers_to_the_last_bit(
    tiny_checkpoints: dict[str, Path], family: str, method: Literal["exact", "krylov"]
) -> None:
    """However the file has them: slices of a fused tensor, tensors of their own, blocks of one matrix."""
    rows = wa.scan(tiny_checkpoints[family], layers="1", method=method, spectrum=True).rows
    loaded = {matrix.key: matrix for matrix in wa.matrices(tiny_checkpoints[family])}
    for row in rows:
        blocks = list(map(as_tensor, loaded[row.matrix.key].blocks()))
        whole = in_one_piece(blocks)
        apart = [in_one_piece([block]) for block in torch.tensor_split(whole, [9, 22])]
        for twin in (whole, apart, [in_one_piece([block]) for block in blocks]):
            assert wa.measure(twin, method=method, name=row.matrix.key, spectrum=True) == row.spectrum
    assert {"Q", "K", "V", "QKV"} <= {row.matrix.role for row in rows}


def test_the_order_of_tensors_in_the_file_is_no_matter(tmp_path: Path) -> None:
    """Q, K and V are stored one after the other in the first file and apart in the second."""
    config = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96, "num_hidden_layers": 1}
    sizes = {"vocab_size": 70, "max_position_embeddings": 32}
    torch.manual_seed(0)
    names = [f"encoder.layer.0.attention.self.{role}.weight" for role in ("query", "key", "value")]
    shapes = dict.fromkeys(names, (64, 64)) | {"encoder.layer.0.intermediate.dense.weight": (96, 64)}
    tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
    reports: list[wa.ScanReport] = []
    for order in (list(tensors), [names[2], names[0], "encoder.layer.0.intermediate.dense.weight", names[1]]):
        directory = tmp_path / str(len(reports)) / "model"
        directory.mkdir(parents=True)
        (directory / "config.json").write_text(json.dumps({"model_type": "bert", **config, **sizes}))
        write_in_order(directory / "model.safetensors", {name: tensors[name] for name in order})
        reports.append(wa.scan(directory, method="krylov"))
    assert reports[0].layers.equals(reports[1].layers)
    qkv = next(matrix for matrix in wa.matrices(directory) if matrix.role == "QKV")
    alone = wa.measure(qkv.blocks(), method="krylov", name=qkv.key)
    assert next(row.spectrum for row in reports[0].rows if row.matrix.role == "QKV") == alone


def write_in_order(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """A safetensors file with float32 tensors in the given order (the library sorts them by name)."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)

"""`--all` and `--spec`: any checkpoint gets numbers, whatever its config says."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import weightaudit as wa
from tests.support.running import CommandLine
from tests.support.toy_spec import CONFIG, TOY
from weightaudit import AuditConfig, ScanReport
from weightaudit.batches import read_model_list, run_batch
from weightaudit.batches.executors import InlinePool
from weightaudit.batches.identity import cache_key
from weightaudit.errors import ConfigError, MappingError, UsageError
from weightaudit.parse import parse_spec
from weightaudit.records import OTHER, Place

Tensors = dict[str, torch.Tensor]
BIDI = "odd name/../\u202e<b>%{x}"


def draw(*shape: int) -> torch.Tensor:
    """Numbers whose columns differ in size, as those of what was trained do."""
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(hash(shape) % 1000))
    return numbers * torch.logspace(0, -1, shape[-1])


def vit(layers: int = 8) -> Tensors:
    found = {
        "embeddings.cls_token": draw(1, 1, 24),
        "embeddings.position_embeddings": draw(1, 17, 24),
        "embeddings.patch_embeddings.projection.weight": draw(24, 3, 4, 4),
        "embeddings.patch_embeddings.projection.bias": draw(24),
        "classifier.weight": draw(10, 24),
    }
    for layer in range(layers):
        found |= {
            f"encoder.layer.{layer}.attention.attention.{one}.weight": draw(24, 24) * (1 + layer)
            for one in ("query", "key", "value")
        }
        found[f"encoder.layer.{layer}.adapter.down"] = draw(6, 24) * 10.0 ** (layer % 3 * 2)
        found[f"encoder.layer.{layer}.layernorm_before.weight"] = draw(24)
    return found


def unet() -> Tensors:
    found = {"conv_in.weight": draw(8, 4, 3, 3), "time_embedding.linear_1.weight": draw(32, 8), BIDI: draw(4, 6)}
    for block in range(3):
        wide = 8 * 2**block
        found |= {
            f"down_blocks.{block}.resnets.0.conv1.weight": draw(wide, 8, 3, 3),
            f"down_blocks.{block}.resnets.0.norm1.weight": draw(8),
            f"down_blocks.{block}.attentions.0.transformer_blocks.0.attn1.to_q.weight": draw(wide, wide),
            f"down_blocks.{block}.resnets.0.conv1.bias": draw(wide),
        }
    return found


def model(tmp_path: Path, tensors: Tensors, config: dict[str, Any] | None, name: str = "model.safetensors") -> Path:
    save_file({key: one.contiguous() for key, one in tensors.items()}, tmp_path / name)
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


KINDS: dict[str, tuple[Callable[[], Tensors], dict[str, Any] | None, str]] = {
    "images": (partial(vit, 2), {"model_type": "vit", "hidden_size": 24}, "model.safetensors"),
    "diffusion": (unet, {"_class_name": "UNet2DConditionModel"}, "diffusion_pytorch_model.safetensors"),
    "no config": (unet, None, "weights.safetensors"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_matrix_has_numbers(kind: str, tmp_path: Path) -> None:
    made, config, name = KINDS[kind]
    tensors = made()
    report = wa.scan(model(tmp_path, tensors, config, name), all=True, spectrum=True)
    wanted = {key for key, one in tensors.items() if sum(size > 1 for size in one.shape) > 1 or one.ndim == 2}
    assert {name for row in report.rows for name in row.matrix.tensors} >= wanted
    assert len({row.matrix.key for row in report.rows}) == len(report.rows)
    for row in report.rows:
        if row.matrix.role == OTHER:
            (name,) = row.matrix.tensors
            dense = tensors[name].double().numpy().reshape(row.matrix.shape)
            sigma = np.linalg.svd(dense, compute_uv=False)
            assert row.spectrum.frobenius_norm == pytest.approx(np.linalg.norm(dense), rel=1e-6)
            assert row.spectrum.spectral_norm <= sigma[0] * (1 + 1e-6)
            assert row.spectrum.spectral_norm_upper >= sigma[0] * (1 - 1e-6)
            assert row.matrix.layer is None
    analysed = [entry for entry in report.coverage_entries if entry.status == "analysed"]
    assert {entry.tensor for entry in analysed} >= wanted
    assert report.options["all"] is True


def test_unlike_tensors_are_not_compared_with_one_another(tmp_path: Path) -> None:
    report = wa.scan(model(tmp_path, vit(), {"model_type": "vit"}), all=True)
    compared = ("outlier-norm", "outlier-stable-rank", "magnitude", "mixed-dtypes", "near-rank-one")
    assert not [finding for finding in report.findings if finding.id in compared]
    assert not [key for key in report.summary["norm_spread"] if OTHER in key]


def test_one_of_another_dtype_is_no_odd_one(tmp_path: Path) -> None:
    tensors = unet() | {"half": draw(8, 8).half()}
    report = wa.scan(model(tmp_path, tensors, None), all=True)
    assert not [finding for finding in report.findings if finding.id == "mixed-dtypes"]


def test_a_broken_one_is_found_and_named(tmp_path: Path) -> None:
    tensors = unet()
    tensors["conv_in.weight"][0, 0, 0, 0] = torch.nan
    report = wa.scan(model(tmp_path, tensors, None), all=True)
    (finding,) = [one for one in report.findings if one.id == "nonfinite"]
    assert finding.place == Place(role=OTHER, tensor="conv_in.weight")
    assert "OTHER conv_in.weight" in finding.detail
    off = wa.scan(tmp_path, all=True, ignore="nonfinite:OTHER")
    assert not [one for one in off.findings if one.id == "nonfinite"]


def test_every_output_shows_which_tensor_it_is(tmp_path: Path) -> None:
    report = wa.scan(model(tmp_path, unet(), None), all=True, spectrum=True)
    frame = report.layers
    assert OTHER in set(frame.role)
    assert set(frame.tensors) == {name for row in report.rows for name in row.matrix.tensors}
    report.to_json(tmp_path / "report.json")
    again = wa.load(tmp_path / "report.json")
    assert isinstance(again, ScanReport)
    assert again.to_json() == report.to_json()
    assert again.to_html() == report.to_html()
    said = json.loads(report.to_json())
    assert "conv_in.weight" in {one.get("tensor") for one in said["spectra"]}
    page = report.to_html()
    assert "conv_in.weight" in page
    assert "<b>%{x}" not in page
    assert "\u202e" not in page


def test_without_the_options_nothing_is_otherwise(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it has weights but no config"):
        wa.scan(model(tmp_path, unet(), None))
    assert {"all", "spec"}.isdisjoint(AuditConfig().result_options())
    with pytest.raises(UsageError, match="measured with --all"):
        wa.scan(tmp_path / "model.safetensors", roles="OTHER")


def test_roles_may_be_chosen_among_them(tmp_path: Path) -> None:
    report = wa.scan(model(tmp_path, vit(), {"model_type": "vit"}), all=True, roles="other")
    assert {row.matrix.role for row in report.rows} == {OTHER}


def test_a_base_is_compared_tensor_by_tensor(tmp_path: Path) -> None:
    base, changed = tmp_path / "base", tmp_path / "changed"
    base.mkdir()
    changed.mkdir()
    tensors = unet()
    model(base, tensors, None)
    model(changed, tensors | {"conv_in.weight": tensors["conv_in.weight"] * 1.5}, None)
    report = wa.scan(changed, all=True, base=base)
    far = {row.matrix.tensors[0]: row.base.relative_frobenius for row in report.rows if row.base}
    assert far.pop("conv_in.weight") == pytest.approx(0.5, rel=1e-6)
    assert set(far.values()) == {0.0}
    assert len(far) == len(report.rows) - 1


def toy(tmp_path: Path, config: dict[str, Any] | None = CONFIG) -> tuple[Path, Path]:
    folder = tmp_path / "toy"
    folder.mkdir()
    shapes = {"net.words": (9, 8), "score": (9, 8), "net.blocks.0.mix.all": (24, 8), "net.blocks.0.mix.out": (8, 8)}
    shapes |= {f"net.blocks.0.feed.{one}": (12, 8) for one in ("gate", "up")} | {"net.blocks.0.feed.down": (8, 12)}
    model(folder, {name: draw(*shape) for name, shape in shapes.items()}, config)
    spec = tmp_path / "my.toml"
    spec.write_text(TOY)
    return folder, spec


def test_a_spec_reads_a_model(tmp_path: Path) -> None:
    folder, spec = toy(tmp_path)
    report = wa.scan(folder, spec=spec)
    assert report.map.family == "toy"
    assert [row.matrix.role for row in report.rows if row.matrix.layer == 0] == [
        *("Q", "K", "V", "O", "QKV", "GATE", "M1", "M2"),
    ]
    said = str(parse_spec(spec))
    assert report.options["spec"] == said
    assert any(said in note for note in report.notes)
    assert said in report.to_html()
    with pytest.raises(MappingError, match="no common name fits"):
        wa.scan(folder)


def test_the_content_of_a_spec_is_part_of_what_a_scan_is(tmp_path: Path) -> None:
    _, spec = toy(tmp_path)
    keys = {cache_key("m", "s", "", AuditConfig(spec=parse_spec(spec))) for _ in range(2)}
    spec.write_text(TOY + "# another\n")
    keys |= {cache_key("m", "s", "", AuditConfig(spec=parse_spec(spec))), cache_key("m", "s", "", AuditConfig())}
    assert len(keys) == 3


def test_a_spec_goes_to_another_process(tmp_path: Path) -> None:
    config = AuditConfig(spec=parse_spec(toy(tmp_path)[1]), all=True)
    assert pickle.loads(pickle.dumps(config)) == config


def test_the_command_line_takes_both(weightaudit: CommandLine, tmp_path: Path) -> None:
    folder, spec = toy(tmp_path)
    done = weightaudit("scan", folder, "--spec", spec, "--csv", tmp_path / "out.csv")
    assert done.code == 0, done.stderr
    assert "family toy" in done.stdout + done.stderr
    checked = weightaudit("archs", "--check", folder, "--spec", spec)
    assert "model type toy, family toy" in checked.stdout
    assert "net.blocks.0.mix.all  24×8  Q K V QKV (layer 0)" in checked.stdout
    assert weightaudit("archs", "--spec", spec).stdout.startswith("toy: model types toy")
    (folder / "config.json").unlink()
    everything = weightaudit("archs", "--check", folder, "--all")
    assert "net.blocks.0.mix.all  24×8  OTHER" in everything.stdout
    broken = tmp_path / "broken.toml"
    broken.write_text("name = 3\n")
    refused = weightaudit("scan", folder, "--spec", broken)
    assert refused.code == 2
    assert "spec broken.toml: key 'name' must be a text" in refused.stderr


@pytest.mark.parametrize("inline", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_line_of_a_list_may_have_either(inline: bool, weightaudit: CommandLine, tmp_path: Path) -> None:
    """In this process, and by the command line in several."""
    folder, spec = toy(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    model(other, unet(), None)
    lines = tmp_path / "models.txt"
    lines.write_text(f"{folder} spec={spec}\n{other} all=yes\n")
    if inline:
        run_batch(read_model_list(lines, AuditConfig()), tmp_path / "out", InlinePool, threads=1, title="models")
    else:
        done = weightaudit("batch", lines, "--out", tmp_path / "out")
        assert done.code == 0, done.stderr
    reports = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").rglob("summary.json"))]
    assert {one["architecture"]["family"] for one in reports if "architecture" in one} == {"toy", "structural guess"}

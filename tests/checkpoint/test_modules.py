"""Modules that modules.json lists beside the model: read, measured, and told where they are not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import weightaudit as wa
from tests.support.hub import pointed_at, serve
from tests.support.hub.hub import folder_files
from tests.support.trained import trained, write
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}


def dense(seed: int = 0) -> dict[str, torch.Tensor]:
    return {"linear.weight": trained((32, 64), torch.Generator().manual_seed(seed)), "linear.bias": torch.ones(32)}


def listed(model: Path, **kinds: str) -> None:
    """Have modules.json list these folders after the transformer, each with its kind."""
    others = [{"path": path[1:], "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (model / "modules.json").write_text(json.dumps([TRANSFORMER, *others]))


def put(model: Path, folder: str, tensors: dict[str, torch.Tensor], file: str = "model.safetensors") -> None:
    (model / folder).mkdir(exist_ok=True)
    if file.endswith(".bin"):
        torch.save(tensors, model / folder / file)
    else:
        save_file(tensors, model / folder / file)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sound"), layers=1)


@pytest.fixture
def model(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def findings(model: Path | str) -> list[tuple[str, str]]:
    return [(one.id, one.role) for one in wa.scan(model).findings if one.id != "pickle"]


@pytest.mark.parametrize("file", ["pytorch_model.bin", pytest.param("model.safetensors", marks=pytest.mark.slow)])
def test_a_dense_module_is_measured_as_a_part_of_the_model(file: str, model: Path) -> None:
    tensors = dense()
    listed(model, _1_Pooling="Pooling", _2_Dense="Dense")
    put(model, "2_Dense", tensors, file)
    (model / "1_Pooling").mkdir()
    report = wa.scan(model)
    (row,) = [row for row in report.rows if row.matrix.role == "DENSE"]
    assert row.spectrum.frobenius_norm == pytest.approx(float(tensors["linear.weight"].norm()))
    assert row.matrix.tensors == ("2_Dense.linear.weight",)
    assert report.identity.files[-1].name == f"2_Dense/{file}"
    (matrix,) = [one for one in wa.matrices(model) if one.role == "DENSE"]
    assert torch.equal(matrix.load(), tensors["linear.weight"])
    assert findings(model) == []


def test_what_is_wrong_with_a_module_is_a_finding(model: Path) -> None:
    listed(model, _2_Dense="Dense", _3_Dense="Dense")
    put(model, "2_Dense", dense())
    broken = dense(1)
    broken["linear.weight"][3, 5] = torch.nan
    put(model, "3_Dense", broken)
    assert findings(model) == [("nonfinite", "DENSE_2")]
    put(model, "3_Dense", {**dense(1), "linear.bias": torch.full((32,), torch.inf)})
    assert [id for id, _ in findings(model)] == ["nonfinite"]


@pytest.mark.parametrize(
    ("kind", "tensors", "says"),
    [
        ("LayerNorm", {"norm.weight": torch.ones(64), "norm.bias": torch.ones(64)}, []),
        ("WeightedLayerPooling", {"layer_weights": torch.ones(13)}, []),
        ("LSTM", {"encoder.weight_ih_l0": torch.ones(64, 64)}, ["unmapped"]),
        ("Normalize", None, []),
        ("CNN", None, ["modules"]),
        ("Dense", None, ["modules"]),
        ("LSTM", None, ["modules"]),
    ],
)
def test_modules_of_other_kinds(
    kind: str, tensors: dict[str, torch.Tensor] | None, says: list[str], model: Path
) -> None:
    listed(model, _2_Other=kind)
    if tensors is not None:
        put(model, "2_Other", tensors)
        with open_checkpoint(model) as checkpoint:
            assert {f"2_Other.{name}" for name in tensors} <= checkpoint.tensors.keys()
    assert [id for id, _ in findings(model)] == says


def test_folders_that_the_list_does_not_name_are_left_alone(model: Path) -> None:
    listed(model, _1_Pooling="Pooling")
    put(model, "2_Dense", dense())
    with open_checkpoint(model) as checkpoint:
        assert not [name for name in checkpoint.tensors if name.startswith("2_Dense")]
    (model / "modules.json").unlink()
    assert findings(model) == []
    with open_checkpoint(model / "model.safetensors") as checkpoint:
        assert len(checkpoint.identity.files) == 1


@pytest.mark.parametrize(
    "path",
    [
        "./2_Dense/",
        ".//2_Dense",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("./2_Dense", "2_Dense/", "2_Dense/.")),
    ],
)
def test_a_path_may_be_written_in_any_way(path: str, model: Path) -> None:
    others = [{"path": one, "type": "x.Dense"} for one in (path, "2_Dense")]
    (model / "modules.json").write_text(json.dumps([{**TRANSFORMER, "path": "./"}, *others]))
    put(model, "2_Dense", dense())
    report = wa.scan(model)
    assert [row.matrix.tensors for row in report.rows if row.matrix.role == "DENSE"] == [("2_Dense.linear.weight",)]
    assert list(report.findings) == []


def test_modules_that_are_not_there_are_one_finding(model: Path) -> None:
    listed(model, **{f"_{i}_Dense": "Dense" for i in range(2, 60)})
    (finding,) = wa.scan(model).findings
    assert finding.id == "modules"
    assert finding.detail == (
        "modules.json lists 2_Dense (Dense), 3_Dense (Dense), 4_Dense (Dense), 5_Dense (Dense) and 54 more, "
        "which have no weights here."
    )


@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_that_leads_out_of_the_model_is_told_and_not_read(inside: bool, model: Path) -> None:
    listed(model, _2_Dense="Dense", _3_Dense="Dense")
    put(model, "3_Dense", dense())
    put(model if inside else model.parent, "elsewhere", dense(1))
    (model / "2_Dense").symlink_to("elsewhere" if inside else "../elsewhere", target_is_directory=True)
    report = wa.scan(model)
    assert sum(row.matrix.role.startswith("DENSE") for row in report.rows) == 1 + inside
    told = [one.detail for one in report.findings]
    led_out = "modules.json lists 2_Dense: the folder is a link that leads out of the model; it was not read."
    assert told == ([] if inside else [led_out])


def test_files_of_a_module_may_be_links_as_in_the_cache(model: Path) -> None:
    listed(model, _2_Dense="Dense")
    put(model.parent, "blobs", dense())
    (model / "2_Dense").mkdir()
    (model / "2_Dense" / "model.safetensors").symlink_to("../../blobs/model.safetensors")
    assert [row.matrix.role for row in wa.scan(model).rows if row.matrix.layer is None][-1:] == ["DENSE"]


HOSTILE: dict[str, Any] = {
    "a way out": [{"path": "../outside", "type": "x.Dense"}],
    "an absolute path": [{"path": "/outside", "type": "x.Dense"}],
    "a folder of a folder": [{"path": "a/b", "type": "x.Dense"}],
    "a way out by steps": [{"path": "./x/../../outside", "type": "x.Dense"}],
    "an absolute path in folders": [{"path": "//outside/", "type": "x.Dense"}],
    "control characters": [{"path": "\x1b[2J", "type": "x.Dense"}],
    "no path": [{"type": "x.Dense"}],
    "no list": {"path": "2_Dense"},
    "no objects": ["2_Dense"],
    "too many": [{"path": f"{i}", "type": "x.Dense"} for i in range(1000)],
    "no text": [{"path": 2, "type": "x.Dense"}],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_list_that_leads_elsewhere_is_told_and_not_followed(case: str, model: Path) -> None:
    put(model.parent, "outside", dense())
    (model / "modules.json").write_text(json.dumps(HOSTILE[case]))
    with open_checkpoint(model) as checkpoint:
        (fault,) = checkpoint.identity.faults
        assert fault.rule == "modules"
        assert "modules.json cannot be read" in fault.says
        assert fault.says.isprintable()
        assert len(checkpoint.identity.files) == 1


def test_a_module_is_read_from_the_hub(model: Path, tmp_path: Path) -> None:
    tensors = dense()
    listed(model, _2_Dense="Dense")
    put(model, "2_Dense", tensors)
    with (
        serve({"org/name": folder_files(model)}) as hub,
        pointed_at(hub.url, tmp_path / "home"),
        open_checkpoint("org/name") as checkpoint,
    ):
        assert torch.equal(as_tensor(checkpoint.read("2_Dense.linear.weight")), tensors["linear.weight"])
        assert checkpoint.identity.files[-1].name == "2_Dense/model.safetensors"


def test_a_download_keeps_the_modules(model: Path, tmp_path: Path) -> None:
    tensors = dense()
    listed(model, _2_Dense="Dense")
    put(model, "2_Dense", tensors)
    with serve({"org/name": folder_files(model)}) as hub, pointed_at(hub.url, tmp_path / "home"):
        open_checkpoint("org/name", download=True).close()
        hub.log.clear()
        with open_checkpoint("org/name", offline=True) as checkpoint:
            assert torch.equal(as_tensor(checkpoint.read("2_Dense.linear.weight")), tensors["linear.weight"])
            assert checkpoint.identity.faults == ()
        assert hub.log == []

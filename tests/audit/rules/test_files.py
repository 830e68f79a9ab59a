"""Files that do not belong together: shards and index, and two sets of weights beside each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.covering import in_turn, some_of
from tests.support.hub import pointed_at, serve
from tests.support.hub.hub import folder_files
from tests.support.models import build, tiny_model
from tests.support.trained import EMBED, FEW, HEAD, Tensors, name, sound, write
from weightaudit.audit.rules.files import REINDEX
from weightaudit.records import Finding

INDEX = "model.safetensors.index.json"
RULES = ("shards", "unlisted", "two-sets")


def of_files(model: Path) -> list[Finding]:
    return [one for one in wa.scan(model, roles=["EMBED"]).findings if one.id in RULES]


def _no_index(model: Path) -> None:
    (model / INDEX).unlink()


def _ghost(model: Path) -> None:
    index = json.loads((model / INDEX).read_text())
    index["weight_map"]["mtp.fc.weight"] = "model-00001-of-00003.safetensors"
    (model / INDEX).write_text(json.dumps(index))


def _swapped(model: Path) -> None:
    index = json.loads((model / INDEX).read_text())
    index["weight_map"][name(2, "k_proj")] = index["weight_map"][name(2, "v_proj")]
    (model / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize("fault", [_no_index, _ghost, _swapped])
def test_the_advice_for_shards_works(
    fault: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "model", shards=3, layers=FEW)
    assert of_files(model) == []
    fault(model)
    (finding,) = of_files(model)
    assert (finding.id, finding.severity) == ("shards", "error")
    assert f"`{REINDEX}`" in finding.advice
    monkeypatch.chdir(model)
    exec(REINDEX, {})
    assert of_files(model) == []


def test_a_stale_tensor_of_a_shard_is_a_warning_and_not_measured(tmp_path: Path) -> None:
    model = write(tmp_path / "model", shards=2, layers=FEW)
    shard = model / "model-00002-of-00002.safetensors"
    stale = {f"old.{i}": torch.full((4, 4), float("nan")) for i in range(6)}
    save_file({**load_file(shard), **stale}, shard)
    (finding,) = of_files(model)
    assert (finding.id, finding.severity, finding.tensors) == ("unlisted", "warning", tuple(sorted(stale)))
    assert "leaves out 6 tensors" in finding.detail
    assert "and 2 more" in finding.detail
    assert not [entry for entry in wa.scan(model).coverage_entries if entry.tensor in stale]


def _of_another_vocabulary(tensors: Tensors) -> None:
    for one in (EMBED, HEAD):
        tensors[one] = tensors[one][:-3].clone()


def _without_a_layer(tensors: Tensors) -> None:
    for one in [one for one in tensors if ".layers.1." in one]:
        del tensors[one]


def _with_a_head_more(tensors: Tensors) -> None:
    tensors["score.weight"] = torch.ones(3, 64)


def _trained_on(tensors: Tensors) -> None:
    tensors[name(2, "o_proj")] += 1e-3


DIFFERENCES: dict[Callable[[Tensors], None], str] = {
    _of_another_vocabulary: "2 tensors of another shape, such as 'lm_head.weight'",
    _without_a_layer: "7 matrices fewer, such as 'model.layers.1.",
    _with_a_head_more: "1 matrix more, such as 'score.weight'",
    _trained_on: "1 tensor of other values, such as 'model.layers.2.self_attn.o_proj.weight'",
}


@pytest.mark.parametrize(
    ("beside", "change"),
    in_turn(["pytorch_model.bin", INDEX, "pytorch_model.bin.index.json", "no index"], [*DIFFERENCES]),
)
def test_another_set_beside_the_one_that_was_read(
    change: Callable[[Tensors], None], beside: str, tmp_path: Path
) -> None:
    model = write(tmp_path / "model", layers=FEW)
    tensors = sound(FEW)
    _put_beside(model, tensors, beside)
    assert of_files(model) == []
    change(tensors)
    _put_beside(model, tensors, beside)
    (finding,) = of_files(model)
    assert (finding.id, finding.severity) == ("two-sets", "error")
    assert DIFFERENCES[change] in finding.detail
    assert "beside model.safetensors, which was read" in finding.detail


def _put_beside(model: Path, tensors: Tensors, beside: str) -> None:
    if beside == "pytorch_model.bin":
        torch.save(tensors, model / beside)
        return
    torch_format = beside.startswith("pytorch")
    shard = "pytorch_model-00001-of-00001.bin" if torch_format else "model-00001-of-00001.safetensors"
    if torch_format:
        torch.save(tensors, model / shard)
    else:
        save_file(tensors, model / shard)
    if beside.endswith("json"):
        (model / beside).write_text(json.dumps({"weight_map": dict.fromkeys(tensors, shard)}))


@pytest.mark.parametrize("family", some_of(["gpt2", "bert", "roberta", "phi", "gptj"], "gpt2"))
def test_the_same_model_in_both_formats_is_one_set(family: str, tmp_path: Path) -> None:
    """PyTorch's file has tied tensors and buffers that safetensors drops, and may be of the class without a head."""
    model = tiny_model(family, tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert of_files(tmp_path) == []
    model.half()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert of_files(tmp_path) == []


def test_a_prefix_and_other_names_are_no_other_set(tmp_path: Path) -> None:
    model = write(tmp_path / "model", layers=FEW)
    renamed = {one.replace("model.", "transformer."): tensor for one, tensor in sound(FEW).items()}
    torch.save(renamed, model / "pytorch_model.bin")
    assert of_files(model) == []
    torch.save({one.removeprefix("model."): tensor for one, tensor in sound(FEW).items()}, model / "pytorch_model.bin")
    assert of_files(model) == []


@pytest.mark.parametrize(
    "content",
    some_of(
        [b"", b"version https://git-lfs", b"\x80\x04cos\nsystem\n", b"PK\x03\x04 broken"],
        *[b"\x80\x04cos\nsystem\n", b"PK\x03\x04 broken"],
    ),
)
def test_what_cannot_be_read_beside_the_weights_does_not_stop_the_scan(content: bytes, tmp_path: Path) -> None:
    model = write(tmp_path / "model", layers=FEW)
    (model / "pytorch_model.bin").write_bytes(content)
    (model / INDEX).write_bytes(content)
    assert of_files(model) == []


@pytest.mark.parametrize("download", some_of([False, True], False))
def test_nothing_is_asked_of_the_hub_for_another_set(download: bool, tmp_path: Path) -> None:
    model = write(tmp_path / "model", layers=FEW)
    for beside in ("pytorch_model.bin", INDEX):
        _put_beside(model, {"w": torch.ones(2, 2)}, beside)
    with serve({"org/name": folder_files(model)}) as hub, pointed_at(hub.url, tmp_path / "home"):
        report = wa.scan("org/name", roles=["EMBED"], download=download)
        assert not [one for one in report.findings if one.id in RULES]
        asked = {request.path.rpartition("/")[2] for request in hub.log}
        assert "model.safetensors" in asked
        assert not asked & {"pytorch_model.bin", INDEX, "model-00001-of-00001.safetensors"}


def test_other_weights_than_the_usual_are_no_set(tmp_path: Path) -> None:
    model = write(tmp_path / "model", layers=FEW)
    for other in ("model.fp16.safetensors", "adapter_model.safetensors", "consolidated.safetensors"):
        save_file({"w": torch.ones(2, 2)}, model / other)
    torch.save(build("bert").state_dict(), model / "training_args.bin")
    assert of_files(model) == []

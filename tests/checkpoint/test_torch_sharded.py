"""Sharded PyTorch checkpoints: the same rules as for safetensors, and no mixture of the two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.torch_files import Applied, saved
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError
from weightaudit.records import SkippedFile

INDEX = "pytorch_model.bin.index.json"
FIRST, SECOND = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"
A, B, C = torch.full((2, 3), 1.0), torch.full((4, 2), 2.0).t(), torch.full((1, 5), 3.0)


@pytest.fixture(params=["zip", "legacy"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    saved({"a": A, "c": C}, folder / FIRST, request.param)
    saved({"b": B}, folder / SECOND, request.param)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    rewrite_index(folder, {"a": FIRST, "c": FIRST, "b": SECOND})
    return folder


def rewrite_index(model: Path, weight_map: Any) -> None:
    (model / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def refused(model: Path, cause: str) -> CheckpointError:
    with pytest.raises(CheckpointError, match=cause) as caught:
        open_checkpoint(model)
    assert caught.value.hint
    assert str(caught.value).isprintable()
    return caught.value


def test_all_shards_are_read_as_one(model: Path) -> None:
    (model / "training_args.bin").write_bytes(b"never opened")
    (model / "tf_model.h5").write_bytes(b"never opened")
    with open_checkpoint(model) as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b", "c"]
        assert [tensor.file for tensor in checkpoint.tensors.values()] == [FIRST, SECOND, FIRST]
        for name, expected in {"a": A, "b": B, "c": C}.items():
            assert torch.equal(as_tensor(checkpoint.read(name)), expected)
        assert [file.name for file in checkpoint.identity.files] == [INDEX, FIRST, SECOND]
        assert checkpoint.identity.format in ("torch zip", "torch legacy")
        assert checkpoint.identity.files[0].name == INDEX
        assert checkpoint.identity.skipped_files == (
            SkippedFile("tf_model.h5", "its format is not read here"),
            SkippedFile("training_args.bin", "left by a trainer, no weights of the model"),
        )


def test_shards_of_both_forms_may_stand_together(model: Path) -> None:
    saved({"a": A, "c": C}, model / FIRST, "zip")
    saved({"b": B}, model / SECOND, "legacy")
    with open_checkpoint(model) as checkpoint:
        assert checkpoint.identity.format == "torch zip and torch legacy"
        assert torch.equal(as_tensor(checkpoint.read("b")), B)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("../outside.bin", "not a plain file name"),
        ("/etc/passwd.bin", "not a plain file name"),
        ("C:x.bin", "not a plain file name"),
        ("sub/x.bin", "not a plain file name"),
        ("\x1b[2J.bin", "not a plain file name"),
        ("model.safetensors", r"'model.safetensors' is not a \*\.bin file"),
        ("x.pt", r"'x.pt' is not a \*\.bin file"),
        ("training_args.json", r"is not a \*\.bin file"),
    ],
)
def test_a_shard_is_a_bin_file_beside_the_index(name: str, cause: str, model: Path) -> None:
    saved({"b": B}, model.parent / "outside.bin")
    rewrite_index(model, {"a": FIRST, "c": FIRST, "b": name})
    assert refused(model, cause).thing == str(model / INDEX)


def test_a_safetensors_index_takes_no_bin(model: Path) -> None:
    (model / INDEX).rename(model / "model.safetensors.index.json")
    refused(model, rf"'{FIRST}' is not a \*\.safetensors file")


def test_a_shard_that_the_index_lists_must_be_there(model: Path) -> None:
    rewrite_index(model, {"a": FIRST, "c": FIRST, "b": "pytorch_model-00003-of-00002.bin"})
    refused(model, "shards that it lists are missing: pytor")


@pytest.mark.parametrize(
    ("weight_map", "rule", "tensor"),
    [
        ({"a": FIRST, "b": SECOND}, "unlisted", "c"),
        ({"a": SECOND, "c": FIRST, "b": SECOND}, "shards", "a"),
        ({"a": FIRST, "c": FIRST, "b": SECOND, "d": SECOND}, "shards", "d"),
    ],
)
def test_where_index_and_shards_disagree_it_is_told(
    weight_map: dict[str, str], rule: str, tensor: str, model: Path
) -> None:
    rewrite_index(model, weight_map)
    with open_checkpoint(model) as checkpoint:
        (fault,) = checkpoint.identity.faults
        assert (fault.rule, fault.tensors) == (rule, (tensor,))
        assert list(checkpoint.tensors) == sorted(weight_map.keys() & {"a", "b", "c"})
        assert torch.equal(as_tensor(checkpoint.read("a")), A)


def test_code_in_any_shard_refuses_the_model(model: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    saved({"b": B, "z": Applied(open, str(canary), "w")}, model / SECOND)
    error = refused(model, "contains code and not only weights")
    assert error.thing == str(model / SECOND)
    assert not canary.exists()


def test_of_several_broken_shards_the_first_is_told(model: Path) -> None:
    for name in (FIRST, SECOND):
        (model / name).write_bytes(b"anything")
    for _ in range(5):
        assert refused(model, "not a PyTorch file").thing == str(model / FIRST)

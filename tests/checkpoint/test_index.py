"""Sharded checkpoints: what the index says must hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support.safetensors_files import sharded
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
A, B, C = torch.full((2, 3), 1.0), torch.full((4,), 2.0), torch.full((1, 5), 3.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return sharded(tmp_path / "model", {FIRST: {"a": A, "c": C}, SECOND: {"b": B}})


def rewrite_index(model: Path, weight_map: Any) -> None:
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def refused(model: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(model)
    assert caught.value.thing.endswith("model.safetensors.index.json")
    assert caught.value.hint
    return caught.value


def test_all_shards_are_read_as_one(model: Path) -> None:
    with open_checkpoint(model) as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b", "c"]
        assert [tensor.file for tensor in checkpoint.tensors.values()] == [FIRST, SECOND, FIRST]
        for name, expected in {"a": A, "b": B, "c": C}.items():
            assert torch.equal(as_tensor(checkpoint.read(name)), expected)
        assert [file.name for file in checkpoint.identity.files] == [
            "model.safetensors.index.json",
            FIRST,
            SECOND,
        ]
        assert [file.nbytes for file in checkpoint.identity.files] == [
            (model / file.name).stat().st_size for file in checkpoint.identity.files
        ]


def test_the_index_can_be_named(model: Path) -> None:
    with open_checkpoint(model / "model.safetensors.index.json") as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b", "c"]
        assert checkpoint.identity.name == "model/model.safetensors.index.json"
        assert checkpoint.config == {"model_type": "bert"}


def test_one_shard_can_be_named(model: Path) -> None:
    with open_checkpoint(model / SECOND) as checkpoint:
        assert list(checkpoint.tensors) == ["b"]


def test_missing_shards_are_named(model: Path) -> None:
    (model / SECOND).unlink()
    assert SECOND in refused(model).cause
    assert FIRST not in refused(model).cause


def faults(model: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """What is wrong with shards and index; the tensors read are those that the index lists and a shard holds."""
    with open_checkpoint(model) as checkpoint:
        for name, tensor in checkpoint.tensors.items():
            assert torch.equal(as_tensor(checkpoint.read(name)), {"a": A, "b": B, "c": C}[name]), tensor.file
        return [(fault.rule, fault.says, fault.tensors) for fault in checkpoint.identity.faults]


def names(model: Path) -> list[str]:
    with open_checkpoint(model) as checkpoint:
        return list(checkpoint.tensors)


def test_shards_and_index_that_agree_have_no_fault(model: Path) -> None:
    assert faults(model) == []


def test_a_listed_tensor_that_no_shard_holds(model: Path) -> None:
    rewrite_index(model, {"a": FIRST, "c": FIRST, "b": SECOND, "d": SECOND})
    says = f"model.safetensors.index.json lists 1 tensor that no shard holds: 'd' ({SECOND})."
    assert faults(model) == [("shards", says, ("d",))]
    assert names(model) == ["a", "b", "c"]


def test_a_tensor_in_another_shard_than_the_index_says_is_read_where_it_is(model: Path) -> None:
    rewrite_index(model, {"a": SECOND, "c": FIRST, "b": SECOND})
    ((rule, says, tensors),) = faults(model)
    assert (rule, tensors, names(model)) == ("shards", ("a",), ["a", "b", "c"])
    assert says.endswith(f"'a' in {FIRST} and not in {SECOND}.")


def test_an_unlisted_tensor_is_left_out(model: Path) -> None:
    rewrite_index(model, {"a": FIRST, "b": SECOND})
    ((rule, says, tensors),) = faults(model)
    assert (rule, tensors, names(model)) == ("unlisted", ("c",), ["a", "b"])
    assert f"leaves out 1 tensor that its shards hold: 'c' ({FIRST})" in says


def test_a_tensor_in_two_shards_is_read_from_the_one_of_the_index(model: Path) -> None:
    save_file({"a": torch.zeros_like(A), "b": B}, model / SECOND)
    ((rule, says, tensors),) = faults(model)
    assert (rule, tensors) == ("shards", ("a",))
    assert says.endswith(f"'a' in {SECOND} and in {FIRST}.")


def test_an_index_of_another_model_is_refused(model: Path) -> None:
    rewrite_index(model, {"x": FIRST, "y": SECOND})
    assert refused(model).cause == "not one of the 2 tensors that it lists is in its shards"


@pytest.mark.parametrize("names_of_one", [{"a", "b", "c"}, {"c"}])
def test_shards_without_an_index_are_read_together(names_of_one: set[str], model: Path) -> None:
    (model / "model.safetensors.index.json").unlink()
    save_file({name: {"a": A, "b": B, "c": C}[name] for name in names_of_one | {"b"}}, model / SECOND)
    ((rule, says, _),) = faults(model)
    assert (rule, names(model)) == ("shards", ["a", "b", "c"])
    assert "no index (model.safetensors.index.json)" in says


def test_some_shards_without_an_index_are_refused(model: Path) -> None:
    (model / "model.safetensors.index.json").unlink()
    (model / FIRST).unlink()
    with pytest.raises(CheckpointError, match="neither all of one set nor their index") as caught:
        open_checkpoint(model)
    assert SECOND in caught.value.cause


ESCAPES = [
    "../outside.safetensors",
    "/etc/passwd",
    "sub/x.safetensors",
    "..\\x.safetensors",
    "C:x.safetensors",
]
UNPRINTABLE = ["", ".", "..", "x\0.safetensors", "\x1b[2J.safetensors"]


@pytest.mark.parametrize("name", ESCAPES + UNPRINTABLE)
def test_a_shard_s_name_cannot_leave_the_directory(name: str, model: Path) -> None:
    save_file({"b": B}, model.parent / "outside.safetensors")
    rewrite_index(model, {"a": FIRST, "c": FIRST, "b": name})
    error = refused(model)
    assert "not a plain file name" in error.cause
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b'\xef\xbb\xbf{"weight_map": {"a": "b"}}', "it starts with a byte-order mark"),
        (b"[]", "JSON array where an object"),
        (b"{}", "no 'weight_map'"),
        (b'{"weight_map": {}}', "'weight_map' is empty"),
        (b'{"weight_map": []}', "no 'weight_map' object"),
        (b'{"weight_map": {"a": 1}}', "no file for tensor 'a'"),
        (b'{"weight_map": {"a": "x.bin"}}', "'x.bin' is not a *.safetensors file"),
        (b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "'a' occurs twice"),
        (b"{", "not valid JSON"),
        (b"\xff", "not UTF-8"),
        (b"", "not valid JSON"),
    ],
)
def test_a_malformed_index_is_refused(content: bytes, cause: str, model: Path) -> None:
    (model / "model.safetensors.index.json").write_bytes(content)
    assert cause in refused(model).cause


def test_an_oversized_index_is_not_read(model: Path) -> None:
    with open(model / "model.safetensors.index.json", "wb") as file:
        file.truncate(200_000_000)  # sparse
    assert "200000000 bytes, more than" in refused(model).cause


def test_a_damaged_shard_is_named(model: Path) -> None:
    path = model / SECOND
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cut short") as caught:
        open_checkpoint(model)
    assert caught.value.thing == str(path)

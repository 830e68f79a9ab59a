"""Opening a model and reading its tensors."""

from __future__ import annotations

import gc
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.leaks import needs_descriptors, open_in
from tests.support.safetensors_files import entry, packed
from tests.support.trained import write
from weightaudit.architecture import map_model
from weightaudit.arrays import Array, aligned, as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.dtypes import DTYPES
from weightaudit.errors import CheckpointError, ConfigError

READABLE = [dtype for dtype in DTYPES if not dtype.packed]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with one tensor of every dtype that is read, of odd shapes, and so at odd offsets too."""
    folder = tmp_path / "model"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for i, dtype in enumerate(READABLE):
        high = 2 if dtype.kind == "bool" else 256
        raw = torch.randint(0, high, (3, 5 * dtype.bits // 8), dtype=torch.uint8, generator=generator)
        tensors[f"{i:02}.{dtype.name}"] = raw.view(dtype.torch)
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.empty(0, 7, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "bert", "limit": Infinity}')
    return folder


def bits(tensor: torch.Tensor) -> bytes:
    """The stored bytes: NaN payloads and types without comparison count too."""
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def test_every_tensor_is_read_bit_for_bit_in_its_stored_dtype(model: Path) -> None:
    expected = load_file(model / "model.safetensors")
    scratch = np.empty(1000, np.uint8)
    with open_checkpoint(model) as checkpoint:
        assert list(checkpoint.tensors) == sorted(expected)
        for name, tensor in expected.items():
            for got in map(as_tensor, (checkpoint.read(name), checkpoint.read(name, into=scratch))):
                assert got.dtype == tensor.dtype
                assert got.shape == tensor.shape
                assert bits(got) == bits(tensor)


def test_identity_and_config(model: Path) -> None:
    with open_checkpoint(str(model)) as checkpoint:
        identity = checkpoint.identity
        assert (identity.name, identity.revision, identity.location) == ("model", "", str(model))
        assert [(file.name, file.nbytes) for file in identity.files] == [
            ("model.safetensors", (model / "model.safetensors").stat().st_size)
        ]
        assert checkpoint.config == {"model_type": "bert", "limit": float("inf")}


def test_fresh_memory_is_writable_and_its_own(model: Path) -> None:
    with open_checkpoint(model) as checkpoint:
        first, second = checkpoint.read("01.float32"), checkpoint.read("01.float32")
        first.fill(0)
        assert np.count_nonzero(second) > 0
        assert np.array_equal(checkpoint.read("01.float32"), second, equal_nan=True)


def test_given_memory_is_used(model: Path) -> None:
    scratch = np.empty(1000, np.uint8)
    with open_checkpoint(model) as checkpoint:
        got = checkpoint.read("01.float32", into=scratch)
        assert got.ctypes.data == scratch.ctypes.data
        part = checkpoint.read("01.float32", into=scratch[64:])
        assert part.ctypes.data == scratch.ctypes.data + 64


@pytest.mark.parametrize(
    "into",
    [
        aligned(59),
        aligned(60).view(np.int8),
        aligned(480).reshape(8, 60),
        aligned(120)[::2],
        aligned(100)[1:],
    ],
    ids=["too small", "other dtype", "two dimensions", "strided", "misaligned"],
)
def test_unusable_memory_is_refused(into: Array, model: Path) -> None:
    with open_checkpoint(model) as checkpoint, pytest.raises(ValueError, match="into"):
        checkpoint.read("01.float32", into=into)


def test_many_threads_read_at_once(model: Path) -> None:
    expected = {name: bits(tensor) for name, tensor in load_file(model / "model.safetensors").items()}
    with open_checkpoint(model) as checkpoint, ThreadPoolExecutor(4) as pool:
        names = list(checkpoint.tensors) * 20
        assert all(
            bits(as_tensor(got)) == expected[name]
            for name, got in zip(names, pool.map(checkpoint.read, names), strict=True)
        )


@pytest.mark.parametrize("code", ["F4", "F6_E2M3", "F6_E3M2"])
def test_a_dtype_that_numpy_has_not_is_listed_but_not_read(code: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nbytes = 4 if code == "F4" else 6
    path.write_bytes(packed({"a": entry(code, [8], end=nbytes)}, bytes(nbytes)))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.tensors["a"].nbytes == nbytes
        with pytest.raises(CheckpointError, match=r"'a' is stored as float.*, which is not read here"):
            checkpoint.read("a")


def test_an_empty_tensor_of_enormous_shape(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(packed({"a": entry("F64", [2**60 - 1, 0, 1], end=0)}))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.read("a").shape == (2**60 - 1, 0, 1)


def test_a_file_that_shrinks_while_open_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1000)}, path)
    with open_checkpoint(path) as checkpoint:
        os.truncate(path, 2000)
        with pytest.raises(CheckpointError, match="it ends at 2000"):
            checkpoint.read("a")


def test_reading_after_close_fails(model: Path) -> None:
    with open_checkpoint(model) as checkpoint:
        pass
    checkpoint.close()
    with pytest.raises(ValueError, match="closed"):
        checkpoint.read("scalar")


@needs_descriptors
def test_a_failed_opening_leaves_no_file_open(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        open_checkpoint(model)
    assert open_in(model) == []


@needs_descriptors
def test_an_abandoned_checkpoint_leaves_no_file_open(model: Path) -> None:
    for _ in range(20):
        read = open_checkpoint(model).read  # as the readers of `weightaudit.matrices` hold it
        assert read("scalar").item() == 2.5
    assert open_in(model) == [str(model / "model.safetensors")]  # the last one's
    del read
    gc.collect()
    assert open_in(model) == []


def test_a_single_file_has_the_config_beside_it_or_none(model: Path) -> None:
    with open_checkpoint(model / "model.safetensors") as checkpoint:
        assert checkpoint.identity.name == "model/model.safetensors"
        assert checkpoint.config is not None
    (model / "config.json").unlink()
    with open_checkpoint(model / "model.safetensors") as checkpoint:
        assert checkpoint.config is None


def test_a_directory_needs_a_config(model: Path) -> None:
    (model / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config\.json") as caught:
        open_checkpoint(model)
    assert "name model.safetensors itself" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b"[1]", "JSON array"),
        (b"null", "JSON null"),
        (b'"x"', "JSON string"),
        (b'{"a": "\xe9"}', "not UTF-8 text \\(byte 7\\)"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * 10_000_001, "10000001 bytes, more than"),
    ],
)
def test_a_malformed_config_is_refused(content: bytes, cause: str, model: Path) -> None:
    (model / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=cause) as caught:
        open_checkpoint(model)
    assert caught.value.thing == str(model / "config.json")


def test_a_repeated_config_key_means_its_last_value(model: Path) -> None:
    content = '{"model_type": "gpt2", "model_type": "bert"}'
    (model / "config.json").write_text(content)
    with open_checkpoint(model) as checkpoint:
        assert checkpoint.config == json.loads(content) == {"model_type": "bert"}


def test_a_config_may_start_with_a_byte_order_mark(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8-sig")
    with open_checkpoint(model) as checkpoint:
        assert checkpoint.config == {"model_type": "bert"}


def test_folders_inside_a_model_are_not_entered(model: Path) -> None:
    (model / "loop").symlink_to(model, target_is_directory=True)
    (model / "model.safetensors").rename(model.parent / "elsewhere")
    (model / "onnx").mkdir()
    (model.parent / "elsewhere").rename(model / "onnx" / "model.safetensors")
    with pytest.raises(CheckpointError, match="no weights found"):
        open_checkpoint(model)


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_size": 64},
        {"model_type": ""},
        *(pytest.param(c, marks=pytest.mark.slow) for c in ({}, {"model_type": None})),
    ],
)
def test_a_config_without_model_type_beside_a_named_file_is_not_used(config: dict[str, Any], tmp_path: Path) -> None:
    model = write(tmp_path / "model")
    (model / "config.json").write_text(json.dumps(config))
    with open_checkpoint(model / "model.safetensors") as checkpoint:
        assert checkpoint.config is None
        assert "config.json beside model.safetensors has no model_type and was not used." in checkpoint.notes
        assert map_model(checkpoint.config, checkpoint.tensors).guessed
    with open_checkpoint(model) as checkpoint, pytest.raises(ConfigError, match="no model_type"):
        map_model(checkpoint.config, checkpoint.tensors)

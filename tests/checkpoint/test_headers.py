"""What all shards of a model make us read before any tensor is asked for has one bound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support import forge
from tests.support.safetensors_files import entry, packed, sharded
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import header_budget, open_checkpoint
from weightaudit.errors import CheckpointError

TOGETHER = "the headers of the model's shards have more than"


def padded(folder: Path, count: int, blanks: int) -> Path:
    """A model of ``count`` shards of one tensor each, whose headers end in so many blanks, as the format allows."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    weight_map = {f"t{i}": f"s{i}.safetensors" for i in range(count)}
    for name, shard in weight_map.items():
        header = json.dumps({name: entry()}).encode() + b" " * blanks
        (folder / shard).write_bytes(packed(header, bytes(4)))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("most", [1_000_000, pytest.param(100_000_000, marks=pytest.mark.slow)])
def test_headers_that_add_up_are_refused(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert header_budget.MAX_HEADERS == 100_000_000
    monkeypatch.setattr(header_budget, "MAX_HEADERS", most)
    monkeypatch.setattr(header_budget, "FREE", header_budget.FREE * most // 100_000_000)
    blanks = most // 6
    with pytest.raises(CheckpointError, match=f"{TOGETHER} {most} bytes together"):
        open_checkpoint(padded(tmp_path / "eight", 8, blanks))


def test_many_small_headers_do_not_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_budget, "MAX_HEADERS", 1000)
    with open_checkpoint(padded(tmp_path / "many", 50, 1000)) as checkpoint:
        assert len(checkpoint.tensors) == 50


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_pickles_and_directories_count_too(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.mkdir()
    forge.write_shards(model, suffix=suffix)
    monkeypatch.setattr(header_budget, "FREE", 0)
    monkeypatch.setattr(header_budget, "MAX_HEADERS", 100)
    with pytest.raises(CheckpointError, match=TOGETHER):
        open_checkpoint(model)


def test_one_large_header_alone_is_the_formats_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_budget, "MAX_HEADERS", 1_000_000)
    monkeypatch.setattr(header_budget, "FREE", header_budget.FREE // 100)
    with open_checkpoint(padded(tmp_path / "one", 1, 200_000)) as checkpoint:
        assert list(checkpoint.tensors) == ["t0"]


def test_the_weights_themselves_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_budget, "MAX_HEADERS", 10_000)
    monkeypatch.setattr(header_budget, "FREE", 0)
    a, b = torch.ones(100, 100), torch.ones(100, 100)
    model = sharded(tmp_path / "model", {"s1.safetensors": {"a": a}, "s2.safetensors": {"b": b}})
    with open_checkpoint(model) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("a")), a)
        assert torch.equal(as_tensor(checkpoint.read("b")), b)

"""Models split over devices as Llama's code saves them: joined, each number where it was; others refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import weightaudit as wa
from weightaudit.errors import CheckpointError

WIDTH, HIDDEN, WORDS, HEADS = 16, 24, 40, 8
Tensors = dict[str, torch.Tensor]


def whole() -> Tensors:
    """A Llama of two layers, under the names of its own code."""
    generator = torch.Generator().manual_seed(3)

    def of(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    tensors = {"tok_embeddings.weight": of(WORDS, WIDTH), "norm.weight": of(WIDTH), "output.weight": of(WORDS, WIDTH)}
    for i in range(2):
        layer = f"layers.{i}."
        for name, shape in {
            "attention.wq": (WIDTH, WIDTH),
            "attention.wk": (8, WIDTH),
            "attention.wv": (8, WIDTH),
            "attention.wo": (WIDTH, WIDTH),
            "feed_forward.w1": (HIDDEN, WIDTH),
            "feed_forward.w2": (WIDTH, HIDDEN),
            "feed_forward.w3": (HIDDEN, WIDTH),
            "attention_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
        }.items():
            tensors[f"{layer}{name}.weight"] = of(*shape)
    return tensors


def cut(tensors: Tensors, count: int, *, table: int = 1) -> list[Tensors]:
    """The parts for ``count`` devices; ``table`` is the dimension along which the embedding is cut."""

    def axis(name: str) -> int:
        return table if "tok_embeddings" in name else 1 if ".wo." in name or ".w2." in name else 0

    return [
        {
            name: tensor.chunk(count, axis(name))[i].contiguous() if tensor.dim() == 2 else tensor
            for name, tensor in tensors.items()
        }
        for i in range(count)
    ]


def written(folder: Path, parts: list[Tensors], ending: str = "pth") -> Path:
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        path = folder / f"consolidated.{number:02}.{ending}"
        if ending == "pth":
            torch.save(part, path)
        else:
            save_file(part, path)
    return folder / f"consolidated.00.{ending}"


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("table", [0, 1])
@pytest.mark.parametrize("count", [2, 4])
def test_each_number_is_where_it_was(tmp_path: Path, count: int, table: int, ending: str) -> None:
    tensors = whole()
    first = written(tmp_path / "parts", cut(tensors, count, table=table), ending)
    with wa.open_checkpoint(first) as checkpoint:
        assert checkpoint.tensors.keys() == tensors.keys()
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(checkpoint.read(name), tensor.numpy())
        assert f"{count} parts" in " ".join(checkpoint.notes)
        assert len(checkpoint.identity.files) == count


def test_the_numbers_are_those_of_the_model_in_one_piece(tmp_path: Path) -> None:
    tensors = whole()
    written(tmp_path / "parts", cut(tensors, 2))
    save_file(tensors, tmp_path / "whole.safetensors")
    one, other = wa.scan(tmp_path / "whole.safetensors"), wa.scan(tmp_path / "parts" / "consolidated.01.pth")
    assert [(row.matrix.key, row.digest) for row in one.rows] == [(row.matrix.key, row.digest) for row in other.rows]
    assert one.layers.drop(columns="model").equals(other.layers.drop(columns="model"))
    assert other.partial == ()


def test_a_directory_of_parts_and_a_config_is_the_model(tmp_path: Path) -> None:
    written(tmp_path / "m", cut(whole(), 2), "safetensors")
    sizes = {"hidden_size": WIDTH, "intermediate_size": HIDDEN, "num_hidden_layers": 2, "vocab_size": WORDS}
    config = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2, **sizes}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    report = wa.scan(tmp_path / "m")
    assert {row.matrix.role for row in report.rows} >= {"Q", "K", "V", "O", "GATE", "M1", "M2", "EMBED", "HEAD"}
    assert next(row for row in report.rows if row.matrix.role == "O").matrix.shape == (WIDTH, WIDTH)
    assert not [one for one in report.identity.skipped_files if "consolidated" in one.name]


def _of_mixtral(parts: list[Tensors]) -> None:
    for part in parts:
        part["layers.0.feed_forward.experts.0.w1.weight"] = torch.ones(4, WIDTH)


def _lacking(parts: list[Tensors]) -> None:
    del parts[1]["norm.weight"]


def _of_another_size(parts: list[Tensors]) -> None:
    parts[1]["output.weight"] = torch.ones(3, WIDTH)


def _of_another_type(parts: list[Tensors]) -> None:
    parts[1]["layers.1.attention.wq.weight"] = parts[1]["layers.1.attention.wq.weight"].half()


def _of_an_odd_table(parts: list[Tensors]) -> None:
    for part in parts:
        part["tok_embeddings.weight"] = torch.ones(WORDS, 5)


def _without_a_norm(parts: list[Tensors]) -> None:
    for part in parts:
        del part["norm.weight"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (_of_mixtral, "along which dimension 'layers.0.feed_forward.experts.0.w1.weight' was cut is not known"),
        (_lacking, "do not have the same tensors, such as 'norm.weight'"),
        (_of_another_size, "'output.weight' has not the same shape"),
        (_of_another_type, "'layers.1.attention.wq.weight' has not the same shape and data type"),
        (_of_an_odd_table, "along which dimension 'tok_embeddings.weight' was cut"),
        (_without_a_norm, "along which dimension 'tok_embeddings.weight' was cut"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[list[Tensors]], None], cause: str) -> None:
    parts = cut(whole(), 2)
    change(parts)
    first = written(tmp_path / "parts", parts)
    with pytest.raises(CheckpointError, match=re.escape(cause)) as caught:
        wa.open_checkpoint(first)
    assert "1 of 2 parts of a model split over devices" in str(caught.value)


def test_keys_that_several_devices_hold_are_not_taken_twice(tmp_path: Path) -> None:
    first = written(tmp_path / "parts", cut(whole(), 4))
    (tmp_path / "parts" / "params.json").write_text(json.dumps({"n_heads": HEADS, "n_kv_heads": 2}))
    with pytest.raises(CheckpointError, match="keys and values have 2 heads"):
        wa.open_checkpoint(first)
    for said in (4, True, "2", None):  # what is no number says nothing
        (tmp_path / "parts" / "params.json").write_text(json.dumps({"n_heads": HEADS, "n_kv_heads": said}))
        wa.open_checkpoint(first).close()


def test_a_part_that_lacks_is_told(tmp_path: Path) -> None:
    first = written(tmp_path / "parts", cut(whole(), 4))
    (tmp_path / "parts" / "consolidated.02.pth").unlink()
    with pytest.raises(CheckpointError, match="1 of 3 parts"):
        wa.open_checkpoint(first)

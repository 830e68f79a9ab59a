"""Which of a directory's files are taken for its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from weightaudit.checkpoint.select import choose, select_weights
from weightaudit.errors import CheckpointError
from weightaudit.source import open_repository

INDEX = "model.safetensors.index.json"
TAKEN = {
    "the single file": (["config.json", "model.safetensors", "vocab.txt"], "model.safetensors"),
    "the index": ([INDEX, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], INDEX),
    "the single file before the index": (["model.safetensors", INDEX], "model.safetensors"),
    "the standard name among others": (["a.safetensors", "model.safetensors"], "model.safetensors"),
    "the index before a consolidated copy": (["consolidated.safetensors", INDEX], INDEX),
    "the only other file": (
        ["weights.safetensors", "config.json", "pytorch_model.bin"],
        "weights.safetensors",
    ),
    "the only other index": (
        ["lm-00001-of-00001.safetensors", "lm.safetensors.index.json"],
        "lm.safetensors.index.json",
    ),
    "the model, not the adapter": (["adapter_model.safetensors", "w.safetensors"], "w.safetensors"),
}
REFUSED = {
    "nothing": ([], "no weights found: looked for model.safetensors, model.safetensors.index.json"),
    "no weights": (["config.json", "README.md"], "no weights found"),
    "trainer's files": (["training_args.bin", "optimizer.pt"], "no weights found"),
    "two files": (["a.safetensors", "b.safetensors"], "a.safetensors, b.safetensors"),
    "two indexes": (["a.safetensors.index.json", "b.safetensors.index.json"], "several weight files"),
    "many files": ([f"{i}.safetensors" for i in range(9)], "4.safetensors and 4 more"),
    "shards without index": (
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        "not their index model.safetensors.index.json",
    ),
    "one lone shard": (["model-00001-of-00002.safetensors"], "not their index"),
    "a lone shard and a file": (
        ["model-00001-of-00002.safetensors", "x.safetensors"],
        "several weight files",
    ),
    "only an adapter": (["adapter_model.safetensors", "adapter_config.json"], "only an adapter"),
    "pytorch": (["pytorch_model.bin"], "not in safetensors files: pytorch_model.bin"),
    "gguf": (["llama.Q4_K_M.gguf"], "not in safetensors files: llama"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_taken(case: str) -> None:
    files, expected = TAKEN[case]
    assert choose(files, where="here") == expected
    assert choose(reversed(files), where="here") == expected


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    files, cause = REFUSED[case]
    with pytest.raises(CheckpointError, match=cause) as caught:
        choose(files, where="here")
    assert caught.value.thing == "here"
    assert caught.value.hint


def test_a_file_name_cannot_steer_the_terminal() -> None:
    with pytest.raises(CheckpointError) as caught:
        choose(["\x1b[2Ja.safetensors", "\u202eb.safetensors"], where="here")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "model-00001-of-00003.safetensors", "blob"])
def test_the_file_that_the_user_names_is_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "model.safetensors").touch()
    assert select_weights(open_repository(str(tmp_path / name))) == name


@pytest.mark.parametrize(
    ("name", "cause"),
    [("pytorch_model.bin", "not a safetensors file"), ("config.json", "not a weight file")],
)
def test_a_named_file_of_another_format_is_refused(name: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=cause):
        select_weights(open_repository(str(tmp_path / name)))

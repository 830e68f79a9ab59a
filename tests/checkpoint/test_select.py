"""Which of a directory's files are taken for its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from weightaudit.checkpoint.select import choose, select_weights, skipped_files
from weightaudit.errors import CheckpointError
from weightaudit.source import open_repository

INDEX = "model.safetensors.index.json"
BIN_INDEX = "pytorch_model.bin.index.json"
TAKEN = {
    "the single file": (["config.json", "model.safetensors", "vocab.txt"], "model.safetensors"),
    "the index": ([INDEX, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], INDEX),
    "the single file before the index": (["model.safetensors", INDEX], "model.safetensors"),
    "the standard name among others": (["a.safetensors", "model.safetensors"], "model.safetensors"),
    "the index before a consolidated copy": (["consolidated.safetensors", INDEX], INDEX),
    "the only other file": (["weights.safetensors", "config.json", "weights.bin"], "weights.safetensors"),
    "pytorch before safetensors of another name": (["weights.safetensors", "pytorch_model.bin"], "pytorch_model.bin"),
    "a pytorch index before safetensors of another name": (["weights.safetensors", BIN_INDEX], BIN_INDEX),
    "pytorch among safetensors of other names": (["a.safetensors", "b.safetensors", BIN_INDEX], BIN_INDEX),
    "the only other index": (
        ["lm-00001-of-00001.safetensors", "lm.safetensors.index.json"],
        "lm.safetensors.index.json",
    ),
    "the model, not the adapter": (["adapter_model.safetensors", "w.safetensors"], "w.safetensors"),
    "safetensors before pytorch": (["model.safetensors", "pytorch_model.bin"], "model.safetensors"),
    "a safetensors index before pytorch": ([INDEX, "pytorch_model.bin"], INDEX),
    "pytorch": (["pytorch_model.bin", "training_args.bin", "vocab.txt"], "pytorch_model.bin"),
    "pytorch before its index": (["pytorch_model.bin", BIN_INDEX], "pytorch_model.bin"),
    "pytorch's index": ([BIN_INDEX, "pytorch_model-00001-of-00001.bin", "optimizer.bin"], BIN_INDEX),
    "the only .pt": (["weights.pt", "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "scaler.pt"], "weights.pt"),
    "the only .pth": (["model.pth", "adapter_model.bin", "consolidated.00.pth"], "model.pth"),
    "the only other .bin index": (["lm-00001-of-00001.bin", "lm.bin.index.json"], "lm.bin.index.json"),
    "pytorch before a consolidated copy": (["consolidated.safetensors", "pytorch_model.bin"], "pytorch_model.bin"),
    "the index that all shards of a set lack": (
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        INDEX,
    ),
    "the index that pytorch shards lack": (["pytorch_model-00001-of-00001.bin", "config.json"], BIN_INDEX),
    "a consolidated file where there is nothing else": (["consolidated.safetensors"], "consolidated.safetensors"),
}
REFUSED = {
    "nothing": ([], "no weights found: looked for model.safetensors, pytorch_model.bin"),
    "no weights": (["config.json", "README.md"], "no weights found"),
    "trainer's files": (["training_args.bin", "optimizer.pt"], "no weights found"),
    "two files": (["a.safetensors", "b.safetensors"], "a.safetensors and b.safetensors"),
    "two indexes": (["a.safetensors.index.json", "b.safetensors.index.json"], "several weight files"),
    "many files": ([f"{i}.safetensors" for i in range(9)], "4.safetensors and 4 more"),
    "shards of two sets without index": (
        ["model-00001-of-00002.safetensors", "model-00002-of-00003.safetensors"],
        "neither all of one set nor their index model.safetensors.index.json",
    ),
    "one lone shard": (["model-00001-of-00002.safetensors"], "nor their index"),
    "a lone shard and a file": (
        ["model-00001-of-00002.safetensors", "x.safetensors"],
        "several weight files",
    ),
    "only an adapter": (["adapter_model.safetensors", "adapter_config.json"], "only an adapter"),
    "only a pytorch adapter": (["adapter_model.bin", "training_args.bin"], r"only an adapter \(adapter_model.bin\)"),
    "two pytorch files": (["a.bin", "b.pth"], "several weight files .*: a.bin and b.pth"),
    "pytorch shards without index": (["pytorch_model-00001-of-00002.bin"], "nor their index pytorch_model.bin.index"),
    "slices": (["consolidated.00.pth", "consolidated.01.pth"], "several weight files .*: consolidated.00.pth"),
    "gguf": (["llama.Q4_K_M.gguf"], "in no format that is read here: llama"),
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


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "model-00001-of-00003.safetensors", "blob", "training_args.bin"]
)
def test_the_file_that_the_user_names_is_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "model.safetensors").touch()
    assert select_weights(open_repository(str(tmp_path / name)), None) == name


@pytest.mark.parametrize(
    ("name", "cause"),
    [("x.gguf", "its format is not read here"), ("config.json", "it is not a weight file")],
)
def test_a_named_file_of_another_format_is_refused(name: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=cause):
        select_weights(open_repository(str(tmp_path / name)), None)


def test_what_was_passed_over_is_told_with_its_reason() -> None:
    shards = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    files = [
        "README.md",
        "adapter_model.safetensors",
        "config.json",
        "consolidated.safetensors",
        "model.safetensors",
        "model.fp16.safetensors",
        "optimizer.pt",
        BIN_INDEX,
        *shards,
        "tf_model.h5",
    ]
    told = {entry.name: entry.why for entry in skipped_files(files, "model.safetensors", {"model.safetensors"})}
    assert told == {
        "adapter_model.safetensors": "an adapter, not the model's own weights",
        "consolidated.safetensors": "consolidated weights are taken only where there are no others",
        "model.fp16.safetensors": "model.safetensors comes first",
        "optimizer.pt": "left by a trainer, no weights of the model",
        "pytorch_model-*-of-00002.bin": "safetensors come first",
        BIN_INDEX: "safetensors come first",
        "tf_model.h5": "its format is not read here",
    }
    told = {
        entry.name: entry.why for entry in skipped_files([BIN_INDEX, *shards, "x.bin"], BIN_INDEX, {BIN_INDEX, *shards})
    }
    assert told == {"x.bin": f"{BIN_INDEX} comes first"}

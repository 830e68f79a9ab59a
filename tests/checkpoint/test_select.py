"""Which of a directory's files are taken for its weights."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.covering import some_of
from tests.support.running import CommandLine
from tests.support.trained import write
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
    "the only checkpoint of Lightning": (["last.ckpt", "hparams.yaml"], "last.ckpt"),
    "the whole, not its parts": (["w.pth", "consolidated.00.pth", "consolidated.01.pth"], "w.pth"),
    "parts that are joined": (["consolidated.00.pth", "consolidated.01.pth", "params.json"], "consolidated.00.pth"),
    "one part that is all": (["consolidated.00.pth", "params.json"], "consolidated.00.pth"),
    "a trainer's files of ranks are no parts": (["w.pt", "rng_state_rank_0.pth", "rng_state_rank_1.pth"], "w.pt"),
    "only an adapter": (["adapter_model.safetensors", "adapter_config.json"], "adapter_model.safetensors"),
    "only a pytorch adapter": (["adapter_model.bin", "training_args.bin"], "adapter_model.bin"),
    "an adapter's safetensors first": (["adapter_model.bin", "adapter_model.safetensors"], "adapter_model.safetensors"),
    "an adapter of diffusers": (["pytorch_lora_weights.safetensors"], "pytorch_lora_weights.safetensors"),
    "a gguf model, not the adapter": (["adapter_model.safetensors", "m.gguf"], "m.gguf"),
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
    "two pytorch files": (["a.bin", "b.pth"], "several weight files .*: a.bin and b.pth"),
    "pytorch shards without index": (["pytorch_model-00001-of-00002.bin"], "nor their index pytorch_model.bin.index"),
    "two checkpoints of Lightning": (["last.ckpt", "epoch=3.ckpt"], "several weight files .*: epoch=3.ckpt and last"),
    "two gguf models": (["m.Q4_K_M.gguf", "m.Q8_0.gguf"], r"2 GGUF models.*: m.Q4_K_M.gguf, m.Q8_0.gguf"),
    "gguf files that are no models": (["mmproj-f16.gguf"], "no models: mmproj-f16.gguf"),
    "flax": (["flax_model.msgpack"], "in no format that is read here: flax"),
}
PARTS = [
    ["consolidated.00.pth", "consolidated.02.pth"],
    ["consolidated.01.safetensors", "consolidated.02.safetensors"],
    ["mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"],
    ["model0-mp2.safetensors", "model1-mp2.safetensors"],
    ["pytorch_model_rank0.bin", "pytorch_model_rank1.bin"],
    ["rank_0.pt", "rank_1.pt"],
]


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


@pytest.mark.parametrize("files", PARTS)
def test_parts_of_a_split_model_are_refused_as_what_they_are(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"{files[0]} is 1 of 2 parts of a model split over devices") as caught:
        choose([*files, "params.json"], where="here")
    assert "in one piece" in caught.value.hint
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=rf"{files[1]} is 1 of 2 parts") as caught:
        select_weights(open_repository(str(tmp_path / files[1])), None)


BELOW = {
    "checkpoints of a trainer": (["checkpoint-500", "checkpoint-1500", "checkpoint-900"], "checkpoint-1500"),
    "a sentence transformer": (["0_Transformer"], "0_Transformer"),
    "several models": (["bert", "gpt2 (old)"], "bert"),
    "a cache of the Hub": (["models--org--name/snapshots/0123abcd"], "models--org--name/snapshots/0123abcd"),
}


@pytest.mark.parametrize("case", some_of(BELOW, "checkpoints of a trainer", "several models"))
def test_folders_with_weights_are_named_with_the_command_that_scans_one(
    case: str, tmp_path: Path, weightaudit: CommandLine
) -> None:
    folders, first = BELOW[case]
    here = tmp_path / "my models"
    for folder in folders:
        write(here / folder, layers=1)
    (here / "logs").mkdir()
    (here / "logs" / "optimizer.pt").touch()
    done = weightaudit("scan", here)
    assert done.code == 3
    assert all(folder in done.stderr for folder in folders)
    assert "logs" not in done.stderr
    (command,) = re.findall(r"`weightaudit (scan .+)`", done.stderr)
    assert shlex.split(command) == ["scan", str(here / first)]
    assert weightaudit(*shlex.split(command)).code == 0


def test_folders_of_a_hub_model_are_to_be_downloaded() -> None:
    files = ["0_Transformer/model.safetensors", "1_Pooling/config.json", "optimizer/optimizer.pt"]
    with pytest.raises(CheckpointError, match="in folders of it: 0_Transformer") as caught:
        choose(["modules.json"], where="https://huggingface.co/org/name", below=lambda: files)
    assert "`hf download org/name --include '0_Transformer/*' --local-dir MODEL`" in caught.value.hint
    assert "`weightaudit scan MODEL/0_Transformer`" in caught.value.hint


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
    [("x.onnx", "its format is not read here"), ("config.json", "it is not a weight file")],
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

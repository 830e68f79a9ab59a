"""A real checkpoint from before PyTorch's zip format is read, and its trainer's pickle is refused unexecuted."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import pytest
import torch

from tests.support.hub import pointed_at, serve
from tests.support.running import CommandLine
from tests.support.rxnmapper import needs_rxnmapper, rxnmapper_directory
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.checkpoint.formats.polyglot import COMMENT
from weightaudit.errors import CheckpointError
from weightaudit.records import SkippedFile

pytestmark = needs_rxnmapper
WEIGHTS, TRAINER = "pytorch_model.bin", "training_args.bin"


@pytest.fixture
def model() -> Path:
    found = rxnmapper_directory()
    assert found is not None
    return found


def check_values(checkpoint: Checkpoint, model: Path) -> None:
    expected = torch.load(model / WEIGHTS, map_location="cpu", weights_only=True)
    assert list(checkpoint.tensors) == sorted(expected)
    for name, value in expected.items():
        got = as_tensor(checkpoint.read(name))
        assert (got.dtype, got.shape) == (value.dtype, value.shape)
        assert torch.equal(got, value)


def test_it_was_saved_from_a_gpu_and_is_read_without_one(model: Path) -> None:
    data = (model / WEIGHTS).read_bytes()
    assert b"cuda:0" in data
    with open_checkpoint(model) as checkpoint:
        check_values(checkpoint, model)
        assert checkpoint.identity.format == "torch legacy"
        assert checkpoint.identity.skipped_files == (
            SkippedFile(TRAINER, "left by a trainer, no weights of the model"),
        )
        assert any(f"{len(data):,} bytes" in note for note in checkpoint.notes)
        decoder = checkpoint.tensors["predictions.decoder.weight"]
        embeddings = checkpoint.tensors["albert.embeddings.word_embeddings.weight"]
        assert decoder.offset == embeddings.offset


@pytest.mark.slow  # as a small file is by default, in tests/checkpoint/test_distant.py
def test_it_is_read_in_pieces_from_the_hub(model: Path, tmp_path: Path) -> None:
    files = {path.name: path for path in model.iterdir()}
    with serve({"org/albert": files}) as hub, pointed_at(hub.url, tmp_path / "home"):
        with open_checkpoint("org/albert") as checkpoint:
            # Its end is looked at too, for a zip archive there.
            assert hub.sent("cdn") <= 50_000 + COMMENT
            check_values(checkpoint, model)
        assert not any(request.path.endswith(TRAINER) for request in hub.log)


def test_its_trainer_s_arguments_are_no_weights_and_are_not_made(model: Path) -> None:
    imported = set(sys.modules)
    with pytest.raises(CheckpointError, match="holds something else where a dictionary of named tensors") as caught:
        open_checkpoint(model / TRAINER)
    assert caught.value.thing == str(model / TRAINER)
    assert caught.value.hint == "Name the model's weight file"
    assert set(sys.modules) == imported


def test_the_command_line(model: Path, weightaudit: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "layers.csv"
    done = weightaudit("scan", model, "--csv", out)
    assert done.code == 0, done.stderr
    assert "EMBED" in [row["role"] for row in csv.DictReader(out.open())]

    done = weightaudit("scan", model / TRAINER)
    assert (done.code, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "something else where a dictionary of named tensors belongs" in done.stderr


def test_a_directory_of_the_trainer_s_file_alone_has_no_weights(model: Path, tmp_path: Path) -> None:
    shutil.copy(model / TRAINER, tmp_path)
    shutil.copy(model / "config.json", tmp_path)
    with pytest.raises(CheckpointError, match="no weights found"):
        open_checkpoint(tmp_path)

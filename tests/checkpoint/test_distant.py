"""Files over a network: few bytes beside the tensors', several reads at once, and the same results."""

from __future__ import annotations

import json
import threading
from itertools import product
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file

from tests.support.covering import some_of
from tests.support.hub import pointed_at, serve
from tests.support.torch_files import saved
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.checkpoint.small_reads import read_pieces
from weightaudit.errors import CheckpointError
from weightaudit.source.local import LocalFile

NAMES = tuple(f"w{i:02}" for i in range(13))
TENSORS = {name: torch.full((30 + i, 50), float(i)) for i, name in enumerate(NAMES)}
TENSORS["transposed"] = torch.arange(1500.0).view(30, 50).t()
OPENING = {"safetensors": 5_000, "zip": 5_000, "legacy": 5_000 + 0xFFFF}
"""Bytes of a file that opening it may read; in the last 64 KiB of a legacy one a zip archive could be hidden."""
FORMS = tuple(OPENING)


class Reads:
    """What was read of files that pretend to be distant."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nbytes = 0
        self._lock = threading.Lock()
        real = LocalFile.read_into

        def read_into(source: LocalFile, offset: int, out: memoryview) -> None:
            with self._lock:
                self.nbytes += out.nbytes
            real(source, offset, out)

        monkeypatch.setattr(LocalFile, "read_into", read_into)
        monkeypatch.setattr(LocalFile, "distant", True)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def write(folder: Path, form: str, *, shards: int = 1) -> Path:
    """A model of `TENSORS` in so many files of that form."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    suffix, stem = (".safetensors", "model") if form == "safetensors" else (".bin", "pytorch_model")
    weight_map = {}
    for i in range(shards):
        name = f"{stem}{suffix}" if shards == 1 else f"{stem}-{i + 1:05}-of-{shards:05}{suffix}"
        part = {key: TENSORS[key] for key in list(TENSORS)[i::shards]}
        weight_map.update(dict.fromkeys(part, name))
        if form == "safetensors":
            save_file({key: value.contiguous() for key, value in part.items()}, folder / name)
        else:
            saved(part, folder / name, form)
    if shards > 1:
        (folder / f"{stem}{suffix}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def check_values(checkpoint: Checkpoint, *, ahead: int = 20_000) -> None:
    tensors = list(checkpoint.tensors.values())
    with checkpoint.reader(tensors, ahead=ahead) as read:
        for info in tensors:
            assert torch.equal(as_tensor(read(info)), TENSORS[info.name])
    assert list(checkpoint.tensors) == sorted(TENSORS)


@pytest.mark.parametrize("shards", [1, 5])
@pytest.mark.parametrize("form", FORMS)
def test_a_reader_gives_every_tensor_and_fetches_little_else(
    form: str, shards: int, tmp_path: Path, reads: Reads
) -> None:
    with open_checkpoint(write(tmp_path / "model", form, shards=shards)) as checkpoint:
        opening = reads.nbytes
        check_values(checkpoint)
    wanted = sum(value.numel() * 4 for value in TENSORS.values())
    assert reads.nbytes - opening <= 1.02 * wanted
    assert opening <= 3_000 + shards * OPENING[form] + 200 * len(TENSORS)


def test_a_reader_of_some_tensors_fetches_only_those(tmp_path: Path, reads: Reads) -> None:
    with open_checkpoint(write(tmp_path / "model", "zip")) as checkpoint:
        opening = reads.nbytes
        chosen = [checkpoint.tensors[name] for name in ("w03", "w09")]
        with checkpoint.reader(chosen, ahead=1_000_000) as read:
            assert torch.equal(as_tensor(read(checkpoint.tensors["w03"])), TENSORS["w03"])
            assert torch.equal(as_tensor(read(checkpoint.tensors["w09"])), TENSORS["w09"])
            with pytest.raises(ValueError, match="not planned, or taken already"):
                read(checkpoint.tensors["w09"])
        assert reads.nbytes - opening == sum(info.nbytes for info in chosen)


def test_a_reader_of_near_files_is_the_plain_read(tmp_path: Path) -> None:
    with open_checkpoint(write(tmp_path / "model", "zip")) as checkpoint:
        check_values(checkpoint, ahead=1)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_small_reads_go_several_at_once(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second of them waits for another, so that one by one they would never end."""
    path = write(tmp_path / "model", form)
    meeting, real = threading.Barrier(2), LocalFile.read_into
    lengths = {"zip": range(30 + 15, 30 + 30), "legacy": (8,)}[form]  # a record's header and its name; a count

    def read_into(source: LocalFile, offset: int, out: memoryview) -> None:
        if len(out) in lengths:
            try:
                meeting.wait(timeout=5)
                met.append(offset)
            except threading.BrokenBarrierError:
                meeting.reset()
        real(source, offset, out)

    met: list[int] = []
    monkeypatch.setattr(LocalFile, "read_into", read_into)
    monkeypatch.setattr(LocalFile, "distant", True)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == sorted(TENSORS)
    assert len(met) >= len(TENSORS)


def test_an_error_does_not_wait_for_other_small_reads() -> None:
    class Stuck:
        name = label = "stuck"
        size, distant = 100, True
        begun, going_on = threading.Event(), threading.Event()
        ended: ClassVar[list[bool]] = []

        def read_into(self, offset: int, out: memoryview) -> None:
            if offset == 0:
                self.begun.wait(20)
                raise CheckpointError(self.label, "it has changed while it was read")
            self.begun.set()
            self.ended.append(self.going_on.wait(20))

        def check_unchanged(self) -> None: ...

        def close(self) -> None: ...

    with pytest.raises(CheckpointError, match="it has changed"):
        read_pieces(Stuck(), [(0, 8), (8, 8)])
    assert Stuck.ended == []
    Stuck.going_on.set()


@pytest.mark.parametrize("form", FORMS)
def test_of_several_broken_shards_the_first_is_told(form: str, tmp_path: Path, reads: Reads) -> None:
    model = write(tmp_path / "model", form, shards=5)
    broken = sorted(path for path in model.iterdir() if "-of-" in path.name)[1:4]
    for path in broken:
        path.write_bytes(path.read_bytes()[:-3])
    for _ in range(5):
        with pytest.raises(CheckpointError, match="cut short") as caught:
            open_checkpoint(model)
        assert caught.value.thing == str(broken[0])


@pytest.mark.parametrize(("form", "shards"), some_of(product(["zip", "legacy"], [3, 1]), ("zip", 3)))
def test_pytorch_files_are_read_from_the_hub(form: str, shards: int, tmp_path: Path) -> None:
    model = write(tmp_path / "model", form, shards=shards)
    files = {path.name: path for path in model.iterdir()}
    with serve({"org/name": files}) as hub, pointed_at(hub.url, tmp_path / "home") as cache:
        with open_checkpoint("org/name") as checkpoint:
            opening = hub.sent("cdn")
            check_values(checkpoint)
            assert checkpoint.identity.revision == hub.sha
        wanted = sum(value.numel() * 4 for value in TENSORS.values())
        assert hub.sent("cdn") - opening <= 1.02 * wanted
        assert opening <= shards * OPENING[form] + 200 * len(TENSORS)
        assert not cache.exists()

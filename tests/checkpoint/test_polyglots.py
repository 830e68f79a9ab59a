"""Files of two formats at once: which weights they hold depends on the program, so they are refused."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.torch_files import legacy, pickled, saved_bytes, storage, tensor
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError

TENSORS = {"a": torch.arange(600.0)}


def tar_and_pickles() -> bytes:
    """A file of torch before 1.6 whose third pickle, of which nobody wants to know anything, is a tar's header."""
    parts = [0x1950A86A20F9469CFC6C, 1001]
    start = b"".join(map(pickled, parts)) + b"\x80\x02" + pickle.BINUNICODE
    header = bytearray(start + struct.pack("<I", 512 - len(start) - 4)).ljust(512, b"0")
    header[148:156] = b" " * 8
    header[156:157] = tarfile.DIRTYPE
    header[148:156] = b"%06o\0 " % sum(header)
    rest = legacy({"a": tensor(of=storage(torch.FloatStorage, "0", 6, None))})
    for _ in range(3):
        rest = rest[rest.index(pickle.STOP + pickle.PROTO) + 1 :]
    return bytes(header) + pickle.STOP + rest


def pickles_and_zip() -> bytes:
    """A file of torch before 1.6 whose last tensor is a zip archive of other weights."""
    other = np.frombuffer(saved_bytes({"a": torch.zeros(600)}), dtype=np.uint8).copy()
    return saved_bytes({**TENSORS, "z": torch.from_numpy(other)}, "legacy")


def test_the_files_are_what_they_claim(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(tar_and_pickles())
    assert tarfile.is_tarfile(path)
    with pytest.raises(RuntimeError, match=r"legacy \.tar format"):
        torch.load(path, weights_only=True)
    assert torch.load(io.BytesIO(path.read_bytes()), weights_only=True)["a"].shape == (2, 3)  # no file: no tar tried
    path.write_bytes(pickles_and_zip())
    assert zipfile.is_zipfile(path)
    assert torch.equal(torch.load(path, weights_only=True)["a"], TENSORS["a"])


def test_a_tar_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(tar_and_pickles())
    with pytest.raises(CheckpointError, match=r"tar archive too, which older versions of torch run as code.*"):
        open_checkpoint(path)


def test_a_plain_tar_archive_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="tar archive"):
        open_checkpoint(path)


def test_a_zip_archive_behind_pickles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(pickles_and_zip())
    with pytest.raises(CheckpointError, match="a zip archive is hidden in its last bytes"):
        open_checkpoint(path)


def test_the_mark_of_a_zip_archive_among_weights_is_chance(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    marked = torch.from_numpy(np.frombuffer(b"PK\x05\x06" * 50, dtype=np.uint8).copy())
    path.write_bytes(saved_bytes({"a": marked}, "legacy"))
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("a")), marked)

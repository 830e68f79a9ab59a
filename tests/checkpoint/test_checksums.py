"""A flipped bit in an archive of PyTorch is an error that names the tensor, and costs one look at each byte."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

import weightaudit as wa
from tests.support.torch_files import saved, torch_zip
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError

BASE = torch.arange(24.0).view(4, 6)
TENSORS = {"a": BASE.clone(), "b": torch.ones(5), "empty": torch.ones(0)}


def flipped(path: Path, record: str, at: int) -> None:
    """One bit of ``record`` changed, ``at`` bytes from its start."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(record))
        data = archive.read(name)
    whole = bytearray(path.read_bytes())
    whole[whole.index(data) + at] ^= 4
    path.write_bytes(whole)


@pytest.mark.parametrize("at", [0, 37, 95])
def test_a_flipped_bit_of_a_tensor(at: int, tmp_path: Path) -> None:
    path = saved(TENSORS, tmp_path / "pytorch_model.bin")
    flipped(path, "data/0", at)
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("b")), TENSORS["b"])
        assert checkpoint.read("empty").size == 0
        for _ in range(2):
            with pytest.raises(CheckpointError, match=r"tensor 'a' are damaged: its record 'pytorch_model/data/0' has"):
                checkpoint.read("a")
        with (
            checkpoint.reader(list(checkpoint.tensors.values()), ahead=1000) as read,
            pytest.raises(CheckpointError, match="tensor 'a' are damaged"),
        ):
            read(checkpoint.tensors["a"])


def test_a_flipped_bit_of_the_pickle(tmp_path: Path) -> None:
    path = saved(TENSORS, tmp_path / "pytorch_model.bin")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"X\x01\0\0\0a", b"X\x01\0\0\0c"))  # a good pickle, of another name
    assert list(torch.load(path, weights_only=True)) == ["c", "b", "empty"]
    with pytest.raises(CheckpointError, match=r"record 'pytorch_model/data\.pkl' do not have the checksum"):
        open_checkpoint(path)


def test_another_checksum_in_a_record_s_own_header(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    made = _packed_anew()
    path.write_bytes(made)
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("a")), TENSORS["a"])
    at = made.index(b"archive/data/0") - 30 + 14
    path.write_bytes(made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :])
    with pytest.raises(CheckpointError, match="'archive/data/0' has a header that contradicts"):
        open_checkpoint(path)


def _packed_anew() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": TENSORS["a"]}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return torch_zip(records["data.pkl"], {"0": records["data/0"]})


def test_pieces_of_one_storage_are_checked_when_the_last_is_read(tmp_path: Path) -> None:
    pieces = {"first": BASE[:1], "middle": BASE[1:3], "last": BASE[3:], "all": BASE, "turned": BASE.t()}
    path = saved(pieces, tmp_path / "pytorch_model.bin")
    flipped(path, "data/0", 0)
    with open_checkpoint(path) as checkpoint:
        checkpoint.read("middle")
        checkpoint.read("last")  # the first byte has not been seen
        checkpoint.read("first")
        checkpoint.read("middle")
        with pytest.raises(CheckpointError, match="tensor 'last' are damaged"):
            checkpoint.read("last")
        for name in ("all", "turned"):
            with pytest.raises(CheckpointError, match=f"tensor '{name}' are damaged"):
                checkpoint.read(name)


def test_each_byte_is_summed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved({"a": BASE, "tied": BASE, "turned": BASE.t(), "b": torch.ones(5)}, tmp_path / "pytorch_model.bin")
    with open_checkpoint(path) as checkpoint:
        summed = []
        real = zlib.crc32

        def crc32(data: Any, value: int = 0) -> int:
            summed.append(len(data))
            return real(data, value)

        monkeypatch.setattr(zlib, "crc32", crc32)
        for _ in range(3):
            for name in checkpoint.tensors:
                checkpoint.read(name)
    assert sorted(summed) == [20, 96]


def test_archives_without_checksums_are_read_and_said_to_be_so(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(TENSORS, tmp_path / "pytorch_model.bin")
    finally:
        torch.serialization.set_crc32_options(True)
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("a")), TENSORS["a"])
        said = "pytorch_model.bin was saved without checksums, so a damaged byte in it cannot be seen."
        assert said in checkpoint.notes
    with open_checkpoint(saved(TENSORS, path)) as checkpoint:
        assert said not in checkpoint.notes


def test_a_scan_ends_with_it(tmp_path: Path) -> None:
    path = saved({"encoder.layer.0.attention.self.query.weight": torch.randn(8, 8)}, tmp_path / "pytorch_model.bin")
    flipped(path, "data/0", 100)
    with pytest.raises(CheckpointError, match="are damaged"):
        wa.scan(path)

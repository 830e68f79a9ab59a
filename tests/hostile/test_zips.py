"""Zip archives made to be read in two ways, or to swell."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.hostile.attack import Attack
from tests.support import forge
from tests.support.covering import some_of
from tests.support.torch_files import VERSIONED, archive, pickled, saved_bytes, tensor, torch_zip

NAME = forge.LAYER + forge.ROLES["Q"]
FILE = "pytorch_model.bin"
PICKLE = pickled({NAME: tensor()})
ONES, TWOS = struct.pack("<6f", *[1.0] * 6), struct.pack("<6f", *[2.0] * 6)
RECORDS = {"data.pkl": PICKLE, **VERSIONED, "data/0": ONES}


def torchscript() -> bytes:
    class Program(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # but the files are out there
        torch.jit.save(torch.jit.script(Program()), buffer)
    return buffer.getvalue()


def twice(again: str) -> bytes:
    """An archive with one more record, under the name ``again``."""
    buffer = io.BytesIO(archive(RECORDS))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as file:
        warnings.simplefilter("ignore", UserWarning)  # about the very thing
        file.writestr(f"archive/{again}", TWOS)
    return buffer.getvalue()


def in_header(record: str, at: int, value: bytes) -> bytes:
    """An honest archive but for ``at`` in the record's own header."""
    whole = bytearray(torch_zip(PICKLE, {"0": ONES}))
    place = whole.index(f"archive/{record}".encode()) - 30 + at
    whole[place : place + len(value)] = value
    return bytes(whole)


def in_directory(record: str, at: int, value: bytes) -> bytes:
    """An honest archive but for ``at`` in the directory's entry of the record."""
    whole = bytearray(torch_zip(PICKLE, {"0": ONES}))
    place = whole.rindex(f"archive/{record}".encode()) - 46 + at
    whole[place : place + len(value)] = value
    return bytes(whole)


def two_directories() -> bytes:
    """An archive appended to another: readers that start at the front see the first, those that start at the end the
    second.
    """
    return torch_zip(PICKLE, {"0": ONES}) + torch_zip(PICKLE, {"0": TWOS})


def bomb(record: str) -> bytes:
    """10 MB of zeros in 10 kB."""
    return archive({**RECORDS, record: bytes(10_000_000)}, compression=zipfile.ZIP_DEFLATED)


def crowded(announced: int, records: int) -> bytes:
    """A directory of many records, each of which needs no more than 47 bytes."""
    one = b"PK\x01\x02" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    front = b"PK\x03\x04" + bytes(26)
    directory = one * records
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, announced, announced, len(directory), len(front), 0)
    return front + directory + end


def overlapping() -> bytes:
    """Two records of the same bytes, as bombs without compression make them."""
    return in_directory("data/0", 42, bytes(4))


ARCHIVES: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "compressed": (lambda: archive(RECORDS, compression=zipfile.ZIP_DEFLATED), ("is compressed", "torch.save")),
    "a bomb for a pickle": (lambda: bomb("data.pkl"), ("is compressed",)),
    "a bomb for weights": (lambda: bomb("data/0"), ("is compressed",)),
    "a bomb beside the weights": (lambda: bomb("data/9"), ("is compressed",)),
    "one record compressed": (lambda: in_directory("data/0", 10, b"\x08\0"), ("is compressed",)),
    "compressed by its own header": (lambda: in_header("data/0", 8, b"\x08\0"), ("contradicts the zip directory",)),
    "TorchScript": (torchscript, ("TorchScript archive", "Nothing of it was executed")),
    "TorchScript by its records": (
        lambda: archive({**RECORDS, "code/__torch__.py": b"import os", "constants.pkl": b"."}),
        ("TorchScript archive",),
    ),
    "one name twice": (lambda: twice("data/0"), ("occurs twice",)),
    "one name in two cases": (lambda: twice("DATA/0"), ("occurs twice",)),
    "a pickle twice": (lambda: twice("data.pkl"), ("occurs twice",)),
    "another name in the header": (lambda: in_header("data/0", 30 + 13, b"1"), ("contradicts the zip directory",)),
    "another size in the header": (lambda: in_header("data/0", 22, b"\x04"), ("contradicts the zip directory",)),
    "a longer name in the header": (lambda: in_header("data/0", 26, b"\x40\0"), ("contradicts the zip directory",)),
    "more before the data in the header": (
        lambda: in_header("data/0", 28, b"\xff\xff"),
        ("reaches into what follows",),
    ),
    "no header where it is said": (lambda: in_directory("data/0", 42, b"\x01"), ("reaches into",)),
    "another size in the directory": (lambda: in_directory("data/0", 24, b"\xff"), ("is stored, but in",)),
    "a size of 4 GB": (
        lambda: in_directory("data/0", 20, b"\xf0\xff\xff\xff" * 2),
        ("reaches into the zip directory",),
    ),
    "records on one another": (overlapping, ("reaches into another record",)),
    "encrypted": (lambda: in_directory("data/0", 8, b"\x01\0"), ("is encrypted",)),
    "a record of a folder's name": (lambda: archive({**RECORDS, "data/": b""}), ("no ordinary file",)),
    "an archive behind another": (two_directories, ("not where the archive's end says",)),
    "bytes before it": (lambda: b"PK\x03\x04" + torch_zip(PICKLE), ("not where the archive's end says",)),
    "bytes behind it": (lambda: torch_zip(PICKLE) + b"\0", ("cut short",)),
    "another archive in its comment": (
        lambda: torch_zip(PICKLE)[:-2] + struct.pack("<H", 22) + torch_zip(PICKLE)[-22:],
        ("zip directory",),
    ),
    "a crowd under a small number": (lambda: crowded(3, 500_000), ("more than the 200000 records",)),
    "a crowd": (lambda: crowded(0xFFFE, 500_000), ("more than the 200000 records",)),
    "a directory of none": (lambda: crowded(0, 0), ("zip directory",)),
    "a path outside": (lambda: archive({"../../etc/cron.d/x": b"x", **RECORDS}, folder=""), ("data.pkl",)),
    "an absolute path": (lambda: archive({"/etc/passwd": b"x", **RECORDS}), ()),
    "a name with escapes": (lambda: archive({**RECORDS, "\x1b[2J": b""}), ("control characters", r"\x1b[2J")),
    "a bidirectional name": (lambda: archive({**RECORDS, "\u202e": b""}), ("control characters", r"\u202e")),
    "a name of 2000 characters": (lambda: archive({**RECORDS, "n" * 2000: b""}), ("name of 2008 characters",)),
    "a storage that is not there": (lambda: torch_zip(PICKLE, {}), ("'data/0', which is missing",)),
    "a storage of another size": (lambda: torch_zip(PICKLE, {"0": ONES + TWOS}), ("has 48 bytes",)),
    "big-endian": (lambda: archive({**RECORDS, "byteorder": b"big"}), ("big-endian",)),
    "a byte order of its own": (lambda: archive({**RECORDS, "byteorder": b"\x1b[2J"}), ("its byte order is",)),
}


KINDS = (
    *("compressed", "a bomb for weights", "compressed by its own header", "TorchScript", "one name twice"),
    *("another size in the directory", "records on one another", "encrypted", "a record of a folder's name"),
    *("an archive behind another", "bytes behind it", "a crowd", "an absolute path", "a name with escapes"),
    *("a storage that is not there", "a storage of another size", "big-endian"),
)
"""One for each word of the refusal: `tests/checkpoint/test_torch_hostile` reads more, without outputs."""


@pytest.mark.parametrize("what", some_of(ARCHIVES, *KINDS))
def test_an_archive_that_torch_did_not_write(what: str, attack: Attack, model: Path) -> None:
    make, says = ARCHIVES[what]
    forge.write_config(model)
    (model / FILE).write_bytes(make())
    if says:
        attack.refused(model, FILE, *says)
    else:  # a record that nothing refers to is never looked at, whatever it is called
        assert [row["max_abs"] for row in attack.scanned(model).csv] == ["1"]


def test_many_tensors_of_the_same_bytes(attack: Attack, model: Path) -> None:
    """Sharing is allowed, as tied weights do; each name is measured."""
    shared = torch.randn(60, 60)
    stored = {f"layers.{i}.self_attn.{role}_proj.weight": shared for i in range(5) for role in "qkv"}
    forge.write_config(model)
    (model / FILE).write_bytes(saved_bytes(stored))
    assert os.path.getsize(model / FILE) < 20_000
    outputs = attack.scanned(model)
    assert len({row["frobenius_norm"] for row in outputs.csv if row["role"] != "QKV"}) == 1

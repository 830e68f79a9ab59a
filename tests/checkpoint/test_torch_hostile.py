"""PyTorch files that attack or deceive: nothing of them runs, and each is refused with its own cause."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.covering import covering
from tests.support.torch_files import (
    Applied,
    archive,
    legacy,
    pickled,
    saved,
    saved_bytes,
    storage,
    tensor,
    torch_zip,
)
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.formats import pickle_vm as reading
from weightaudit.checkpoint.formats import torch_legacy, zip_directory
from weightaudit.errors import CheckpointError

GOOD = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(5)}


def refused(path: Path, cause: str) -> CheckpointError:
    with pytest.raises(CheckpointError, match=cause) as caught:
        open_checkpoint(path)
    assert caught.value.thing == str(path)
    assert caught.value.hint
    assert str(caught.value).isprintable()
    return caught.value


# Objects whose unpickling would write the file `canary`, and the name that gives each away.
PAYLOADS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "os.system": (lambda canary: Applied(os.system, f"touch '{canary}'"), "(posix|nt).system"),
    "open": (lambda canary: Applied(open, str(canary), "w"), "(io|_io).open"),
    "eval": (lambda canary: Applied(eval, f"open({str(canary)!r}, 'w')"), "builtins.eval"),
    "exec": (lambda canary: Applied(exec, f"open({str(canary)!r}, 'w')"), "builtins.exec"),
    "subprocess": (
        lambda canary: Applied(subprocess.check_call, ["touch", str(canary)]),
        "(subprocess|commands).check_call",
    ),
    "import": (lambda canary: Applied(__import__, "os"), "builtins.__import__"),
    "a chain of getattr": (
        lambda canary: Applied(Applied(getattr, Applied(__import__, "os"), "system"), f"touch '{canary}'"),
        "builtins.getattr",
    ),
    "getattr on an allowed name": (
        lambda canary: Applied(getattr, torch.Size, "__class__"),
        "builtins.getattr",
    ),
    "an object's state": (
        lambda canary: Applied(torch.device, "cpu", state={"__class__": Applied(os.system, f"touch '{canary}'")}),
        "(posix|nt).system",
    ),
    "torch's own loader": (lambda canary: Applied(torch.load, str(canary)), "torch.serialization.load"),
    "a model's class": (lambda canary: torch.nn.Linear, "torch.nn.modules.linear.Linear"),
}
WRAPPED: dict[str, Callable[[Any], Any]] = {
    "alone": lambda payload: payload,
    "among tensors": lambda payload: {"a": torch.ones(2), "z": payload},
    "nested": lambda payload: {"a": {"b": [1, (payload, 2)]}, "w": torch.ones(2)},
    "as a tensor's hooks": lambda payload: {
        "a": Applied(torch._utils._rebuild_tensor_v2, 0, 0, (1,), (1,), False, payload)
    },
}


@pytest.mark.parametrize(("payload", "wrapping", "form"), covering(list(PAYLOADS), list(WRAPPED), ["zip", "legacy"]))
def test_code_is_named_and_never_executed(payload: str, wrapping: str, form: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    make, name = PAYLOADS[payload]
    path = saved(WRAPPED[wrapping](make(canary)), tmp_path / "pytorch_model.bin", form)
    error = refused(path, rf"contains code .* would use '{name}'\. Nothing of it was executed")
    assert error.exit_code == 3
    assert not canary.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_bare_pickle_with_code_is_not_executed_whatever_its_protocol(protocol: int, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "training_args.bin"
    path.write_bytes(pickle.dumps(Applied(os.system, f"touch '{canary}'"), protocol))
    refused(path, "neither a zip archive nor a pickle" if protocol < 2 else r"would use '(posix|nt)\.system'")
    path.write_bytes(torch_zip(pickle.dumps(Applied(os.system, f"touch '{canary}'"), protocol)))
    refused(path, r"would use '(posix|nt)\.system'")
    assert not canary.exists()


@pytest.mark.parametrize("payload", ["os.system", "open", "eval", "exec", "subprocess", "a chain of getattr"])
def test_the_payloads_do_work(payload: str, tmp_path: Path) -> None:
    """The canary proves something: whoever unpickles these files makes it."""
    canary = tmp_path / "canary"
    path = saved({"a": PAYLOADS[payload][0](canary)}, tmp_path / "model.bin")
    torch.load(path, weights_only=False)
    assert canary.exists()


INSTRUCTIONS = {
    "INST": (b"\x80\x02(X\x01\0\0\0xios\nsystem\n.", "would use 'os.system'"),
    "INST of a harmless name": (b"\x80\x02(icollections\nOrderedDict\n.", "the instruction INST"),
    "OBJ": (b"\x80\x02(ccollections\nOrderedDict\no.", "the instruction OBJ"),
    "EXT1": (b"\x80\x02\x82\x01.", "the instruction EXT1"),
    "a name over two lines": (b"\x80\x02cos\x1b[2J\nsys\x00tem\n.", r"would use 'os\\x1b\[2J.sys\\x00tem'"),
    "a call of a string": (b"\x80\x02X\x02\0\0\0os)R.", "calls what is no name"),
    "state of a device": (
        b"\x80\x02ctorch\ndevice\nX\x03\0\0\0cpu\x85R)b.",
        "sets the state of what is no OrderedDict",
    ),
    "state of a dictionary that has none": (b"\x80\x02}}b.", "sets the state of what is no OrderedDict"),
    "unknown instruction": (b"\x80\x02\xff.", "its pickle is damaged"),
    "nothing to take": (b"\x80\x020.", "the instruction POP"),
    "stop without a value": (b"\x80\x02.", "its pickle is damaged"),
    "an empty memo": (b"\x80\x02h\x01.", "its pickle is damaged"),
    "no end": (b"\x80\x02}", "its pickle is cut short"),
    "text beyond the end": (b"\x80\x02X\xff\xff\xff\xffabc.", "its pickle is cut short"),
    "no text": (b"\x80\x02X\x02\0\0\0\xff\xff.", "its pickle is damaged"),
    "a key without a value": (b"\x80\x02}(X\x01\0\0\0au.", "its pickle is damaged"),
    "an item of a list": (b"\x80\x02]X\x01\0\0\0aNs.", "sets an item of what is no dictionary"),
    "an append to a dictionary": (b"\x80\x02}Na.", "appends to what is no list"),
    "a storage that is none": (b"\x80\x02NQ.", "refers to something that is no tensor storage"),
    "a tuple in itself thousands deep": (b"\x80\x02}X\x01\0\0\0a)" + b"\x85" * 50_000 + b"s.", "holds no tensors"),
    "twice itself, again and again": (
        b"\x80\x02}X\x01\0\0\0a)" + b"q\x01h\x01\x86" * 5_000 + b"s.",
        "holds no tensors",
    ),
    "a terabyte of memory": (
        b"\x80\x02c__builtin__\nbytearray\n\x8a\x06\0\0\0\0\0\x01\x85R.",
        "calls 'builtins.bytearray' in a way",
    ),
}


@pytest.mark.parametrize("case", INSTRUCTIONS)
def test_a_crafted_pickle_is_refused(case: str, tmp_path: Path) -> None:
    data, cause = INSTRUCTIONS[case]
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(data))
    refused(path, cause)


@pytest.mark.parametrize("strides", [(0, 1), (1, 1)])
def test_many_views_of_the_same_bytes_are_refused(strides: tuple[int, int], tmp_path: Path) -> None:
    """Each is smaller than the file; together they grow with its square."""
    of = storage(elements=2000)
    views = {f"layers.{i}.w": tensor(of=of, shape=(2, 1500), strides=strides, offset=i % 100) for i in range(400)}
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(views, {"0": bytes(8000)}))
    refused(path, "its tensors repeat its bytes to 4800000 bytes, more than 64 times the whole file")


def test_a_layer_under_many_names_is_read(tmp_path: Path) -> None:
    one = torch.ones(64, 64)
    with open_checkpoint(saved({f"layers.{i}.w": one for i in range(48)}, tmp_path / "model.bin")) as checkpoint:
        assert len({(info.offset, info.nbytes) for info in checkpoint.tensors.values()}) == 1
        assert len(checkpoint.tensors) == 48


def test_a_pickle_of_too_many_instructions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(GOOD, tmp_path / "model.bin")
    monkeypatch.setattr(reading, "MAX_STEPS", 50)
    refused(path, "more than 50 instructions")


def repacked(change: Callable[[dict[str, bytes]], object], **options: Any) -> bytes:
    """A file of torch.save, packed anew after ``change`` of its records."""
    with zipfile.ZipFile(io.BytesIO(saved_bytes(GOOD))) as file:
        records = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
    change(records)
    return archive(records, **options)


def patched(find: bytes, replace: bytes, *, last: bool = False, base: bytes = b"") -> bytes:
    """A file with one place changed."""
    data = base or saved_bytes(GOOD)
    at = data.rindex(find) if last else data.index(find)
    return data[:at] + replace + data[at + len(find) :]


def directory_field(name: bytes, at: int, layout: str, value: int) -> bytes:
    """A file of torch.save with a field of the directory's entry for ``name`` changed, ``at`` bytes into the entry."""
    data = bytearray(saved_bytes(GOOD))
    entry = data.rindex(name) - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    struct.pack_into(layout, data, entry + at, value)
    return bytes(data)


def local_field(name: bytes, at: int, layout: str, value: int) -> bytes:
    """As `directory_field`, in the record's own header."""
    data = bytearray(saved_bytes(GOOD))
    entry = data.index(name) - 30
    assert data[entry : entry + 4] == b"PK\x03\x04"
    struct.pack_into(layout, data, entry + at, value)
    return bytes(data)


def end_field(at: int, layout: str, value: int) -> bytes:
    """As `directory_field`, ``at`` bytes from the file's end."""
    data = bytearray(saved_bytes(GOOD))
    struct.pack_into(layout, data, len(data) + at, value)
    return bytes(data)


def torchscript() -> bytes:
    """As torch.jit.save writes it: its code is compressed."""
    names = ("constants.pkl", "data.pkl", "code/__torch__.py", "version")
    return archive(dict.fromkeys(names, b"x" * 100), compression=zipfile.ZIP_DEFLATED)


def two_folders() -> bytes:
    data = torch_zip({"a": tensor()})
    at = data.rindex(b"archive/data/0")
    return patched(b"archive/data/0", b"other12/data/0", base=data[:at] + b"other12/data/0" + data[at + 14 :])


def duplicate(first: str, second: str) -> bytes:
    buffer = io.BytesIO(torch_zip({"a": tensor()}, data={}))
    with zipfile.ZipFile(buffer, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, that names repeat
        file.writestr(f"archive/{first}", bytes(24))
        file.writestr(f"archive/{second}", b"\x01" * 24)
    return buffer.getvalue()


def with_extra(extra: bytes) -> bytes:
    buffer = io.BytesIO(torch_zip({"a": tensor()}, data={}))
    with zipfile.ZipFile(buffer, "a") as file:
        info = zipfile.ZipInfo("archive/data/0")
        info.extra = extra
        file.writestr(info, bytes(24))
    return buffer.getvalue()


ZIP64_TWICE = struct.pack("<HHQ", 1, 8, 24) * 2
SIZE64 = 98  # bytes of torch's directory end
ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "it is empty"),
    "only the magic number": (lambda: b"PK\x03\x04", "cut short: the directory"),
    "cut short": (lambda: saved_bytes(GOOD)[:-1], "cut short: the directory"),
    "cut to the half": (lambda: saved_bytes(GOOD)[:1000], "cut short: the directory"),
    "trailing bytes": (lambda: saved_bytes(GOOD) + b"x", "cut short: the directory"),
    "a zip behind a zip": (lambda: saved_bytes(GOOD) * 2, "not as torch writes it"),
    "something before it": (lambda: b"PK\x03\x04" + saved_bytes(GOOD), "not as torch writes it"),
    "a comment": (lambda: end_field(-2, "<H", 3) + b"abc", "cut short: the directory"),
    "a comment that is announced": (lambda: end_field(-2, "<H", 3), "not as torch writes it"),
    "several disks": (lambda: end_field(-18, "<H", 1), "not as torch writes it"),
    "another number of records": (lambda: end_field(-12, "<H", 7), "not as torch writes it"),
    "another number of records, both": (
        lambda: patched(struct.pack("<QQ", 8, 8), struct.pack("<QQ", 7, 7), base=patched_small_count(7), last=True),
        "has 8 records, 7 were announced|belong to no record|not as torch writes it",
    ),
    "another place of the directory": (lambda: end_field(-6, "<I", 64), "not as torch writes it"),
    "the large directory end elsewhere": (lambda: end_field(-34, "<Q", 64), "not as torch writes it"),
    "no directory": (lambda: archive({}), "without the record data.pkl|neither a zip archive"),
    "damaged directory": (lambda: patched(b"PK\x01\x02", b"PK\x09\x02"), "zip directory is damaged"),
    "compressed": (lambda: repacked(lambda records: None, compression=zipfile.ZIP_DEFLATED), "is compressed"),
    "bzip2": (lambda: repacked(lambda records: None, compression=zipfile.ZIP_BZIP2), "is compressed"),
    "one record compressed": (
        lambda: directory_field(b"archive/data/0", 10, "<H", 8),
        "'archive/data/0' is compressed",
    ),
    "compressed by its own header": (lambda: local_field(b"archive/data/0", 8, "<H", 8), "contradicts the zip dir"),
    "encrypted": (lambda: directory_field(b"archive/data/0", 8, "<H", 0x809), "'archive/data/0' is encrypted"),
    "encrypted by its own header": (lambda: local_field(b"archive/data/0", 6, "<H", 0x809), "contradicts the zip dir"),
    "a patch": (lambda: directory_field(b"archive/data/0", 8, "<H", 0x828), "is no ordinary file"),
    "a folder by its attributes": (lambda: directory_field(b"archive/data/0", 38, "<I", 0x10), "is no ordinary file"),
    "on another disk": (lambda: directory_field(b"archive/data/0", 34, "<H", 1), "is no ordinary file"),
    "a folder": (lambda: repacked(lambda records: records.update({"data/": b""})), "is no ordinary file"),
    "another size in the directory": (
        lambda: directory_field(b"archive/data/0", 20, "<I", 8),
        "stored, but in 8 bytes",
    ),
    "another name in the header": (
        lambda: patched(b"archive/data/0", b"archive/data/9"),
        "'archive/data/0' has a header that contradicts",
    ),
    "another name in the directory": (
        lambda: patched(b"archive/data/0", b"archive/data/9", last=True),
        "refers to the record 'data/0', which is missing",
    ),
    "a longer name in the header": (lambda: local_field(b"archive/data/0", 26, "<H", 15), "contradicts the zip dir"),
    "another size in the header": (lambda: local_field(b"archive/data/0", 22, "<I", 23), "contradicts the zip dir"),
    "data moved by the header": (lambda: local_field(b"archive/data/0", 28, "<H", 500), "reaches into what follows"),
    "overlapping records": (lambda: directory_field(b"archive/data/1", 42, "<I", 0), "reaches into another record"),
    "a record beyond the end": (lambda: directory_field(b"archive/data/1", 42, "<I", 1 << 31), "reaches into|damaged"),
    "a record in the directory": (
        lambda: directory_field(b"archive/.data/serialization_id", 20, "<I", 2000),
        "stored, but in 2000",
    ),
    "the same name twice": (lambda: duplicate("data/0", "data/0"), "'archive/data/0' occurs twice"),
    "the same name in capitals": (lambda: duplicate("data/0", "DATA/0"), "'archive/DATA/0' occurs twice"),
    "two folders": (two_folders, "'other12/data/0' is outside the folder of the first, 'archive/'"),
    "no folder": (
        lambda: archive({"data.pkl": b"", "version": b"3"}, folder=""),
        "outside the folder|without the record",
    ),
    "control characters in a name": (
        lambda: repacked(lambda records: records.update({"\x1b[2J": b""})),
        r"'archive/\\x1b\[2J' has control characters",
    ),
    "an endless name": (lambda: repacked(lambda records: records.update({"x" * 2000: b""})), "name of 2008 characters"),
    "two sizes": (lambda: with_extra(ZIP64_TWICE), "damaged extra fields"),
    "an extra field cut short": (lambda: with_extra(b"\x02\0\x09\0"), "damaged"),
    "TorchScript": (torchscript, r"is a TorchScript archive.*Nothing of it was executed"),
    "code without constants": (
        lambda: repacked(lambda records: records.update({"code/__torch__.py": b""})),
        "TorchScript",
    ),
    "no pickle": (lambda: repacked(lambda records: records.pop("data.pkl")), "without the record data.pkl"),
    "no version": (lambda: repacked(lambda records: records.pop("version")), "without a version record"),
    "another archive": (lambda: archive({"[Content_Types].xml": b"<x/>"}), "without the record data.pkl"),
    "big-endian": (lambda: repacked(lambda records: records.update(byteorder=b"big")), "stored big-endian"),
    "middle-endian": (
        lambda: repacked(lambda records: records.update(byteorder=b"middle")),
        "its byte order is b'middle'",
    ),
    "a record missing": (lambda: repacked(lambda records: records.pop("data/1")), "'data/1', which is missing"),
    "a record too short": (
        lambda: repacked(lambda records: records.update({"data/1": bytes(16)})),
        "'data/1' has 16 bytes, its tensors' storage 20",
    ),
    "a record too long": (
        lambda: repacked(lambda records: records.update({"data/1": bytes(24)})),
        "'data/1' has 24 bytes, its tensors' storage 20",
    ),
    "one storage, two types": (
        lambda: torch_zip({"a": tensor(), "b": tensor(of=storage(torch.IntStorage))}),
        "describes the tensor storage '0' in two ways",
    ),
    "one storage, two sizes": (
        lambda: torch_zip({"a": tensor(), "b": tensor(of=storage(elements=7))}),
        "describes the tensor storage '0' in two ways",
    ),
    "a storage of negative size": (lambda: torch_zip({"a": tensor(of=storage(elements=-1))}), "a malformed tensor"),
    "a storage of enormous size": (
        lambda: torch_zip({"a": tensor(of=storage(elements=2**59))}),
        "'data/0' has 24 bytes, its tensors' storage 2305843009213693952",
    ),
    "a storage of another kind": (lambda: torch_zip({"a": tensor(of=storage(torch.Size))}), "takes 'torch.Size' for"),
    "a storage without a name": (lambda: torch_zip({"a": tensor(of=storage(key=0))}), "a malformed tensor storage"),
    "a storage elsewhere": (lambda: torch_zip({"a": tensor(of=storage(key="../x"))}), "'data/../x', which is missing"),
    "a pointer of Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "a web page": (lambda: b"<!doctype html>", "a web page"),
    "GGUF": (lambda: b"GGUF\x03\0\0\0", "a GGUF file"),
    "CTranslate2": (lambda: b"\6\0\0\0\x14\0TransformerBaseSpec\0" + b"\1\0\0\0" * 9, "a CTranslate2 model"),
    "CTranslate2 of Whisper": (lambda: b"\6\0\0\0\x0c\0WhisperSpec\0" + b"\3\0\0\0" * 9, "a CTranslate2 model"),
    "whisper.cpp": (lambda: b"lmgg" + b"\0" * 60, "whisper.cpp"),
    "old llama.cpp": (lambda: b"tjgg\3\0\0\0" + b"\0" * 60, "llama.cpp"),
    "fastText": (lambda: (793712314).to_bytes(4, "little") + b"\x0c\0\0\0" * 9, "a fastText model"),
    "NumPy": (lambda: b"\x93NUMPY\x01\0v\0" + b" " * 60, "a NumPy array"),
    "safetensors": (lambda: (2).to_bytes(8, "little") + b"{}", "looks like safetensors"),
    "anything": (lambda: b"anything", "neither a zip archive nor a pickle"),
}


def patched_small_count(count: int) -> bytes:
    data = bytearray(saved_bytes(GOOD))
    struct.pack_into("<HH", data, len(data) - 14, count, count)
    return bytes(data)


@pytest.mark.parametrize("case", ZIPS)
def test_a_zip_that_torch_did_not_write_so_is_refused(case: str, tmp_path: Path) -> None:
    make, cause = ZIPS[case]
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(make())
    refused(path, cause)


def test_an_honest_file_packed_anew_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(repacked(lambda records: None))
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("a")), GOOD["a"])


@pytest.mark.parametrize(
    ("module", "limit", "cause"),
    [
        (zip_directory, "MAX_RECORDS", "lists 8 records, more than the 7 that"),
        (zip_directory, "MAX_DIRECTORY", "bytes, more than the 7 that"),
        (zip_directory, "MAX_NAME", "name of 14 characters, more than 7"),
    ],
)
def test_limits_of_an_archive(
    module: Any, limit: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved({"a": torch.ones(2), "b": torch.ones(3)}, tmp_path / "model.bin")
    monkeypatch.setattr(module, limit, 7)
    refused(path, cause)


def test_an_oversized_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(b"N" * (reading.MAX_PICKLE + 1)))
    refused(path, f"its pickle has {reading.MAX_PICKLE + 1} bytes, more than")


LEGACY_GOOD = {"a": tensor(of=storage(torch.FloatStorage, "0", 6, None))}
LEGACY: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut short": (lambda: saved_bytes(GOOD, "legacy")[:-1], r"cut short: its tensors need \d+ bytes"),
    "cut in its pickles": (lambda: saved_bytes(GOOD, "legacy")[:300], "its pickles are cut short"),
    "only the magic number": (lambda: pickled(0x1950A86A20F9469CFC6C), "its pickles are cut short"),
    "another version": (lambda: pickled(0x1950A86A20F9469CFC6C) + pickled(1002), "an unknown version"),
    "trailing bytes": (lambda: saved_bytes(GOOD, "legacy") + b"xyz", "3 bytes after the last tensor"),
    "a storage missing from its list": (lambda: legacy(LEGACY_GOOD, keys=[]), "is not that of its pickle"),
    "a storage listed twice": (lambda: legacy(LEGACY_GOOD, keys=["0", "0"]), "is not that of its pickle"),
    "a storage that nothing uses": (lambda: legacy(LEGACY_GOOD, keys=["0", "1"]), "is not that of its pickle"),
    "a list that is none": (lambda: legacy(LEGACY_GOOD, keys={"0": 1}), "is not that of its pickle"),
    "another size before the bytes": (
        lambda: legacy(LEGACY_GOOD, {"0": (7, bytes(24))}),
        "tensor storage '0' has another size than its pickle says",
    ),
    "a storage that is a view": (
        lambda: legacy({"a": tensor(of=storage(torch.FloatStorage, "0", 6, ("1", 0, 6)))}),
        "views of others",
    ),
    "a zip's storage": (lambda: legacy({"a": tensor()}), "something that is no tensor storage"),
    "a storage before its place": (lambda: pickled(storage()), "refers to a tensor's bytes where it has none"),
}


@pytest.mark.parametrize("case", LEGACY)
def test_a_damaged_legacy_file_is_refused(case: str, tmp_path: Path) -> None:
    make, cause = LEGACY[case]
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(make())
    refused(path, cause)


def test_legacy_pickles_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(legacy(LEGACY_GOOD))
    monkeypatch.setattr(torch_legacy, "MAX_PICKLE", 200)
    refused(path, "its pickles go on beyond 200 bytes")


def test_a_safetensors_name_does_not_make_it_one(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for form, kind in (("zip", "zip archive"), ("legacy", "Python pickle")):
        path.write_bytes(saved_bytes(GOOD, form))
        refused(path, f"not safetensors, but a {kind}")


def test_opening_a_file_never_unpickles_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even with torch's restricted reader, which has let code through in versions that are still in use."""

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("unpickled")

    paths = [saved(GOOD, tmp_path / f"{form}.bin", form) for form in ("zip", "legacy")]
    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (builtins, "__build_class__")):
        monkeypatch.setattr(module, name, forbidden)
    imported = set(sys.modules)
    for path in paths:
        with open_checkpoint(path) as checkpoint:
            assert torch.equal(as_tensor(checkpoint.read("a")), GOOD["a"])
    assert set(sys.modules) == imported

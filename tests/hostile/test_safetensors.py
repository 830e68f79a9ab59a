"""Safetensors headers made to lie."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.attack import Attack
from tests.support import forge
from tests.support.covering import some_of
from tests.support.safetensors_files import entry, packed
from weightaudit import strict_json
from weightaudit.checkpoint.formats import safetensors

FILE = "model.safetensors"
NAME = forge.LAYER + forge.ROLES["Q"]
OTHER = forge.LAYER + forge.ROLES["M1"]
ONE = {NAME: entry(shape=[2, 3], end=24)}


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def one(key: str, value: bytes) -> bytes:
    """A header whose one tensor says ``value`` (JSON) under ``key``, over 24 bytes of data."""
    fields = {"dtype": b'"F32"', "shape": b"[2,3]", "data_offsets": b"[0,24]", key: value}
    inner = b",".join(b'"%s":%s' % (name.encode(), raw) for name, raw in fields.items())
    return packed(b'{"%s":{%s}}' % (NAME.encode(), inner), bytes(24))


HUGE = b"9" * 4000
# what is wrong: (the file, words that the message must hold)
FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "no bytes": (b"", ("it is empty",)),
    "length 2**64 - 1": (packed(b"{}", length=2**64 - 1), ("over the format's limit",)),
    "length 2**63": (packed(b"{}", length=2**63), ("over the format's limit",)),
    "offsets beyond the file": (packed(ONE, bytes(23)), ("cut short", "need", "download it again")),
    "offsets far beyond": (
        packed({NAME: entry(shape=[2, 3], begin=2**62, end=2**62 + 24)}, bytes(24)),
        ("belong to no tensor",),
    ),
    "offsets of 2**64": (
        packed({NAME: entry(shape=[2, 3], begin=2**64, end=2**64 + 24)}, bytes(24)),
        ("belong to no tensor",),
    ),
    "offsets of 4000 digits": (one("data_offsets", b"[%s,%s]" % (HUGE, HUGE)), ("absurdly long",)),
    "offsets backwards": (packed({NAME: entry(shape=[0], begin=24, end=0)}, bytes(24)), ("not a begin and an end",)),
    "overlap": (
        packed({NAME: entry(shape=[2, 3], end=24), OTHER: entry(shape=[2, 3], begin=20, end=44)}, bytes(44)),
        ("overlaps", OTHER),
    ),
    "the same bytes twice": (packed({**ONE, OTHER: entry(shape=[2, 3], end=24)}, bytes(24)), ("overlaps",)),
    "hole": (
        packed({NAME: entry(shape=[2, 3], end=24), OTHER: entry(shape=[2, 3], begin=28, end=52)}, bytes(52)),
        ("4 bytes between", "belong to no tensor"),
    ),
    "hole before the first": (packed({NAME: entry(begin=4, end=8)}, bytes(8)), ("between the header",)),
    "payload behind the last": (packed(ONE, bytes(24) + b"MZ"), ("2 bytes after the last tensor",)),
    "shape that overflows to its size": (
        # 2**32 * 2**32 * 6 is 0 in 64 bits.
        packed({NAME: entry(shape=[2**32, 2**32, 6], end=24)}, bytes(24)),
        ("impossible shape",),
    ),
    "shape that hides in a zero": (packed({NAME: entry(shape=[0, 2**62, 2**62], end=0)}), ("impossible shape",)),
    "shape of 4000 digits": (one("shape", b"[%s]" % HUGE), ("absurdly long",)),
    "shape of a hundred thousand dimensions": (
        one("shape", json.dumps([1] * 100_000).encode()),
        ("100000 dimensions",),
    ),
    "shape of floats": (one("shape", b"[2.0,3.0]"), ("whole numbers",)),
    "shape of booleans": (one("shape", b"[true,true]"), ("whole numbers",)),
    "shape of a negative": (one("shape", b"[-2,-3]"), ("whole numbers",)),
    "shape of minus nothing": (one("shape", b"[-0,6]"), ("whole numbers",)),
    "shape nested 10 deep": (one("shape", deep(10)), ("whole numbers",)),
    "shape nested 900 deep": (one("shape", deep(900)), ("nested too deeply",)),
    "shape nested 100,000 deep": (one("shape", deep(100_000)), ("nested too deeply",)),
    "objects nested 100,000 deep": (packed(b'{"a":' * 100_000 + b"0" + b"}" * 100_000), ("nested too deeply",)),
    "entry nested 10 deep": (packed(b'{"a":%s}' % deep(10)), ("not described by an object",)),
    "metadata nested 10 deep": (packed(b'{"__metadata__":{"a":%s}}' % deep(10)), ("not an object of strings",)),
    "an unknown data type": (one("dtype", b'"\\u001b[2J"'), ("unknown data type", "F32")),
    "a list for a data type": (one("dtype", deep(10)), ("unknown data type",)),
    "infinity": (one("shape", b"[Infinity]"), ("holds Infinity",)),
    "an exponent": (one("shape", b"[1e999]"), ("absurdly long or large",)),
    "one name twice": (
        packed(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'),
        ("'a' occurs twice",),
    ),
    "one name twice, once escaped": (packed(b'{"a":{},"\\u0061":{}}'), ("'a' occurs twice",)),
    "one key twice": (one("dtype", b'"F32","dtype":"F64"'), ("'dtype' occurs twice",)),
    "metadata twice": (packed(b'{"__metadata__":{},"__metadata__":{}}'), ("occurs twice",)),
    "bad UTF-8": (packed(b'{"\xff\xfe":1}'), ("not UTF-8",)),
    "a surrogate in UTF-8": (packed(b'{"\xed\xa0\x80":1}'), ("not UTF-8",)),
    "overlong UTF-8": (packed(b'{"\xc0\xaf":1}'), ("not UTF-8",)),
    "UTF-16": (packed('{"a":1}'.encode("utf-16-le")), ("not valid JSON", "download it again")),
    "byte-order mark": (packed(b'\xef\xbb\xbf{"a":1}'), ("its header is not JSON",)),
    "a NUL in a name": (packed({"a\0b": entry()}, bytes(4)), ("control characters",)),
    "an escape in a name": (packed({"\x1b[2Ja": entry()}, bytes(4)), ("control characters", r"\x1b[2Ja")),
    "a newline in a name": (packed({"a\nweightaudit: all is well": entry()}, bytes(4)), ("control characters",)),
    "half a character in a name": (
        packed(b'{"\\ud83d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        ("half a surrogate pair",),
    ),
    "a name of 2000 characters": (packed({"n" * 2000: entry()}, bytes(4)), ("a name of 2000 characters",)),
    "a name of a million": (packed({"n" * 1_000_000: entry()}, bytes(4)), ("1000000 characters",)),
    "a key of a million twice": (packed(b'{"%s":1,"%s":2}' % ((b"k" * 1_000_000,) * 2)), ("occurs twice",)),
    "a NUL behind the JSON": (packed(b"{}\0\0\0"), ("not valid JSON",)),
    "a header that is another file": (packed(packed(ONE, bytes(24))), ("its header is not JSON",)),
    "a pickle": (pickle.dumps({"a": 1}), ("Python pickle",)),
    "a zip": (b"PK\x03\x04" + bytes(100), ("zip archive",)),
    "a web page": (b"<html><script>alert(1)</script>" + bytes(40), ("web page",)),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ("Git LFS pointer",)),
}


FIRST = {says: what for what, (_, says) in reversed(FILES.items())}
"""One for each refusal: `tests/checkpoint/test_safetensors` has as many, without outputs."""


@pytest.mark.parametrize("what", some_of(FILES, *FIRST.values()))
def test_a_lying_file_is_refused(what: str, attack: Attack, model: Path) -> None:
    content, says = FILES[what]
    forge.write_config(model)
    (model / FILE).write_bytes(content)
    attack.refused(model, FILE, *says)


BY_NAME = ("no bytes", "hole", "shape nested 900 deep", "an escape in a name", "a pickle")
"""One for each part of the reader."""


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.slow] * (what not in BY_NAME)) for what in FILES]
)
def test_a_lying_file_named_by_itself_is_no_better(what: str, attack: Attack, model: Path) -> None:
    content, says = FILES[what]
    forge.write_config(model)
    (model / FILE).write_bytes(content)
    attack.refused(model / FILE, FILE, *says)


@pytest.mark.parametrize("what", ["overlap", "offsets beyond the file", "shape that overflows to its size", "a pickle"])
def test_a_lying_shard_is_refused(what: str, attack: Attack, model: Path) -> None:
    content, says = FILES[what]
    shard = list(forge.write_shards(model).values())[1]
    (model / shard).write_bytes(content)
    attack.refused(model, shard, *says)


def test_a_header_of_101_mb_is_not_read(attack: Attack, model: Path) -> None:
    forge.write_config(model)
    with open(model / FILE, "wb") as file:
        file.write((101_000_000).to_bytes(8, "little") + b"{")
        file.truncate(300_000_000)  # sparse
    attack.refused(model, FILE, "101000000 bytes, over the format's limit of 100000000")


@pytest.mark.parametrize("allowed", [10_000, pytest.param(100_000_000, marks=pytest.mark.slow)])
def test_a_header_as_long_as_is_allowed_and_empty_is_refused(
    allowed: int, attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert safetensors.MAX_HEADER == 100_000_000
    monkeypatch.setattr(safetensors, "MAX_HEADER", allowed)
    forge.write_config(model)
    for length, says in ((allowed, "not valid JSON"), (allowed + 1, f"over the format's limit of {allowed}")):
        with open(model / FILE, "wb") as file:
            file.write(length.to_bytes(8, "little") + b"{")
            file.truncate(length + 8)  # sparse: NULs, which are no JSON
        attack.refused(model, FILE, says)


@pytest.mark.parametrize("value", [b"[],", b"{},", b'"a":0,', b"0,"])
def test_values_without_end_are_refused_before_they_fill_the_memory(
    value: bytes, attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.write_config(model)
    monkeypatch.setattr(strict_json, "MAX_VALUES", 10_000)
    (model / FILE).write_bytes(packed(b'{"a":[' + value * 10_001 + b"0]}"))
    attack.refused(model, FILE, "more than 10000 values")


def test_many_tensors_are_refused(attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors, "MAX_TENSORS", 100)
    forge.write_config(model)
    (model / FILE).write_bytes(packed({f"t{i}": entry(shape=[0], end=0) for i in range(101)}))
    attack.refused(model, FILE, "it lists 101 tensors")


@pytest.mark.parametrize("shape", [[2**40, 1], [2**20, 2**20]], ids=str)
def test_a_matrix_larger_than_any_memory_is_told_as_that(shape: list[int], attack: Attack, model: Path) -> None:
    forge.write_config(model)
    size = 4 * shape[0] * shape[1]
    with open(model / FILE, "wb") as file:
        file.write(packed({NAME: entry(shape=shape, end=size)}))
        try:
            file.truncate(file.tell() + size)  # sparse: it takes no room on the disk
        except OSError:
            pytest.skip("this file system has no files of that size")
    attack.refused(model, NAME, "must be held at once", "--roles")


def test_nothing_is_believed_of_an_entry_beyond_the_format(attack: Attack, model: Path) -> None:
    """Unknown keys are passed over, as the reference library does, whatever is in them."""
    forge.write_config(model)
    extra: dict[str, Any] = {"requires_grad": True, "location": "/etc/passwd", "x": [[[]]]}
    header = {NAME: {**entry(shape=[2, 3], end=24), **extra}, "__metadata__": {"format": "</script><script>"}}
    (model / FILE).write_bytes(packed(header, b"\0\0\x80\x3f" * 6))
    outputs = attack.scanned(model)
    assert [row["frobenius_norm"] for row in outputs.csv] == ["2.44948974"]

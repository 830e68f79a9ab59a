"""Header validation: each hostile file has its own cause, and the reference library agrees."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tests.support.examples import at_most
from tests.support.safetensors_files import entry, packed
from weightaudit.checkpoint.formats.safetensors import Header, read_header
from weightaudit.dtypes import BY_CODE, DTYPES
from weightaudit.errors import CheckpointError
from weightaudit.source.local import LocalFile


def header_of(path: Path) -> Header:
    source = LocalFile(path, name=path.name)
    try:
        return read_header(source)
    finally:
        source.close()


def reference_accepts(path: Path) -> bool:
    try:
        with safe_open(path, framework="np"):
            return True
    except SafetensorError:
        return False


ONE = packed({"a": entry()}, b"0000")
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "shorter than its prefix": (b"\x05\0\0", "cut short"),
    "prefix only": (b"\x02" + bytes(7), "cut short"),
    "header cut": (ONE[:30], "cut short"),
    "data cut": (ONE[:-1], r"cut short: its tensors need \d+ bytes, the file has \d+"),
    "no data": (packed({"a": entry()}), "cut short"),
    "header over 100 MB": (packed(b"", length=100_000_001), "100000001 bytes, over the format's limit"),
    "length 2**64-1": (packed(b"{}", length=2**64 - 1), "over the format's limit"),
    "git lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "Git LFS pointer",
    ),
    "pickle": (b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01u.", "Python pickle"),
    "zip": (b"PK\x03\x04" + bytes(60), "zip archive"),
    "gguf": (b"GGUF\x03\0\0\0" + b"\1" * 60, "GGUF"),
    "web page": (b"<!doctype html><html>not found</html>", "web page"),
    "bare json": (b'{"a": 1, "b": 2, "c": 3}', "starts with JSON"),
    "bad utf-8": (packed(b'{"\xff":1}'), "not UTF-8"),
    "no json": (packed(b"{nothing"), "not valid JSON"),
    "nested deeply": (packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "long number": (packed(b'{"a":' + b"1" * 9_000 + b"}"), "absurdly long"),
    "nan": (packed(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', b"0000"), "holds NaN"),
    "nested 200 deep where nobody looks": (
        packed(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":%s}}' % (b"[" * 200 + b"]" * 200), b"0000"),
        "nested too deeply",
    ),
    "nested 10 deep": (packed(b'{"a":' + b"[" * 10 + b"]" * 10 + b"}"), "not described by an object"),
    "metadata 10 deep": (packed(b'{"__metadata__":' + b'{"x":' * 10 + b"1" + b"}" * 11), "__metadata__"),
    "infinite where nobody looks": (
        packed(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1e999}}', b"0000"),
        "absurdly long or large",
    ),
    "lone surrogate where nobody looks": (
        packed(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":["\\udc00"]}}', b"0000"),
        "half a surrogate pair",
    ),
    "lone surrogate in the metadata": (packed(b'{"__metadata__":{"x":"\\uD800"}}'), "half a surrogate pair"),
    "array": (packed([]), "header is not JSON"),
    "trailing nul": (packed(b"{}\0"), "not valid JSON"),
    "lone surrogate": (
        packed(b'{"\\ud800":' + b'{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        "half a surrogate pair",
    ),
    "metadata not strings": (packed({"__metadata__": {"x": 1}}), "__metadata__"),
    "metadata a list": (packed({"__metadata__": []}), "__metadata__"),
    "entry a number": (packed({"a": 1}), "not described by an object"),
    "no dtype": (packed({"a": {"shape": [0], "data_offsets": [0, 0]}}), "no 'dtype'"),
    "no shape": (packed({"a": {"dtype": "F32", "data_offsets": [0, 0]}}), "no 'shape'"),
    "no offsets": (packed({"a": {"dtype": "F32", "shape": [0]}}), "no 'data_offsets'"),
    "unknown dtype": (packed({"a": entry("F33")}, b"0000"), "unknown data type 'F33'"),
    "lower-case dtype": (packed({"a": entry("f32")}, b"0000"), "unknown data type"),
    "dtype a list": (packed({"a": entry(["F32"])}, b"0000"), "unknown data type"),
    "dtype twice": (
        packed(b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"0000"),
        "'dtype' occurs twice",
    ),
    "shape a number": (packed({"a": entry(shape=1)}, b"0000"), "not a list of whole numbers"),
    "shape null": (packed({"a": entry(shape=None)}, b"0000"), "not a list of whole numbers"),
    "negative size": (packed({"a": entry(shape=[-1])}, b"0000"), "not a list of whole numbers"),
    "float size": (packed({"a": entry(shape=[1.0])}, b"0000"), "not a list of whole numbers"),
    "minus zero": (
        packed(b'{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'),
        "not a list of whole numbers",
    ),
    "true size": (packed({"a": entry(shape=[True])}, b"0000"), "not a list of whole numbers"),
    "overflow": (packed({"a": entry(shape=[2**40, 2**40])}, b"0000"), "impossible shape"),
    "overflow beside 0": (packed({"a": entry(shape=[2**63, 2, 0], end=0)}), "impossible shape"),
    "size over 64 bits": (packed({"a": entry(shape=[2**64, 0], end=0)}), "impossible shape"),
    "offsets reversed": (packed({"a": entry(begin=4, end=0)}, b"0000"), "begin and an end"),
    "offsets negative": (packed({"a": entry(begin=-4, end=0)}, b"0000"), "begin and an end"),
    "three offsets": (
        packed({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, b"0000"),
        "begin and an end",
    ),
    "one offset": (
        packed({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, b"0000"),
        "begin and an",
    ),
    "shape and offsets differ": (packed({"a": entry(shape=[2])}, b"0000"), "takes 8 bytes by its shape"),
    "half a byte": (packed({"a": entry("F4", [3], end=1)}, b"0"), "within a byte"),
    "overlap": (
        packed({"a": entry(), "b": entry(begin=2, end=6)}, b"000000"),
        "tensor 'b' overlaps tensor 'a'",
    ),
    "same bytes twice": (packed({"a": entry(), "b": entry()}, b"0000"), "overlaps"),
    "hole": (
        packed({"a": entry(), "b": entry(begin=8, end=12)}, b"0" * 12),
        "4 bytes between tensor 'a' and",
    ),
    "hole at the start": (
        packed({"a": entry(begin=4, end=8)}, b"0" * 8),
        "between the header and tensor 'a'",
    ),
    "trailing data": (packed({"a": entry()}, b"00000"), "1 bytes after the last tensor"),
    "data of no tensor": (packed({}, b"0"), "1 bytes after"),
    "far beyond the end": (
        packed({"a": entry("U8", [2**59], end=2**59)}),
        "cut short",
    ),
}

# What the reference library lets through and this reader does not, on purpose.
STRICTER: dict[str, tuple[bytes, str]] = {
    "name twice": (
        packed(b'{"a":%s,"a":%s}' % ((b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}',) * 2), b"0000"),
        "'a' occurs twice",
    ),
    "leading blank": (packed(b" {}"), "header is not JSON"),
    "escape sequence in a name": (
        packed({"a\x1b[2J": entry()}, b"0000"),
        r"'a\\x1b\[2J' has control characters",
    ),
    "endless name": (packed({"a" * 2000: entry()}, b"0000"), "name of 2000 characters"),
    "65 dimensions": (packed({"a": entry(shape=[1] * 65)}, b"0000"), "65 dimensions"),
    "tensor as an array": (packed(b'{"a":["F32",[1],[0,4]]}', b"0000"), "not described by an object"),
    "more bytes than numpy counts": (packed({"a": entry(shape=[2**60, 0], end=0)}), "impossible shape"),
}

GOOD: dict[str, bytes] = {
    "no tensors": packed({}),
    "metadata only": packed({"__metadata__": {"format": "pt"}}),
    "null metadata": packed({"__metadata__": None}),
    "padded": packed(b"{}      "),
    "one": ONE,
    "scalar": packed({"a": entry(shape=[])}, b"0000"),
    "empty tensors": packed(
        {"a": entry(shape=[0], end=0), "b": entry(), "c": entry(shape=[3, 0], begin=4, end=4)}, b"0000"
    ),
    "stored out of name order": packed({"z": entry(), "a": entry(begin=4, end=8)}, b"00001111"),
    "unknown keys": packed({"a": {**entry(), "note": "x"}}, b"0000"),
    "odd offset": packed({"a": entry("U8", [1], end=1), "b": entry(begin=1, end=5)}, b"12345"),
    "unnamed": packed({"": entry()}, b"0000"),
    "a whole surrogate pair": packed({"\U0001f600": entry()}, b"0000"),
    "10 deep where nobody looks": packed({"a": {**entry(), "x": [[[[[[[[[[1e9]]]]]]]]]]}}, b"0000"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_its_cause(case: str, tmp_path: Path) -> None:
    data, cause = HOSTILE[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=cause) as caught:
        header_of(path)
    assert caught.value.thing == str(path)
    assert caught.value.hint
    assert "\x1b" not in str(caught.value)
    assert not reference_accepts(path)


@pytest.mark.parametrize("case", STRICTER)
def test_where_this_reader_is_stricter_than_the_reference(case: str, tmp_path: Path) -> None:
    data, cause = STRICTER[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=cause) as caught:
        header_of(path)
    assert "\x1b" not in str(caught.value)
    assert reference_accepts(path)


@pytest.mark.parametrize("case", GOOD)
def test_a_good_file_is_read_as_the_reference_reads_it(case: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(GOOD[case])
    tensors = header_of(path).tensors
    with safe_open(path, framework="np") as reference:
        assert [tensor.name for tensor in tensors] == sorted(reference.keys())
        for tensor in tensors:
            assert list(tensor.shape) == reference.get_slice(tensor.name).get_shape()
            assert path.read_bytes()[tensor.offset :][: tensor.nbytes] == reference.get_tensor(tensor.name).tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.code)
def test_every_dtype_has_the_reference_s_size(dtype: Any, tmp_path: Path) -> None:
    nbytes = 8 * dtype.bits // 8
    path = tmp_path / "model.safetensors"
    path.write_bytes(packed({"a": entry(dtype.code, [2, 4], end=nbytes)}, bytes(nbytes)))
    assert reference_accepts(path)
    (tensor,) = header_of(path).tensors
    assert (tensor.dtype, tensor.shape, tensor.nbytes) == (dtype.name, (2, 4), nbytes)


def test_the_dtype_table_is_the_reference_s(tmp_path: Path) -> None:
    """The library lists what it knows where it meets what it does not know."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(packed({"a": entry("X99")}, b"0000"))
    with pytest.raises(SafetensorError) as caught, safe_open(path, framework="np"):
        pass
    known = re.findall(r"`([A-Z0-9_]+)`", str(caught.value).partition("expected one of")[2])
    assert len(known) >= 15
    assert set(known) <= BY_CODE.keys()


def test_every_torch_dtype_that_the_reference_writes_is_read_as_itself() -> None:
    written = set()
    for dtype in {value for value in vars(torch).values() if isinstance(value, torch.dtype)}:
        try:
            file = save({"a": torch.zeros(16, dtype=torch.uint8).view(dtype)})
        except (KeyError, RuntimeError, SafetensorError):
            continue  # a type that the library does not write, or that is no type of bytes
        code = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])["a"]["dtype"]
        if code != "F4":  # torch has a type of its own for pairs of them
            assert BY_CODE[code].torch == dtype
        written.add(code)
    assert {"F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3"} <= written


@pytest.mark.parametrize("claimed", [101_000_000, 100_000_001, pytest.param(100_000_000, marks=pytest.mark.slow)])
def test_a_header_of_some_100_mb(claimed: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with open(path, "wb") as file:
        file.write(claimed.to_bytes(8, "little") + b"{")
        file.truncate(8 + claimed)  # sparse: NULs, which are no JSON
    cause = "over the format's limit of 100000000" if claimed > 100_000_000 else "not valid JSON"
    with pytest.raises(CheckpointError, match=cause):
        header_of(path)
    assert not reference_accepts(path)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    import os

    path = tmp_path / "model.safetensors"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="not a regular file"):
        header_of(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
sizes = st.one_of(st.integers(-1, 5), st.integers(0, 2**66), json_values)
entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([dtype.code for dtype in DTYPES] + ["F31"]) | json_values,
        "shape": st.lists(sizes, max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(0, 16) | sizes, min_size=2, max_size=2) | json_values,
        "note": json_values,
    },
)
headers = st.dictionaries(st.text(max_size=3) | st.just("__metadata__"), entries | json_values, max_size=3)


def check_verdict(path: Path) -> None:
    """Only CheckpointError comes out, and nothing is accepted that the reference refuses."""
    try:
        header_of(path)
    except CheckpointError:
        return
    assert reference_accepts(path)


@at_most(25)
@given(header=headers, data=st.binary(max_size=16))
def test_any_json_header_gives_a_clean_verdict(header: Any, data: bytes, alone: Path) -> None:
    path = alone / "fuzz-json.safetensors"
    path.write_bytes(packed(header, data))
    check_verdict(path)


@at_most(20)
@given(place=st.integers(0, len(GOOD["empty tensors"]) - 1), patch=st.binary(min_size=1, max_size=3))
def test_any_damage_gives_a_clean_verdict(place: int, patch: bytes, alone: Path) -> None:
    path = alone / "fuzz-bytes.safetensors"
    good = GOOD["empty tensors"]
    path.write_bytes(good[:place] + patch + good[place + len(patch) :])
    check_verdict(path)


@at_most(20)
@given(data=st.binary(max_size=80))
def test_any_bytes_give_a_clean_verdict(data: bytes, alone: Path) -> None:
    path = alone / "fuzz.safetensors"
    path.write_bytes(data)
    check_verdict(path)

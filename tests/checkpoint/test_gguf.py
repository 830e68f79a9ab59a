"""GGUF headers: each hostile file has its own cause, good ones are read as the reference package reads them."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import at_most
from tests.support.gguf_headers import (
    ARRAY,
    F32,
    F64,
    I32,
    I64,
    STRING,
    U8,
    U16,
    U32,
    U64,
    array,
    entry,
    key,
    packed,
    text,
    u32,
)
from weightaudit.checkpoint.formats import gguf, gguf_header
from weightaudit.checkpoint.formats.gguf import GgufFile, Split, read_gguf, with_scales
from weightaudit.checkpoint.reader import Checkpoint
from weightaudit.errors import CheckpointError
from weightaudit.records import ModelIdentity
from weightaudit.source.local import LocalFile

ONE = packed((), (entry(),), bytes(32))
Q4_0, Q4_K, MXFP4, NVFP4 = 2, 12, 39, 40


class Counted(LocalFile):
    """A file that keeps what was read of it: (offset, bytes)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, name=path.name)
        self.reads: list[tuple[int, int]] = []

    def read_into(self, offset: int, out: memoryview) -> None:
        self.reads.append((offset, out.nbytes))
        super().read_into(offset, out)


def header_of(path: Path) -> GgufFile:
    source = LocalFile(path, name=path.name)
    try:
        return read_gguf(source)
    finally:
        source.close()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def nested(depth: int, count: int = 1) -> bytes:
    """``depth`` arrays within one another, the innermost of no numbers; ``count`` in each."""
    return array(U8, 0) if depth == 1 else array(ARRAY, count, nested(depth - 1, count) * count)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "magic only": (b"GGUF", "cut short: its header needs 8 bytes, the file has 4"),
    "cut after the version": (ONE[:8], "cut short"),
    "cut within the list": (ONE[:50], "cut short"),
    "data cut": (ONE[:-1], r"cut short: its tensors need \d+ bytes or more, the file has \d+"),
    "no data": (packed((), (entry(),)), "cut short"),
    "another magic": (b"GGUX" + ONE[4:], "does not begin with these letters"),
    "pickle": (b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01u.", "Python pickle"),
    "git lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "web page": (b"<!doctype html><html>not found</html>", "web page"),
    "old llama.cpp": (b"tjgg" + bytes(60), "ggjt"),
    "version 0": (packed(version=u32(0)), "version 0 of GGUF; read are 2 and 3"),
    "version 1": (b"GGUF" + u32(1) + u32(0) * 2, "version 1 of GGUF"),
    "version 4": (packed(version=u32(4)), "version 4 of GGUF"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "2**63 tensors": (packed(tensor_count=2**63), f"lists {2**63} tensors, more than the"),
    "2**64-1 keys": (packed(key_count=2**64 - 1), f"has {2**64 - 1} keys, more than the"),
    "more tensors than are there": (packed((), (entry(),), tensor_count=2), "cut short"),
    "more keys than are there": (packed(key_count=60_000, alignment=1), "cut short"),
    "key without a name": (packed((key("", U8, b"1"),)), "key without a name"),
    "key twice": (packed((key("k", U8, b"1"),) * 2), "key 'k' occurs twice"),
    "key longer than the file": (packed((text("k", length=10_000),)), "cut short: its header needs 10"),
    "key of 2**64-1": (packed((text("k", length=2**64 - 1),)), "absurdly many"),
    "text longer than the file": (packed((key("k", STRING, text("v", length=2**63)),)), "absurdly many"),
    "unknown type of value": (packed((key("k", 13, bytes(64)),)), "key 'k' has a value of the unknown type 13"),
    "unknown type of elements": (packed((key("k", ARRAY, array(2**31, 1, bytes(64))),)), "unknown type 2147483648"),
    "array of 2**63 numbers": (packed((key("k", ARRAY, array(F32, 2**63)),)), "absurdly many"),
    "array of 2**63 bytes": (packed((key("k", ARRAY, array(U8, 2**62)),)), "cut short"),
    "array of 2**63 texts": (packed((key("k", ARRAY, array(STRING, 2**63)),)), "absurdly many"),
    "array of more texts than are there": (
        packed((key("k", ARRAY, array(STRING, 3, text("v") * 2)),), alignment=1),
        "cut short",
    ),
    "a text among others longer than the file": (
        packed((key("k", ARRAY, array(STRING, 3, text("v") + text("v", length=2**64 - 8) + text("v"))),)),
        "absurdly many",
    ),
    "a text among others that ends where the file does": (
        packed((key("k", ARRAY, array(STRING, 2, text("v") + text("v", length=10))),), data=b"")[:66],
        "cut short",
    ),
    "arrays 5 deep": (packed((key("k", ARRAY, nested(5)),)), "'k' has too many arrays within arrays"),
    "arrays 10,000 deep": (
        packed((key("k", ARRAY, (u32(ARRAY) + struct.pack("<Q", 1)) * 10_000),)),
        "too many arrays within arrays",
    ),
    "2**64-1 arrays": (packed((key("k", ARRAY, array(ARRAY, 2**64 - 1)),)), "too many arrays within arrays"),
    "alignment 0": (packed((key("general.alignment", U32, u32(0)),)), "general.alignment is 0 of type 4, not a power"),
    "alignment 24": (packed((key("general.alignment", U32, u32(24)),)), "not a power of two"),
    "alignment of another type": (packed((key("general.alignment", I32, u32(32)),)), "32 of type 5, not a power"),
    "alignment a text": (packed((key("general.alignment", STRING, text("\x1b[2J")),)), r"'\\x1b\[2J' of type 8"),
    "alignment a long text": (packed((key("general.alignment", STRING, text("x" * 60_000)),)), "x… of type 8, not a"),
    "alignment of 2 GB": (
        packed((key("general.alignment", U32, u32(2**31)),), (entry(),), bytes(32)),
        "cut short: its tensors need 2147483680 bytes",
    ),
    "tensor twice": (packed((), (entry(), entry(offset=32)), bytes(64)), "tensor 'a' occurs twice"),
    "name of 64 bytes": (packed((), (entry("é" * 32),), bytes(32)), "a name of 64 bytes, more than 63"),
    "name not UTF-8": (packed((), (entry(b"a\xff"),), bytes(32)), "a name that is not UTF-8"),
    "surrogate in a name": (packed((), (entry(b"\xed\xa0\x80"),), bytes(32)), "a name that is not UTF-8"),
    "escape sequence in a name": (packed((), (entry("a\x1b[2J"),), bytes(32)), r"'a\\x1b\[2J' has control characters"),
    "5 dimensions": (packed((), (entry(sizes=[1] * 5),), bytes(32)), "5 dimensions, more than 4"),
    "2**32-1 dimensions": (packed((), (entry(rank=2**32 - 1),), bytes(32)), "4294967295 dimensions"),
    "overflow": (packed((), (entry(sizes=[2**40, 2**40]),), bytes(32)), "impossible shape"),
    "overflow to 32 bytes": (packed((), (entry(sizes=[2**32, 2**32, 8]),), bytes(32)), "impossible shape"),
    "overflow beside 0": (packed((), (entry(sizes=[0, 2**63, 2]),), bytes(32)), "impossible shape"),
    "blocks that overflow": (packed((), (entry(sizes=[2**59 - 2**59 % 32], kind=Q4_0),), bytes(32)), "cut short"),
    "a size of 2**64-1": (packed((), (entry(sizes=[2**64 - 1]),), bytes(32)), "impossible shape"),
    "half a block": (
        packed((), (entry(sizes=[48, 2], kind=Q4_0),), bytes(64)),
        "tensor 'a' has 48 columns, no multiple of the 32 of a block of Q4_0",
    ),
    "rows that make blocks together": (
        packed((), (entry(sizes=[128, 2], kind=Q4_K),), bytes(160)),
        "128 columns, no multiple of the 256",
    ),
    "a number alone as a block": (packed((), (entry(sizes=[], kind=Q4_0),), bytes(32)), "1 columns, no multiple"),
    "a removed type": (
        packed((), (entry(kind=4),), bytes(32)),
        "tensor 'a' is stored as Q4_2, which no program reads from files any more",
    ),
    "another removed type": (packed((), (entry(kind=36),), bytes(32)), "IQ4_NL_4_4"),
    "a type of computing": (packed((), (entry(sizes=[32], kind=9),), bytes(64)), "Q8_1"),
    "an unknown type": (packed((), (entry(kind=43),), bytes(32)), "stored as type 43, which is not known here"),
    "type 2**32-1": (packed((), (entry(kind=2**32 - 1),), bytes(32)), "type 4294967295"),
    "overlap": (
        packed((), (entry(), entry("b")), bytes(64)),
        "tensor 'b' lies at 0 of the data, where 32 follows from the tensors before it",
    ),
    "overlap in part": (packed((), (entry(sizes=[16]), entry("b", offset=32)), bytes(96)), "'b' lies at 32"),
    "out of order": (packed((), (entry(offset=32), entry("b")), bytes(64)), "'a' lies at 32 of the data, where 0"),
    "a gap": (packed((), (entry(), entry("b", offset=64)), bytes(96)), "'b' lies at 64 of the data, where 32"),
    "a gap at the start": (packed((), (entry(offset=32),), bytes(64)), "'a' lies at 32"),
    "not aligned": (packed((), (entry(sizes=[5]), entry("b", offset=20)), bytes(64)), "'b' lies at 20"),
    "offset 2**64-1": (packed((), (entry(offset=2**64 - 1),), bytes(32)), f"'a' lies at {2**64 - 1}"),
    "payload behind the last": (ONE + b"MZ", "2 bytes after the last tensor"),
    "data of no tensor": (packed(data=b"MZ"), "2 bytes after the last tensor"),
    "far beyond the end": (packed((), (entry(sizes=[2**58]),), bytes(32)), "cut short"),
    "file 3 of 2": (packed((key("split.no", U16, b"\2\0"), key("split.count", U16, b"\2\0"))), "it is file 2 of 2"),
    "file of no number": (packed((key("split.count", U16, b"\2\0"),)), "it is file None of 2"),
    "file of a text": (
        packed((key("split.no", STRING, text("\x1b[2J")), key("split.count", U16, b"\2\0"))),
        r"it is file '\\x1b\[2J' of 2",
    ),
}

GOOD: dict[str, bytes] = {
    "no tensors": packed(),
    "no tensors, not padded": packed((key("k", U8, b"1"),)).rstrip(b"\0"),
    "version 2": packed((), (entry(),), bytes(32), version=u32(2)),
    "one": ONE,
    "last not padded": packed((), (entry(sizes=[5]),), bytes(20)),
    "two": packed((), (entry("z", [5]), entry("a", [3, 4], offset=32)), bytes(96)),
    "aligned to 8": packed(
        (key("general.alignment", U32, u32(8)),), (entry(sizes=[5]), entry("b", offset=24)), bytes(56), alignment=8
    ),
    "blocks": packed((), (entry(sizes=[64, 3], kind=Q4_0), entry("b", [32], kind=MXFP4, offset=128)), bytes(160)),
    "experts": packed((), (entry(sizes=[32, 3, 2], kind=Q4_0),), bytes(128)),
    "plain types": packed(
        (),
        [
            entry(f"t{kind}", [4, 2], kind, offset)
            for kind, offset in ((0, 0), (1, 32), (24, 64), (25, 96), (26, 128), (27, 160), (28, 224), (30, 288))
        ],
        bytes(320),
    ),
    "texts": packed((key("k", ARRAY, array(STRING, 3, text("a") + text("") + text("bc"))),), (entry(),), bytes(32)),
    "a name of 63 bytes": packed((), (entry("n" * 63),), bytes(32)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_its_cause(case: str, tmp_path: Path) -> None:
    content, cause = HOSTILE[case]
    path = written(tmp_path / "model.gguf", content)
    with pytest.raises(CheckpointError, match=cause) as caught:
        header_of(path)
    assert caught.value.thing == str(path)
    assert caught.value.hint
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("case", GOOD)
def test_a_good_file_is_read_as_the_package_reads_it(case: str, tmp_path: Path) -> None:
    path = written(tmp_path / "model.gguf", GOOD[case])
    tensors = {info.name: info for info in header_of(path).tensors}
    assert list(tensors) == sorted(tensors)
    if case == "no tensors, not padded":
        return  # which the package does not read
    reference = GGUFReader(path)
    assert len(tensors) == len(reference.tensors)
    for expected in reference.tensors:
        info = tensors[expected.name]
        assert list(info.shape) == [int(size) for size in reversed(expected.shape)]
        assert (info.offset, info.nbytes) == (expected.data_offset, expected.n_bytes)
        if info.encoded:
            assert info.encoding.parameter("type") == expected.tensor_type.name
            assert info.encoding.parts[0][1].shape == expected.data.shape


def test_values_are_the_package_s(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = GGUFWriter(path, "novel")
    writer.add_string("text", "Hé")
    writer.add_bool("yes", True)
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60_000)
    writer.add_int16("i16", -30_000)
    writer.add_uint32("u32", 2**32 - 1)
    writer.add_int32("i32", -(2**31))
    writer.add_uint64("u64", 2**64 - 1)
    writer.add_int64("i64", -(2**63))
    writer.add_float32("f32", 0.1)
    writer.add_float64("f64", 0.1)
    writer.add_array("layers", [1, 2, 3])
    writer.add_array("flags", [True, False])
    writer.add_array("rates", [0.5, 0.25])
    writer.add_array("tokens", ["a", "bb", ""])
    writer.add_tensor("w", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = header_of(path)
    assert dict(found.values) == {
        "general.architecture": "novel",
        "text": "Hé",
        "yes": True,
        "u8": 200,
        "i8": -100,
        "u16": 60_000,
        "i16": -30_000,
        "u32": 2**32 - 1,
        "i32": -(2**31),
        "u64": 2**64 - 1,
        "i64": -(2**63),
        "f32": float(np.float32(0.1)),
        "f64": 0.1,
        "layers": (1, 2, 3),
        "flags": (True, False),
        "rates": (0.5, 0.25),
    }
    assert found.values["yes"] is True
    assert found.lengths == {"layers": 3, "flags": 2, "rates": 2, "tokens": 3}
    (info,) = found.tensors
    assert (info.name, info.dtype, info.shape, info.encoded) == ("w", "float32", (2, 3), False)


def test_numbers_are_read_from_where_they_lie(tmp_path: Path) -> None:
    """Plain and in blocks, through the checkpoint, beside others."""
    path = tmp_path / "model.gguf"
    matrix = np.random.default_rng(3).normal(size=(6, 64)).astype(np.float32)
    writer = GGUFWriter(path, "novel")
    kinds = (GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_1, GGMLQuantizationType.MXFP4, GGMLQuantizationType.F16)
    stored = {kind.name: quantize(matrix, kind) for kind in kinds}
    for kind in kinds:
        writer.add_tensor(kind.name, stored[kind.name], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    source = LocalFile(path, name=path.name)
    tensors = {info.name: info for info in read_gguf(source).tensors}
    with Checkpoint(ModelIdentity("m", "", "", ()), None, tensors, {source.name: source}) as checkpoint:
        for kind in kinds:
            expected = dequantize(stored[kind.name], kind)
            assert np.array_equal(checkpoint.read(kind.name).astype(np.float32), expected)
            assert np.abs(expected - matrix).max() < 0.7


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ((), "model"),
        ((key("general.type", STRING, text("adapter")),), "adapter"),
        ((key("general.type", STRING, text("imatrix")),), "imatrix"),
        ((key("general.architecture", STRING, text("clip")),), "mmproj"),
        ((key("general.type", STRING, text("mmproj")), key("general.architecture", STRING, text("clip"))), "mmproj"),
    ],
)
def test_kinds(keys: tuple[bytes, ...], kind: str, tmp_path: Path) -> None:
    assert header_of(written(tmp_path / "model.gguf", packed(keys))).kind == kind


def test_a_file_of_several_says_which(tmp_path: Path) -> None:
    keys = [key("split.no", U16, b"\1\0"), key("split.count", U16, b"\3\0"), key("split.tensors.count", I32, u32(7))]
    assert header_of(written(tmp_path / "a.gguf", packed(keys))).split == Split(1, 3, 7)
    assert header_of(written(tmp_path / "b.gguf", packed(keys[:2]))).split == Split(1, 3, None)
    assert header_of(written(tmp_path / "c.gguf", packed())).split is None


def test_a_second_factor_beside_its_weight_and_in_another_file(tmp_path: Path) -> None:
    weight, scale = entry("x.weight", [64], NVFP4), entry("x.scale", [1])
    whole = packed((), (weight, entry("x.scale", [1], offset=64), entry("y.scale", [1], offset=96)), bytes(128))
    (joined, other) = header_of(written(tmp_path / "whole.gguf", whole)).tensors
    assert [(use, part.name) for use, part in joined.encoding.parts] == [("blocks", "x.weight"), ("scale", "x.scale")]
    assert other.name == "y.scale"
    first = header_of(written(tmp_path / "1.gguf", packed((), (weight,), bytes(64)))).tensors
    second = header_of(written(tmp_path / "2.gguf", packed((), (scale,), bytes(32)))).tensors
    (apart,) = with_scales([*second, *first])
    assert [(part.name, part.file) for part in apart.stored] == [("x.weight", "1.gguf"), ("x.scale", "2.gguf")]
    assert with_scales([apart]) == (apart,)


def vocabulary(tokens: int) -> bytes:
    """A header with so many tokens, and a matrix behind it."""
    names = b"".join(text(f"token{i}") for i in range(tokens))
    scores = struct.pack(f"<{tokens}f", *range(tokens))
    keys = (key("tokens", ARRAY, array(STRING, tokens, names)), key("scores", ARRAY, array(F32, tokens, scores)))
    return packed(keys, (entry(sizes=[1 << 18]),), bytes(1 << 20))


def test_a_header_is_read_in_growing_ranges(tmp_path: Path) -> None:
    content = vocabulary(100_000)
    path = written(tmp_path / "model.gguf", content)
    header = len(content) - (1 << 20)
    source = Counted(path)
    assert header_of(path) == read_gguf(source)
    source.close()
    assert header > 4 * gguf_header.FIRST
    assert sum(nbytes for _, nbytes in source.reads) <= 2 * header
    assert len(source.reads) <= 5
    assert [offset for offset, _ in source.reads] == np.cumsum([0, *(n for _, n in source.reads[:-1])]).tolist()


def test_nothing_is_made_of_tokens(tmp_path: Path) -> None:
    content = vocabulary(40_000)
    path = written(tmp_path / "model.gguf", content)
    tracemalloc.start()
    try:
        found = header_of(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.lengths == {"tokens": 40_000, "scores": 40_000}
    assert not found.values
    assert peak < 2 * len(content)


def test_arrays_that_add_up_are_not_kept(tmp_path: Path) -> None:
    one = array(U8, gguf_header.MAX_ARRAY, bytes(gguf_header.MAX_ARRAY))
    keys = [key(f"k{i}", ARRAY, one) for i in range(80)]
    found = header_of(written(tmp_path / "model.gguf", packed(keys)))
    assert len(found.lengths) == 80
    assert len(found.values) == gguf_header.MAX_NUMBERS // gguf_header.MAX_ARRAY


def test_long_texts_are_not_kept(tmp_path: Path) -> None:
    texts = {"short": "x" * gguf_header.MAX_TEXT, "long": "x" * (gguf_header.MAX_TEXT + 1)}
    found = header_of(
        written(tmp_path / "m.gguf", packed([key(name, STRING, text(value)) for name, value in texts.items()]))
    )
    assert found.values == {"short": texts["short"]}


def test_a_value_that_is_not_utf_8_is_a_text_all_the_same(tmp_path: Path) -> None:
    found = header_of(written(tmp_path / "model.gguf", packed((key("k", STRING, text(b"a\xff")),))))
    assert found.values == {"k": "a\ufffd"}


@pytest.mark.parametrize("depth", [2, 4])
def test_arrays_within_arrays_are_passed_by(depth: int, tmp_path: Path) -> None:
    keys = (key("k", ARRAY, nested(depth, 3)), key("l", U8, b"\7"))
    found = header_of(written(tmp_path / "model.gguf", packed(keys)))
    assert (found.values, found.lengths) == ({"l": 7}, {"k": 3})


def test_headers_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "model.gguf", vocabulary(20_000))
    monkeypatch.setattr(gguf_header, "MAX_HEADER", 10_000)
    with pytest.raises(CheckpointError, match="its header has more than the 10000 bytes that are accepted"):
        header_of(path)


def test_a_list_of_tensors_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "MAX_TENSORS", 100)
    path = written(tmp_path / "model.gguf", packed((), [entry(f"t{i}", [0]) for i in range(101)]))
    with pytest.raises(CheckpointError, match="it lists 101 tensors, more than the 100"):
        header_of(path)


def check_verdict(path: Path) -> None:
    """Only CheckpointError comes out; tensors of what is accepted lie in the file, apart from each other."""
    try:
        found = header_of(path)
    except CheckpointError:
        return
    stored = sorted(
        (part for info in found.tensors for part in info.stored), key=lambda part: (part.offset, part.nbytes)
    )
    reached = 0
    for part in stored:
        assert part.offset >= reached
        reached = part.offset + part.nbytes
    assert reached <= path.stat().st_size


numbers = st.integers(0, 40) | st.sampled_from([2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1])
small = st.integers(0, 2**32 - 1) | st.integers(0, 45)
texts = st.builds(text, st.binary(max_size=4), length=st.none() | numbers)
arrays = st.builds(array, st.integers(0, 13), numbers, st.binary(max_size=64))
keys = st.builds(
    key,
    st.binary(max_size=3) | st.just("general.alignment"),
    st.integers(0, 13),
    arrays | texts | st.binary(max_size=8),
)
entries = st.builds(
    entry,
    st.binary(max_size=3),
    st.lists(numbers, max_size=5),
    small,
    st.integers(0, 4).map(lambda i: 32 * i) | numbers,
)


@at_most(15)
@given(keys=st.lists(keys, max_size=3), entries=st.lists(entries, max_size=3), data=st.integers(0, 200))
def test_any_header_gives_a_clean_verdict(keys: list[bytes], entries: list[bytes], data: int, alone: Path) -> None:
    path = alone / "fuzz-header.gguf"
    check_verdict(written(path, packed(keys, entries, bytes(data))))


SEED = packed(
    (
        key("general.alignment", U32, u32(32)),
        key("tokens", ARRAY, array(STRING, 2, text("a") + text("b"))),
        key("deep", ARRAY, nested(3)),
        key("x", F64, bytes(8)),
        key("y", U64, bytes(8)),
        key("z", I64, bytes(8)),
    ),
    (entry("a", [64, 3], Q4_0), entry("b", [4, 2, 2], offset=128)),
    bytes(192),
)


@at_most(20)
@given(place=st.integers(0, len(SEED) - 193), patch=st.binary(min_size=1, max_size=8))
def test_any_damage_gives_a_clean_verdict(place: int, patch: bytes, alone: Path) -> None:
    path = alone / "fuzz-bytes.gguf"
    check_verdict(written(path, SEED[:place] + patch + SEED[place + len(patch) :]))


@at_most(15)
@given(end=st.integers(0, len(SEED) - 1))
def test_any_cut_is_refused(end: int, alone: Path) -> None:
    path = written(alone / "fuzz-cut.gguf", SEED[:end])
    with pytest.raises(CheckpointError):
        header_of(path)

"""Blocks of ggml: every number that the package gguf gives, or the format's formula where that has none."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from tests.support.covering import in_turn
from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs import CODECS, ggml, ggml_codebooks
from weightaudit.checkpoint.codecs.ggml_blocks import LAYOUTS
from weightaudit.checkpoint.codecs.ggml_types import BLOCKS, BY_NAME, PLAIN, REFUSED
from weightaudit.records import CodeFacts, TensorInfo

UNKNOWN_TO_GGUF = {"Q1_0", "Q2_0"}
KNOWN = [name for name in BY_NAME if name not in UNKNOWN_TO_GGUF]
HALVES = {  # where in a block its float16 numbers are
    **dict.fromkeys(["Q4_0", "Q5_0", "Q8_0", "IQ4_NL", "IQ4_XS", "Q1_0", "Q2_0"], (0,)),
    **dict.fromkeys(["Q4_1", "Q5_1", "Q4_K", "Q5_K"], (0, 2)),
    **dict.fromkeys(["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"], (0,)),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q6_K": (208,),
    "TQ1_0": (52,),
    "TQ2_0": (64,),
}
SPECIAL = np.array([0, -0.0, 6e-8, -6e-8, 1, -2.5, 65504, np.inf, -np.inf, np.nan], "<f2")


def tensor(name: str, shape: tuple[int, ...], *, of: str = "w") -> TensorInfo:
    kind = BY_NAME[name]
    stored = (*shape[:-1], shape[-1] // kind.entries * kind.nbytes)
    return ggml.encoded_blocks(TensorInfo(of, "uint8", stored, "f", 0, math.prod(stored)), shape, kind)


def random_blocks(info: TensorInfo, *, finite: bool = False) -> Array:
    """Any bytes: scales of any size and sign, some of them infinite or NaN unless ``finite``."""
    generator = np.random.default_rng(7)
    name, shape = str(info.encoding.parameter("type")), info.encoding.parts[0][1].shape
    stored: Array = generator.integers(0, 256, shape, dtype=np.uint8)
    blocks = stored.reshape(-1, BY_NAME[name].nbytes)
    for at in HALVES.get(name, ()):
        numbers = generator.normal(size=len(blocks)).astype("<f2") if finite else generator.choice(SPECIAL, len(blocks))
        blocks[:, at : at + 2] = numbers.view(np.uint8).reshape(-1, 2)
    return stored


def decoded(info: TensorInfo, **parts: Array) -> Array:
    out = np.full(info.shape, 7, np.float32)
    with np.errstate(all="ignore"):
        CODECS[info.encoding.codec].decode(info, parts, out)
    return out


def facts(info: TensorInfo, **parts: Array) -> CodeFacts | None:
    with np.errstate(all="ignore"):
        return CODECS[info.encoding.codec].facts(info, parts)


def same(a: Array, b: Array) -> bool:
    """To the bit, but for which NaN it is."""
    zeros = (a == 0) & (b == 0)
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a[zeros]), np.signbit(b[zeros]))


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of three blocks, the last of which is not full."""
    monkeypatch.setattr(ggml, "TILE", 3 * 256)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("name", "finite"), in_turn(list(KNOWN), (False, True)))
def test_every_number_is_the_package_s(name: str, finite: bool) -> None:
    """Rows of several blocks, tiles that end within a row, zeros of either sign, scales that are no numbers."""
    info = tensor(name, (7, 4 * BY_NAME[name].entries))
    stored = random_blocks(info, finite=finite)
    with np.errstate(all="ignore"):
        expected = dequantize(stored, GGMLQuantizationType[name])
    assert same(decoded(info, blocks=stored), expected)
    assert len(np.unique(expected[np.isfinite(expected)])) > 8
    if name in HALVES:
        assert np.isfinite(expected).all() == finite


def test_types_are_the_package_s() -> None:
    for number, kind in BLOCKS.items():
        if kind.name != "Q2_0":
            assert GGMLQuantizationType(number).name == kind.name
            assert GGML_QUANT_SIZES[GGMLQuantizationType(number)] == (kind.entries, kind.nbytes)
    assert {kind.value for kind in GGMLQuantizationType} <= BLOCKS.keys() | PLAIN.keys() | REFUSED.keys()


def test_q1_0_by_its_formula() -> None:
    info = tensor("Q1_0", (5, 256))
    stored = random_blocks(info, finite=True)
    expected = np.empty(info.shape, np.float32)
    for row in range(5):
        for column in range(256):
            block = stored[row, column // 128 * 18 :][:18]
            i = column % 128
            bit = block[2 + i // 8] >> (i % 8) & 1
            expected[row, column] = np.float32(2 * int(bit) - 1) * np.float32(block[:2].view("<f2")[0])
    assert same(decoded(info, blocks=stored), expected)


def test_q2_0_by_its_formula() -> None:
    info = tensor("Q2_0", (5, 192))
    stored = random_blocks(info, finite=True)
    expected = np.empty(info.shape, np.float32)
    for row in range(5):
        for column in range(192):
            block = stored[row, column // 64 * 18 :][:18]
            i = column % 64
            code = block[2 + i // 4] >> 2 * (i % 4) & 3
            expected[row, column] = np.float32(int(code) - 1) * np.float32(block[:2].view("<f2")[0])
    assert same(decoded(info, blocks=stored), expected)


@pytest.mark.parametrize("name", ["Q4_K", "Q6_K", "MXFP4", "IQ2_XS"])
def test_experts_are_read_one_by_one(name: str) -> None:
    info = tensor(name, (3, 4, 512))
    stored = random_blocks(info)
    whole = decoded(info, blocks=stored)
    for expert in range(3):
        one = info.at(expert, 3)
        assert one is not None
        ((_, part),) = one.encoding.parts
        own = stored.reshape(-1)[part.offset : part.offset + part.nbytes].reshape(part.shape)
        assert (one.shape, one.nbytes) == ((4, 512), stored.nbytes // 3)
        assert same(decoded(one, blocks=own), whole[expert])


def second_factor(shape: tuple[int, ...], dtype: str = "float32") -> TensorInfo:
    return TensorInfo("w.scale", dtype, shape, "f", 10_000, 4 * math.prod(shape))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_nvfp4_has_a_second_factor(shape: tuple[int, ...]) -> None:
    info = ggml.scaled(tensor("NVFP4", (6, 128)), second_factor(shape))
    stored, factor = random_blocks(info), np.full(shape, 0.3, np.float32)
    expected = dequantize(stored, GGMLQuantizationType.NVFP4) * np.float32(0.3)
    assert same(decoded(info, blocks=stored, scale=factor), expected)


def test_nvfp4_has_one_for_each_expert() -> None:
    info = ggml.scaled(tensor("NVFP4", (3, 6, 128)), second_factor((3,)))
    stored, factor = random_blocks(info), np.array([0.3, 0.7, 3], np.float32)
    expected = dequantize(stored, GGMLQuantizationType.NVFP4) * factor[:, None, None]
    assert same(decoded(info, blocks=stored, scale=factor), expected)
    one = info.at(1, 3)
    assert one is not None
    assert [(part.shape, part.offset) for _, part in one.encoding.parts] == [((6, 72), 6 * 72), ((), 10_004)]
    assert same(decoded(one, blocks=stored[1], scale=factor[1]), expected[1])


@pytest.mark.parametrize(
    ("shape", "factor"), [((6, 128), second_factor((6,))), ((3, 6, 128), second_factor((2,)))], ids=str
)
def test_a_second_factor_that_does_not_fit(shape: tuple[int, ...], factor: TensorInfo) -> None:
    info = ggml.scaled(tensor("NVFP4", shape), factor)
    assert "its second factor is float32 of shape" in info.why_unread
    assert {part.name for part in info.stored} == {"w", "w.scale"}


def test_bytes_that_are_not_as_many_as_the_shape_says() -> None:
    info = tensor("Q4_0", (4, 64))
    with pytest.raises(ValueError, match=r"143 bytes for \[4, 64\] numbers"):
        decoded(info, blocks=np.zeros(143, np.uint8))
    with pytest.raises(ValueError, match="numbers"):
        decoded(replace(info, shape=(16, 48)), blocks=np.zeros(16 * 48 // 32 * 18, np.uint8))  # blocks across rows


@pytest.mark.parametrize("name", ["Q4_0", "Q5_1", "Q6_K", "IQ2_XXS", "IQ4_XS"])
def test_no_rows_are_no_numbers(name: str) -> None:
    info = tensor(name, (0, 256))
    assert decoded(info, blocks=np.empty((0, info.encoding.parts[0][1].shape[1]), np.uint8)).shape == (0, 256)


@pytest.fixture
def asked_anew() -> Iterator[None]:
    """Whether the package is there is not known from before, nor kept."""
    ggml_codebooks.available.cache_clear()
    yield
    ggml_codebooks.available.cache_clear()


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize("found", [None, ModuleSpec("gguf", None)], ids=["nothing", "a folder of that name"])
def test_codebooks_without_the_package(found: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ggml_codebooks, "find_spec", lambda name: found)
    assert (
        tensor("IQ3_S", (2, 256)).why_unread == "quantised: IQ3_S, group 32, needs the package gguf: pip install gguf"
    )
    assert not tensor("IQ4_XS", (2, 256)).why_unread


def test_a_package_that_is_gone_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    info = tensor("IQ3_S", (2, 256))
    monkeypatch.setitem(sys.modules, "gguf.quants", None)
    with pytest.raises(ValueError, match="pip install gguf"):
        decoded(info, blocks=np.zeros((2, 110), np.uint8))


def one_by_one(name: str, stored: Array) -> Iterator[tuple[list[int], float, float]]:
    """Codes, scale and, of what it is made of, the float16 of each group, from numbers that tell them.

    A group's numbers are its codes where everything else that multiplies or moves them is one and nothing.
    """
    kind = BY_NAME[name]
    for block in stored.reshape(-1, kind.nbytes):
        d = [float(block[at : at + 2].view("<f2")[0]) for at in HALVES[name]]
        plain = block.copy()
        plain[HALVES[name][0] :][:2] = np.array([1], "<f2").view(np.uint8)
        if len(d) > 1:
            plain[HALVES[name][1] :][:2] = 0
        numbers = dequantize(plain[None], GGMLQuantizationType[name])[0].reshape(-1, int(kind.scheme.group))
        for number, scale in zip(numbers, group_scales(name, block), strict=True):
            yield [round(float(each) / scale) if scale else 0 for each in number], scale * d[0], d[0]


def group_scales(name: str, block: Array) -> list[float]:
    """What multiplies d in each group of a block."""
    if name == "Q6_K":
        return [float(each) for each in block[192:208].view(np.int8)]
    if name == "Q2_K":
        return [float(each & 15) for each in block[:16]]
    if name in ("Q4_K", "Q5_K"):
        a = [int(each) for each in block[4:16]]
        return [float(a[j] & 63 if j < 4 else a[4 + j] & 15 | a[j - 4] >> 6 << 4) for j in range(8)]
    return [1.0]


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q2_K", "Q4_K", "Q5_K", "Q6_K", "TQ2_0", "IQ4_NL"])
def test_facts_are_those_of_each_group(name: str) -> None:
    info = tensor(name, (8, 512))
    stored = random_blocks(info, finite=True)
    blocks = stored.reshape(-1, BY_NAME[name].nbytes)
    if name == "Q6_K":  # no scale of nothing, which would hide codes from the test
        blocks[:, 192:208] |= 1
    if name == "Q2_K":
        blocks[:, :16] |= 1
    if name in ("Q4_K", "Q5_K"):
        blocks[:, 4:16] |= 1
    blocks[3, HALVES[name][0] :][:2] = np.array([3e-6], "<f2").view(np.uint8)
    groups = list(one_by_one(name, stored))
    levels = LAYOUTS[name].levels
    codes = [code for own, _, _ in groups for code in own]
    scales = np.array([scale for _, scale, _ in groups], np.float32)
    found = facts(info, blocks=stored)
    assert found is not None
    assert (found.codes, found.scales) == (8 * 512, len(groups))
    assert found.extreme == sum(code <= min(levels) or code >= max(levels) for code in codes)
    assert found.unused == len(set(levels) - set(codes))
    assert found.negative_scales == np.count_nonzero(scales < 0) > 0
    assert found.subnormal_scales == sum(0 < abs(d) < 2**-14 for _, _, d in groups) > 0
    assert (found.zero_scales, found.nonfinite_scales) == (0, 0)
    assert found.least_scale == np.abs(scales).min()
    assert found.largest_scale == np.abs(scales).max()


def test_facts_of_scales_that_are_none() -> None:
    info = tensor("Q8_0", (5, 32))
    stored = np.zeros((5, 34), np.uint8)
    stored[:, :2] = np.array([0, np.nan, np.inf, -0.5, 2], "<f2").view(np.uint8).reshape(5, 2)
    stored[:, 2:] = np.int8(-127).view(np.uint8)
    stored[0, 2:] = np.int8(-128).view(np.uint8)
    found = facts(info, blocks=stored)
    assert found == CodeFacts(160, 160, 254, 5, 1, 1, 2, 0, 0.5, 2.0)
    stored[:, :2] = 0
    nothing = facts(info, blocks=stored)
    assert nothing is not None
    assert math.isnan(nothing.least_scale)
    assert math.isnan(nothing.largest_scale)


@pytest.mark.parametrize(("name", "one"), [("MXFP4", 127), ("NVFP4", 0x38)])
def test_facts_of_small_floats_are_of_what_the_format_calls_a_scale(name: str, one: int) -> None:
    info = tensor(name, (2, 64))
    stored = random_blocks(info)
    nbytes = BY_NAME[name].nbytes
    stored.reshape(-1, nbytes)[:, : {"MXFP4": 1, "NVFP4": 4}[name]] = one
    found = facts(info, blocks=stored)
    assert found is not None
    assert (found.least_scale, found.largest_scale) == (1, 1)


@pytest.mark.parametrize(
    ("name", "count"),
    [("Q4_0", 16), ("Q8_0", 255), ("Q3_K", 8), ("Q6_K", 64), ("TQ1_0", 3), ("MXFP4", 15), ("Q1_0", 2), ("Q2_0", 4)],
)
def test_codes_that_are_not_used(name: str, count: int) -> None:
    """Of random bytes none; of zeros all but one."""
    info = tensor(name, (64, 512))
    stored = random_blocks(info)
    for blocks, unused in ((stored, 0), (np.zeros_like(stored), count - 1)):
        found = facts(info, blocks=blocks)
        assert found is not None
        assert found.unused == unused


def test_codebooks_have_no_facts() -> None:
    info = tensor("IQ2_S", (2, 256))
    assert facts(info, blocks=random_blocks(info)) is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_told_of_a_type(name: str) -> None:
    scheme = tensor(name, (2, 512)).encoding.scheme
    assert scheme is not None
    info = tensor(name, (2, 512))
    stored = random_blocks(info, finite=True)
    found = facts(info, blocks=stored)
    assert found is not None
    assert found.scales == 2 * 512 // int(scheme.group)
    unpacked = LAYOUTS[name].unpack(stored.reshape(-1, BY_NAME[name].nbytes))
    assert scheme.symmetric == (unpacked.offsets is None)

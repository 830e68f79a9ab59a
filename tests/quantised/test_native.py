"""Compiled loops of codecs: the bytes that numpy gives, for every format that has one, or numpy itself."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from weightaudit.arrays import Array
from weightaudit.checkpoint import codecs
from weightaudit.checkpoint.codecs import CODECS, ggml, native
from weightaudit.checkpoint.codecs.fp8 import FORMATS
from weightaudit.checkpoint.codecs.ggml import encoded_blocks
from weightaudit.checkpoint.codecs.ggml_types import BY_NAME
from weightaudit.checkpoint.codecs.loop_abi import HALVES, PROTOTYPES, Kernel
from weightaudit.compiled.functions import Function
from weightaudit.compiled.kernel_cache import kernel_cache
from weightaudit.records import TensorInfo, encoded
from weightaudit.records.quantisation import Scheme

FINITE = np.array([0, -0.0, 6e-8, -6e-8, 6e-5, 1, -2.5, 0.0123, 65504, -65504], "<f2")
"""Scales: zeros, the smallest number, others, the largest."""
ROWS, COLUMNS = 5, 768
SIDES = [(0, 0), (1, 0), (16, 32), (1, 32), (7, 100), (128, 128)]
"""Rows and columns of blocks, 0 for all: the tensor, rows, whole and ragged blocks, one larger than the matrix."""


def blocks_of(name: str, scales: Array = FINITE) -> tuple[TensorInfo, dict[str, Array]]:
    """A matrix whose codes are any bytes, whose float16 numbers are some of ``scales``."""
    kind, draw = BY_NAME[name], np.random.default_rng(3)
    stored = draw.integers(0, 256, (ROWS * COLUMNS // kind.entries, kind.nbytes), np.uint8)
    for at in HALVES[name]:
        stored[:, at : at + 2] = draw.choice(scales, (len(stored), 1)).view(np.uint8)
    info = encoded_blocks(
        TensorInfo("w", "uint8", (ROWS, stored.size // ROWS), "f", 0, stored.size), (ROWS, COLUMNS), kind
    )
    return info, {"blocks": stored.reshape(-1)}


def bytes_of(
    dtype: str, sides: tuple[int, int] | None, shape: tuple[int, ...] = (40, 210), bad: float | None = None
) -> tuple[TensorInfo, dict[str, Array]]:
    """A float8 matrix or stack of every code, NaN too, in blocks of ``sides``, one of whose scales is ``bad``."""
    draw = np.random.default_rng(4)
    parts: dict[str, Array] = {"codes": draw.integers(0, 256, shape, np.uint8)}
    stored = [("codes", TensorInfo("w", dtype, shape, "f", 0, math.prod(shape)))]
    if sides is not None:
        grid = [-(-length // side) if side else 1 for length, side in zip(shape[-2:], sides, strict=True)]
        parts["scale"] = draw.uniform(-0.1, 0.1, (*shape[:-2], *grid) if sides != (0, 0) else ()).astype(np.float32)
        if bad is not None:
            parts["scale"].reshape(-1)[-1] = bad
        scale = parts["scale"]
        stored.append(("scale", TensorInfo("w_scale", "float32", scale.shape, "f", 0, scale.nbytes)))
    rows, columns = sides or (0, 0)
    return encoded(
        "w", shape, "fp8", tuple(stored), Scheme("FP8", 8), parameters=(("rows", rows), ("columns", columns))
    ), parts


def decoded(info: TensorInfo, parts: dict[str, Array]) -> bytes:
    """Its float32 numbers, byte by byte."""
    out = np.full(info.shape, 7, np.float32)
    with np.errstate(all="ignore"):
        CODECS[info.encoding.codec].decode(info, parts, out)
    return out.tobytes()


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Callable[[TensorInfo, dict[str, Array]], tuple[bytes, bytes, int]]:
    """What a loop gives and what numpy gives, and how often a loop was called."""
    called: list[str] = []

    def counted(loop: str) -> Function | None:
        function = found(loop)

        def counting(*arguments: int) -> None:
            called.append(loop)
            assert function is not None
            function(*arguments)

        return None if function is None else counting

    found = native._function
    monkeypatch.setattr(native, "_function", counted)

    def both(info: TensorInfo, parts: dict[str, Array]) -> tuple[bytes, bytes, int]:
        with monkeypatch.context() as patched:
            patched.setattr(native, "LEAST", 0)
            compiled = decoded(info, parts)
        times = len(called)
        numpy_s = decoded(info, parts)
        assert len(called) == times  # small tensors are left to numpy
        return compiled, numpy_s, times

    return both


Ways = Callable[[TensorInfo, dict[str, Array]], tuple[bytes, bytes, int]]


@pytest.mark.parametrize("name", HALVES)
def test_blocks_give_the_same_bytes(name: str, ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tile by tile, the last of which is smaller."""
    monkeypatch.setattr(ggml, "TILE", 4 * 256)
    compiled, numpy_s, times = ways(*blocks_of(name))
    assert compiled == numpy_s
    assert times == 4


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_blocks_with_a_scale_that_is_not_finite_are_numpys(name: str, bad: float, ways: Ways) -> None:
    """Their bytes are the same on every machine, whatever a compiler does with two NaN."""
    compiled, numpy_s, times = ways(*blocks_of(name, np.array([1, bad], "<f2")))
    assert compiled == numpy_s
    assert times == 0


def test_every_finite_scale_is_widened_as_numpy_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "LEAST", 0)
    every = np.arange(1 << 16, dtype="<u2").view("<f2")
    every = every[np.isfinite(every)]
    blocks = np.ones((len(every), 34), np.uint8)
    blocks[:, :2] = every[:, None].view(np.uint8)
    out = np.empty((len(every), 32), np.float32)
    assert native.fill_from_blocks("Q8_0", out.size, blocks, out)
    assert np.array_equal(out.view(np.uint32), np.repeat(every.astype(np.float32)[:, None], 32, axis=1).view(np.uint32))


@pytest.mark.parametrize("sides", [None, *SIDES])
@pytest.mark.parametrize("dtype", FORMATS)
def test_bytes_give_the_same_bytes(dtype: str, sides: tuple[int, int] | None, ways: Ways) -> None:
    compiled, numpy_s, times = ways(*bytes_of(dtype, sides))
    assert compiled == numpy_s
    assert times == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 20, 50)])
def test_shapes_of_bytes(shape: tuple[int, ...], ways: Ways) -> None:
    compiled, numpy_s, times = ways(*bytes_of("float8_e4m3fn", (16, 32), shape))
    assert compiled == numpy_s
    assert times == (shape[0] if len(shape) == 3 else 1)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
@pytest.mark.parametrize("sides", [(1, 0), (16, 32)])
def test_bytes_with_a_scale_that_is_not_finite_are_numpys(sides: tuple[int, int], bad: float, ways: Ways) -> None:
    compiled, numpy_s, times = ways(*bytes_of("float8_e4m3fn", sides, bad=bad))
    assert compiled == numpy_s
    assert times == 0


def test_no_loop_is_called_with_too_few_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would read what is behind them."""
    monkeypatch.setattr(native, "LEAST", 0)
    out, table = np.empty((4, 8), np.float32), np.zeros(256, np.float32)
    codes, scales = np.zeros((4, 8), np.uint8), np.ones((2, 2), np.float32)
    assert native.fill_scaled(codes, table, scales, (3, 5), out)
    for some, known, few in ((codes[:3], table, scales), (codes, table[:9], scales), (codes, table, scales[:1])):
        with pytest.raises(ValueError, match="for \\(4, 8\\) numbers"):
            native.fill_scaled(some, known, few, (3, 5), out)


def test_without_numba_numpy_decodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info, parts = blocks_of("Q4_K")
    usual = decoded(info, parts)
    monkeypatch.setattr(native, "LEAST", 0)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))  # where nothing is kept
    monkeypatch.setitem(sys.modules, "weightaudit.checkpoint.codecs.loops", None)
    monkeypatch.delattr(codecs, "loops", raising=False)
    native._found.cache_clear()
    try:
        assert native._function("Q4_K") is None
        assert decoded(info, parts) == usual
    finally:
        native._found.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process may have to compile")
@pytest.mark.parametrize("loop", PROTOTYPES)
def test_every_loop_is_kept(loop: str) -> None:
    cache = kernel_cache(native.SOURCES)
    if cache is None:
        pytest.skip("no private folder here")
    assert native._function(loop) is not None
    assert cache.read(Kernel(loop)) is not None


def test_exponents_and_small_floats_as_scales(ways: Ways) -> None:
    """They are made float32 before: what a loop is given are finite numbers of that type."""
    for dtype in (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e8m0fnu):
        info, parts = bytes_of("float8_e5m2", (16, 32))
        parts["scale"] = np.abs(parts["scale"]).astype(dtype)
        compiled, numpy_s, times = ways(info, parts)
        assert compiled == numpy_s
        assert times > 0

"""Levels of quantised matrices are found, and none are where nothing was quantised."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from tests.pairs.matrices import absmax, grouped
from tests.support.covering import covering, some_of
from weightaudit.arrays import Array
from weightaudit.pairs.grids import grid_of
from weightaudit.records import Grid
from weightaudit.spectral.entry_changes import entry_changes
from weightaudit.spectral.inputs import block_matrix

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype(np.float32), np.dtype(np.float16), BFLOAT16]
NF4 = np.fromstring(
    "-1 -.6961928 -.5250731 -.3949175 -.2844414 -.1847734 -.0910500 0 "
    ".0795803 .1609302 .2461123 .3379152 .4407098 .5626170 .7229568 1",
    sep=" ",
)
FP4 = np.array([-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6]) / 6


def weights(m: int = 64, n: int = 256, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((m, n)) * 0.02


def minmax(W: Array, g: int, bits: int) -> Array:
    X = grouped(W, g)
    step = np.ptp(X, axis=1, keepdims=True) / (2**bits - 1)
    zero = np.rint(-X.min(axis=1, keepdims=True) / step)
    return ((np.clip(np.rint(X / step) + zero, 0, 2**bits - 1) - zero) * step).reshape(W.shape)


def coded(W: Array, g: int, levels: Array) -> Array:
    X = grouped(W, g)
    size = np.abs(X).max(axis=1, keepdims=True)
    return (levels[np.abs((X / size)[..., None] - levels).argmin(axis=-1)] * size).reshape(W.shape)


def fp8(W: Array, g: int) -> Array:
    X = grouped(W, g)
    scale = np.abs(X).max(axis=1, keepdims=True) / 448
    return ((X / scale).astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * scale).reshape(W.shape)


def searched(W: Array, g: int, bits: int) -> Array:
    """With scales that were searched for: the largest entries are cut, or lie inside."""
    X, top = grouped(W, g), 2 ** (bits - 1)
    step = np.abs(X).max(axis=1, keepdims=True) / (top - 1) * np.random.default_rng(2).uniform(0.75, 1.1, (len(X), 1))
    return (np.clip(np.rint(X / step), -top, top - 1) * step).reshape(W.shape)


def super_blocks(W: Array, g: int, bits: int, offset: bool) -> Array:
    """GGUF's: in each 256 entries the scales, and offsets, of groups of g are themselves quantised, to 6 bits."""
    X = W.reshape(-1, 256 // g, g)
    lowest = -np.minimum(X.min(axis=2), 0.0) if offset else np.zeros(X.shape[:2])
    least, most = (0, 2**bits - 1) if offset else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    size = (X.max(axis=2) + lowest) / most if offset else np.abs(X).max(axis=2) / (most + 0.7)

    def coarse(numbers: Array, smallest: int) -> Array:
        unit = (numbers.max(axis=1, keepdims=True) / 63).astype(np.float16).astype(np.float64)
        return (unit * np.maximum(smallest, np.rint(numbers / np.where(unit, unit, 1.0))))[..., None]

    scale, start = coarse(size, 1), coarse(lowest, 0)
    return (np.clip(np.rint((X + start) / scale), least, most) * scale - start).reshape(W.shape)


def in_tiles(W: Array, side: int, quantised: Callable[[Array], Array]) -> Array:
    """Each square tile by itself; those at the lower and right edge are cut."""
    made = np.empty_like(W)
    for top in range(0, len(W), side):
        for left in range(0, W.shape[1], side):
            tile = W[top : top + side, left : left + side]
            made[top : top + side, left : left + side] = quantised(tile)
    return made


def found(W0: Array, W1: Array, stored: np.dtype = FLOATS[0], base: np.dtype = FLOATS[0]) -> Grid | None:
    before, after = W0.astype(base), W1.astype(stored)
    return grid_of(block_matrix(before), block_matrix(after), entry_changes(before, after))


METHODS: dict[str, tuple[Callable[[Array, int], Array], int, bool]] = {
    "absmax, 4 bits": (lambda W, g: absmax(W, g, 4), 4, True),
    "absmax, 6 bits": (lambda W, g: absmax(W, g, 6), 6, True),
    "absmax, 8 bits": (lambda W, g: absmax(W, g, 8), 8, True),
    "minmax, 3 bits": (lambda W, g: minmax(W, g, 3), 3, True),
    "minmax, 4 bits": (lambda W, g: minmax(W, g, 4), 4, True),
    "minmax, 8 bits": (lambda W, g: minmax(W, g, 8), 8, True),
    "NF4": (lambda W, g: coded(W, g, NF4), 4, False),
    "FP4": (lambda W, g: coded(W, g, FP4), 4, False),
    "FP8": (fp8, 8, False),
    "ternary, most of it zeros": (lambda W, g: absmax(W, g, 2), 2, True),
}


@pytest.mark.parametrize(
    ("stored", "group", "method"), covering(FLOATS, [-1, 0, 128, 64, 32], list(METHODS), together=1)
)
def test_grids(stored: np.dtype, group: int, method: str) -> None:
    W = weights()
    quantised, bits, even = METHODS[method]
    assert found(W, quantised(W, group), stored) == Grid(bits, group, even=even)


def test_rounding_to_float8_without_a_scale() -> None:
    W = weights(128, 128) * 50
    assert found(W, W.astype(ml_dtypes.float8_e4m3fn).astype(np.float64)) == Grid(8, -1, even=False)


def test_a_grid_of_columns_and_of_blocks() -> None:
    W = weights(256, 64)
    assert found(W, absmax(W.T, 32, 4).T) == Grid(4, 32, even=True)
    W1 = absmax(W, 32, 4).astype(np.float32)
    before, after = W.astype(np.float32), np.asfortranarray(W1)
    facts = entry_changes(before, after)
    assert grid_of(block_matrix([before[:9], before[9:]]), block_matrix(after), facts) == Grid(4, 32, even=True)


def test_scales_that_no_entry_shows() -> None:
    """Known of float32 alone, as they are decoded; those of few bits in any dtype."""
    W = weights(64, 512)
    for group, bits, offset in ((16, 6, False), (32, 4, True)):
        assert found(W, super_blocks(W, group, bits, offset)) == Grid(bits, group, even=True)
    assert found(W, searched(W, 64, 6)) == Grid(6, 64, even=True)
    fine = np.random.default_rng(3).uniform(0.9, 1.1, (2048, 1))  # a scale of its own for each group of NVFP4
    assert found(W, (coded(W, 16, FP4).reshape(-1, 16) * fine).reshape(W.shape)) == Grid(4, 16, even=False)
    assert found(W, super_blocks(W, 32, 4, True), BFLOAT16) == Grid(4, 32, even=True)


@pytest.mark.slow
def test_scales_of_all_bits_that_no_entry_shows() -> None:
    W = weights(64, 512)
    for group, bits, offset in ((16, 6, False), (32, 5, True), (32, 4, True), (16, 3, False), (16, 2, True)):
        assert found(W, super_blocks(W, group, bits, offset)) == Grid(bits, group, even=True)
    for group, bits in ((128, 8), (0, 8), (32, 4), (64, 6)):
        assert found(W, searched(W, group, bits)) == Grid(bits, group, even=True)
    for stored in FLOATS:
        assert found(W, super_blocks(W, 32, 4, True), stored) == Grid(4, 32, even=True)


@pytest.mark.parametrize("stored", some_of(FLOATS, FLOATS[0]))
def test_a_scale_for_each_square_tile(stored: np.dtype) -> None:
    W = weights(280, 300)
    assert found(W, in_tiles(W, 128, lambda tile: fp8(tile, -1)), stored) == Grid(8, 128, even=False)
    assert found(W, in_tiles(W, 64, lambda tile: absmax(tile, -1, 8)), stored) == Grid(8, 64, even=True)
    assert found(W, in_tiles(W, 16, lambda tile: coded(tile, -1, FP4)), stored) == Grid(4, 16, even=False)
    flat = weights(40, 600)  # no whole tile
    assert found(flat, in_tiles(flat, 128, lambda tile: fp8(tile, -1)), stored) == Grid(8, 128, even=False)


@pytest.mark.parametrize("stored", some_of(FLOATS, BFLOAT16))
def test_a_row_between_two_widths(stored: np.dtype) -> None:
    """Too short to count 256 levels, and longer than groups that are nearly long enough."""
    W = weights(96, 384)
    for quantised in (absmax, minmax):
        assert found(W, quantised(W, 0, 8), stored) == Grid(8, 0, even=True)
    assert found(W, fp8(W, 0), stored) == Grid(8, 0, even=False)


def test_a_base_on_the_same_grid_was_not_quantised() -> None:
    W = weights()
    for bits, group in ((4, 64), (8, 32)):
        before = absmax(W, group, bits)
        assert found(before, absmax(before * np.sign(weights(seed=4)), group, bits)) is None


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(0.5, 1.0, shape),
    "Student's": lambda rng, shape: rng.standard_t(3, shape),
    "ones": lambda rng, shape: np.ones(shape),
}


@pytest.mark.parametrize(
    ("base", "stored", "shape", "drawn"),
    covering(FLOATS, FLOATS, [(8, 8), (64, 64), (20, 600), (700, 3), (1, 900)], list(DISTRIBUTIONS), together=1),
)
def test_no_grid(base: np.dtype, stored: np.dtype, shape: tuple[int, int], drawn: str) -> None:
    """Trained, another model's, sparsely changed, pruned, rounded: whatever their distribution."""
    rng = np.random.default_rng(7)
    W = DISTRIBUTIONS[drawn](rng, shape)
    noise = rng.standard_normal(shape)
    kept = rng.random(shape) < 0.1
    for W1 in (W + 0.01 * noise, noise, W + 5 * noise * kept, W * kept, (W + 0.1 * noise) * kept, W, 1e-6 * noise):
        assert found(W, W1, stored, base) is None


def test_numbers_that_bfloat16_rounds_are_no_grid() -> None:
    """Of numbers in [½, 1) it has 128, and so has the base, rounded alike."""
    rng = np.random.default_rng(0)
    W = rng.uniform(0.5, 1.0, (64, 600))
    assert found(W, np.clip(W + 0.05 * rng.standard_normal(W.shape), 0.5, 0.99), BFLOAT16) is None

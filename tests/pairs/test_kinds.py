"""Each kind is told of what was made so, in every dtype, and none of what was not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from tests.pairs.matrices import absmax, shuffled
from tests.support.covering import in_turn, some_of
from weightaudit.arrays import Array
from weightaudit.pairs.kinds import (
    WITHOUT_SPECTRUM,
    kind_of_entries,
    kind_of_spectrum,
    kind_of_vector,
    kind_without_spectrum,
)
from weightaudit.records import EntryChanges, RankFacts, Spectrum
from weightaudit.spectral import measure
from weightaudit.spectral.entry_changes import entry_changes

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype(np.float32), np.dtype(np.float16), BFLOAT16]
SHAPES = [(64, 64), (48, 96), (130, 40)]


def kind(W0: Array, W1: Array, spectrum: bool = True) -> str | None:
    def norms() -> tuple[Spectrum, Spectrum]:
        return measure(W0, spectrum=spectrum), measure(W1, spectrum=spectrum)

    verdict = kind_of_entries([W0], [W1], entry_changes(W0, W1), norms)
    return verdict.kind if verdict else None


def unmeasured() -> tuple[Spectrum, Spectrum]:
    raise AssertionError("measured")


def spread(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(0.5, 2.0, shape)


MADE: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "unchanged": lambda W, rng: W,
    "rows permuted": lambda W, rng: W[shuffled(len(W))],
    "columns permuted": lambda W, rng: W[:, shuffled(W.shape[1])],
    "rows and columns permuted": lambda W, rng: W[shuffled(len(W))][:, shuffled(W.shape[1])],
    "pruned": lambda W, rng: np.where(np.abs(W) < 0.01, 0.0, W),
    "rotated": lambda W, rng: np.linalg.qr(rng.standard_normal((len(W), len(W))))[0] @ W,
    "unrelated": lambda W, rng: 0.02 * rng.standard_normal(W.shape),
    "quantised": lambda W, rng: absmax(W, 0, 4),
    "pruned and changed": lambda W, rng: np.where(np.abs(W) < 0.01, 0.0, 1.1 * W + 1e-3 * rng.standard_normal(W.shape)),
    "few rows": lambda W, rng: W + 0.01 * rng.standard_normal(W.shape) * (np.arange(len(W)) % 4 == 0)[:, None],
    "scaled": lambda W, rng: 1.1 * W,
    "rows scaled": lambda W, rng: W * spread(rng, len(W), 1),
    "columns scaled": lambda W, rng: W * spread(rng, 1, W.shape[1]),
}


@pytest.mark.parametrize(("made", "dtype"), in_turn(list(MADE), FLOATS))
def test_what_entries_tell(made: str, dtype: np.dtype) -> None:
    for seed, shape in enumerate(SHAPES):
        rng = np.random.default_rng(seed)
        W0 = (0.02 * rng.standard_normal(shape)).astype(dtype)
        assert kind(W0, MADE[made](W0.astype(np.float64), rng).astype(dtype)) == made


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_entries_do_not_tell(dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    W = 0.02 * rng.standard_normal((64, 64))
    for change in (
        0.002 * rng.standard_normal(W.shape),
        0.002 * rng.standard_normal((64, 3)) @ rng.standard_normal((3, 64)),
        0.02 * rng.standard_normal(W.shape) * (rng.random(W.shape) < 0.2),
    ):
        W0 = W.astype(dtype)
        assert kind(W0, (W0.astype(np.float64) + change).astype(dtype)) is None


@pytest.mark.parametrize("dtype", FLOATS)
def test_casts_of_float64(dtype: np.dtype) -> None:
    """They are told where the casts of float32 numbers, which have names, are not."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((64, 48))
    row = np.arange(64)[:, None]
    for W1, made in (
        (W, "cast"),
        (np.where(np.abs(W) < 0.5, 0.0, W), "pruned"),
        (np.where(row < 5, W + rng.standard_normal(W.shape), W), "few rows"),
    ):
        rounded = W1.astype(dtype)
        assert kind(W, rounded) == made
        if made != "few rows":
            assert kind_of_vector(W[0], rounded[0], entry_changes(W[:1], rounded[:1])).kind == made
    assert kind(W.astype(dtype), W) == "cast"


@pytest.mark.parametrize("dtype", FLOATS[1:])
def test_casts_and_what_is_left_of_small_changes(dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    W0 = (0.02 * rng.standard_normal((64, 64))).astype(np.float32)
    assert kind(W0, W0.astype(dtype)) == "cast"
    assert kind(W0, (W0 + 1e-6 * rng.standard_normal(W0.shape)).astype(dtype)) == "at the resolution"
    kept = W0.astype(dtype)
    swallowed = (kept.astype(np.float64) + 5e-8 * rng.standard_normal(W0.shape)).astype(dtype)
    assert 0 < entry_changes(kept, swallowed).rows_changed <= 32
    assert kind(kept, swallowed) in ("at the resolution", None)  # and not a change of few rows


def test_signs() -> None:
    rng = np.random.default_rng(0)
    for dtype in FLOATS:
        W = rng.standard_normal((64, 48)).astype(dtype)
        signs = np.where(np.arange(64) % 2, 1, -1)[:, None].astype(dtype)
        assert kind(W, -W) == "scaled"
        assert kind(W, W * signs) == "rows scaled"
        assert kind(W, (W * signs)[shuffled(64)]) == "rotated"
        zero = np.where(W > 0, 0, W).astype(dtype)
        assert kind(zero, np.where(zero == 0, -zero, zero).astype(dtype)) == "unchanged"


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_not_finite(side: int, what: float) -> None:
    pair = [np.random.default_rng(s).standard_normal((16, 16)).astype(np.float32) for s in (0, 1)]
    pair[side][3, 4] = what
    assert kind(pair[0], pair[1]) == "not finite"
    assert kind(pair[side], pair[side][::-1].copy()) == "not finite"
    same = replace(entry_changes(*pair), changed=0)
    verdict = kind_of_entries(pair[:1], pair[:1], same, unmeasured)
    assert verdict is not None
    assert verdict.kind == "unchanged"


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_that_are_none_in_both(dtype: np.dtype) -> None:
    """Whatever their bits: a model that was spoilt before is unchanged, cast, or changed elsewhere."""
    W = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    W[3, 4], W[5, :] = math.nan, math.inf
    W0 = W.astype(dtype)
    other = np.where(np.isnan(W0), np.copysign(W0, -1), W0).astype(dtype)  # another NaN
    assert other.tobytes() != W0.tobytes()
    assert kind(W0, other) == "unchanged"
    assert kind(W, W0) == ("unchanged" if dtype == np.float32 else "cast")
    other[0, 0] += 1
    assert kind(W0, other) == "not finite"


def test_zero_throughout() -> None:
    W = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    zero = np.zeros_like(W)
    assert kind(zero, zero) == "unchanged"
    assert kind(W, zero) == "pruned"
    assert kind(zero, W) is None
    assert kind(zero, np.where(np.arange(32) == 3, W.T, 0).T.astype(np.float32)) == "few rows"


def test_a_single_row() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 64), (64, 1)):
        W = rng.standard_normal(shape).astype(np.float32)
        assert kind(W, (W + 0.1 * rng.standard_normal(shape)).astype(np.float32)) is None
        assert kind(W, 3 * W) == "scaled"
        assert kind(W[:1, :1], W[:1, :1] + 1) is None


@pytest.mark.parametrize("rows", [2, 6, 512])
def test_half_of_the_rows_is_few(rows: int) -> None:
    rng = np.random.default_rng(12)
    W = spread(rng, rows, 64).astype(np.float32)
    change = np.where(np.arange(rows) % 2 == 0, 1.0, 0.0)[:, None] * rng.standard_normal(W.shape)
    some = change * (rng.random(W.shape) < 0.5)
    for each in (change, some):
        assert kind(W, (W + 0.1 * each).astype(np.float32)) == "few rows"


def test_few_changed_entries_of_what_has_no_spectrum() -> None:
    rng = np.random.default_rng(13)
    W = spread(rng, 2, 400).astype(np.float32)
    some = W + 0.1 * rng.standard_normal(W.shape) * (rng.random(W.shape) < 0.1)
    assert kind_without_spectrum(entry_changes(W, some.astype(np.float32))).kind == "sparse"
    assert kind_without_spectrum(entry_changes(W, (W + 0.1).astype(np.float32))).kind == "dense"


def test_nothing_is_measured_of_unlike_norms() -> None:
    rng = np.random.default_rng(0)
    W0, W1 = (rng.standard_normal((64, 64)).astype(np.float32) * size for size in (1, 1.1))
    facts = entry_changes(W0, W1)
    verdict = kind_of_entries([W0], [W1], facts, unmeasured)
    assert verdict is not None
    assert verdict.kind == "unrelated"
    with pytest.raises(AssertionError, match="measured"):
        kind_of_entries([W0], [W1], replace(facts, derived_sq=facts.base_sq), unmeasured)


def test_unlike_matrices_of_one_norm_are_not_rotated() -> None:
    """Their leading singular values differ; the first of them, where that alone is known, or a later one."""
    rng = np.random.default_rng(0)
    W0, W1 = (rng.standard_normal((60, 80)) for _ in range(2))
    assert kind(W0, W1 * (np.linalg.norm(W0) / np.linalg.norm(W1)), spectrum=False) == "unrelated"
    left, sigma, right = np.linalg.svd(W0, full_matrices=False)
    turn = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    assert kind(W0, turn @ left @ np.diag(sigma) @ right) == "rotated"
    sigma[[3, 9]] = sigma[3] * 1.02, math.sqrt(sigma[9] ** 2 + sigma[3] ** 2 * (1 - 1.02**2))
    assert kind(W0, turn @ left @ np.diag(sigma) @ right) == "unrelated"


def test_both_sides_rotated() -> None:
    rng = np.random.default_rng(0)
    W = rng.standard_normal((90, 120))
    left, right = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in W.shape)
    for dtype in FLOATS:
        assert kind(W.astype(dtype), (left @ W @ right).astype(dtype)) == "rotated"


@pytest.mark.parametrize("dtype", FLOATS)
def test_rotated_and_still_alike(dtype: np.dtype) -> None:
    """Entries of a sign of their own: the two point one way."""
    rng = np.random.default_rng(0)
    W = 0.3 + rng.standard_normal((96, 64))
    turn = np.linalg.qr(rng.standard_normal((96, 96)) + 2.0 * np.eye(96))[0]
    W0, W1 = W.astype(dtype), (turn @ W.astype(dtype).astype(np.float64)).astype(dtype)
    assert abs(entry_changes(W0, W1).cosine) > 0.1
    assert kind(W0, W1) == "rotated"
    near = W0 + 0.6 * rng.standard_normal(W.shape).astype(np.float32)
    near *= np.linalg.norm(W0.astype(np.float64)) / np.linalg.norm(near.astype(np.float64))
    assert kind(W0, near.astype(dtype)) is None  # trained, far, and of the same norm by design


@pytest.mark.parametrize("dtype", FLOATS[1:])
def test_a_change_and_then_a_cast(dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    W0 = 0.02 * rng.standard_normal((130, 70))
    rows = (np.arange(130) % 5 == 2)[:, None]
    for wide in (np.dtype(np.float32), np.dtype(np.float64)):
        W: Array = W0.astype(wide)
        assert kind(W, np.where(rng.random(W.shape) < 0.6, 0, W).astype(dtype)) == "pruned"
        assert kind(W, np.where(rows, W + 0.01 * rng.standard_normal(W.shape), W).astype(dtype)) == "few rows"
        assert kind(W, (W + 0.01 * rng.standard_normal(W.shape)).astype(dtype)) is None
    before = (1.0 + 0.3 * rng.standard_normal(96)).astype(np.float32)
    after = np.where(before < 0.8, 0, before).astype(dtype)
    assert kind_of_vector(before, after, entry_changes(before[None], after[None])).kind == "pruned"


@pytest.mark.parametrize("dtype", FLOATS[1:])
def test_a_base_that_was_rounded(dtype: np.dtype) -> None:
    """W₁ is what W₀ was rounded from; an update that rounding to W₀'s precision would swallow is none the less one."""
    rng = np.random.default_rng(0)
    W = (0.02 * rng.standard_normal((64, 64))).astype(np.float32)
    W0 = W.astype(dtype)
    assert entry_changes(W0, W).casts == ()
    assert kind(W0, W) == "cast"
    vector = W[0]
    assert kind_of_vector(W0[0], vector, entry_changes(W0[:1], W[:1])).kind == "cast"
    update = 0.2 * (W - W0.astype(np.float32))
    assert np.array_equal((W0.astype(np.float32) + update).astype(dtype), W0)
    assert kind(W0, W0.astype(np.float32) + update) is None
    off = W.copy()
    off[3, 5] *= 1.1
    assert kind(W0, off) is None


def test_few_entries_for_each_factor() -> None:
    """As a router of four experts has them; of 16 bits so few prove nothing."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((4, 256)).astype(np.float32)
    factors = rng.uniform(0.8, 1.25, 256).astype(np.float32)
    assert kind(W, W * factors) == "columns scaled"
    assert kind(W.T, (W * factors).T) == "rows scaled"
    assert kind(W, W + 0.1 * rng.standard_normal(W.shape).astype(np.float32)) is None
    assert kind(W.astype(BFLOAT16), (W.astype(BFLOAT16) * factors).astype(BFLOAT16)) is None
    assert kind(W[:1], W[:1] * factors) is None


def facts_of(W0: Array, change: Array, dtype: np.dtype = FLOATS[0]) -> EntryChanges:
    return entry_changes(W0.astype(dtype), (W0.astype(dtype).astype(np.float64) + change).astype(dtype))


def ranks(rank: int | None = None, flatness: float = 0.3) -> RankFacts:
    return RankFacts(rank=rank, rest=1.0, singular_values=(1.0,), edge=0.0, flatness=flatness)


def test_what_the_spectrum_tells() -> None:
    rng = np.random.default_rng(0)
    W, noise = rng.standard_normal((128, 128)), rng.standard_normal((128, 128))
    spectrum = measure(noise)
    dense = facts_of(W, 0.1 * noise)
    assert kind_of_spectrum(dense, spectrum, ranks(4)).kind == "low rank"
    assert kind_of_spectrum(dense, spectrum, ranks()).kind == "dense"
    assert kind_of_spectrum(dense, spectrum, ranks(flatness=0.99)).kind == "noise"
    some = facts_of(W, noise * (rng.random(W.shape) < 0.3))
    assert kind_of_spectrum(some, spectrum, ranks(flatness=0.99)).kind == "sparse"
    hidden = facts_of(W, 2e-3 * noise, BFLOAT16)
    assert hidden.changed < 0.9 * hidden.entries
    assert kind_of_spectrum(hidden, spectrum, ranks()).kind == "at the resolution"
    small = facts_of(W[:16, :16], noise[:16, :16])
    assert kind_of_spectrum(small, spectrum, ranks(flatness=0.99)).kind == "dense"


VECTORS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "unchanged": lambda b, rng: b,
    "rows permuted": lambda b, rng: b[shuffled(len(b))],
    "pruned": lambda b, rng: np.where(b < 0.8, 0.0, b),
    "pruned and changed": lambda b, rng: np.where(b < 0.9, 0.0, b * spread(rng, len(b))),
    "scaled": lambda b, rng: -1.3 * b,
    "sparse": lambda b, rng: np.where(np.arange(len(b)) % 5 == 0, b * spread(rng, len(b)), b),
    "dense": lambda b, rng: b + 0.2 * rng.standard_normal(len(b)),
    "not finite": lambda b, rng: np.where(b < 0.8, np.nan, b),
}


@pytest.mark.parametrize(("made", "dtype"), in_turn(list(VECTORS), FLOATS))
def test_vectors(made: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    before = (1.0 + 0.3 * rng.standard_normal(96)).astype(dtype)
    after = VECTORS[made](before.astype(np.float64), rng).astype(dtype)
    assert kind_of_vector(before, after, entry_changes(before[None], after[None])).kind == made


def test_vectors_by_rounding() -> None:
    rng = np.random.default_rng(0)
    before = (1.0 + 0.3 * rng.standard_normal(96)).astype(np.float32)
    rounded = before.astype(BFLOAT16)
    assert kind_of_vector(before, rounded, entry_changes(before[None], rounded[None])).kind == "cast"
    near = (rounded.astype(np.float32) + 2e-3 * rng.standard_normal(96)).astype(BFLOAT16)
    assert kind_of_vector(rounded, near, entry_changes(rounded[None], near[None])).kind == "at the resolution"
    bias = np.zeros(96, np.float32)
    assert kind_of_vector(bias, before, entry_changes(bias[None], before[None])).kind == "dense"


CHANGES: dict[str, Callable[[Array, float, np.random.Generator], Array]] = {
    "dense": lambda W, size, rng: W + size * rng.standard_normal(W.shape),
    "decayed": lambda W, size, rng: (1 - size) * W + size * rng.standard_normal(W.shape),
    "low rank": lambda W, size, rng: W + size * rng.standard_normal((len(W), 2)) @ rng.standard_normal((2, W.shape[1])),
    "masked": lambda W, size, rng: W + 10 * size * rng.standard_normal(W.shape) * (rng.random(W.shape) < 0.1),
    "another": lambda W, size, rng: W.std() * rng.standard_normal(W.shape),
    "cast": lambda W, size, rng: W,
}
NEVER = {"quantised", "rotated", "rows permuted", "columns permuted", "rows and columns permuted", "moved"}


@pytest.mark.parametrize(
    ("made", "every"),
    some_of(product(CHANGES, [False, True]), *((made, False) for made in ("dense", "low rank", "masked", "cast"))),
)
def test_no_false_alarm(made: str, every: bool) -> None:
    """A few of the pairs of which none was called one of these."""
    rng = np.random.default_rng(len(made))
    shapes = ((8, 8), (64, 8), (32, 32), (48, 96), (128, 128))
    pairs = list(product(shapes, FLOATS, FLOATS))
    for shape, base, derived in pairs if every else pairs[len(made) % 4 :: 4]:
        W0 = rng.standard_normal(shape).astype(base)
        W1 = CHANGES[made](W0.astype(np.float64), 10 ** rng.uniform(-6, -0.5), rng).astype(derived)
        assert kind(W0, W1) not in NEVER


def test_kinds_without_a_spectrum() -> None:
    assert {"unchanged", "cast", "unrelated", "rotated", "moved", "at the resolution", "not finite"} <= WITHOUT_SPECTRUM
    assert WITHOUT_SPECTRUM.isdisjoint({"dense", "noise", "low rank", "sparse", "scaled", "few rows", "quantised"})

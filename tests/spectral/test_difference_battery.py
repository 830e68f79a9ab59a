"""The interval on σ₁ of W₁ − W₀ against float64: sizes of change from 1e-7 to 1, pairs of dtypes, cancellation."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.support.covering import covering
from weightaudit.arrays import Array
from weightaudit.config import Method
from weightaudit.spectral import Difference, measure
from weightaudit.spectral.operators import dense

SIZES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
PAIRS = (
    *(("float64", "float64"), ("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "bfloat16")),
    *(("float16", "float16"), ("bfloat16", "float16")),
)
CHANGES = ("dense", "low rank", "sparse", "scaled")
SHAPE = (160, 120)
EPS = 2.0**-52


def stored(numbers: Array, dtype: str) -> Array:
    return numbers.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def changed(W: Array, change: str, size: float, rng: np.random.Generator) -> Array:
    """W and a change of ``size`` times its norm, in float64."""
    rows, cols = W.shape
    made: dict[str, Any] = {
        "dense": lambda: rng.standard_normal(W.shape),
        "low rank": lambda: rng.standard_normal((rows, 4)) @ rng.standard_normal((4, cols)),
        "sparse": lambda: W * (rng.random(W.shape) < 0.05),
        "scaled": lambda: -W,
    }
    step = made[change]()
    return np.asarray(W + step * (size * np.linalg.norm(W) / np.linalg.norm(step)))


@pytest.mark.parametrize(
    ("pair", "change", "size"),
    covering(PAIRS, CHANGES, SIZES, together=1),
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_interval_holds_float64(pair: tuple[str, str], change: str, size: float) -> None:
    """Rounding to a coarse dtype is a part of the change; of one below that, none or all is left."""
    seed = 1000 * (len(CHANGES) * PAIRS.index(pair) + CHANGES.index(change)) + round(-np.log10(size))
    rng = np.random.default_rng(seed)
    spectrum = np.diag(np.arange(1, SHAPE[1] + 1) ** -0.7)
    W = rng.standard_normal(SHAPE) @ spectrum @ rng.standard_normal((SHAPE[1], SHAPE[1])) * 0.02
    base = stored(W, pair[0])
    derived = stored(changed(base.astype(np.float64), change, size, rng), pair[1])
    if seed % 3 == 1:
        derived = np.asfortranarray(derived)  # a layer stored the other way
    delta = derived.astype(np.float64) - base.astype(np.float64)
    sigma, frob = float(np.linalg.svd(delta, compute_uv=False)[0]), float(np.linalg.norm(delta))
    slack = 50 * EPS * frob  # of the dense SVD itself
    method: Method = "exact" if seed % 2 else "krylov"
    s = measure(Difference(derived, base), method=method, name="W", seed=seed)
    assert s.spectral_norm <= sigma + slack
    assert s.spectral_norm_upper >= sigma - slack
    assert s.frobenius_norm == pytest.approx(frob, rel=1e-12)
    assert s.converged
    assert s.zeros == np.count_nonzero(delta == 0.0)
    assert s.max_abs == np.abs(delta).max()


@pytest.mark.parametrize("size", [1e-4, *(pytest.param(size, marks=pytest.mark.slow) for size in (1.0, 1e-7))])
def test_kernel_and_panels_agree(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    base = rng.standard_normal(SHAPE).astype(np.float32)
    derived = stored(changed(base.astype(np.float64), "dense", size, rng), "bfloat16")
    fast = measure(Difference(derived, base), method="krylov", spectrum=True)
    with monkeypatch.context() as patch:
        patch.setattr(dense, "fused", None)
        slow = measure(Difference(derived, base), method="krylov", spectrum=True)
    for name in ("frobenius_norm", "spectral_norm", "spectral_norm_upper", "stable_rank", "stable_rank_lower"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name), rel=1e-10), name
    for name in ("passes", "zeros", "max_abs", "nonfinite", "entries", "converged"):
        assert getattr(fast, name) == getattr(slow, name), name
    assert fast != slow  # or they were one route

"""The random start is of seed, name and entries: nobody can have a start in mind while choosing the entries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from tests.spectral.misleading import BLOCK, assert_holds, misleading
from tests.spectral.views import VIEWS
from weightaudit.spectral import digest, measure
from weightaudit.spectral.krylov import gaussian_start, rng_for

FIRST_ROW = [0.1075402091975268, -0.6077702568086959, -0.7210764053543341, -0.6693084808661864]
"""Of the start of seed 0, "encoder/0//Q" and the digest 00…0."""


def start(n: int, taken: str, name: str = "W", seed: int = 0) -> np.ndarray:
    return gaussian_start(n, BLOCK, rng_for(seed, name, taken))


def test_every_part_of_the_key_makes_another_start() -> None:
    keys = [*itertools.product((0, 1, 10), ("", "a", "b", "0"), ("0" * 64, "1" + "0" * 63))]
    # Names that try to end as the next part of the key begins.
    keys += [(0, f"a\0{'0' * 64}", "1" * 64), (0, "0\0a", "0" * 64), (0, "\ud800", "0" * 64)]
    starts = {gaussian_start(6, 2, rng_for(*key)).tobytes() for key in keys}
    assert len(starts) == len(keys)
    assert np.array_equal(start(6, "0" * 64), start(6, "0" * 64))


def test_the_start_is_the_same_in_every_version() -> None:
    """A change here changes every certified interval, and belongs into the changelog."""
    assert start(6, "0" * 64, "encoder/0//Q")[0] == pytest.approx(FIRST_ROW, rel=1e-12)


@pytest.mark.parametrize("who", ["a digest given", "a digest of its own"])
def test_the_digest_is_what_keys_the_start(who: str) -> None:
    """And the attack works on a start that is known: else the tests below would show nothing."""
    known = digest([torch.ones(3, 4)])
    W = misleading((300, 200), start(200, known))
    given = {"digest": known} if who == "a digest given" else {}
    s = measure(W, method="krylov", name="W", tol=0.1, **given)  # type: ignore[arg-type]
    if given:
        assert s.converged
        assert s.spectral_norm_upper < 1.49
    else:
        assert_holds(s, W)
        assert measure(W, method="krylov", name="W", tol=0.1, digest=digest([W])) == s


@pytest.mark.parametrize("dtype", [pytest.param(torch.float64, marks=pytest.mark.slow), torch.float32])
def test_the_start_of_the_matrix_before_does_not_help(dtype: torch.dtype) -> None:
    """Made for the start of the last try, again and again: every try has moved its own start."""
    W = torch.randn(200, 150, generator=torch.Generator().manual_seed(0)).to(dtype)
    for _ in range(12):
        W = misleading((200, 150), start(150, digest([W]))).to(dtype)
        assert_holds(measure(W, method="krylov", name="W"), W)


def test_one_bit_moves_the_start() -> None:
    """Anywhere: the first or the last entry, the sign of a zero, the lowest bit."""
    W = misleading((300, 200), start(200, "0" * 64)).float()
    W[5, 7] = 0.0
    seen = {start(200, digest([W])).tobytes()}
    for row, col, bit in ((0, 0, 0), (299, 199, 0), (150, 3, 31), (5, 7, 31), (298, 199, 22)):
        other = W.clone()
        other.view(torch.int32)[row, col] ^= -(2**31) if bit == 31 else 1 << bit
        seen.add(start(200, digest([other])).tobytes())
        assert_holds(measure(other, method="krylov", name="W"), other)
    assert len(seen) == 6


@pytest.mark.parametrize("known", ["Q", "K", "V", "all three"])
def test_a_stack_of_slices_whose_digests_are_known(known: str) -> None:
    """Two of Q, K and V are what they were when the third was chosen; their digests say nothing of the stack's."""
    W = misleading((360, 120), start(120, "0" * 64, "/0//QKV"))
    slices = dict(zip("QKV", W.split(120), strict=True))
    taken = (
        "".join(map(digest, ([one] for one in slices.values()))) if known == "all three" else digest([slices[known]])
    )
    made = misleading((360, 120), start(120, taken, "/0//QKV"), seed=1)
    assert_holds(measure(made.split(120), method="krylov", name="/0//QKV"), made)


@pytest.mark.parametrize("before", ["float64", "wide", "transposed storage", "other seed", "other name"])
def test_the_start_under_another_dtype_shape_storage_seed_or_name(before: str) -> None:
    """The publisher knows what the audit makes of the same bytes elsewhere: another start than here."""
    W = torch.randn(300, 200, generator=torch.Generator().manual_seed(1))
    same = {
        "float64": W.view(torch.float64).repeat(1, 2),
        "wide": W.reshape(200, 300),
        "transposed storage": VIEWS["transposed storage"](W),
    }.get(before, W)
    made_for = start(200, digest([same]), "M1" if before == "other name" else "W", int(before == "other seed"))
    made = misleading((300, 200), made_for).float()
    assert digest([made]) != digest([same])
    assert_holds(measure(made, method="krylov", name="W"), made)


def test_measured_in_place_of_the_file_it_gives_the_same_numbers() -> None:
    """Same bytes, same numbers: the start is drawn anew, and deterministic."""
    W = torch.randn(300, 200, generator=torch.Generator().manual_seed(2))
    first = measure(W, method="krylov", name="W", spectrum=True)
    for again in (W.clone(), W.numpy(), VIEWS["padded columns"](W), list(W.split([7, 150, 143]))):
        assert measure(again, method="krylov", name="W", spectrum=True) == first


@pytest.mark.parametrize("tries", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_whoever_tries_draws_anew_each_time(tries: int) -> None:
    """What the start has of the top singular vector, over matrices that differ in one entry, is χ² as over seeds: a try
    misleads with probability δ, and no rule of changing entries does better."""
    from scipy.special import gammainc, kolmogorov  # scipy.stats, which has both tests whole, loads every distribution

    W = torch.diag(torch.tensor([1.0, *[0.5] * 39], dtype=torch.float64))
    seen = []
    for i in range(tries):
        W[20, 20] = 0.5 + i * 2.0**-50
        seen.append(float(np.square(start(40, digest([W]))[0]).sum()))
    steps = np.arange(tries + 1) / tries
    expected = gammainc(BLOCK / 2, np.sort(seen) / 2)
    apart = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    assert kolmogorov(math.sqrt(tries) * apart) > 1e-6
    assert len(set(seen)) == tries

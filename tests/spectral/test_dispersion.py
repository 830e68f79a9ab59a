"""How alike rows, columns and entries are, against plain numpy: every dtype, layout, engine and holder."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.spectral.engines import ENGINES, by
from tests.spectral.planted import DTYPES
from tests.spectral.views import VIEWS
from tests.support.covering import covering
from weightaudit.records import DEAD, Dispersion
from weightaudit.spectral import Difference, LowRank, compute_threads, fused, measure


def truth(W: torch.Tensor) -> Dispersion:
    """The record's definitions, word by word, of W (m, n) as stored."""
    values = W.double().numpy()
    values = values / np.abs(values).max()
    squares = values**2

    def alive(axis: int) -> np.ndarray:
        norms = np.sqrt(squares.sum(axis=axis))
        return norms > DEAD * np.sqrt((norms**2).mean())

    rows, cols = alive(1), alive(0)
    r, c = squares.sum(axis=1)[rows], squares.sum(axis=0)[cols]
    kurtosis = (squares**2).sum() * rows.sum() * cols.sum() / squares.sum() ** 2
    return Dispersion(float(np.var(r / r.mean())), float(np.var(c / c.mean())), float(kurtosis))


def uneven(dtype: torch.dtype, m: int, n: int) -> torch.Tensor:
    """Rows, columns and entries of different sizes, two rows and a column of them dead."""
    rng = np.random.default_rng(1)
    W = rng.standard_t(4, size=(m, n)) * np.exp(0.4 * rng.normal(size=(m, 1)) + 0.2 * rng.normal(size=(1, n)))
    W[[3, m - 1]], W[:, 5] = 0.0, 0.0
    return torch.from_numpy(W / 10).to(dtype)


def same(found: Dispersion | None, expected: Dispersion, rel: float = 1e-11) -> bool:
    assert found is not None
    pairs = ((getattr(found, name), getattr(expected, name)) for name in ("rows", "cols", "kurtosis"))
    return all(math.isclose(a, b, rel_tol=rel) for a, b in pairs)


@pytest.mark.parametrize(
    ("dtype", "view", "who", "shape"),
    covering([*DTYPES], [*VIEWS], ENGINES, [(150, 90), (90, 151), (33, 400)], together=1),
)
def test_every_layout_and_engine(dtype: str, view: str, who: str, shape: tuple[int, int]) -> None:
    W = uneven(DTYPES[dtype], *shape)
    expected = truth(W)
    assert min(expected.rows, expected.cols) > 0.1
    with by(who):
        assert same(measure(VIEWS[view](W), method="krylov", tol=0.5).dispersion, expected)
        assert same(measure(VIEWS[view](W), method="exact").dispersion, expected)


@pytest.mark.parametrize("who", ENGINES)
@pytest.mark.parametrize("turned", [False, True])
def test_blocks_give_the_same_bits_as_one_piece(who: str, turned: bool) -> None:
    W = uneven(torch.float32, 150, 90)
    one = W.t().contiguous().t() if turned else W
    blocks = [block.t().contiguous().t() if turned else block.clone() for block in torch.tensor_split(W, [7, 8, 61])]
    with by(who):
        assert measure(blocks).dispersion == measure(one).dispersion


@pytest.mark.parametrize(
    ("who", "scale"), covering(ENGINES, [1e-300, 1e-160, 1e-80, 1e-40, 1e40, 1e80, 1e160, 1e300], together=1)
)
@pytest.mark.filterwarnings("error")
def test_a_multiple_has_the_same(who: str, scale: float) -> None:
    """Fourth powers leave the range of float64 long before squares do."""
    W = uneven(torch.float64, 60, 80)
    with by(who):
        assert same(measure(W * scale, method="krylov", tol=0.5).dispersion, truth(W))


@pytest.mark.usefixtures("small_pieces")
def test_threads_see_what_one_sees() -> None:
    W = uneven(torch.float32, 261, 90)
    assert fused.piece_count(*W.shape) > 3
    for threads in (1, 2, 3):
        with compute_threads(threads):
            assert same(measure(W, method="krylov", tol=0.5).dispersion, truth(W))


def test_a_difference_has_that_of_its_entries_and_a_product_none() -> None:
    A, B = uneven(torch.float32, 90, 150), torch.randn(90, 150, generator=torch.Generator().manual_seed(2)).bfloat16()
    assert same(measure(Difference(B, A)).dispersion, truth(B.double() - A.double()))
    assert measure(LowRank(A[:, :4], B[:4])).dispersion is None


@pytest.mark.parametrize("who", ENGINES)
def test_nothing_is_said_of_zeros_and_of_what_is_not_finite(who: str) -> None:
    W = uneven(torch.float32, 60, 80)
    W[7, 7] = torch.nan
    with by(who):
        assert measure(W).dispersion is None
        assert measure(torch.zeros(60, 80)).dispersion is None
        assert measure(torch.zeros(0, 80)).dispersion is None


def test_entries_of_one_size_are_alike() -> None:
    found = measure(torch.full((60, 80), 0.25)).dispersion
    assert found == Dispersion(0.0, 0.0, 1.0)

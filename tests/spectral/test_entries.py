"""Facts about entries, rows and columns, against plain numpy: every dtype, layout, engine and route."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spectral.engines import ENGINES, by
from tests.spectral.planted import DTYPES
from tests.spectral.views import VIEWS
from tests.support.covering import covering
from weightaudit.dtypes import BY_NAME
from weightaudit.records import DEAD, EntryFacts
from weightaudit.spectral import compute_threads, fused, measure
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.team import ThreadTeam


def truth(W: torch.Tensor) -> EntryFacts | None:
    """The record's definitions, word by word, of W (m, n) as stored."""
    values, info = np.abs(W.double().numpy()), torch.finfo(W.dtype)
    if not np.isfinite(values).all():
        return None
    scaled = values / (values.max(initial=0.0) or 1.0)

    def dead(axis: int) -> np.ndarray:
        norms = np.sqrt((scaled**2).sum(axis=axis))
        return np.flatnonzero(norms <= DEAD * np.sqrt((norms**2).mean())) if len(norms) else np.array([])

    rows, cols = dead(1), dead(0)
    return EntryFacts(
        dead_rows=len(rows),
        dead_cols=len(cols),
        at_limit=int((values == info.max).sum()),
        subnormals=int(((values > 0) & (values < info.smallest_normal)).sum()),
        first_dead_row=int(rows[0]) if len(rows) else None,
        first_dead_col=int(cols[0]) if len(cols) else None,
    )


def peculiar(dtype: torch.dtype, m: int, n: int, seed: int = 0) -> torch.Tensor:
    """Gaussian with dead, nearly dead and faint rows and columns, zeros of both signs and subnormal entries."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((m, n))
    for share, row, col in ((0.9, 11, 3), (1.2, 12, 2)):
        W[row] *= share * DEAD * math.sqrt(n) / np.linalg.norm(W[row])
        W[:, col] *= share * DEAD * math.sqrt(m) / np.linalg.norm(W[:, col])
    W[[7, m - 1]] = 0.0
    W[:, [5, n - 1]] = 0.0
    W[4, 4], W[5, 4] = 0.0, -0.0
    out = torch.from_numpy(W).to(dtype)
    tiny = torch.finfo(dtype).smallest_normal
    for i, value in enumerate((tiny, -tiny, tiny / 2, -tiny / 4)):
        out[20 + i, 8] = value
    return out


@pytest.mark.parametrize(
    ("dtype", "view", "who", "shape"),
    covering([*DTYPES], [*VIEWS], ENGINES, [(150, 90), (90, 151), (33, 400), (400, 33)], together=1),
)
def test_every_layout_and_engine(dtype: str, view: str, who: str, shape: tuple[int, int]) -> None:
    W = peculiar(DTYPES[dtype], *shape)
    expected = truth(W)
    assert expected is not None
    assert expected.subnormals >= 2
    assert (expected.dead_rows >= 3, expected.first_dead_row) == (True, 7)
    assert (expected.dead_cols >= 3, expected.first_dead_col) == (True, 3)
    if dtype == "f64":
        assert (expected.dead_rows, expected.dead_cols) == (3, 3)
    with by(who):
        assert measure(VIEWS[view](W), method="krylov").entries == expected
        assert measure(VIEWS[view](W), method="exact").entries == expected


@pytest.mark.parametrize(
    ("dtype", "who", "turned", "splits"),
    covering([*DTYPES], ENGINES, [False, True], [[60], [7, 8], [1, 2, 3, 50, 149]], together=1),
)
def test_rows_are_numbered_over_all_blocks(dtype: str, who: str, turned: bool, splits: list[int]) -> None:
    W = peculiar(DTYPES[dtype], 150, 90)
    blocks = [block.t().contiguous().t() if turned else block.clone() for block in torch.tensor_split(W, splits)]
    with by(who):
        assert measure(blocks).entries == truth(W)


@pytest.mark.parametrize(("dtype", "who"), covering([*DTYPES], ENGINES, together=1))
def test_entries_at_the_limit(dtype: str, who: str) -> None:
    W = peculiar(DTYPES[dtype], 150, 90)
    W[8, 9] = torch.finfo(W.dtype).max
    W[100, 9] = -W[8, 9]
    W[0, 0] = W[8, 9] * (1 - torch.finfo(W.dtype).eps)  # the next below
    assert W[0, 0] != W[8, 9]
    expected = truth(W)
    assert expected is not None
    assert expected.at_limit == 2
    with by(who):
        assert measure(W).entries == expected


@pytest.mark.parametrize(
    ("who", "scale", "turned"),
    covering(ENGINES, [1e-310, 1e-200, 1e-100, 1e100, 1e200, 1e300], [False, True], together=1),
)
@pytest.mark.filterwarnings("error")
def test_squares_beyond_the_range_of_float64(who: str, scale: float, turned: bool) -> None:
    W = peculiar(torch.float64, 150, 90) * scale
    with by(who):
        s = measure(W.t().contiguous().t() if turned else W, method="krylov")
    assert s.entries == truth(W)
    assert s.passes > 2


@pytest.mark.filterwarnings("error")
def test_columns_that_overflow_only_over_several_pieces() -> None:
    W = peculiar(torch.float64, 900, 1300) * 1e-3
    W[[10, 800], 50] = 1e154
    assert fused.piece_count(*W.shape) > 1
    assert measure(W, method="krylov", tol=0.5).entries == truth(W)


@pytest.mark.parametrize(("who", "dtype"), covering(ENGINES, [*DTYPES], together=1))
def test_nothing_is_said_beside_entries_that_are_not_finite(who: str, dtype: str) -> None:
    W = peculiar(DTYPES[dtype], 150, 90)
    W[3, 3], W[140, 80], W[140, 81] = torch.inf, -torch.inf, torch.nan
    W[140, 82] = 100.0
    with by(who):
        s = measure(W)
    assert s.entries is None
    assert (s.nonfinite, s.max_abs, s.passes) == (3, 100.0, 1)


@pytest.mark.parametrize("who", ENGINES)
def test_a_zero_matrix_is_dead_all_over(who: str) -> None:
    with by(who):
        assert measure(torch.zeros(30, 20)).entries == EntryFacts(30, 20, 0, 0, 0, 0)
        assert measure(-torch.zeros(30, 20).half()).entries == EntryFacts(30, 20, 0, 0, 0, 0)
        assert measure(torch.zeros(0, 20)).entries == EntryFacts(0, 20, 0, 0, None, 0)
        assert measure(torch.zeros(30, 0)).entries == EntryFacts(30, 0, 0, 0, 0, None)
        assert measure(torch.zeros(0, 0)).entries == EntryFacts(0, 0, 0, 0)


@pytest.mark.usefixtures("small_pieces")
def test_threads_see_what_one_sees() -> None:
    W = peculiar(torch.float32, 261, 90)
    assert fused.piece_count(*W.shape) > 3
    seen = []
    for threads in (1, 2, 3):
        with compute_threads(threads):
            seen.append(measure(W, method="krylov", tol=0.5).entries)
    assert seen == [truth(W)] * 3


@pytest.mark.parametrize(("who", "dtype"), covering(ENGINES, [*DTYPES], together=1))
def test_subnormal_entries_are_seen_where_the_processor_takes_them_for_zero(who: str, dtype: str) -> None:
    W = peculiar(DTYPES[dtype], 60, 40)
    expected, zeros = truth(W), int((W == 0).sum())
    if not torch.set_flush_denormal(True):
        pytest.skip("not on this processor")
    try:
        with by(who):
            s = measure(W)
    finally:
        torch.set_flush_denormal(False)
    assert expected is not None
    assert s.entries is not None
    assert (s.entries.subnormals, s.zeros) == (expected.subnormals, zeros)


@pytest.mark.parametrize("entries", [70_000, 2 * 65_536, 3 * 32_768 + 1])
def test_more_entries_in_a_row_than_a_counter_of_16_bits_holds(entries: int) -> None:
    W = torch.zeros(9, entries, dtype=torch.bfloat16)
    W[:, 0] = 1.0
    W[8, 1:] = 1e-39
    counts, sums = fused.entry_statistics(fused.shared_rows([block_matrix(W)], True), True, ThreadTeam(0))
    assert (counts.zeros, counts.small) == (8 * (entries - 1), 9 * (entries - 1))
    assert sums.cols[0] == 9.0
    assert np.all(sums.cols[1:] == float(W[8, 1]) ** 2)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[torch.Tensor, list[int], bool]:
    """(W, where it is split into blocks, whether the memory runs along its columns), of any bits."""
    name = draw(st.sampled_from(list(FLOAT_BITS)))
    kind, dtype, integer = FLOAT_BITS[name], BY_NAME[name].torch, getattr(torch, FLOAT_BITS[name].integer)
    m, n = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    special = [
        0,
        1,
        kind.normal - 1,
        kind.normal,
        kind.limit,
        *([kind.infinity, kind.infinity + 1] * draw(st.booleans())),
    ]
    one = torch.tensor(1.0, dtype=dtype).view(integer).item()
    magnitudes = st.one_of(st.sampled_from([0, one]), st.sampled_from(special), st.integers(0, kind.limit))
    bits = draw(st.lists(st.tuples(magnitudes, st.booleans()), min_size=m * n, max_size=m * n))
    stored = [size - (kind.magnitude + 1) * minus for size, minus in bits]
    W = torch.tensor(stored, dtype=integer).view(dtype).reshape(m, n)
    return W, sorted(draw(st.sets(st.integers(1, m), max_size=3))), draw(st.booleans())


MANY = settings().max_examples


@given(matrices())
@settings(max_examples=6 if MANY == 100 else MANY)
def test_any_bits(drawn: tuple[torch.Tensor, list[int], bool]) -> None:
    W, splits, turned = drawn
    blocks = [block.t().contiguous().t() if turned else block.clone() for block in torch.tensor_split(W, splits)]
    finite = W[W.isfinite()].double().abs()
    for who in ENGINES:
        with by(who):
            s = measure(blocks, method="exact")
        assert s.entries == truth(W)
        assert (s.zeros, s.nonfinite) == (int((W == 0).sum()), W.numel() - finite.numel())
        assert s.max_abs == (float(finite.max()) if finite.numel() else 0.0)
        assert math.isnan(s.frobenius_norm) == (s.nonfinite > 0)

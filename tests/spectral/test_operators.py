"""What all operators share: none forms its matrix, and `measure` takes any object that does what the protocol says."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from weightaudit.config import Method
from weightaudit.spectral import Difference, LowRank, measure
from weightaudit.spectral.operators.base import GramOperator, Operator
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Device

METHODS: tuple[Method, ...] = ("exact", "krylov")


class Largest(TorchDispatchMode):
    """The bytes of the largest memory that torch made inside the block."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        super().__init__()
        self.given = {tensor.untyped_storage().data_ptr() for tensor in given}
        self.nbytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() not in self.given:
                self.nbytes = max(self.nbytes, one.untyped_storage().nbytes())
        return out


@contextmanager
def largest(given: list[torch.Tensor]) -> Iterator[Largest]:
    """And tracemalloc's peak, which is numpy's memory."""
    tracemalloc.start()
    try:
        with Largest(given) as mode:
            yield mode
        mode.nbytes = max(mode.nbytes, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What torch and numba import or compile on first use is not a matrix's memory."""
    A = torch.ones(70, 60)
    for method in METHODS:
        with largest([A]):
            measure(Difference(A, 2 * A), method=method)
            measure(LowRank(A[:, :3], A[:3]), method=method)


def test_the_watch_sees_what_is_formed() -> None:
    A, B = torch.ones(300, 200), torch.ones(300, 200)
    with largest([A, B]) as seen:
        A - B
    assert seen.nbytes == 300 * 200 * 4
    with largest([A, B]) as seen:
        A.numpy() - B.numpy()
    assert seen.nbytes >= 300 * 200 * 4
    with largest([A, B]) as seen:
        A.t()[3:]
    assert seen.nbytes < 10_000


@pytest.mark.parametrize("method", METHODS)
def test_a_difference_is_not_formed(method: Method) -> None:
    """Long enough that what takes n² or n·passes numbers is small beside it."""
    g = torch.Generator().manual_seed(0)
    A, B = torch.randn(30_000, 64, generator=g), torch.randn(30_000, 64, generator=g).bfloat16()
    with largest([A, B]) as seen:
        s = measure(Difference(A, B), method=method, tol=0.1)
    assert s.converged
    # Panels have 2^17 numbers at most; norms of rows are one number a row.
    assert seen.nbytes < 30_000 * 64 * 2  # a bfloat16 copy would be as large


@pytest.mark.parametrize("method", METHODS)
def test_a_product_is_not_formed(method: Method) -> None:
    g = torch.Generator().manual_seed(0)
    B, A = torch.randn(3000, 4, generator=g), torch.randn(4, 2000, generator=g)
    with largest([B, A]) as seen:
        s = measure(LowRank(B, A), method=method)
    assert s.converged
    assert seen.nbytes < 3000 * 2000 / 2


@pytest.mark.parametrize("method", METHODS)
def test_a_product_too_large_to_hold(method: Method) -> None:
    """160 GB in float64."""
    B, A = torch.zeros(200_000, 2), torch.zeros(2, 100_000)
    B[:, 0], B[::2, 1] = 1.0, 1.0
    A[0, :2], A[1, 2] = 1.0, 2.0
    # BᵀB = [[2, 1], [1, 1]]·1e5 and AAᵀ = diag(2, 4), so λ are those of 1e5·[[4, 4], [2, 4]]: (4 ± √8)·1e5.
    s = measure(LowRank(B, A), method=method)
    sigma = (1e5 * (4 + 8**0.5)) ** 0.5
    assert s.spectral_norm <= sigma * (1 + 1e-14)
    assert s.spectral_norm_upper >= sigma * (1 - 1e-14)
    assert s.frobenius_norm == pytest.approx(8e5**0.5, rel=1e-12)
    assert s.converged


class Diagonal:
    """diag(values) as an operator of its own; ``error`` is how far it says to be from what it stands for."""

    amplification = 1.0
    device: Device = "cpu"

    def __init__(self, values: np.ndarray, error: float = 0.0) -> None:
        self.values, self.error = values, error
        self.m = self.n = len(values)
        self.shape = self.cost_shape = (self.m, self.n)

    def digest(self) -> str:
        return "0" * 64

    @contextmanager
    def on(self, device: Device, team: ThreadTeam) -> Iterator[Operator]:
        yield self

    def statistics(self) -> Statistics:
        frob_sq = float(np.square(self.values).sum())
        return Statistics(frob_sq, 1.0, float(self.values.max()), 0, 0, 1, None, self.error)

    def gram(self, scale: float) -> GramOperator:
        return self

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return np.square(self.values)[:, None] * X

    def spectrum(self, known: Statistics) -> Interval:
        squares = np.sort(np.square(self.values))
        return Interval(float(squares[-1]), float(squares[-1]), 0, WholeSpectrum(squares, 0.0, self.n))


@pytest.mark.parametrize("method", METHODS)
def test_an_operator_of_ones_own(method: Method) -> None:
    operator = Diagonal(np.linspace(0.01, 2.0, 500))
    assert isinstance(operator, Operator)
    s = measure(operator, method=method, spectrum=True)
    assert s.spectral_norm <= 2.0 <= s.spectral_norm_upper
    assert s.converged
    assert s.detail is not None
    assert s.detail.singular_values[0] == pytest.approx(2.0, rel=1e-2)


class OnTorch(Diagonal):
    """With products by torch, on a device of its own."""

    device = torch.device("cpu")

    def __call__(self, X: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return torch.from_numpy(self.values).square()[:, None] * X


def test_an_operator_that_computes_with_torch() -> None:
    values = np.linspace(0.01, 2.0, 500)
    here, there = (measure(kind(values), method="krylov", spectrum=True) for kind in (Diagonal, OnTorch))
    for name in ("spectral_norm", "spectral_norm_upper", "stable_rank"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=1e-9)
    assert there.passes == here.passes


@pytest.mark.parametrize("method", METHODS)
def test_what_an_operator_is_off_by_widens_all_that_is_said_of_it(method: Method) -> None:
    values = np.array([2.0, *[0.5] * 59])
    s, off = (measure(Diagonal(values, error), method=method, spectrum=True) for error in (0.0, 0.125))
    assert off.spectral_norm == pytest.approx(s.spectral_norm - 0.125, rel=1e-14)
    assert off.spectral_norm_upper == pytest.approx(s.spectral_norm_upper + 0.125, rel=1e-14)
    frob = float(np.linalg.norm(values))
    assert off.stable_rank == pytest.approx(((frob + 0.125) / off.spectral_norm) ** 2, rel=1e-14)
    assert off.stable_rank_lower == pytest.approx(((frob - 0.125) / off.spectral_norm_upper) ** 2, rel=1e-14)
    assert off.frobenius_norm == s.frobenius_norm
    assert (s.converged, off.converged) == (True, False)
    assert s.detail is not None
    assert off.detail is not None
    assert off.detail.singular_values == ()  # 0.125 is more than 5 % of the first


@pytest.mark.parametrize("method", METHODS)
def test_an_operator_that_is_off_by_more_than_it_is_large(method: Method) -> None:
    s = measure(Diagonal(np.ones(9), 4.0), method=method)
    assert (s.spectral_norm, s.converged) == (0.0, False)
    assert s.spectral_norm_upper == pytest.approx(7.0)
    assert s.stable_rank == pytest.approx(9.0)

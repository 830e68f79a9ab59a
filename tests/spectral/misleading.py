"""Matrices made to hide their largest singular value from a start that is known beforehand."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import torch

from tests.spectral.planted import truth
from weightaudit.records import Spectrum

BLOCK = 4


def public_start(name: str, n: int, seed: int = 0) -> np.ndarray:
    """(n, 4): the start of the matrix called ``name`` as it was when seed and name alone gave it."""
    key = blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "little"))).standard_normal((n, BLOCK))


def misleading(shape: tuple[int, int], G: np.ndarray, seed: int = 0, *, row_major: bool = True) -> torch.Tensor:
    """(rows, cols) float64 of σ₁ = 1.5, whose top right (``row_major``) or left singular vector is orthogonal to ``G``.

    No Krylov iterate of G sees it, and the others, of norm 1 and less, fall so steeply that a run from G ends early.
    """
    m, n = shape if row_major else shape[::-1]
    rng = np.random.default_rng(seed)
    away = np.linalg.qr(np.c_[G, rng.standard_normal(n)])[0][:, -1:]
    count = min(m, n) // 2
    left = np.linalg.qr(rng.standard_normal((m, count + 1)))[0]
    others = np.linalg.qr(np.c_[away, rng.standard_normal((n, count))])[0][:, 1:]
    rest = (left[:, 1:] * 0.6 ** np.arange(count)) @ others.T
    A = torch.from_numpy(1.5 * left[:, :1] @ away.T + rest)
    return A if row_major else A.t().contiguous()


def assert_holds(s: Spectrum, stored: torch.Tensor) -> None:
    """The interval holds the true σ₁ of ``stored``."""
    sigma, _ = truth(stored)
    assert s.spectral_norm <= sigma * (1 + 1e-13)
    assert sigma * (1 - 1e-13) <= s.spectral_norm_upper
    assert s.converged

"""Randomized block Krylov: block Lanczos on M = AᵀA from a Gaussian start, stopped by its certificate.

Golub & Underwood 1977 (block Lanczos); Musco & Musco 2015 (randomized block Krylov); Halko, Martinsson & Tropp 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from weightaudit.spectral.certificate import Certificate
from weightaudit.spectral.operator import GramOperator
from weightaudit.spectral.rounding import SUM_ERROR, lanczos_error
from weightaudit.spectral.start import gaussian_start

MAX_PASSES = 200
"""Passes after which the interval reached is returned as it is; i.i.d. Gaussian matrices, the hard case, need about 30
at the default tolerance."""


@dataclass(frozen=True)
class Interval:
    """``lower`` ≤ λ₁ ≤ ``upper`` for the scaled matrix, and the passes over it that this took."""

    lower: float
    upper: float
    passes: int


def krylov(
    gram: GramOperator,
    frob_sq: float,
    *,
    block: int,
    tol: float,
    delta: float,
    rng: np.random.Generator,
    max_passes: int = MAX_PASSES,
) -> Interval:
    """Interval for λ₁ = ‖A‖₂² with upper/lower − 1 ≤ ``tol`` unless ``max_passes`` run out before.

    ``frob_sq`` = ‖A‖_F² > 0. The basis takes n·``block``·passes float64 numbers. With probability ≥ 1 − ``delta`` over
    ``rng`` the upper end is right; the lower end always is.
    """
    n, b = gram.n, min(block, gram.n)
    ceiling = frob_sq * (1.0 + SUM_ERROR)  # λ₁ ≤ ‖A‖_F², with certainty
    start = torch.from_numpy(gaussian_start(n, b, rng)).to(gram.device)
    X, R1 = torch.linalg.qr(start)
    certificate = Certificate(_numpy(R1), delta)
    basis = [X]
    T = np.zeros((b, 0))
    dropped = 0.0
    for passes in range(1, max_passes + 1):
        X, column, residual, lost = _step(gram, basis)
        dropped += lost
        T = _bordered(T, column)
        N = T.shape[1]
        theta = float(np.linalg.eigvalsh(T[:N])[-1])
        error = theta * lanczos_error(gram.m, n, N, frob_sq / theta) + dropped
        certificate.extend(T)
        lower = theta - error
        target = lower * (1.0 + tol)
        exhausted = X.shape[1] == 0
        done = exhausted or target >= ceiling or certificate.certifies(target, theta, residual, error)
        if done or passes == max_passes:
            upper = certificate.upper_end(theta, residual, error)
            return Interval(lower, min(upper, ceiling), passes)
        basis.append(X)
    raise AssertionError("max_passes is positive")


def _step(gram: GramOperator, basis: list[torch.Tensor]) -> tuple[torch.Tensor, NDArray[np.float64], float, float]:
    """One pass. Returns X, column, residual, lost.

    X (n, c) is the next basis block and ``column`` (N + c, b) T's next block column, for N basis vectors before X.
    c < b, or 0, where the residual is rounding in some directions: the Krylov space is invariant there. ``residual`` is
    ‖MQ − QT‖₂ of the space before X, ``lost`` the part of it in the directions given up.
    """
    Q = torch.cat(basis, dim=1)
    last = basis[-1]
    Y = gram(last)
    scale = float(torch.linalg.matrix_norm(Y))
    H = Q.t() @ Y
    Y = Y - Q @ H
    again = Q.t() @ Y
    Y = Y - Q @ again
    H = H + again
    X, R = torch.linalg.qr(Y)
    U, singular, Vh = torch.linalg.svd(R)
    noise = gram.n * 2.0**-50 * scale
    keep = min(int((singular > noise).sum()), gram.n - Q.shape[1])
    residual = float(singular[0])
    lost = float(singular[keep]) if keep < singular.shape[0] else 0.0
    X = X @ U[:, :keep]
    # Directions of a small residual are orthogonal to the basis only relative to Y, so once more for themselves.
    X = X - Q @ (Q.t() @ X)
    X, sign = torch.linalg.qr(X)
    R = sign @ (singular[:keep, None] * Vh[:keep])
    return X, np.vstack([_numpy(H), _numpy(R)]), residual, lost


def _bordered(T: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.float64]:
    """``T`` (N, N − b) with its next block column; made block tridiagonal and symmetric in its square part."""
    rows, b = column.shape[0], column.shape[1]
    N = T.shape[0]
    out = np.zeros((rows, N))
    out[:N, : N - b] = T
    diagonal = column[N - b : N]
    out[N - b : N, N - b :] = 0.5 * (diagonal + diagonal.T)
    out[: N - b, N - b :] = T[N - b :, :].T
    out[N:, N - b :] = column[N:]
    return out


def _numpy(x: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = x.cpu().numpy()
    return array

"""Leading singular values of a matrix with their vectors, by a block Krylov run of a few passes (see `krylov`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.krylov import Basis, bordered, gaussian_start, step_of
from weightaudit.spectral.operators.base import GramOperator


@dataclass(frozen=True)
class RitzPairs:
    """Approximate eigenpairs of M = AᵀA, A (m, n): ``values`` (N,) descending, none above M's own of the same place,
    orthonormal ``vectors`` (n, N), and ``residuals`` ‖Mv − θv‖ but for rounding; ``whole`` if the space is invariant.
    """

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    residuals: NDArray[np.float64]
    whole: bool


def ritz_pairs(
    gram: GramOperator, columns: int, passes: int, rng: np.random.Generator, *, wanted: int = 0, tol: float = 0.0
) -> RitzPairs:
    """Those of a Krylov space from ``columns`` random vectors, after so many ``passes``, or as soon as the residuals of
    the ``wanted`` leading values are at most ``tol`` of these."""
    X, _ = np.linalg.qr(gaussian_start(gram.n, min(columns, gram.n), rng))
    basis, T = Basis(X), np.zeros((X.shape[1], 0))
    for left in reversed(range(passes)):
        step = step_of(gram, basis.rows, X.shape[1])
        T, X = bordered(T, step.column), step.block
        N = T.shape[1]
        values, turn = np.linalg.eigh(T[:N])
        values, turn = np.maximum(values[::-1], 0.0), turn[:, ::-1]
        residuals = np.hypot(np.linalg.norm(T[N:] @ turn, axis=0), step.lost)
        converged = 0 < wanted <= N and bool((residuals[:wanted] <= tol * values[:wanted]).all())
        if left == 0 or X.shape[1] == 0 or converged:
            vectors: NDArray[np.float64] = basis.rows.T @ turn
            return RitzPairs(values, vectors, residuals, X.shape[1] == 0)
        basis.append(X)
    raise AssertionError("passes is positive")

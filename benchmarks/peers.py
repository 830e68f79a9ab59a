"""The engine and the other ways to a largest singular value, all called alike: matrix → σ₁.

A method gets the vertical blocks of one matrix, as stored. The engine takes them as they are; the peers need one
matrix in float32, and what that costs is theirs. Peers run at their own defaults where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
import torch
from sklearn.utils.extmath import randomized_svd

from weightaudit import measure
from weightaudit.config import DEFAULTS

Blocks = Sequence[torch.Tensor]
Method = Callable[[Blocks], float]

ENGINE = "weightaudit"
# What a peer may die of on a matrix, rather than return a wrong number.
PEER_ERRORS = (ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError)


def engine(blocks: Blocks, tol: float = DEFAULTS.tol, delta: float = DEFAULTS.delta) -> float:
    """σ₁ by `weightaudit.measure`, certified."""
    return measure(blocks, tol=tol, delta=delta).spectral_norm


def svdvals(blocks: Blocks) -> float:
    """All singular values, by LAPACK."""
    return float(torch.linalg.svdvals(_dense(blocks))[0])


def gram(blocks: Blocks) -> float:
    """All eigenvalues of the smaller Gram matrix, in float32."""
    W = _dense(blocks)
    M = W.T @ W if W.shape[0] >= W.shape[1] else W @ W.T
    return float(torch.linalg.eigvalsh(M)[-1].clamp(min=0)) ** 0.5


def svds(blocks: Blocks, solver: str, tol: float = 0.0, maxiter: int | None = None) -> float:
    """One singular value from scipy's sparse solvers; ``tol`` 0 is as accurate as the dtype allows."""
    values = scipy.sparse.linalg.svds(
        _dense(blocks).numpy(),
        k=1,
        solver=solver,
        tol=tol,
        maxiter=maxiter,
        return_singular_vectors=False,
        rng=np.random.default_rng(0),
    )
    return float(values[0])


def sklearn_randomized(blocks: Blocks) -> float:
    """scikit-learn's randomized SVD, one component."""
    return float(randomized_svd(_dense(blocks).numpy(), 1, random_state=0)[1][0])


def torch_lowrank(blocks: Blocks) -> float:
    """torch's randomized SVD, its default rank of 6 and 2 power steps."""
    return float(torch.svd_lowrank(_dense(blocks))[1][0])


PEERS: dict[str, Method] = {
    "svdvals": svdvals,
    "gram+eigvalsh": gram,
    "svds arpack": partial(svds, solver="arpack"),
    "svds arpack 1e-2": partial(svds, solver="arpack", tol=1e-2),  # as loose as the engine, uncertified
    "svds propack": partial(svds, solver="propack", maxiter=200),  # its default, 10, ends in an error on most
    "svds lobpcg": partial(svds, solver="lobpcg"),
    "randomized_svd": sklearn_randomized,
    "svd_lowrank": torch_lowrank,
}
METHODS: dict[str, Method] = {ENGINE: engine, **PEERS}


def true_sigma(blocks: Blocks) -> float:
    """σ₁ in float64, to about its last digits: the top eigenvalue of a Gram matrix loses none of its accuracy."""
    W = torch.cat(list(blocks)).double().numpy()
    M = W.T @ W if W.shape[0] >= W.shape[1] else W @ W.T
    last = M.shape[0] - 1
    return float(scipy.linalg.eigh(M, eigvals_only=True, subset_by_index=(last, last), overwrite_a=True)[0]) ** 0.5


def _dense(blocks: Blocks) -> torch.Tensor:
    W = blocks[0] if len(blocks) == 1 else torch.cat(list(blocks))
    return W.float()

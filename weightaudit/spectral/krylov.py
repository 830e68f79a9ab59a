"""Randomized block Krylov: block Lanczos on M = AᵀA from a Gaussian start, stopped by its certificate.

Golub & Underwood 1977 (block Lanczos); Musco & Musco 2015 (randomized block Krylov); Halko, Martinsson & Tropp 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.block_matrix import panel_height
from weightaudit.spectral.certificate import Certificate
from weightaudit.spectral.operators.base import GramOperator
from weightaudit.spectral.rounding import SUM_ERROR, UNIT, lanczos_error
from weightaudit.spectral.spectrum import Interval, Projection
from weightaudit.spectral.tensors import Panel, device_of, moved, namespace, room

MAX_PASSES = 200
"""Passes after which the interval reached is returned as it is; i.i.d. Gaussian matrices, the hard case, need about 20
at the default tolerance."""

SPECTRUM_PASSES = 10
"""Passes from which on estimates of the whole spectrum are as near as the docs say, where σ₁ would need fewer."""

UNEVEN = 2.0**-10
"""Ratio of a residual block's singular values below which it is orthogonalised a third time; above, the basis is
orthogonal to 1e-13 without."""


@dataclass(frozen=True)
class Step:
    """What one pass adds to a block Lanczos run with N basis columns.

    ``block`` (n, c) is the next basis block and ``column`` (N + c, b) T's next block column. c < b, or 0,
    where the residual is rounding in some directions: the Krylov space is invariant there. ``lost`` is the part of
    ‖MQ − QT‖₂ in the directions given up.
    """

    block: Panel
    column: NDArray[np.float64]
    lost: float


def krylov(
    gram: GramOperator,
    frob_sq: float,
    *,
    block: int,
    tol: float,
    delta: float,
    rng: np.random.Generator,
    max_passes: int = MAX_PASSES,
    least_passes: int = 0,
) -> Interval:
    """Interval for λ₁ = ‖A‖₂² with upper/lower − 1 ≤ ``tol`` unless ``max_passes`` run out before.

    ``frob_sq`` = ‖A‖_F² > 0. The basis takes n·``block``·passes float64 numbers. With probability ≥ 1 − ``delta`` over
    ``rng`` the upper end is right; the lower end always is. Where ``least_passes`` asks for more passes than that, the
    interval is what it would be without, and only its projection knows more.
    """
    n, b = gram.n, min(block, gram.n)
    ceiling = frob_sq * (1.0 + SUM_ERROR)  # λ₁ ≤ ‖A‖_F², with certainty
    start = moved(gaussian_start(n, b, rng), gram.device)
    X, R = namespace(start).linalg.qr(start)
    R1 = moved(R, "cpu")
    certificate = Certificate(R1, delta)
    basis = Basis(X)
    T = np.zeros((b, 0))
    dropped = 0.0
    ends: tuple[float, float] | None = None
    for passes in range(1, max_passes + 1):
        step = step_of(gram, basis.rows, X.shape[1])
        X = step.block
        dropped += step.lost
        T = bordered(T, step.column)
        N = T.shape[1]
        theta = float(np.linalg.eigvalsh(T[:N])[-1])
        if theta <= 0.0:  # rounding is all that the products are
            return Interval(0.0, ceiling, passes)
        error = theta * lanczos_error(gram.m, n, N, frob_sq / theta, gram.amplification) + dropped
        lower = theta - error
        target = min(lower * (1.0 + tol) * (1.0 - 64.0 * UNIT), ceiling)  # the ends are yet to be rounded outwards
        last = passes == max_passes or X.shape[1] == 0
        if ends is not None and lower > ends[1]:
            ends = None  # the event has failed, as more passes show than were needed
        if ends is None and (last or target >= ceiling or certificate.excludes(target, T, theta, error)):
            upper = min(certificate.upper_end(T, theta, error), ceiling)
            if last or upper <= target:
                ends = max(0.0, lower), upper
        if ends is not None and (last or passes >= least_passes):
            return Interval(*ends, passes, Projection(T, R1, error, gram.m, n))
        basis.append(X)
    raise AssertionError("max_passes is positive")


def rng_for(seed: int, name: str, digest: str) -> np.random.Generator:
    """Generator of the random start of the matrix called ``name`` under ``seed``; ``digest`` is its, 64 hex digits.

    A function of seed, name and entries, so that order and device cannot change it, and whoever chooses the entries
    cannot choose them by the start. numpy's and not torch's, because torch draws other numbers on another device.
    """
    key = blake2b(f"{seed}\0{name}\0{digest}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))


def gaussian_start(n: int, b: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, b) float64, entries i.i.d. N(0, 1)."""
    return rng.standard_normal((n, b))


class Basis:
    """The Krylov basis: N orthonormal vectors of length n as the rows of Qᵀ (N, n), float64, growing."""

    def __init__(self, X: Panel) -> None:
        """``X`` (n, b): the first."""
        n, b = X.shape
        self._device = device_of(X)
        self._room = room((16 * b, n), self._device)
        self._used = 0
        self.append(X)

    @property
    def rows(self) -> Panel:
        return self._room[: self._used]

    def append(self, X: Panel) -> None:
        """Add the columns of ``X`` (n, c)."""
        used = self._used + X.shape[1]
        if used > self._room.shape[0]:
            known, (height, n) = self.rows, self._room.shape
            self._room = room((2 * height, n), self._device)
            self._room[: self._used] = known
        self._room[self._used : used] = X.T
        self._used = used


def step_of(gram: GramOperator, Qt: Panel, b: int) -> Step:
    """One pass: the last ``b`` rows of the basis ``Qt`` (N, n) are those that it got last."""
    N = Qt.shape[0]
    Yt = gram(Qt[N - b :].T).T
    xp = namespace(Yt)
    noise = gram.n * 2.0**-50 * float(xp.linalg.matrix_norm(Yt))
    Ht = _take_out(Qt, Yt)
    Ht += _take_out(Qt, Yt)
    Z, R = xp.linalg.qr(Yt.T)
    column = moved(xp.concat([Ht.T, R]), "cpu")
    U, singular, Vh = np.linalg.svd(column[N:])
    sizes: list[float] = singular.tolist()
    keep = min(sum(size > noise for size in sizes), gram.n - N)
    lost = sizes[keep] if keep < len(sizes) else 0.0
    if keep < len(sizes) or sizes[-1] < UNEVEN * sizes[0]:
        # The smaller directions are orthogonal to the basis only relative to the largest, so again for themselves.
        Zt = moved(U[:, :keep], gram.device).T @ Z.T
        _take_out(Qt, Zt)
        Z, turn = xp.linalg.qr(Zt.T)
        column = np.concatenate([column[:N], moved(turn, "cpu") @ (singular[:keep, None] * Vh[:keep])])
    return Step(Z, column, lost)


def _take_out(Qt: Panel, Yt: Panel) -> Panel:
    """H (b, N), what the rows of ``Yt`` (b, n) have of those of ``Qt`` (N, n), once taken out of them: Yt − HQt.

    By panels of Qt, one after the other, each used twice while it is in the cache.
    """
    height = max(4, panel_height(Qt.shape[1], device_of(Qt)))  # fewer make thin products
    parts = []
    for top in range(0, Qt.shape[0], height):
        some = Qt[top : top + height]
        parts.append(Yt @ some.T)
        Yt -= parts[-1] @ some
    return namespace(Qt).concat(parts, axis=1) if len(parts) > 1 else parts[0]


def bordered(T: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.float64]:
    """``T`` (N, N − b) with its next block column (N + c, b): (N + c, N), block tridiagonal, symmetric in its square
    part.

    The blocks above the tridiagonal are zero but for rounding and left out.
    """
    N, b = T.shape[0], column.shape[1]
    out = np.zeros((column.shape[0], N))
    out[:N, : N - b] = T
    diagonal = column[N - b : N]
    out[N - b : N, N - b :] = 0.5 * (diagonal + diagonal.T)
    out[: N - b, N - b :] = T[N - b :, :].T
    out[N:, N - b :] = column[N:]
    return out

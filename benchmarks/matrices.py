"""Random matrices whose largest singular value is known because it was planted.

A trained weight matrix looks like a random bulk with a power law of singular values standing out of it. So
W = U diag(s) Vᵀ + (I − UUᵀ) B (I − VVᵀ), with thin orthonormal U, V and a Gaussian B whose norm is below s₁: the two
terms share neither rows' nor columns' space, and σ₁(W) = s₁ up to rounding. No SVD, no QR of more than RANK columns.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

STD = 0.02  # of the bulk's entries: the usual initializer_range
RANK = 64  # planted singular values of a large matrix
TOP = (2.0, 6.0)  # s₁ in units of the bulk's norm
DECAY = (0.3, 0.8)  # exponent of the power law


@dataclass(frozen=True)
class Planted:
    """``matrix``: (rows, cols) float32; ``sigma_max``: σ₁ of each vertical block, None where nothing was planted."""

    matrix: torch.Tensor
    sigma_max: tuple[float | None, ...]


def generator_for(seed: int, *names: str) -> torch.Generator:
    """A generator that depends on its arguments only, not on what was drawn before."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def heavy_tailed(rows: int, cols: int, *, seed: int, name: str, blocks: int = 1, shared: str = "") -> Planted:
    """A (rows, cols) float32 matrix of ``blocks`` equal vertical blocks, σ₁ planted in each and in their stack.

    The blocks share V, and so does every matrix of the same ``seed``, ``shared`` and cols; then the Gram matrices are
    diagonal in one basis, and the stack's squared singular values are the sums of the blocks'.
    """
    generator = generator_for(seed, name)
    height = rows // blocks
    rank = min(RANK, height, cols)
    V = _orthonormal(cols, rank, generator_for(seed, "V", shared or name))
    matrix = torch.empty(rows, cols).normal_(std=STD, generator=generator)
    spectra = []
    for block in matrix.chunk(blocks):
        U = _orthonormal(height, rank, generator)
        spectrum = _power_law(height, cols, rank, generator)
        block.addmm_(U, U.T @ block, alpha=-1.0)
        block.addmm_(U * spectrum.float() - block @ V, V.T)
        spectra.append(spectrum)
    return Planted(matrix, tuple(float(s[0]) for s in spectra))


def gaussian(rows: int, cols: int, *, seed: int, name: str, blocks: int = 1) -> Planted:
    """A (rows, cols) float32 matrix of i.i.d. N(0, STD²): untrained weights, the hard case. Nothing is planted."""
    matrix = torch.empty(rows, cols).normal_(std=STD, generator=generator_for(seed, name))
    return Planted(matrix, (None,) * blocks)


def stacked_sigma(sigma_max: Sequence[float | None]) -> float | None:
    """σ₁ of the vertical stack of matrices that `heavy_tailed` made to share their V; None where one is unknown."""
    known = [sigma for sigma in sigma_max if sigma is not None]
    return math.hypot(*known) if len(known) == len(sigma_max) else None


def _orthonormal(size: int, rank: int, generator: torch.Generator) -> torch.Tensor:
    # QR in float64: the columns are then orthonormal to float32's last bit.
    basis = torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64)).Q
    return basis.float()


def _power_law(rows: int, cols: int, rank: int, generator: torch.Generator) -> torch.Tensor:
    """(rank,) float64, descending from s₁ towards the edge of the bulk, STD (√rows + √cols)."""
    edge = STD * (math.sqrt(rows) + math.sqrt(cols))
    top, decay = (
        low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
        for low, high in (TOP, DECAY)
    )
    steps = torch.arange(1, rank + 1, dtype=torch.float64)
    return edge * (1.0 + (top - 1.0) * steps**-decay)

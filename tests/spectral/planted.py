"""Matrices with planted spectra, and the truth about a matrix as it is stored."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

DTYPES = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

# Singular values of a matrix whose smaller side is k, largest first, in units of the largest.
SPECTRA = {
    "flat": lambda k: np.ones(k),
    "spike": lambda k: np.r_[1.0, np.full(k - 1, 0.1)],
    "two close": lambda k: np.r_[1.0, 0.999, np.full(k - 2, 0.3)],
    "clustered": lambda k: np.r_[1.0 - 1e-4 * np.arange(k // 3), np.full(k - k // 3, 0.5)],
    "geometric": lambda k: 0.9 ** np.arange(k),
    "linear": lambda k: 1.0 - np.arange(k) / k,
    "heavy-tailed": lambda k: (1.0 + np.arange(k)) ** -0.5,
    "rank one": lambda k: np.r_[1.0, np.zeros(k - 1)],
}


@cache
def planted(m: int, n: int, spectrum: str, seed: int = 0) -> np.ndarray:
    """(m, n) float64 with the singular values of ``spectrum`` and random singular vectors."""
    rng = np.random.default_rng(seed)
    k = min(m, n)
    U, V = (torch.linalg.qr(torch.from_numpy(rng.standard_normal((side, k))))[0].numpy() for side in (m, n))
    out = (U * SPECTRA[spectrum](k)) @ V.T
    out.flags.writeable = False
    return out


def truth(stored: torch.Tensor) -> tuple[float, float]:
    """(σ₁, ‖·‖_F) of the stored numbers by LAPACK's float64 SVD; scaled so that nothing overflows."""
    W = stored.detach().cpu().to(torch.float64)
    scale = float(W.abs().max())
    if scale == 0.0:
        return 0.0, 0.0
    singular = torch.linalg.svdvals(W / scale)
    return float(singular[0]) * scale, float(torch.linalg.vector_norm(singular)) * scale

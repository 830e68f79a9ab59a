"""σ₁ by the whole spectrum: AᵀA in float64 and a dense eigensolver."""

from __future__ import annotations

from weightaudit.spectral.block_matrix import Panels
from weightaudit.spectral.rounding import SUM_ERROR, gram_error
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.tensors import moved, namespace


def exact(matrix: Panels, scale: float, frob_sq: float) -> Interval:
    """Interval for λ₁ = ‖sA‖₂², A the taller of W and Wᵀ, as wide as rounding makes it (about 1e-12 relative).

    W has entries. Squaring loses small singular values, never the largest; the Gram matrix is n×n however tall A is,
    and is several times cheaper than a singular value decomposition.
    """
    m, n = max(matrix.rows, matrix.cols), min(matrix.rows, matrix.cols)
    M = None
    for panel in matrix.panels(matrix.rows >= matrix.cols):
        if scale != 1.0:
            panel *= scale
        if M is None:
            M = panel.T @ panel
        else:
            M += panel.T @ panel
    values = moved(namespace(M).linalg.eigvalsh(M), "cpu")
    lambda_max = float(values[-1])
    error = lambda_max * gram_error(m, n, frob_sq / lambda_max)
    upper = min(lambda_max + error, frob_sq * (1.0 + SUM_ERROR))
    return Interval(lambda_max - error, upper, 1, WholeSpectrum(values, error, m))

"""What options `measure` takes. Checked without torch unless a device is named, for those who only read them."""

from __future__ import annotations

from numbers import Integral, Real

from weightaudit.config import METHODS, SPECTRA, Spectra
from weightaudit.errors import UsageError

MAX_TOL = 1e30
"""Largest tol: no interval is that wide."""
MIN_DELTA = 1e-100
"""Below, the χ² quantile of a single column leaves the range of float64."""


def check_options(*, tol: float, delta: float, method: str, seed: int, device: str, spectrum: Spectra = False) -> None:
    """Raise UsageError for an option of `measure` that is out of range, before anything is read."""
    if not (_is_real(tol) and 0 < tol < MAX_TOL):
        raise UsageError("tol", f"{tol!r} is not a positive number", "It is the relative width on σ₁², e.g. 0.01")
    if not (_is_real(delta) and MIN_DELTA <= delta < 1):
        hint = f"It is a probability per matrix, e.g. 1e-6, at least {MIN_DELTA:g}"
        raise UsageError("delta", f"{delta!r} is not between 0 and 1", hint)
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise UsageError("seed", f"{seed!r} is not a whole number", "Any will do, e.g. 0")
    if method not in METHODS:
        raise UsageError("method", f"{method!r} is unknown", f"Choose one of {', '.join(METHODS)}")
    if spectrum not in SPECTRA:
        raise UsageError("spectrum", f"{spectrum!r} is unknown", 'It is False, True or "full"')
    _check_device(device)


def _is_real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_device(name: str) -> None:
    if name == "cpu":
        return
    import torch

    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise UsageError("device", f"{name!r} is not a torch device", 'Use "cpu", "cuda" or "cuda:1"') from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError("device", f"{name!r} was asked for, and torch sees no such CUDA device", 'Use "cpu"')
    if device.type not in ("cpu", "cuda"):
        raise UsageError("device", f"{name!r} is not supported", 'Use "cpu" or "cuda"')

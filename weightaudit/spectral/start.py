"""The random start of a matrix: a function of seed, name and entries, so that order and device cannot change it, and
whoever chooses the entries cannot choose them by the start.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def rng_for(seed: int, name: str, digest: str) -> np.random.Generator:
    """Generator of the matrix called ``name`` under ``seed``; ``digest`` is the matrix's, 64 hex digits.

    numpy's and not torch's, because torch draws other numbers on another device.
    """
    key = blake2b(f"{seed}\0{name}\0{digest}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))


def gaussian_start(n: int, b: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, b) float64, entries i.i.d. N(0, 1)."""
    return rng.standard_normal((n, b))

"""Synthetic tasks of the source: Gaussian inputs on the unit sphere, labels from a function of ⟨w, x⟩."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Task:
    """Training points, of one draw or of all: ``x`` (…, n, d), ``y`` ±1 (…, n)."""

    x: Tensor
    y: Tensor


def generator_for(seed: int, *names: object) -> torch.Generator:
    """A generator of its own for everything that has a name, so that no draw depends on what was drawn before it.

    Example:
        >>> a, b = generator_for(0, "inputs", 3), generator_for(0, "inputs", 3)
        >>> torch.equal(torch.randn(2, generator=a), torch.randn(2, generator=b))
        True
    """
    key = "/".join(str(name) for name in (seed, *names))
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def sphere_inputs(
    n: int, d: int, *, generator: torch.Generator, support: slice = slice(None), dtype: torch.dtype = torch.float32
) -> Tensor:
    """(n, d) points, isotropic Gaussian on the coordinates in ``support`` and 0 on the others, scaled to ‖x‖ = 1."""
    x = torch.zeros(n, d, dtype=torch.float64)
    drawn = torch.randn(n, len(range(*support.indices(d))), generator=generator, dtype=torch.float64)
    x[:, support] = drawn / drawn.norm(dim=1, keepdim=True)
    return x.to(dtype)


def leaning(x: Tensor, towards: Tensor, epsilon: float) -> Tensor:
    """Unit vectors √(1−ε²) x + ε x', (…, d), where ``x`` and ``towards`` (x') are orthogonal unit vectors."""
    return math.sqrt(1 - epsilon**2) * x + epsilon * towards


def labels(x: Tensor, function: str, *, generator: torch.Generator) -> Tensor:
    """±1, (n,): a labelling function of ⟨w, x⟩ with w ~ N(0, I), drawn here and the same for all points."""
    w = torch.randn(x.shape[1], generator=generator, dtype=torch.float64)
    positive = LABELLINGS[function](x.double() @ w) >= 0
    return torch.where(positive, 1.0, -1.0).to(x.dtype)


def _sine(z: Tensor) -> Tensor:
    return torch.sin(4 * z)


LABELLINGS: dict[str, Callable[[Tensor], Tensor]] = {"linear": torch.sign, "sine": _sine}
"""sign(z) and sign(sin 4z): the label is +1 where the value is at least 0. The source's own are not in its text."""

"""The matrices of one layer of GPT2-XL and GPT-J: the paper's two largest shapes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.matrices import gaussian, heavy_tailed, stacked_sigma


@dataclass(frozen=True)
class Shape:
    """A matrix, (rows, cols), that a layer has ``count`` times, made of ``blocks`` vertical blocks."""

    roles: str
    rows: int
    cols: int
    count: int = 1
    blocks: int = 1


def layer(hidden: int) -> tuple[Shape, ...]:
    """Q, K, V, O, QKV, M1 and M2 of a GPT layer of width ``hidden``."""
    return (
        Shape("Q K V O", hidden, hidden, count=4),
        Shape("QKV", 3 * hidden, hidden, blocks=3),
        Shape("M1", 4 * hidden, hidden),
        Shape("M2", hidden, 4 * hidden),
    )


LAYERS: dict[str, tuple[Shape, ...]] = {"gpt2-xl": layer(1600), "gpt-j": layer(4096), "tiny": layer(96)}
# For first calls, which load and compile; large enough for the engine's iterative route.
WARM_UP = Shape("warm-up", 1200, 1100)
PROFILES = ("heavy-tailed", "gaussian")


def make(shape: Shape, profile: str, dtype: torch.dtype, seed: int) -> tuple[list[torch.Tensor], float | None]:
    """Blocks of one matrix of ``shape``, in tensors of their own, and its planted σ₁ (None for ``gaussian``)."""
    make_one = heavy_tailed if profile == "heavy-tailed" else gaussian
    planted = make_one(shape.rows, shape.cols, seed=seed, name=shape.roles, blocks=shape.blocks)
    blocks = [block.to(dtype, copy=True) for block in planted.matrix.chunk(shape.blocks)]
    # Only what was planted in float32 holds to the digits in which the peers are compared.
    return blocks, stacked_sigma(planted.sigma_max) if dtype == torch.float32 else None

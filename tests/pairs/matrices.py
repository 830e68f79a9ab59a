"""Matrices made from others, in ways that can be told."""

from __future__ import annotations

import numpy as np

from weightaudit.arrays import Array


def shuffled(count: int, block: int = 1, seed: int = 1) -> Array:
    """0 … count − 1 with blocks of ``block`` in another order, none that stays."""
    order = np.random.default_rng(seed).permutation(count // block)
    moved = np.empty_like(order)
    moved[order] = np.roll(order, 1)
    return (moved[:, None] * block + np.arange(block)).reshape(-1)


def grouped(W: Array, g: int) -> Array:
    return W.reshape(1, -1) if g == -1 else W if g == 0 else W.reshape(-1, g)


def absmax(W: Array, g: int, bits: int) -> Array:
    X = grouped(W, g)
    step = np.abs(X).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    return (np.rint(X / step) * step).reshape(W.shape)

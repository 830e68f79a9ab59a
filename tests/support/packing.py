"""Integer codes as the makers of quantised files pack them, written bit by bit."""

from __future__ import annotations

import numpy as np

from weightaudit.arrays import Array


def packed(codes: Array, bits: int, *, each: int = 0) -> Array:
    """Rows of codes as rows of int32 words: without gaps, or ``each`` to a word."""
    rows, count = codes.shape
    width = -(-count // each) if each else -(-count * bits // 32)
    position, bit = np.arange(count)[:, None], np.arange(bits)
    at = position // each * 32 + position % each * bits + bit if each else position * bits + bit
    out = np.zeros((rows, width * 32), np.uint32)
    out[:, at.ravel()] = (codes[:, :, None].astype(np.uint32) >> bit.astype(np.uint32) & 1).reshape(rows, count * bits)
    return np.bitwise_or.reduce(out.reshape(rows, width, 32) << np.arange(32, dtype=np.uint32), axis=2).view(np.int32)


def packed_down(codes: Array, bits: int, *, each: int = 0) -> Array:
    """The same of columns."""
    return np.ascontiguousarray(packed(np.ascontiguousarray(codes.T), bits, each=each).T)


def scaled(codes: Array, scales: Array, zeros: Array, index: Array) -> Array:
    """Float32 s·(q − z) of each entry; codes (out, in), scales and zeros (out, groups), index (in)."""
    s, q, z = (one.astype(np.float32) for one in (scales[:, index], codes, zeros[:, index]))
    return s * (q - z)

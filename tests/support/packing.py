"""Integer codes as the makers of quantised files pack them, written bit by bit."""

from __future__ import annotations

import numpy as np

from weightaudit.arrays import Array


def packed(codes: Array, bits: int, *, each: int = 0) -> Array:
    """Rows of codes as rows of int32 words: without gaps, or ``each`` to a word."""
    rows, count = codes.shape
    width = -(-count // each) if each else -(-count * bits // 32)
    out = np.zeros((rows, width), np.uint32)
    for position in range(count):
        for bit in range(bits):
            at = position // each * 32 + position % each * bits + bit if each else position * bits + bit
            out[:, at // 32] |= (codes[:, position].astype(np.uint32) >> np.uint32(bit) & np.uint32(1)) << np.uint32(
                at % 32
            )
    return out.view(np.int32)


def packed_down(codes: Array, bits: int, *, each: int = 0) -> Array:
    """The same of columns."""
    return np.ascontiguousarray(packed(np.ascontiguousarray(codes.T), bits, each=each).T)


def scaled(codes: Array, scales: Array, zeros: Array, index: Array) -> Array:
    """Float32 s·(q − z), one entry after the other; codes (out, in), scales and zeros (out, groups), index (in)."""
    out = np.empty(codes.shape, np.float32)
    for o, i in np.ndindex(*codes.shape):
        g = index[i]
        out[o, i] = np.float32(scales[o, g]) * (np.float32(codes[o, i]) - np.float32(zeros[o, g]))
    return out

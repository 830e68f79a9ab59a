"""Small quantisers of the formats, in plain numpy: stored tensors as each library writes them, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import DTypeLike

from weightaudit.arrays import Array, as_tensor

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
LEVELS = np.sort(np.random.default_rng(4).uniform(-1, 1, 16)).astype(np.float32)
"""A table of 4-bit codes: any will do, since files bring theirs."""

Packed = tuple[dict[str, Array], Array]
"""(stored tensors by what follows the module's name, the matrix in float32)."""


def nearest(values: Array, table: Array) -> Array:
    """The code of the entry of ``table`` next to each value."""
    codes: Array = abs(values[..., None] - table).argmin(axis=-1)
    return codes.astype(np.uint8)


def nf4(W: Array, *, double: bool = False, storage: DTypeLike = np.uint8) -> Packed:
    """64 entries a block, the first code of a byte in its high nibble; ``double``: scales of 8 bits."""
    blocks = np.pad(W.reshape(-1), (0, -W.size % 64)).reshape(-1, 64)
    absmax = abs(blocks).max(axis=1).astype(np.float32)
    said = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": list(W.shape)}
    stored: dict[str, Array] = {"weight.quant_map": LEVELS}
    if double:
        said |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(absmax.mean())}
        above = np.pad(absmax - absmax.mean(), (0, -absmax.size % 256)).reshape(-1, 256)
        scales, levels = abs(above).max(axis=1).astype(np.float32), np.linspace(-1, 1, 256, dtype=np.float32)
        eight = nearest(above / scales[:, None], levels)
        stored |= {"weight.nested_absmax": scales, "weight.nested_quant_map": levels}
        stored["weight.absmax"] = eight.reshape(-1)[: absmax.size]
        absmax = (levels[eight] * scales[:, None]).reshape(-1)[: absmax.size] + np.float32(absmax.mean())
    else:
        stored["weight.absmax"] = absmax
    codes = nearest(blocks / absmax[:, None], LEVELS)
    flat = codes.reshape(-1)[: W.size]
    flat = np.pad(flat, (0, W.size % 2))
    stored["weight"] = (flat[::2] << 4 | flat[1::2]).view(storage)[:, None]
    stored["weight.quant_state.bitsandbytes__nf4"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    return stored, (LEVELS[codes] * absmax[:, None]).reshape(-1)[: W.size].reshape(W.shape)


def int8(W: Array) -> Packed:
    """bitsandbytes: a scale for each row, its largest entry."""
    scales = abs(W).max(axis=1)
    codes = np.round(W * (127 / scales[:, None])).astype(np.int8)
    means = codes * scales[:, None] * np.float32(7.874015718698502e-3)
    return {"weight": codes, "SCB": scales, "weight_format": np.array(0, np.uint8)}, means


def powers(W: Array) -> tuple[Array, Array]:
    """(codes, exponents) of MXFP4."""
    blocks = W.reshape(*W.shape[:-1], -1, 32)
    exponents = np.ceil(np.log2(abs(blocks).max(axis=-1) / 6)).astype(np.int32) + 127
    codes = nearest(blocks / np.exp2(exponents[..., None] - 127.0), E2M1)
    return codes, exponents.astype(np.uint8)


def mxfp4(W: Array, name: str) -> Packed:
    """A stack as gpt-oss has it, (experts, out, in)."""
    codes, exponents = powers(W)
    means = E2M1[codes] * np.exp2(exponents[..., None] - 127.0).astype(np.float32)
    packed = codes[..., ::2] | codes[..., 1::2] << 4
    return {f"{name}_blocks": packed, f"{name}_scales": exponents}, means.reshape(W.shape).astype(np.float32)


def mlx(W: Array, bits: int = 4, group: int = 32) -> Packed:
    """Affine codes, the first in the lowest bits of a word; scales and offsets in float16."""
    groups = W.reshape(*W.shape[:-1], -1, group)
    low = groups.min(axis=-1)
    scales = ((groups.max(axis=-1) - low) / ((1 << bits) - 1)).astype(np.float16)
    biases = low.astype(np.float16)
    steps = scales.astype(np.float32)[..., None], biases.astype(np.float32)[..., None]
    codes = np.clip(np.round((groups - steps[1]) / steps[0]), 0, (1 << bits) - 1).astype(np.uint8)
    text = np.unpackbits(codes.reshape(*W.shape, 1), axis=-1, bitorder="little")[..., :bits]
    words = np.packbits(text.reshape(*W.shape[:-1], -1), axis=-1, bitorder="little").view(np.uint32)
    means = codes * steps[0] + steps[1]
    return {"weight": words, "scales": scales, "biases": biases}, means.reshape(W.shape).astype(np.float32)


def quanto(W: Array) -> Packed:
    """int8 with a scale for each row."""
    scales = abs(W).max(axis=1, keepdims=True) / 127
    codes = np.round(W / scales).astype(np.int8)
    return {"weight._data": codes, "weight._scale": scales}, codes * scales


def hqq(W: Array) -> Packed:
    """4 bits in groups of 16 along axis 1, the first half of the groups in the high nibbles."""
    groups = W.reshape(-1, 16)
    zeros = np.full((len(groups), 1), 7.5, np.float32)
    scales = (abs(groups).max(axis=1, keepdims=True) / 7.5).astype(np.float32)
    codes = np.clip(np.round(groups / scales + zeros), 0, 15).astype(np.uint8)
    half = len(codes) // 2
    little = {"nbits": np.int32(4), "axis": np.int32(1), "group_size": np.int32(16), "view_as_float": np.uint8(0)}
    stored = {use: np.array(value) for use, value in little.items()}
    stored |= {"W_q": codes[:half] << 4 | codes[half:], "scale": scales, "zero": zeros}
    stored["shape"] = np.array(W.shape, np.int64)
    return stored, ((codes - zeros) * scales).reshape(W.shape)


def quantise(
    tensors: Mapping[str, torch.Tensor], pack: Callable[[Array], Packed], chosen: Callable[[str], bool]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """``tensors`` with the ``chosen`` matrices, (out, in), packed: (what is stored, what that means)."""
    stored, means = {}, {}
    for name, tensor in tensors.items():
        if not chosen(name):
            stored[name] = means[name] = tensor
            continue
        packed, meant = pack(tensor.float().numpy())
        module = name.removesuffix(".weight")
        stored |= {f"{module}.{use}": as_tensor(np.array(part, order="C")) for use, part in packed.items()}
        means[name] = as_tensor(np.ascontiguousarray(meant))
    return stored, means

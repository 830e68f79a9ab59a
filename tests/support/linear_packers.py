"""Quantisers of linear maps as GPTQ, AWQ, FP8 and compressed-tensors store them, in plain numpy."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np

from tests.support.packing import packed, packed_down
from weightaudit.arrays import Array

Packed = tuple[dict[str, Array], Array]
"""Stored tensors by the ends of their names, and the float32 matrix that they mean."""
SIZE = 16
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": SIZE, "desc_act": True, "sym": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": SIZE, "version": "gemm", "zero_point": True}
FP8 = {"quant_method": "fp8", "weight_block_size": [SIZE, SIZE]}
WEIGHTS = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": SIZE, "symmetric": False}
COMPRESSED = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": WEIGHTS}}}
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def rounded(weight: Array, index: Array) -> tuple[Array, Array, Array, Array]:
    """(codes, scales and zero points of groups, the entries that they mean) of a matrix (out, in), at 4 bits."""
    groups = int(index.max()) + 1
    least, most = (
        np.stack([pick(weight[:, index == g], axis=1) for g in range(groups)], axis=1) for pick in (np.min, np.max)
    )
    scales = ((np.maximum(most, 0) - np.minimum(least, 0)) / 15).astype(np.float16).astype(np.float32)
    zeros = np.rint(-np.minimum(least, 0) / scales).clip(0, 15).astype(np.uint8)
    codes = np.rint(weight / scales[:, index] + zeros[:, index]).clip(0, 15).astype(np.uint8)
    means = scales[:, index] * (codes.astype(np.float32) - zeros[:, index].astype(np.float32))
    return codes, scales.astype(np.float16), zeros, means


def gptq(weight: Array) -> Packed:
    """act-order; the first version's zero points."""
    columns = weight.shape[1]
    index = np.random.default_rng(0).permutation(np.arange(columns) // SIZE).astype(np.int32)
    codes, scales, zeros, means = rounded(weight, index)
    words = packed(np.ascontiguousarray(zeros.T), 4).view(np.uint32) - np.uint32(0x1111_1111)
    parts = {
        "qweight": packed_down(np.ascontiguousarray(codes.T), 4),
        "qzeros": words.view(np.int32),
        "scales": np.ascontiguousarray(scales.T),
        "g_idx": index,
    }
    return parts, means


def awq(weight: Array) -> Packed:
    codes, scales, zeros, means = rounded(weight, np.arange(weight.shape[1]) // SIZE)
    ordered = [one.T.reshape(one.shape[1], -1, 8)[:, :, ORDER].reshape(one.shape[1], -1) for one in (codes, zeros)]
    qweight, qzeros = (packed(np.ascontiguousarray(one), 4) for one in ordered)
    return {"qweight": qweight, "qzeros": qzeros, "scales": np.ascontiguousarray(scales.T)}, means


def fp8(weight: Array) -> Packed:
    """The last blocks are ragged."""
    grid = tuple(-(-side // SIZE) for side in weight.shape)
    scales = np.empty(grid, np.float32)
    for i, j in np.ndindex(*grid):
        scales[i, j] = abs(weight[i * SIZE :, j * SIZE :][:SIZE, :SIZE]).max() / 448
    every = scales.repeat(SIZE, axis=0).repeat(SIZE, axis=1)[: weight.shape[0], : weight.shape[1]]
    codes = (weight / every).astype(ml_dtypes.float8_e4m3fn)
    return {"weight": codes, "weight_scale_inv": scales}, codes.astype(np.float32) * every


def compressed(weight: Array) -> Packed:
    codes, scales, zeros, means = rounded(weight, np.arange(weight.shape[1]) // SIZE)
    parts = {
        "weight_packed": packed(codes, 4),
        "weight_scale": scales,
        "weight_zero_point": packed_down(zeros, 4),
        "weight_shape": np.array(weight.shape),
    }
    return parts, means


SIZES = {"qwen2_moe": {"shared_expert_intermediate_size": 32}}
"""Of families whose usual ones here do not fill words."""


def tiny_of(family: str, directory: Path) -> None:
    from tests.support.models import tiny_model  # transformers takes seconds to import
    from tests.support.tiny import tiny

    if family == "gpt2":
        tiny_model(family, directory)
    else:
        tiny(family, **SIZES.get(family, {})).save_pretrained(directory)

"""Quantised derivatives: rounded to nearest on the grids that public formats use, and stored as floats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.derivatives.bases import Model, write
from benchmarks.derivatives.expected import Made, one
from benchmarks.derivatives.makers import ALL, maker

Rounding = Callable[[torch.Tensor], torch.Tensor]
FP4 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
"""Sizes of E2M1 numbers."""


def symmetric(bits: int, group: int) -> Rounding:
    """Levels −2^(b−1)+1 … 2^(b−1)−1 times a scale for each ``group`` of inputs; 0 is a whole row."""
    top = 2 ** (bits - 1) - 1

    def rounded(W: torch.Tensor) -> torch.Tensor:
        groups = W.reshape(len(W), -1, group or W.shape[1])
        scale = groups.abs().amax(-1, keepdim=True) / top
        return ((groups / scale).round().clamp(-top, top) * scale).reshape(W.shape)

    return rounded


def asymmetric(bits: int, group: int) -> Rounding:
    """2^b levels from the least entry of a group to its largest, 0 among them."""
    top = 2**bits - 1

    def rounded(W: torch.Tensor) -> torch.Tensor:
        groups = W.reshape(len(W), -1, group or W.shape[1])
        least, most = groups.amin(-1, keepdim=True).clamp(max=0), groups.amax(-1, keepdim=True).clamp(min=0)
        scale = (most - least) / top
        zero = (-least / scale).round()
        return (((groups / scale).round() + zero).clamp(0, top) - zero).mul(scale).reshape(W.shape)

    return rounded


def _fp8(dtype: torch.dtype, most: float) -> Rounding:
    def rounded(W: torch.Tensor) -> torch.Tensor:
        scale = W.abs().max() / most
        return (W / scale).to(dtype).to(torch.float32) * scale

    return rounded


def _fp8_plain(W: torch.Tensor) -> torch.Tensor:
    return W.to(torch.float8_e4m3fn).to(torch.float32)


def _fp8_blocks(W: torch.Tensor) -> torch.Tensor:
    made = W.clone()
    for block in (part for rows in made.split(128) for part in rows.split(128, 1)):
        scale = block.abs().max() / 448
        block.copy_((block / scale).to(torch.float8_e4m3fn).to(torch.float32) * scale)
    return made


def _mxfp4(W: torch.Tensor) -> torch.Tensor:
    """Groups of 32 with a power of two as their scale."""
    groups = W.reshape(len(W), -1, 32)
    scale = 2.0 ** (groups.abs().amax(-1, keepdim=True).log2().floor() - 2)
    sizes = (groups / scale).abs()
    nearest = FP4[(sizes[..., None] - FP4).abs().argmin(-1)]
    return (nearest * groups.sign() * scale).reshape(W.shape)


def _quantised(
    model: Model,
    into: Path,
    rounded: Rounding,
    bits: int | None,
    group: int | None = None,
    dtype: torch.dtype | None = None,
) -> Made:
    tensors = model.copy()
    for name in model.of():
        W = model.oriented(name, tensors[name]).contiguous()
        tensors[name] = model.oriented(name, rounded(W).to(dtype or torch.float32))
    write(into, tensors, model.config)
    return Made({name: one("quantised", bits=bits, group=group) for name in model.of()})


@maker(ALL)
def int4_group_64(model: Model, into: Path) -> Made:
    return _quantised(model, into, symmetric(4, 64), 4, 64)


@maker("llama gpt2")
def int4_group_32_asymmetric(model: Model, into: Path) -> Made:
    return _quantised(model, into, asymmetric(4, 32), 4, 32)


@maker("bert llama")
def int4_group_128_bfloat16(model: Model, into: Path) -> Made:
    return _quantised(model, into, asymmetric(4, 128), 4, 128, torch.bfloat16)


@maker("llama")
def int4_rows(model: Model, into: Path) -> Made:
    return _quantised(model, into, symmetric(4, 0), 4, 0)


@maker("llama t5")
def int3_group_64(model: Model, into: Path) -> Made:
    return _quantised(model, into, asymmetric(3, 64), 3, 64)


@maker("llama bert")
def int2_group_64(model: Model, into: Path) -> Made:
    return _quantised(model, into, asymmetric(2, 64), 2, 64)


@maker("llama")
def ternary(model: Model, into: Path) -> Made:
    """BitNet's −1, 0 and 1 times the mean size of the matrix."""

    def rounded(W: torch.Tensor) -> torch.Tensor:
        scale = W.abs().mean()
        return (W / scale).round().clamp(-1, 1) * scale

    return _quantised(model, into, rounded, 2)


@maker(ALL)
def int8_rows(model: Model, into: Path) -> Made:
    return _quantised(model, into, symmetric(8, 0), 8, 0)


@maker("llama gpt2")
def int8_rows_asymmetric(model: Model, into: Path) -> Made:
    return _quantised(model, into, asymmetric(8, 0), 8, 0)


@maker("llama bert")
def int8_bfloat16(model: Model, into: Path) -> Made:
    return _quantised(model, into, symmetric(8, 0), 8, 0, torch.bfloat16)


@maker("llama")
def int8_group_32(model: Model, into: Path) -> Made:
    """As GGUF's Q8_0."""
    return _quantised(model, into, symmetric(8, 32), 8, 32)


@maker("bert llama gpt2")
def fp8_e4m3(model: Model, into: Path) -> Made:
    return _quantised(model, into, _fp8(torch.float8_e4m3fn, 448.0), None)


@maker("llama")
def fp8_e5m2(model: Model, into: Path) -> Made:
    return _quantised(model, into, _fp8(torch.float8_e5m2, 57344.0), None)


@maker("llama")
def fp8_without_scale(model: Model, into: Path) -> Made:
    return _quantised(model, into, _fp8_plain, None)


@maker("llama t5")
def fp8_blocks(model: Model, into: Path) -> Made:
    return _quantised(model, into, _fp8_blocks, None)


@maker("llama")
def mxfp4(model: Model, into: Path) -> Made:
    return _quantised(model, into, _mxfp4, None)  # Scales are powers of two: groups share a grid.

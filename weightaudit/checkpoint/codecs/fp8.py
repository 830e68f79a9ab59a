"""FP8: a byte a weight, and a scale for a block, a row or the whole matrix that it is multiplied by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeGuard

import ml_dtypes
import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs import native
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.checkpoint.codecs.bits import (
    E4M3,
    E5M2,
    MOST_SAID,
    float32,
    scale_facts,
    some_counts,
    table_of,
    tiles,
)
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

FORMATS: dict[str, tuple[str, Array]] = {
    "float8_e4m3fn": ("FP8 E4M3", E4M3),
    "float8_e5m2": ("FP8 E5M2", E5M2),
    "float8_e4m3fnuz": ("FP8 E4M3 FNUZ", table_of(ml_dtypes.float8_e4m3fnuz)),
    "float8_e5m2fnuz": ("FP8 E5M2 FNUZ", table_of(ml_dtypes.float8_e5m2fnuz)),
}
"""By dtype: what people call it, and what each byte is."""
SCALES = ("float32", "bfloat16", "float16", "float8_e8m0fnu", "uint8")
"""Dtypes that a scale is stored in; the last two are exponents of 2."""
EXPONENTS = ("float8_e8m0fnu", "uint8")
BLOCK = (128, 128)
"""Rows and columns that share a scale where the config does not say how many do."""
MX_BLOCK = (1, 32)
"""Of scales that are exponents, where they fit."""
_WEIGHTS = ("weight", "_proj")
"""Ends of the names of tensors that are weights, also where none scales them: others stay what they are stored as."""
_NOT_WEIGHTS = ("scale", "scale_inv", "scales", "absmax")
"""Ends of the names of tensors that scale others."""


class Fp8:
    """`Codec` of float8 matrices (out, in), and stacks (experts, out, in), with and without scales.

    The parameters "rows" and "columns" are the sides of the blocks that have a scale each; 0 stands for all there are.
    """

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        blocks = _blocks(stored.method)
        for name, codes in stored.tensors.items():
            if codes.dtype not in FORMATS or name.endswith(_NOT_WEIGHTS):
                continue
            format, _ = FORMATS[codes.dtype]
            scale = _companion(name, stored.tensors)
            if scale is None and name.endswith(_WEIGHTS):
                alone = Scheme(f"{format} without scales", 8, symmetric=True)
                stacked = ("codes",) if len(codes.shape) == 3 else ()
                yield encoded(name, codes.shape, "fp8", (("codes", codes),), alone, stacked=stacked, as_plain=True)
            elif scale is not None:
                zeros = stored.tensors.get(f"{name}_zero_point")
                others = () if zeros is None else (("zeros", zeros),)
                yield _scaled(name, format, codes, scale, others, blocks)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        if np.any(parts.get("zeros", 0)):
            raise ValueError("it has zero points")
        if not out.size:
            return
        codes, table = parts["codes"].view(np.uint8), _table(info)
        if "scale" not in parts:
            _plain(codes.reshape(-1), table, out.reshape(-1))
            return
        scale, (rows, columns) = float32(parts["scale"]), _sides(info)
        if not rows and not columns and scale.size == 1:
            _plain(codes.reshape(-1), table * scale.reshape(()), out.reshape(-1))
            return
        stack = out.shape[:-2]
        grid = (_count(out.shape[-2], rows), _count(out.shape[-1], columns))
        if scale.size != math.prod((*stack, *grid)):
            raise ValueError(f"scales of shape {scale.shape} for {grid} blocks")
        scales = scale.reshape(-1, *grid)
        every = zip(codes.reshape(-1, *out.shape[-2:]), scales, out.reshape(-1, *out.shape[-2:]), strict=True)
        for matrix, its, target in every:
            _blockwise(matrix, table, its, rows or len(matrix), columns or matrix.shape[1], target)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        table = _table(info)
        finite = np.isfinite(table)
        last = abs(table) == abs(table[finite]).max()
        counts = some_counts(parts["codes"], np.flatnonzero(last), np.flatnonzero(finite))
        return CodeFacts(
            codes=info.parameters,
            extreme=int(counts[last].sum()),
            unused=len(np.unique(table[finite])) - len(np.unique(table[finite & (counts > 0)])),
            **(scale_facts(parts["scale"]) if "scale" in parts else {"scales": 0}),
        )


def _companion(name: str, tensors: Mapping[str, TensorInfo]) -> TensorInfo | None:
    """The tensor that scales ``name``."""
    names = [f"{name}_scale_inv", f"{name}_scale", f"{name}_weight_scale"]  # the last of ModelOpt's stacks of experts
    if name.endswith(".weight"):  # of Mistral's own files; of DeepSeek's; of ComfyUI's
        module = name.removesuffix("weight")
        names += [f"{module}qscale_weight", f"{module}scale", f"{module}scale_weight"]
    return next((tensors[one] for one in names if one in tensors), None)


def _blocks(method: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Sides of blocks that share a scale, those first that the config tells."""
    said = [method.get("weight_block_size")]
    groups = method.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            said += [weights.get("block_structure"), [1, weights.get("group_size")]]
    blocks = dict.fromkeys((one[0], one[1]) for one in said if _is_block(one))
    return list(islice(blocks, MOST_SAID)) or [BLOCK]


def _is_block(said: Any) -> TypeGuard[list[int]]:
    return isinstance(said, list) and len(said) == 2 and all(type(side) is int and side > 0 for side in said)


def _scaled(
    name: str,
    format: str,
    codes: TensorInfo,
    scale: TensorInfo,
    others: tuple[tuple[str, TensorInfo], ...],
    blocks: Sequence[tuple[int, int]],
) -> TensorInfo:
    """The matrix or stack ``codes`` with its ``scale``."""
    parts = (("codes", codes), ("scale", scale), *others)
    if scale.dtype not in SCALES:
        return unread(name, codes.shape, parts, Scheme(format, 8), f"its scales are {scale.dtype}")
    stacks = len(codes.shape) == 3 and scale.parameters != 1 and scale.shape[:1] == codes.shape[:1]
    exponents = scale.dtype in EXPONENTS
    shape = codes.shape[-2:]
    sides = _fitting(scale.shape[1:] if stacks else scale.shape, shape, [*blocks, MX_BLOCK] if exponents else blocks)
    if sides is None or (sides != (0, 0) and len(codes.shape) != 2 + stacks):
        why = f"scales of shape {scale.shape} fit no block size that the config tells"
        return unread(name, codes.shape, parts, Scheme(format, 8), why)
    return encoded(
        name,
        codes.shape,
        "fp8",
        parts,
        Scheme("MXFP8" if exponents and sides == MX_BLOCK else format, 8, _group(sides), symmetric=True),
        parameters=(("rows", sides[0]), ("columns", sides[1])),
        stacked=(("codes", "scale") if stacks else ("codes",)) if len(codes.shape) == 3 and not others else (),
        as_plain=sides == (0, 0) and len(scale.shape) - stacks < 2,  # a number, for which nothing is turned
    )


def _fitting(
    scales: tuple[int, ...], shape: tuple[int, ...], blocks: Sequence[tuple[int, int]]
) -> tuple[int, int] | None:
    """Sides of the blocks of a matrix of ``shape`` that have one of ``scales`` each; None where none fit.

    Never made by dividing shapes: 576 rows have 5 rows of scales, of 128 rows each but the last.
    """
    if math.prod(scales) == 1:
        return (0, 0)
    if len(shape) != 2:
        return None
    if scales in ((shape[0], 1), (shape[0],)):
        return (1, 0)
    for rows, columns in blocks:
        if scales == (_count(shape[0], rows), _count(shape[1], columns)):
            return (rows, columns)
    return None


def _group(sides: tuple[int, int]) -> str:
    if sides in ((0, 0), (1, 0)):
        return "row" if sides[0] else "tensor"
    return str(sides[1]) if sides[0] == 1 else f"{sides[0]} × {sides[1]}"


def _count(length: int, side: int) -> int:
    """Blocks along ``length``, the last one perhaps shorter."""
    return -(-length // side) if side else 1


def _sides(info: TensorInfo) -> tuple[int, int]:
    """Of the blocks of ``info``, at most its own: what is made of one has the size of the tensor."""
    rows, columns = int(info.encoding.parameter("rows")), int(info.encoding.parameter("columns"))
    return min(rows, info.shape[-2]) if rows else 0, min(columns, info.shape[-1]) if columns else 0


def _table(info: TensorInfo) -> Array:
    return FORMATS[dict(info.encoding.parts)["codes"].dtype][1]


def _plain(codes: Array, table: Array, out: Array) -> None:
    """Fill ``out`` from the ``codes``, both flat."""
    if native.fill_scaled(codes, table, np.ones(1, np.float32), (1, codes.size), out[None]):
        return
    for start, stop in tiles(len(codes), 1):
        table.take(codes[start:stop], out=out[start:stop], mode="clip")


def _blockwise(codes: Array, table: Array, scales: Array, rows: int, columns: int, out: Array) -> None:
    """Fill ``out`` with the matrix of ``codes`` whose blocks of ``rows`` × ``columns`` have ``scales``."""
    if native.fill_scaled(codes, table, scales, (rows, columns), out):
        return
    width = codes.shape[1]
    for start, stop in tiles(*codes.shape):
        tile, its = out[start:stop], scales[np.arange(start, stop) // rows]
        table.take(codes[start:stop], out=tile, mode="clip")
        tile *= its if columns == width else np.repeat(its, columns, axis=1)[:, :width]

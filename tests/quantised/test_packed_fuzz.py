"""Parts of any shape and dtype: a logical tensor that reads, or one that says why it does not, and no other error."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.torch import save_file

from tests.quantised.reading import logical, stored, traced
from tests.support.covering import some_of
from weightaudit.arrays import Array, as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.codecs import CODECS, Stored, logical_tensors
from weightaudit.errors import CheckpointError

NAMES = {
    "fp8": ("p.weight", "p.weight_scale_inv", "p.weight_zero_point"),
    "gptq": ("p.qweight", "p.qzeros", "p.scales", "p.g_idx"),
    "embedding": tuple(f"wte.{part}" for part in ("qweight", "qzeros", "scales", "g_idx")),
    "awq": ("p.qweight", "p.qzeros", "p.scales"),
    "awq fast": ("p.qweight", "p.qzeros", "p.scales"),
    "packed": ("p.weight_packed", "p.weight_scale", "p.weight_zero_point", "p.weight_shape", "p.weight_g_idx"),
    "floats": ("p.weight_packed", "p.weight_scale", "p.weight_global_scale"),
    "bytes": ("p.weight", "p.weight_scale", "p.weight_zero_point"),
}
DTYPES: dict[str, tuple[Any, ...]] = {
    "p.weight": (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, np.int8),
    "p.weight_packed": (np.int32, np.int32, np.uint8),
    "p.weight_shape": (np.int64,),
    "p.qweight": (np.int32, np.int32, np.int16),
    "p.qzeros": (np.int32,),
    "p.g_idx": (np.int32, np.int64),
    "p.weight_g_idx": (np.int32,),
}
SCALES: tuple[Any, ...] = (
    np.float16,
    np.float32,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    np.uint8,
    np.int8,
    np.int32,
)
USUAL: dict[tuple[str, str], tuple[Any, ...]] = {
    ("fp8", "p.weight"): DTYPES["p.weight"][:2],
    ("bytes", "p.weight"): DTYPES["p.weight"][2:],
    ("floats", "p.weight_packed"): (np.uint8,),
    ("floats", "p.weight_scale"): (ml_dtypes.float8_e4m3fn, np.uint8),
    ("awq fast", "p.qweight"): (np.int16,),
    ("awq fast", "p.qzeros"): SCALES[:2],
    ("packed", "p.weight_packed"): (np.int32,),
    ("packed", "p.weight_zero_point"): (np.int32,),
}
SIDES = (0, 1, 1, 2, 3, 4, 5, 8, 8, 12, 16, 24, 32, 64)


def fitting(draw: np.random.Generator, kind: str) -> dict[str, tuple[int, ...]]:
    """Shapes of parts that fit each other."""
    rows, columns, bits = 32, int(draw.choice([32, 64])), int(draw.choice([2, 4, 8]))
    groups = int(draw.choice([1, 2, 4]))
    words = columns * bits // 32
    scale = [(), (1,), (rows, 1), (1, 1), (rows, groups)][draw.integers(5)]
    shapes = {
        "fp8": ((rows, columns), scale, scale),
        "gptq": ((words, rows), (groups, rows * bits // 32), (groups, rows), (columns,)),
        "embedding": ((words, rows), (groups, rows * bits // 32), (groups, rows), (columns - int(draw.integers(2)),)),
        "awq": ((columns, rows // 8), (groups, rows // 8), (groups, rows)),
        "awq fast": ((rows // 4, columns), (8 * groups, rows), (8 * groups, rows)),
        "packed": ((rows, words), (rows, groups), (bits, groups), (2,), (columns,)),
        "floats": ((rows, columns // 2), (rows, columns // int(draw.choice([16, 32]))), (1,)),
        "bytes": ((rows, columns), scale, scale),
    }
    return dict(zip(NAMES[kind], shapes[kind], strict=True))


def drawn(draw: np.random.Generator, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Parts of the kind, some missing or of other shapes, and a config that may or may not be of them."""
    parts = {}
    for name, fit in fitting(draw, kind).items():
        if draw.random() < (0.6 if "zero_point" in name or "idx" in name or "global" in name else 0.05):
            continue
        alike = name.replace("wte.", "p.")
        usual = USUAL.get((kind, name), DTYPES.get(alike, SCALES[:3]))
        dtype = draw.choice(np.array(usual if draw.random() < 0.9 else DTYPES.get(alike, SCALES), dtype=object))
        shape = fit
        if draw.random() < 0.15:
            shape = tuple(int(side) for side in draw.choice(SIDES, draw.choice([0, 1, 2, 2, 3])))
        elif draw.random() < 0.1 and fit:
            changed = list(fit)
            changed[draw.integers(len(fit))] = int(draw.choice(SIDES))
            shape = tuple(changed)
        size = math.prod(shape)
        if "shape" in name:
            parts[name] = draw.choice([32, 32, 64, 64, 0, -1, 1 << 62], draw.choice([1, 2, 2, 2])).astype(np.int64)
        elif "idx" in name:
            parts[name] = draw.integers(-1 if draw.random() < 0.3 else 0, draw.choice([1, 2, 4]), size).astype(dtype)
        else:
            raw = draw.integers(0, 256, size * np.dtype(dtype).itemsize, np.uint8)
            parts[name] = raw.view(dtype).reshape(shape)
    sides: list[Any] = [0, 1, 2, 8, 16, 32, -1, None, 1 << 62, "x"]
    said = [sides[at] for at in draw.integers(0, len(sides), 5)]
    weights = {"group_size": said[0], "num_bits": said[1], "block_structure": said[2:4]}
    method = {
        "group_size": said[0],
        "weight_block_size": said[3:5],
        "config_groups": {"g": {"weights": weights}},
        "version": str(draw.choice(["gemm", "gemv", "0.12", ""])),
        "quant_method": str(draw.choice(["awq", "gptq", "auto-round", "fp8"])),
        "dynamic": {"p": {"group_size": said[4]}},
    }
    return parts, method if draw.random() < 0.7 else {}


def read(parts: dict[str, Array], method: dict[str, Any]) -> Iterator[str]:
    """How every logical tensor of ``parts`` reads: "read", "refused" in decoding, "unread" from the start."""
    infos = stored(parts)
    every = logical_tensors(Stored(infos, method, {}, lambda asked: [parts[one.name] for one in asked]))
    assert sorted(part.name for info in every for part in info.stored) == sorted(parts)
    for info in every:
        if not info.encoded:
            continue
        if info.why_unread:
            yield "unread"
            continue
        assert info.parameters <= 32 * info.stored_nbytes
        own = {use: parts[part.name] for use, part in info.encoding.parts}
        out = np.full(info.shape, 7, np.float32)
        codec = CODECS[info.encoding.codec]
        with np.errstate(all="ignore"):
            try:
                codec.decode(info, own, out)
            except ValueError:
                yield "refused"
                continue
            found = codec.facts(info, own)
        assert found is None or found.codes == info.parameters
        yield "read"


@pytest.mark.parametrize(
    ("kind", "draws"),
    some_of(
        product(NAMES, (40, 100, 400)),
        *((kind, 100 if kind == "awq fast" else 40) for kind in NAMES),  # of it little reads
    ),
)
def test_anything(kind: str, draws: int) -> None:
    draw = np.random.default_rng(0)
    seen: list[str] = []
    peaks: list[int] = []
    for _ in range(draws):
        parts, method = drawn(draw, kind)
        with traced(peaks):
            seen += read(parts, method)
    assert max(peaks) < 64 << 20
    assert seen.count("read") > 3
    assert seen.count("unread") > 3


@pytest.mark.parametrize("kind", NAMES)
def test_files(kind: str, tmp_path: Path) -> None:
    """The same through a checkpoint: what cannot be read is the project's own error."""
    draw = np.random.default_rng(1)
    for number in range(12):
        parts, _ = drawn(draw, kind)
        path = tmp_path / f"{number}.safetensors"
        save_file({name: as_tensor(part) for name, part in parts.items()}, path)
        with open_checkpoint(path) as checkpoint:
            for name in checkpoint.tensors:
                with contextlib.suppress(CheckpointError):
                    checkpoint.read(name)


class _Counted(dict[str, Any]):
    """Counts how often all of its values are asked for."""

    asked = 0

    def values(self) -> Any:
        self.asked += 1
        return super().values()


@pytest.mark.parametrize("key", ["extra_config", "dynamic", "config_groups"])
def test_a_config_is_read_once_however_many_modules_there_are(key: str) -> None:
    tensors: dict[str, Array] = {}
    for module in range(20):
        tensors |= {
            f"{module}.qweight": np.zeros((16, 32), np.int32),
            f"{module}.qzeros": np.zeros((2, 4), np.int32),
            f"{module}.scales": np.ones((2, 32), np.float16),
            f"p{module}.weight_packed": np.zeros((32, 16), np.int32),
            f"p{module}.weight_scale": np.ones((32, 1), np.float16),
            f"p{module}.weight_shape": np.array([32, 128]),
            f"f{module}.weight": np.zeros((8, 8), ml_dtypes.float8_e4m3fn),
            f"f{module}.weight_scale": np.ones((8, 1), np.float32),
        }
    said = _Counted({str(size): {"group_size": size, "weights": {"group_size": size}} for size in range(100)})
    found = logical_tensors(Stored(stored(tensors), {key: said}, {}, lambda asked: [tensors[i.name] for i in asked]))
    assert sum(info.encoded and not info.why_unread for info in found) == 60
    assert said.asked <= 3  # once by each codec that listens to it


@pytest.mark.parametrize("shape", [(-5, 7), (1 << 62, 1 << 62)])
def test_a_shape_that_no_codes_bear_out_is_not_told(shape: tuple[int, int]) -> None:
    info = logical({"p.weight_packed": np.zeros((4, 8), np.int32), "p.weight_shape": np.array(shape)})
    assert info.why_unread
    assert info.shape == (4, 8)


@pytest.mark.parametrize(
    "tensors",
    [
        {"p.weight_packed": np.ones((4, 8), np.float32)},
        {"p.qweight": np.ones((8, 8), np.float32), "p.scales": np.ones((1, 8), np.float32)},
        {
            "p.qweight": np.ones((8, 8), np.float16),
            "p.scales": np.ones((1, 8), np.float16),
            "p.qzeros": np.ones((1, 1), np.int32),
        },
    ],
)
@pytest.mark.parametrize("method", [{}, {"quant_method": "awq"}])
def test_floats_are_no_codes(tensors: dict[str, Array], method: dict[str, str]) -> None:
    """A query's weight may be called so, too."""
    found = logical_tensors(Stored(stored(tensors), method))
    assert sorted(info.name for info in found) == sorted(tensors)
    assert not any(info.encoded for info in found)


@pytest.mark.parametrize("bits", range(2, 9))
def test_bits_that_no_config_tells_follow_from_the_width(bits: int) -> None:
    """32 columns of 5 bits with gaps take as many words as of 6 bits without: no library of today leaves gaps."""
    tensors = {
        "p.weight_packed": np.zeros((4, bits), np.int32),
        "p.weight_scale": np.ones((4, 1), np.float32),
        "p.weight_shape": np.array([4, 32]),
    }
    found = logical_tensors(Stored(stored(tensors), {}, {}, lambda asked: [tensors[i.name] for i in asked]))
    (info,) = found
    assert (info.encoding.parameter("bits"), info.encoding.parameter("each")) == (bits, 0)

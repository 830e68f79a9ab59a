"""Quantised files that lie: parts of other shapes and dtypes, texts that are none, sizes that nothing backs."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.quantised import packers
from tests.support.safetensors_files import packed
from weightaudit.arrays import Array
from weightaudit.checkpoint import Checkpoint, buffer_nbytes, open_checkpoint
from weightaudit.checkpoint.codecs import CODECS, Stored, logical_tensors
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo

Part = tuple[str, tuple[int, ...], bytes]
"""(dtype, shape, bytes)"""
RANDOM = np.random.default_rng(0)
W = RANDOM.normal(size=(32, 64)).astype(np.float32)
STATE = "w.weight.quant_state.bitsandbytes__nf4"


def parts_of(stored: Mapping[str, Array], dtypes: Mapping[str, str] | None = None) -> dict[str, Part]:
    """What a packer made, under the module ``w``; ``dtypes`` renames those that numpy has not."""
    return {
        f"w.{use}": ((dtypes or {}).get(use, array.dtype.name), array.shape, array.tobytes())
        for use, array in stored.items()
    }


def torchao() -> tuple[dict[str, Part], dict[str, str]]:
    codes, scales = RANDOM.integers(-127, 128, (32, 64)).astype(np.int8), RANDOM.random((32, 2)).astype(np.float32)
    zeros = np.zeros((32, 2), np.int8)
    stored: dict[str, Array] = {"_weight_qdata": codes, "_weight_scale": scales, "_weight_zero_point": zeros}
    said = {"_type": "Int8Tensor", "_data": {"block_size": [1, 32]}}
    return parts_of(stored), {"w.weight": json.dumps(said)}


def small(shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Part]:
    """Tensors under the module ``w`` of random bytes."""
    return {
        f"w.{use}": (dtype, shape, RANDOM.bytes(int(np.prod(shape)) * BY_NAME[dtype].bits // 8))
        for use, (dtype, shape) in shapes.items()
    }


FORMATS: dict[str, tuple[dict[str, Part], dict[str, str], dict[str, Any]]] = {
    "nf4": (parts_of(packers.nf4(W)[0]), {}, {}),
    "nf4 double": (parts_of(packers.nf4(W, double=True)[0]), {}, {}),
    "int8": (parts_of(packers.int8(W)[0]), {}, {}),
    "mxfp4": (parts_of(packers.mxfp4(np.stack([W, W]), "e")[0]), {}, {}),
    "deepseek": (small({"weight": ("int8", (32, 32)), "scale": ("float8_e8m0fnu", (32, 2))}), {}, {}),
    "nvfp4": (
        small(
            {
                "weight": ("uint8", (32, 32)),
                "weight_scale": ("float8_e4m3fn", (32, 4)),
                "weight_scale_2": ("float32", ()),
            }
        ),
        {},
        {},
    ),
    "mlx": (parts_of(packers.mlx(W)[0]), {}, {"quantization": {"bits": 4, "group_size": 32}}),
    "mlx 3 bits": (parts_of(packers.mlx(W, 3, 64)[0]), {}, {"quantization": {"bits": 3, "group_size": 64}}),
    "mlx mxfp8": (small({"weight": ("uint32", (32, 16)), "scales": ("uint8", (32, 2))}), {}, {}),
    "torchao": (*torchao(), {}),
    "quanto": (parts_of(packers.quanto(W)[0]), {}, {}),
    "quanto 4 bits": (
        small(
            {
                "weight._data._data": ("uint8", (8, 128)),
                "weight._scale": ("float32", (16, 1)),
                "weight._shift": ("float32", (16, 1)),
                "bias": ("float32", (8,)),
            }
        ),
        {},
        {},
    ),
    "HQQ": (parts_of(packers.hqq(W)[0]), {}, {}),
    "BitNet": (
        small({"weight": ("uint8", (8, 64)), "weight_scale": ("bfloat16", (1,))}),
        {},
        {"quantization_config": {"quant_method": "bitnet"}},
    ),
}
"""One matrix of each format: its tensors, the header's notes, the config."""


def written(folder: Path, parts: Mapping[str, Part], metadata: Mapping[str, str], config: Mapping[str, Any]) -> Path:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data = b""
    for name, (dtype, shape, raw) in parts.items():
        header[name] = {
            "dtype": BY_NAME[dtype].code,
            "shape": list(shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(packed(header, data))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    return folder


def read_all(checkpoint: Checkpoint) -> tuple[int, int]:
    """(tensors of the formats that were read, those that were not), each in memory that its bytes back."""
    read = refused = 0
    for info in checkpoint.tensors.values():
        if not info.encoded:
            continue
        assert buffer_nbytes(info) <= 40 * info.stored_nbytes + 4096
        try:
            with checkpoint.reader([info], ahead=0, look=lambda *facts: None) as reader:
                assert reader(info).shape == info.shape
            read += 1
        except CheckpointError:
            refused += 1
    return read, refused


def changed(parts: dict[str, Part], metadata: dict[str, str], rng: random.Random) -> None:
    """One lie: a part that is missing, of another dtype or shape, or of other bytes; or another note."""
    name = rng.choice(list(parts))
    dtype, shape, raw = parts[name]
    match rng.randrange(6):
        case 0:
            del parts[name]
            return
        case 1:
            size = BY_NAME[dtype].bits
            dtype = rng.choice([other.name for other in BY_NAME.values() if other.bits == size])
        case 2:
            dtype = rng.choice(list(BY_NAME))
            shape = (len(raw) * 8 // BY_NAME[dtype].bits,)
            raw = raw[: shape[0] * BY_NAME[dtype].bits // 8]
            if shape[0] * BY_NAME[dtype].bits % 8:
                return
        case 3:
            shape = tuple(rng.choice([0, 1, 2, 3, size, size + 1]) for size in shape) or (rng.randrange(3),)
            raw = (raw * 8)[: int(np.prod(shape)) * BY_NAME[dtype].bits // 8]
            if len(raw) * 8 != int(np.prod(shape)) * BY_NAME[dtype].bits:
                return
        case 4:
            raw = rng.randbytes(len(raw))
        case _:
            if name == STATE:
                said = json.loads(raw) | {rng.choice(["blocksize", "shape", "nested_blocksize"]): rng.choice(LIES)}
                raw = json.dumps(said).encode()
                shape = (len(raw),)
            for key in metadata:
                said = {"_type": "Int8Tensor", "_data": {"block_size": rng.choice([*LIES, [1, 7], [32, 64], [0, 64]])}}
                metadata[key] = json.dumps(said)
    parts[name] = (dtype, shape, raw)


LIES: tuple[Any, ...] = (
    0,
    -64,
    3,
    1.5,
    True,
    None,
    "64",
    [],
    [1 << 20, 1 << 20],
    [-32, -64],
    [64, 32],
    1 << 40,
    64,
    [2048],
    [[64]],
)


@pytest.mark.parametrize("seed", ["", *(pytest.param(seed, marks=pytest.mark.slow) for seed in "123")])
@pytest.mark.parametrize("name", FORMATS)
def test_any_lie_is_read_within_bounds_or_refused(name: str, seed: str, tmp_path: Path) -> None:
    parts, metadata, config = FORMATS[name]
    with open_checkpoint(written(tmp_path / "model", parts, metadata, config)) as checkpoint:
        assert read_all(checkpoint) == (1, 0)
    rng = random.Random(name + seed)
    for _ in range(20):
        lying, notes = dict(parts), dict(metadata)
        for _ in range(rng.randrange(1, 4)):
            if lying:
                changed(lying, notes, rng)
        if not lying:
            continue
        with open_checkpoint(written(tmp_path / "model", lying, notes, config)) as checkpoint:
            read_all(checkpoint)


STATES = {
    "no JSON": b"{",
    "no object": b"[1]",
    "nested": b"[" * 2000,
    "not text": b"\xff\xfe",
    "of another kind": json.dumps({"quant_type": "fp4", "blocksize": 64, "shape": [32, 64]}).encode(),
    "a shape of 2^40": json.dumps({"quant_type": "nf4", "blocksize": 64, "shape": [1 << 20, 1 << 20]}).encode(),
    "no shape": json.dumps({"quant_type": "nf4", "blocksize": 64}).encode(),
    "a shape of words": json.dumps({"quant_type": "nf4", "blocksize": 64, "shape": ["32", 64]}).encode(),
    **{
        f"blocksize {size}": json.dumps({"quant_type": "nf4", "blocksize": size, "shape": [32, 64]}).encode()
        for size in (0, -64, 64.0, True, 63, 128, 1 << 60)
    },
    "long": json.dumps({"quant_type": "nf4", "blocksize": 64, "shape": [32, 64], "": " " * 5000}).encode(),
    "empty": b"",
}


@pytest.mark.parametrize("lie", STATES)
def test_a_quant_state_that_lies_makes_no_matrix(lie: str, tmp_path: Path) -> None:
    """The weight is called by its format and refused; its codes are no matrix of their own."""
    parts, raw = dict(FORMATS["nf4"][0]), STATES[lie]
    parts[STATE] = ("uint8", (len(raw),), raw)
    with open_checkpoint(written(tmp_path / "model", parts, {}, {})) as checkpoint:
        (info,) = checkpoint.tensors.values()
        assert info.name == "w.weight"
        assert info.why_unread.startswith("quantised: NF4")
        with pytest.raises(CheckpointError, match="cannot be read: quantised: NF4"):
            checkpoint.read("w.weight")


def test_hqq_s_shape_that_lies(tmp_path: Path) -> None:
    parts = dict(FORMATS["HQQ"][0])
    for shape in ([1 << 20, 1 << 20], [-32, -64], [0, 64], [64, 64], [2048], [1 << 62, 1 << 62]):
        parts["w.shape"] = ("int64", (len(shape),), np.array(shape, np.int64).tobytes())
        with open_checkpoint(written(tmp_path / "model", parts, {}, {})) as checkpoint:
            (info,) = checkpoint.tensors.values()
            assert info.why_unread.startswith("quantised: HQQ")
            assert info.parameters <= 2048


def test_a_plain_model_is_seen_by_none() -> None:
    """Names that formats have too, of the dtypes that plain models give them, stay what they are."""
    names = ("codes", "codebooks", "scales", "scale", "weight_scale", "indices", "B", "s", "meta", "bitmask", "_blocks")
    plain = [
        *(f"layer.{name}" for name in names),
        *("layer.weight", "weight", "codes", "e_blocks", "e_scales", "layer.SCB", "x_quantized", "x_scale", ""),
    ]
    tensors = {name: TensorInfo(name, "float32", (2, 3), "f", 0, 24) for name in plain}
    assert logical_tensors(Stored(tensors)) == sorted(tensors.values(), key=lambda info: info.name)
    tensors["layer.indices"] = replace(tensors["layer.indices"], dtype="int64")
    assert len(logical_tensors(Stored(tensors))) == len(plain)


@pytest.mark.parametrize("codec", CODECS)
def test_plain_tensors_are_passed_at_once(codec: str) -> None:
    """Look-ups grow with the number of tensors, and are few."""
    for count in (100, 1000):
        names = [f"layers.{number}.{leaf}" for number in range(count) for leaf in ("weight", "bias")]
        tensors = Counting({name: TensorInfo(name, "float32", (2, 2), "f", 0, 16) for name in names})
        assert list(CODECS[codec].groups(Stored(tensors))) == []
        assert tensors.looked <= 4 * len(names)


class Counting(dict[str, TensorInfo]):
    """A mapping that counts look-ups."""

    looked = 0

    def get(self, *args: Any) -> Any:
        self.looked += 1
        return super().get(*args)


LACKING: dict[str, tuple[dict[str, Part], str, dict[str, str] | None]] = {
    "quanto": (
        small({"weight._data": ("float8_e5m2", (8, 4)), "weight._scale": ("float32", (8, 1))}),
        "quanto FP8",
        None,
    ),
    "mlx": (small({"weight": ("uint32", (8, 8)), "scales": ("float16", (8, 1))}), "MLX", None),
    "hqq": (
        small(
            {
                "W_q": ("uint8", (8, 4)),
                "scale_q": ("uint8", (8, 1)),
                "zero": ("float16", (8, 1)),
                "shape": ("int64", (2,)),
            }
        ),
        "HQQ",
        None,
    ),
    "stacked experts": (
        small(
            {
                "weight": ("uint8", (2, 8, 8)),
                "weight_weight_scale": ("float8_e4m3fn", (2, 8, 1)),
                "weight_weight_scale_2": ("float32", ()),
            }
        ),
        "NVFP4",
        None,
    ),
    "modelopt": (
        small({"weight": ("int8", (8, 4)), "weight_scale": ("float32", (8,)), "pre_quant_scale": ("float32", (4,))}),
        "ModelOpt",
        {"quant_algo": "W8A8_SQ_PER_CHANNEL"},
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_what_is_known_but_not_read_is_called_by_its_name(case: str, tmp_path: Path) -> None:
    """Also by what lies beside config.json: int8 of ModelOpt has scales of its inputs that nothing here undoes."""
    parts, name, said = LACKING[case]
    written(tmp_path, parts, {}, {})
    if said is not None:
        (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": said}))
    with open_checkpoint(tmp_path) as checkpoint:
        (info,) = checkpoint.tensors.values()
    assert info.name == "w.weight"
    assert info.why_unread.startswith(f"quantised: {name}")

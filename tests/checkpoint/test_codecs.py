"""The seam for encodings: a codec that only this file knows, and a scan that has the right numbers.

int8 codes × a float32 scale for each row: "X.codes" and "X.row_scale" beside it are the float32 matrix X.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.plain_models import plain_model
from weightaudit.arrays import Array, aligned, as_tensor
from weightaudit.checkpoint import buffer_nbytes, open_checkpoint
from weightaudit.checkpoint.codecs import CODECS, Stored, logical_tensors
from weightaudit.errors import CheckpointError
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded
from weightaudit.source.local import LocalFile

SCHEME = Scheme("row-scaled", 8, "row", symmetric=True)


class RowScaled:
    """`Codec` of the format above."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name, codes in stored.tensors.items():
            plain = name.removesuffix(".codes")
            scale = stored.tensors.get(f"{plain}.row_scale")
            if plain != name and codes.dtype == "int8" and scale is not None:
                yield encoded(plain, codes.shape, "row-scaled", (("codes", codes), ("scale", scale)), SCHEME)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        scale = parts["scale"]
        if scale.shape != info.shape[:1]:
            raise ValueError(f"{len(scale)} scales for {info.shape[0]} rows")
        np.multiply(parts["codes"], scale[:, None], out=out)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        return CodeFacts(parts["codes"].size, int((abs(parts["codes"]) == 127).sum()), 0, parts["scale"].size)


@pytest.fixture
def row_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "row-scaled", RowScaled())


def quantised(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """``tensors`` with the matrices of the layers encoded, and what that means in float32."""
    stored, means = {}, {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or "layer." not in name:
            stored[name] = means[name] = tensor
            continue
        scale = tensor.abs().amax(dim=1) / 127
        codes = torch.round(tensor / scale[:, None]).to(torch.int8)
        stored |= {f"{name}.codes": codes, f"{name}.row_scale": scale}
        means[name] = codes * scale[:, None]
    return stored, means


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """(a model in two shards with its layers encoded, codes and scales apart; its float32 twin in one file)."""
    twin, encoded = tmp_path / "twin" / "model", tmp_path / "encoded" / "model"
    plain_model("bert", twin)
    stored, means = quantised(load_file(twin / "model.safetensors"))
    save_file(means, twin / "model.safetensors", metadata={"format": "pt"})
    encoded.mkdir(parents=True)
    (encoded / "config.json").write_bytes((twin / "config.json").read_bytes())
    weight_map = {name: f"model-0000{1 + name.endswith('scale')}-of-00002.safetensors" for name in stored}
    for shard in set(weight_map.values()):
        save_file({n: t for n, t in stored.items() if weight_map[n] == shard}, encoded / shard)
    (encoded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return encoded, twin


@pytest.mark.parametrize("distant", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("row_scaled")
def test_a_scan_sees_the_numbers_that_are_meant(
    models: tuple[Path, Path], distant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, from files at hand and over a network; neither names nor shapes of codes are seen anywhere."""
    monkeypatch.setattr(LocalFile, "distant", distant)
    encoded, twin = (wa.scan(model, spectrum=True) for model in models)
    assert [row.spectrum for row in encoded.rows] == [row.spectrum for row in twin.rows]
    assert [row.matrix.key for row in encoded.rows] == [row.matrix.key for row in twin.rows]
    assert [row.digest for row in encoded.rows] == [row.digest for row in twin.rows]
    assert len(encoded.rows) > 6
    assert [replace(entry, file="", scheme=None, parts=(), stored_bytes=0) for entry in encoded.coverage_entries] == [
        replace(entry, file="") for entry in twin.coverage_entries
    ]
    quantised = [row for row in encoded.rows if row.matrix.scheme == SCHEME and row.codes is not None]
    assert len(quantised) > 6
    assert all(row.matrix.layer is not None for row in quantised)
    assert encoded.findings == twin.findings


def test_without_the_codec_codes_are_no_weights(models: tuple[Path, Path]) -> None:
    with open_checkpoint(models[0]) as checkpoint:
        assert not any(name.endswith("query.weight") for name in checkpoint.tensors)
        assert sum(name.endswith("query.weight.codes") for name in checkpoint.tensors) == 2


@pytest.mark.usefixtures("row_scaled")
def test_reading_one(models: tuple[Path, Path]) -> None:
    """``into`` holds the decoded numbers, four times as many bytes as are stored."""
    twin = load_file(models[1] / "model.safetensors")
    with open_checkpoint(models[0]) as checkpoint:
        name, info = next(item for item in checkpoint.tensors.items() if item[0].endswith("query.weight"))
        assert (info.dtype, info.shape) == ("float32", tuple(twin[name].shape))
        assert (info.decoded_nbytes, info.nbytes) == (4 * info.parameters, info.parameters)
        assert {part.name.removeprefix(name) for part in info.stored} == {".codes", ".row_scale"}
        assert torch.equal(as_tensor(checkpoint.read(name)), twin[name])
        room = aligned(buffer_nbytes(info) + 64)
        read = checkpoint.read(name, into=room)
        assert torch.equal(as_tensor(read), twin[name])
        assert np.shares_memory(read, room)
        with pytest.raises(ValueError, match="needs"):
            checkpoint.read(name, into=room[: info.decoded_nbytes])


@pytest.mark.usefixtures("row_scaled")
def test_companions_that_do_not_fit(tmp_path: Path) -> None:
    save_file(
        {"w.codes": torch.zeros(3, 4, dtype=torch.int8), "w.row_scale": torch.ones(2)}, tmp_path / "w.safetensors"
    )
    with open_checkpoint(tmp_path / "w.safetensors") as checkpoint, pytest.raises(CheckpointError) as caught:
        checkpoint.read("w")
    assert "tensor 'w' cannot be decoded as row-scaled: 2 scales for 3 rows" in str(caught.value)


@pytest.mark.usefixtures("row_scaled")
def test_names_that_are_taken_and_parts_that_are_missing_leave_tensors_as_they_are() -> None:
    def info(name: str, dtype: str = "float32") -> TensorInfo:
        return TensorInfo(name, dtype, (2, 2), "f", 0, 4)

    codes, scale, other = info("w.codes", "int8"), info("w.row_scale"), info("a")

    def logical(*tensors: TensorInfo) -> list[TensorInfo]:
        return logical_tensors(Stored({one.name: one for one in tensors}))

    assert [one.name for one in logical(scale, codes, other)] == ["a", "w"]
    for stored in ([codes, other], [scale, other], [info("w"), codes, scale], [info("w.codes"), scale]):
        assert logical(*stored) == sorted(stored, key=lambda one: one.name)

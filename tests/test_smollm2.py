"""A real GGUF file: every entry is that of the reference package, at hand and streamed, and an audit passes on it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.support.hub import pointed_at, serve
from tests.support.running import CommandLine
from tests.support.smollm2 import needs_smollm2, smollm2_file
from weightaudit.arrays import Array
from weightaudit.checkpoint import Checkpoint, open_checkpoint

pytestmark = needs_smollm2
HEADS = {"attn_q": 9, "attn_k": 3}


@pytest.fixture(scope="module")
def file() -> Path:
    found = smollm2_file()
    assert found is not None
    return found


def meant(tensor: gguf.ReaderTensor) -> Array:
    """Its numbers by the reference package, the rows of Q and K as the model's own names have them."""
    numbers: Array = gguf.dequantize(tensor.data, tensor.tensor_type)
    heads = HEADS.get(tensor.name.split(".")[-2])
    if heads is None:
        return numbers
    rows, cols = numbers.shape
    return numbers.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


class WithoutLists(gguf.GGUFReader):
    """The reference package's reader, but that it passes over lists: those of words take it seconds."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
        if raw_type != gguf.GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        view = self.data.data
        kind, count = struct.unpack_from("<IQ", view, orig_offs)
        end = orig_offs + 12
        if kind == gguf.GGUFValueType.STRING:
            for _ in range(count):
                end += 8 + struct.unpack_from("<Q", view, end)[0]
        else:
            end += count * np.dtype(self.gguf_scalar_to_np[kind]).itemsize
        return end - orig_offs, [], [], [gguf.GGUFValueType.ARRAY]


@pytest.fixture(scope="module")
def expected(file: Path) -> dict[str, gguf.ReaderTensor]:
    """What the reference package reads."""
    return {tensor.name: tensor for tensor in WithoutLists(file).tensors}


@pytest.mark.slow
def test_lists_take_nothing_from_what_the_package_reads(file: Path, expected: dict[str, gguf.ReaderTensor]) -> None:
    whole = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    assert whole.keys() == expected.keys()
    for name, tensor in whole.items():
        assert (tensor.data_offset, tensor.tensor_type) == (expected[name].data_offset, expected[name].tensor_type)
        assert list(tensor.shape) == list(expected[name].shape)


def check_entries(checkpoint: Checkpoint, expected: dict[str, gguf.ReaderTensor], layers: str = "") -> int:
    """Of the tensors of ``layers``, by how their names begin, and of none twice; their bytes in the file."""
    assert checkpoint.tensors.keys() == expected.keys()
    chosen = (info for info in checkpoint.tensors.values() if info.name.startswith(layers))
    infos = sorted(chosen, key=lambda info: info.offset)
    with checkpoint.reader(infos, ahead=32_000_000) as read:
        for info in infos:
            assert np.array_equal(read(info), meant(expected[info.name])), info.name
    return sum(info.stored_nbytes for info in infos)


def test_entries_of_a_layer(file: Path, expected: dict[str, gguf.ReaderTensor]) -> None:
    with open_checkpoint(file) as checkpoint:
        assert check_entries(checkpoint, expected, "blk.7.") > 0


@pytest.mark.slow  # as a small file is by default, in tests/quantised
@pytest.mark.parametrize("layers", ["blk.2", ""])
def test_entries_streamed(layers: str, file: Path, expected: dict[str, gguf.ReaderTensor], tmp_path: Path) -> None:
    """No byte of a tensor comes twice but those that the header's last, growing read reaches into."""
    with serve({"org/smol-GGUF": {file.name: file}}) as hub, pointed_at(hub.url, tmp_path / "home"):
        with open_checkpoint("org/smol-GGUF:q4_1") as checkpoint:
            header = hub.sent("cdn")
            wanted = check_entries(checkpoint, expected, layers)
        first = min(info.offset for info in checkpoint.tensors.values())
        assert first <= header < 2 * first
        assert hub.sent("cdn") - header == wanted > 0


@pytest.mark.parametrize(
    ("layers", "matrices"), [(("--layers", "7"), 8), pytest.param((), 241, marks=pytest.mark.slow)]
)
def test_the_command_line(
    layers: tuple[str, ...], matrices: int, file: Path, weightaudit: CommandLine, tmp_path: Path
) -> None:
    done = weightaudit("scan", file, *layers, "--json", tmp_path / "smol.json", "--fail-on", "warning")
    assert done.code == 0, done.stderr
    assert "Quantised: Q4_1, group 32: 210 tensors." in done.stdout
    report = json.loads((tmp_path / "smol.json").read_text())
    assert len(report["layers"]) == matrices
    statuses = {row["status"] for row in report["coverage"]}
    assert statuses == {"analysed", "ignored", *(["not selected"] if layers else [])}

"""Pickles out of all that torch's restricted reader knows: refused, or read to exactly the tensors that torch loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.checkpoint.pickle_programs import GLOBALS, Program
from tests.checkpoint.torch_oracle import bits, forgiving, loaded_by_torch
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.formats.torch_names import HARMLESS
from weightaudit.errors import CheckpointError

SEED = 20_000_000


def read(path: Path) -> dict[str, torch.Tensor] | None:
    """Every tensor; None where the file is refused."""
    try:
        with open_checkpoint(path) as checkpoint:
            return {name: as_tensor(checkpoint.read(name)) for name in checkpoint.tensors}
    except CheckpointError:
        return None


def check(data: bytes, path: Path) -> tuple[bool, bool]:
    """Whether we and torch read a file of ``data``. Where we do it must be as torch does.

    torch may fail for a call in a part of the file that holds none of the tensors taken; that is forgiven it.
    """
    path.write_bytes(data)
    ours, loaded = read(path), loaded_by_torch(data)
    if ours is None:
        return False, loaded is not None
    expected = loaded
    if expected is None:
        with pytest.MonkeyPatch.context() as patch:
            forgiving(patch)
            expected = loaded_by_torch(data)
    assert expected is not None
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        assert (ours[name].dtype, ours[name].shape, bits(ours[name])) == (value.dtype, value.shape, bits(value))
    return True, loaded is not None


@pytest.mark.parametrize("files", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_programs(files: int, tmp_path: Path) -> None:
    both = 0
    for seed in range(SEED, SEED + files):
        both += check(Program(seed).file(), tmp_path / "model.bin") == (True, True)
    assert both > files // 5  # else it has shown little


def test_names_are_those_that_torch_allows() -> None:
    more = {name for name in HARMLESS if name.startswith("torch.cuda.Q")}  # storages that need no class to be read
    assert HARMLESS - set(GLOBALS) == more
    assert all(name.endswith("Tensor") for name in set(GLOBALS) - HARMLESS)  # obsolete, and refused as code

"""Where the largest entry stands, however a matrix is stored; and what is told of one channel over many layers."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

import weightaudit as wa
from tests.support.trained import HIDDEN, LAYERS, Tensors, name, write
from weightaudit.arrays import Array, as_array
from weightaudit.audit import peaks
from weightaudit.audit.peaks import peak_of
from weightaudit.records import Finding, Peak


@pytest.mark.parametrize("chunk", [1, 64, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
@pytest.mark.parametrize("sign", [-1, 1])
def test_it_is_found_in_blocks_and_transposed(
    chunk: int, dtype: torch.dtype, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peaks, "CHUNK", chunk)
    values = torch.randn(30, 20, generator=torch.Generator().manual_seed(0))
    values[23, 7] = sign * 9
    values = values.to(dtype)
    turned = values.t().contiguous().t()
    for stored in (values, turned):
        array = as_array(stored)
        assert peak_of([array]) == Peak(23, 7)
        assert peak_of([array[:10], array[10:25], array[25:]]) == Peak(23, 7)


def test_zeros_have_none() -> None:
    assert peak_of([np.zeros((4, 3))]) is None
    assert peak_of([np.full((4, 3), np.nan)]) is None
    assert peak_of([np.zeros((0, 3)), np.zeros((2, 3))]) is None


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("sign", [-1, 1])
def test_infinity_is_the_largest_and_no_nan_is(dtype: type, sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "CHUNK", 3)
    values: Array = np.ones((4, 3), dtype)
    values[1, 2], values[3, 0] = sign * np.nan, sign * np.inf
    assert peak_of([values]) == Peak(3, 0)
    values[3, 1] = np.copysign(dtype(np.nan), dtype(-sign))
    assert peak_of([values]) == Peak(0, 0)


def _outliers(tensors: Tensors, layers: int, size: float, step: int) -> None:
    for layer in range(layers):
        matrix = tensors[name(layer, "down_proj")]
        matrix[(17 + step * layer) % HIDDEN, 3 * layer] = -size * matrix.square().mean().sqrt()


def told(directory: Path, layers: int, size: float = 15.0, step: int = 0, roles: str | None = None) -> list[Finding]:
    model = write(directory, lambda tensors: _outliers(tensors, layers, size, step))
    return list(wa.scan(model, roles=roles).findings)


@pytest.mark.parametrize("roles", ["M2", pytest.param(None, marks=pytest.mark.slow)])
def test_one_channel_of_many_layers_is_told_and_no_other_rule_finds_it(roles: str | None, tmp_path: Path) -> None:
    (finding,) = told(tmp_path, 5, roles=roles)
    assert (finding.severity, finding.id, finding.role) == ("info", "super-weight", "M2")
    assert f"output channel 17 in 5 of {LAYERS} layers (0-4)" in finding.detail


def test_few_layers_small_entries_and_other_channels_are_not(tmp_path: Path) -> None:
    assert [one.id for one in told(tmp_path / "5", 5, roles="M2")] == ["super-weight"]
    assert told(tmp_path / "few", 4, roles="M2") == []
    assert told(tmp_path / "small", 12, size=9.0, roles="M2") == []
    assert told(tmp_path / "elsewhere", 12, step=5, roles="M2") == []

"""Whole models, their matrices packed: a scan of one is the scan of the float32 model that it means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.linear_packers import (
    AWQ,
    COMPRESSED,
    FP8,
    GPTQ,
    Packed,
    awq,
    compressed,
    fp8,
    gptq,
    tiny_of,
)
from weightaudit.arrays import Array, as_tensor
from weightaudit.report.verdict import verdict_line

Case = tuple[str, Callable[[Array], Packed], Mapping[str, Any]]
CASES: list[Case] = [
    *(("llama", pack, method) for pack, method in ((gptq, GPTQ), (awq, AWQ), (fp8, FP8), (compressed, COMPRESSED))),
    *(("mixtral", pack, method) for pack, method in ((gptq, GPTQ), (fp8, FP8), (compressed, COMPRESSED))),
    ("deepseek_v3", fp8, FP8),
    *(("qwen2_moe", pack, method) for pack, method in ((gptq, GPTQ), (awq, AWQ), (fp8, FP8))),
    *(("qwen3_moe", pack, method) for pack, method in ((gptq, GPTQ), (awq, AWQ), (fp8, FP8))),
    ("gpt2", gptq, GPTQ),
    ("gpt2", awq, AWQ),
]
USUAL = {("mixtral", compressed), ("deepseek_v3", fp8), ("gpt2", awq)}
"""Each packing once: of experts, of latents, of matrices that lie turned in a float file; GPTQ's is scanned beside a
base and at a gate."""


def named(case: Case) -> Any:
    rarely = (case[0], case[1]) not in USUAL
    return pytest.param(*case, id=f"{case[0]}-{case[1].__name__}", marks=[pytest.mark.slow] if rarely else [])


def written(family: str, pack: Callable[[Array], Packed], method: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """(a float32 model, the one of packed matrices that means it)."""
    twin, quantised = folder / "twin" / "model", folder / "quantised" / "model"
    tiny_of(family, twin)
    quantised.mkdir(parents=True)
    stored: dict[str, torch.Tensor] = {}
    means: dict[str, torch.Tensor] = {}
    turned = family == "gpt2"  # Conv1D is (in, out); what is packed is (out, in)
    for name, tensor in load_file(twin / "model.safetensors").items():
        module = name.removesuffix(".weight")
        linear = (
            tensor.ndim == 2 and any(part in name for part in (".h.", "layers.")) and not name.endswith("gate.weight")
        )
        if not linear:
            stored[name] = means[name] = tensor
            continue
        weight = tensor.numpy().T if turned else tensor.numpy()
        parts, meant = pack(np.ascontiguousarray(weight))
        stored |= {f"{module}.{end}": as_tensor(np.ascontiguousarray(part)) for end, part in parts.items()}
        means[name] = torch.from_numpy(np.ascontiguousarray(meant.T if turned else meant))
    assert stored.keys() != means.keys()
    save_file(means, twin / "model.safetensors", metadata={"format": "pt"})
    save_file(stored, quantised / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((twin / "config.json").read_text())
    (quantised / "config.json").write_text(json.dumps({**config, "quantization_config": method}))
    return twin, quantised


@pytest.mark.parametrize(("family", "pack", "method"), [named(case) for case in CASES])
def test_a_scan_is_that_of_what_is_meant(
    family: str, pack: Callable[[Array], Packed], method: Mapping[str, Any], tmp_path: Path
) -> None:
    twin, quantised = written(family, pack, method, tmp_path)
    turned = family == "gpt2"
    got, expected = (wa.scan(model, spectrum=True) for model in (quantised, twin))
    assert got.verdict == expected.verdict
    assert "partial" not in verdict_line(got)
    assert len(got.rows) > 6
    assert [row.matrix.key for row in got.rows] == [row.matrix.key for row in expected.rows]
    packed_rows = [row for row in got.rows if row.codes is not None]
    assert len(packed_rows) > 6
    for row, other in zip(got.rows, expected.rows, strict=True):
        if turned:
            assert row.spectrum is not None
            assert other.spectrum is not None
            assert np.isclose(row.spectrum.frobenius_norm, other.spectrum.frobenius_norm, rtol=1e-6)
            assert np.isclose(row.spectrum.spectral_norm, other.spectrum.spectral_norm, rtol=1e-4)
        else:
            assert (row.spectrum, row.digest) == (other.spectrum, other.digest)
    entries = [replace(entry, file="", scheme=None, parts=(), stored_bytes=0) for entry in got.coverage_entries]
    others = [replace(entry, file="") for entry in expected.coverage_entries]
    if turned:
        entries, others = (
            [replace(entry, shape=tuple(sorted(entry.shape))) for entry in every] for every in (entries, others)
        )
    assert entries == others

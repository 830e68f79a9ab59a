"""Adapters as PEFT writes them: every entry of a change, its singular values, and what is said of each kind."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import weightaudit as wa
from tests.quantised.adapters import golden, write
from weightaudit.arrays import Array
from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.adapters.kinds import WHY

MEASURED = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "adalora": "AdaLoRA",
    "conv1d": "LoRA",
    "saved": "LoRA",
    "experts": "LoRA",
}
OTHERS = {
    "loha": "LoHa",
    "lokr": "LoKr",
    "ia3": "IA³",
    "vera": "VeRA",
    "oft": "OFT",
    "boft": "BOFT",
    "prompt": "prompt tuning",
}


def same(found: Array, expected: Array) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", MEASURED)
def test_every_entry_is_that_of_peft(name: str, tmp_path: Path) -> None:
    case = golden(name)
    with open_checkpoint(case.write(tmp_path)) as checkpoint:
        changed = {key for key, info in checkpoint.tensors.items() if info.factored}
        assert changed == case.expected.keys()
        for key, expected in case.expected.items():
            assert np.abs(expected).max() > 0
            same(checkpoint.read(key), expected)


@pytest.mark.parametrize("name", MEASURED)
def test_singular_values_are_those_of_the_whole_matrix(name: str, tmp_path: Path) -> None:
    case = golden(name)
    report = wa.scan(case.write(tmp_path), spectrum=True)
    changes = [row for row in report.rows if row.adapter is not None]
    single = [row for row in changes if len(row.matrix.tensors) == 1]
    assert {key for row in single for key in row.matrix.tensors} == case.expected.keys()
    matrices = {matrix.key: matrix.load().numpy() for matrix in wa.matrices(str(tmp_path))}
    for row in changes:
        W = np.concatenate([_part(case.expected, part) for part in row.matrix.parts]).astype(np.float64)
        same(matrices[row.matrix.key], W.astype(np.float32))
        s = np.linalg.svd(W, compute_uv=False)
        found, facts = row.spectrum, row.adapter
        assert found.spectral_norm == pytest.approx(s[0], rel=1e-5)
        assert found.spectral_norm_upper >= found.spectral_norm
        assert found.frobenius_norm == pytest.approx(np.linalg.norm(W), rel=1e-5)
        assert found.detail is not None
        assert facts is not None
        np.testing.assert_allclose(found.detail.singular_values, s[: len(found.detail.singular_values)], atol=1e-5)
        p = s[s > 1e-6 * s[0]]
        assert facts.effective_rank == pytest.approx(
            float(np.exp(-(p / p.sum() * np.log(p / p.sum())).sum())), rel=1e-4
        )
        assert facts.dead_directions == min(facts.rank, *W.shape) - len(p) == 0
        assert not facts.untrained


def _part(expected: dict[str, Array], part: wa.records.Part) -> Array:
    return part.cut(expected[part.tensor])


@pytest.mark.parametrize("name", MEASURED)
def test_it_is_told_as_the_adapter_that_it_is(name: str, tmp_path: Path) -> None:
    case = golden(name)
    report = wa.scan(case.write(tmp_path))
    adapter = report.identity.adapter
    assert adapter is not None
    assert (adapter.kind, adapter.base) == (MEASURED[name], case.config["base_model_name_or_path"])
    assert report.identity.format == f"safetensors, {adapter.label}"
    assert not [entry for entry in report.coverage_entries if entry.status == "unmapped"]
    assert not [finding for finding in report.findings if finding.severity == "error"]


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_are_named_and_not_measured(name: str, tmp_path: Path) -> None:
    report = wa.scan(golden(name).write(tmp_path))
    assert report.identity.adapter is not None
    assert report.identity.adapter.kind == OTHERS[name]
    assert not report.rows
    assert report.coverage_entries
    for entry in report.coverage_entries:
        assert entry.detail.startswith(f"not measured: {OTHERS[name]}, ")


def test_patterns_give_ranks_and_scales(tmp_path: Path) -> None:
    report = wa.scan(golden("lora").write(tmp_path))
    facts = {row.matrix.key: row.adapter for row in report.rows}
    told = {key: (one.rank, one.scale) for key, one in facts.items() if one is not None}
    assert told["/0//Q"] == (2, 5 / 2)
    assert (told["/0//K"], told["/1//K"]) == ((3, 11 / 3), (3, 5 / 3))
    assert told["/0//M1"] == (3, 7 / 3)
    assert (told["/0//M2"], told["/1//M2"]) == ((3, 5 / 3), (4, 5 / 4))
    rank, scale = told["/0//QKV"]
    assert rank == 8
    assert math.isnan(scale)


def test_a_fused_target_is_cut_by_its_rows(tmp_path: Path) -> None:
    case = golden("conv1d")
    case.write(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(case.base))
    report = wa.scan(tmp_path)
    fused = case.expected["transformer.h.0.attn.c_attn.weight"]
    rows = {row.matrix.role: row for row in report.rows}
    for role, start in (("Q", 0), ("K", 12), ("V", 24)):
        own = np.linalg.norm(fused[start : start + 12], 2)
        assert rows[role].spectrum.spectral_norm == pytest.approx(own, rel=1e-5)
        facts = rows[role].adapter
        assert facts is not None
        assert facts.rank == 2
    assert rows["QKV"].spectrum.spectral_norm == pytest.approx(np.linalg.norm(fused, 2), rel=1e-5)
    assert report.map.family == "gpt2"
    assert not [finding for finding in report.findings if finding.id == "missing"]


def test_what_is_saved_whole_is_the_matrix_itself(tmp_path: Path) -> None:
    case = golden("saved")
    report = wa.scan(case.write(tmp_path))
    (head,) = [row for row in report.rows if row.matrix.role == "HEAD"]
    W = case.stored["base_model.model.lm_head.weight"]
    assert head.adapter is None
    assert head.spectrum.frobenius_norm == pytest.approx(np.linalg.norm(W), rel=1e-6)
    assert head.spectrum.zeros == 0
    entries = {entry.tensor: entry for entry in report.coverage_entries}
    assert entries["model.embed_tokens.base_layer.weight"].status == "ignored"
    assert any(note.startswith("lm_head.weight is stored whole") for note in report.notes)


def test_dora_says_what_is_left_out(tmp_path: Path) -> None:
    report = wa.scan(golden("dora").write(tmp_path))
    (note,) = [note for note in report.notes if "DoRA" in note]
    assert note.endswith("those of s·B·A alone; what is told against a base is of the whole change.")


def test_experts_of_a_known_family_are_split_as_the_model_s(tmp_path: Path) -> None:
    case = golden("experts")
    case.write(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(case.base))
    report = wa.scan(tmp_path)
    rows = {row.matrix.key: row for row in report.rows}
    both, down = (case.expected[f"model.layers.0.mlp.experts.{name}"] for name in ("gate_up_proj", "down_proj"))
    for expert in range(3):
        matrices = {"GATE": both[expert, :20], "M1": both[expert, 20:], "M2": down[expert]}
        for role, W in matrices.items():
            found = rows[f"/0/{expert}/{role}"]
            assert found.spectrum.spectral_norm == pytest.approx(np.linalg.norm(W, 2), rel=1e-5)
            assert found.adapter is not None
            assert found.adapter.rank == 2
    loaded = {matrix.key: matrix.load().numpy() for matrix in wa.matrices(str(tmp_path))}
    same(loaded["/0/1/M1"], both[1, 20:])
    assert not report.map.guessed
    assert not [finding for finding in report.findings if finding.severity == "error"]


def test_a_variant_of_lora_is_named_and_not_computed(tmp_path: Path) -> None:
    report = wa.scan(golden("rslora").write(tmp_path, use_qalora=True))
    assert not report.rows
    assert {entry.detail for entry in report.coverage_entries} == {f"not measured: QA-LoRA, {WHY}"}


def test_an_initialisation_that_changes_the_base_is_told(tmp_path: Path) -> None:
    report = wa.scan(golden("rslora").write(tmp_path, init_lora_weights="pissa_niter_4"))
    assert any("pissa_niter_4" in note for note in report.notes)
    assert report.rows


def test_shapes_tell_parameters_that_are_wrapped_in_another_order(tmp_path: Path) -> None:
    """As a module that has the last map of its experts first would be saved."""
    case = golden("experts")
    inner, outer = ".experts.base_layer.lora_", ".experts.lora_"
    swapped = {
        name.replace(inner, outer) if inner in name else name.replace(outer, inner): one
        for name, one in case.stored.items()
    }
    with open_checkpoint(write(tmp_path, swapped, case.config)) as checkpoint:
        for key, expected in case.expected.items():
            same(checkpoint.read(key), expected)


def test_rules_that_judge_models_do_not_judge_changes(tmp_path: Path) -> None:
    """Two layers with one change would be copies of each other in a model."""
    case = golden("rslora")
    one = {name: tensor for name, tensor in case.stored.items() if ".0." in name}
    twice = {**one, **{name.replace(".0.", ".1."): tensor for name, tensor in one.items()}}
    report = wa.scan(write(tmp_path, twice, case.config))
    rows = {row.matrix.key: row for row in report.rows}
    assert rows["/0//Q"].digest == rows["/1//Q"].digest != rows["/0//V"].digest
    assert not report.findings
    reasons = {one.rule: one.reason for one in report.not_judged}
    assert reasons["duplicate"] == "These are an adapter's changes, not a model's weights."
    assert "nonfinite" not in reasons
    assert {"untrained-adapter", "duplicate"} <= set(report.rules)

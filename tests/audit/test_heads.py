"""Heads of attention, measured: held against dense float64, and bounds against what models compute."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.adapters import saved_adapter, saved_model, shapes_of
from tests.support.gguf_models import MODELS, Random, write_both
from tests.support.heads import maps_of, plans_of, rough, stored_of, watched
from tests.support.tiny import tiny
from weightaudit.audit.head_numbers import rows_of
from weightaudit.errors import UsageError
from weightaudit.records import HeadNorms, HeadRow

TYPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": {},
    "gpt_bigcode": {"multi_query": True},
    "falcon": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "bert": {},
    "t5": {},
    "qwen3": {},
    "gemma": {},
    "deepseek_v3": {},
    "codegen": {},
}


def cases(model_types: Iterable[str], *like_others: str) -> list[Any]:
    """The types, those whose attention is that of others here but for names and sizes when all tests run."""
    return [pytest.param(each, marks=pytest.mark.slow if each in like_others else ()) for each in model_types]


@cache
def scanned(model_type: str, **options: Any) -> tuple[Any, wa.ScanReport]:
    """A model, which no test changes, and its scan."""
    model = rough(model_type, **options)
    return model, wa.scan(model, heads=True)


def _holds(norms: HeadNorms | None, matrix: np.ndarray[Any, Any]) -> None:
    """``norms`` are those of ``matrix``: the interval holds its spectral norm."""
    assert norms is not None
    values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    slack = 1e-13 * values[0]
    assert norms.spectral_norm <= values[0] + slack
    assert values[0] - slack <= norms.spectral_norm_upper
    assert norms.spectral_norm_upper <= norms.spectral_norm * 1.01 + 1e-12
    assert norms.frobenius_norm == pytest.approx(float(np.sqrt(np.square(values).sum())), rel=1e-9)
    assert norms.stable_rank == pytest.approx(float(np.square(values).sum() / values[0] ** 2), rel=2e-2)


def _row(rows: tuple[HeadRow, ...], plan: Any, head: int) -> HeadRow:
    a = plan.attention
    (row,) = (r for r in rows if (r.stack, r.layer, r.attention, r.head) == (a.stack, a.layer, a.attention, head))
    return row


@pytest.mark.parametrize("model_type", cases(TYPES, "bert", "qwen3", "gemma", "falcon", "codegen", "gpt_bigcode"))
def test_every_number_is_that_of_the_matrix_formed_in_float64(model_type: str) -> None:
    model, report = scanned(model_type, **TYPES[model_type])
    stored = stored_of(model)
    assert report.heads is not None
    assert report.heads.skipped == ()
    plans = plans_of(model)
    assert len(report.heads.rows) == sum(plan.attention.heads for plan in plans)
    for plan in plans:
        attention = plan.attention
        for head in range(attention.heads):
            row = _row(report.heads.rows, plan, head)
            assert row.kv_head == head // (attention.heads // attention.kv_heads)
            sizes = {"Q": (head, attention.head_dim), "K": (row.kv_head, attention.head_dim - plan.rotary)}
            sizes["V"] = (row.kv_head, attention.value_dim)
            for part, (number, size) in sizes.items():
                _holds(getattr(row, part.lower()), rows_of(plan.matrices[part], stored, number * size, size))
            o = rows_of(plan.matrices["O"], stored, 0, plan.matrices["O"].shape[0])
            _holds(row.o, o[:, head * attention.value_dim : (head + 1) * attention.value_dim])
            logit, ov = maps_of(plan, stored, head)
            _holds(row.logit, logit)
            _holds(row.ov, ov)
            assert row.logit is not None
            assert row.logit_any_distance >= row.logit.spectral_norm


@pytest.mark.parametrize(
    "model_type",
    cases(
        ["llama", "qwen2", "gpt2", "gpt_bigcode", "gemma", "gemma3_text", "qwen3", "olmo2", "cohere", "deepseek_v3"],
        *("llama", "qwen2", "gpt2", "gpt_bigcode", "gemma", "qwen3", "olmo2", "cohere"),
    ),
)
def test_no_logit_of_the_model_exceeds_its_bound_at_any_distance(model_type: str) -> None:
    """With biases, norms of queries and keys, and rotations, over all pairs of eight tokens."""
    options = {"cohere": {"use_qk_norm": True}}.get(model_type, {})
    model, report = scanned(model_type, **options)
    assert report.heads is not None
    with watched(model, {}) as seen, torch.no_grad():
        model(input_ids=torch.arange(5, 13)[None], use_cache=False)
    for layer, one in enumerate(seen):
        rows = [row for row in report.heads.rows if row.layer == layer]
        assert len(rows) == one.query.shape[0]
        for row in rows:
            largest = float(np.abs(one.logits(row.head)).max())
            assert 0.0 < largest <= row.logit_bound < 1e4


def test_nothing_bounds_the_inputs_of_a_post_norm_model() -> None:
    report = wa.scan(tiny("bert"), heads=True)
    assert report.heads is not None
    assert all(math.isnan(row.logit_bound) and row.logit is not None for row in report.heads.rows)


def test_nothing_else_of_a_scan_is_changed() -> None:
    model, asked = scanned("llama")
    plain = wa.scan(model)
    assert plain.heads is None
    assert "heads" not in plain.options
    assert asked.options["heads"] is True
    assert "heads" not in json.loads(plain.to_json())
    assert plain.to_csv() == asked.to_csv()
    assert dataclasses.asdict(plain)["coverage_entries"] == dataclasses.asdict(asked)["coverage_entries"]
    assert plain.summary == asked.summary


def test_rows_are_the_same_for_any_number_of_threads() -> None:
    model, report = scanned("llama")
    one, several = (wa.scan(model, heads=True, threads=threads, roles="Q,K,V,O") for threads in (1, 3))
    assert one.heads == several.heads
    assert report.heads is not None
    assert one.heads is not None
    assert [row.logit for row in one.heads.rows] == [row.logit for row in report.heads.rows]


@pytest.mark.parametrize("family", cases(["llama", "gpt2", "t5"], "llama", "t5"))
def test_heads_of_a_gguf_file_are_those_of_the_model_that_it_was_made_from(family: str, tmp_path: Path) -> None:
    own, file = (wa.scan(path, heads=True).heads for path in write_both(MODELS[family](Random(np.float32)), tmp_path))
    assert own is not None
    assert file is not None
    assert len(own.rows) == len(file.rows)
    for one, other in zip(own.attentions, file.attentions, strict=True):
        assert (one.heads, one.kv_heads, one.scale) == (other.heads, other.kv_heads, other.scale)
        assert "assumed" not in other.scale_source
    for row, same in zip(own.rows, file.rows, strict=True):
        assert row.logit is not None
        assert same.logit is not None
        assert same.logit.frobenius_norm == pytest.approx(row.logit.frobenius_norm, rel=1e-5)


def test_a_shard_without_k_shares_keys_as_the_config_says(tmp_path: Path) -> None:
    tiny("llama").save_pretrained(tmp_path / "own")
    tensors = load_file(tmp_path / "own" / "model.safetensors")
    save_file({name: each for name, each in tensors.items() if "k_proj" not in name}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((tmp_path / "own" / "config.json").read_text())
    report = wa.scan(tmp_path / "model.safetensors", heads=True)
    assert report.heads is not None
    assert [row.kv_head for row in report.heads.rows if row.layer == 0] == [0, 0, 1, 1]
    assert any("no K" in words for words in report.heads.attentions[0].left_out)


def test_roles_may_leave_out_the_latents_of_which_the_bound_needs_a_part() -> None:
    report = wa.scan(tiny("deepseek_v3"), heads=True, roles="Q,K")
    assert report.heads is not None
    assert len(report.heads.rows) == 8
    assert all(row.logit is not None and math.isnan(row.logit_bound) for row in report.heads.rows)


def test_roles_and_layers_choose_heads_too() -> None:
    model, whole = scanned("llama")
    one = wa.scan(model, heads=True, roles="Q,K", layers="1")
    assert whole.heads is not None
    assert one.heads is not None
    assert {row.layer for row in one.heads.rows} == {1}
    for row in one.heads.rows:
        (same,) = (r for r in whole.heads.rows if (r.layer, r.head) == (1, row.head))
        assert (row.q, row.k, row.logit, row.logit_bound) == (same.q, same.k, same.logit, same.logit_bound)
        assert row.v is None
        assert row.o is None
        assert row.ov is None


def test_numbers_that_are_none_spoil_their_own_head_alone() -> None:
    model = tiny("llama")
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.weight[17, 3] = math.nan  # the second of four heads of 16 rows
    report = wa.scan(model, heads=True)
    assert report.heads is not None
    rows = {row.head: row for row in report.heads.rows if row.layer == 0}
    for head, row in rows.items():
        assert row.q is not None
        assert row.logit is not None
        assert row.ov is not None
        assert math.isnan(row.q.spectral_norm) == (head == 1) == math.isnan(row.logit.frobenius_norm)
        assert math.isfinite(row.ov.spectral_norm)
        assert math.isnan(row.logit_bound) == (head == 1)
    assert rows[1].nearest is None
    assert rows[0].nearest in (2, 3)


def test_a_norm_of_another_length_gives_no_number() -> None:
    model = tiny("llama")
    state = dict(model.state_dict())
    state["model.layers.0.input_layernorm.weight"] = torch.ones(7)
    report = wa.scan(state, model_config=model.config, heads=True)
    assert report.heads is not None
    first = report.heads.rows[0]
    assert first.logit is not None
    assert math.isnan(first.logit.spectral_norm)
    assert first.q is not None
    assert math.isfinite(first.q.spectral_norm)


def test_copies_of_a_head_are_its_nearest_at_no_distance() -> None:
    model = tiny("gpt2")
    with torch.no_grad():
        fused = model.transformer.h[1].attn.c_attn.weight  # (in, 3·48), four heads of 12
        for start in (0, 48, 96):
            fused[:, start + 36 : start + 48] = fused[:, start + 12 : start + 24]
    report = wa.scan(model, heads=True)
    assert report.heads is not None
    rows = {row.head: row for row in report.heads.rows if row.layer == 1}
    assert (rows[1].nearest, rows[3].nearest) == (3, 1)
    assert rows[1].distance < 1e-6
    assert rows[0].distance > 0.5


def test_an_adapter_has_no_heads(tmp_path: Path) -> None:
    base = saved_model(tmp_path / "base")
    adapter, _ = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"))
    with pytest.raises(UsageError, match="adapter"):
        wa.scan(adapter, heads=True)


def test_a_report_is_read_back_with_its_heads(tmp_path: Path) -> None:
    _, report = scanned("t5")
    report.to_json(tmp_path / "report.json")
    again = wa.load(tmp_path / "report.json")
    assert isinstance(again, wa.ScanReport)
    assert again.heads == report.heads
    assert report.heads is not None
    assert {row.attention for row in report.heads.rows} == {"self", "cross"}
    assert list(again.heads_frame["head"]) == [row.head for row in report.heads.rows]
    assert "q_spectral_norm_upper" in again.heads_frame
    assert wa.scan(tiny("bert")).heads_frame.empty

"""Two models streamed together: every matrix and vector beside the one in its place, against float64."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import weightaudit as wa
from tests.pairs.models import Tensors, at, derived, diff, noisy
from tests.support.covering import some_of
from tests.support.gguf_models import MODELS, Random, write_both
from tests.support.models import tiny_model
from tests.support.tiny import tiny
from weightaudit.config import AuditConfig
from weightaudit.errors import CheckpointError, MappingError, UsageError
from weightaudit.pairs.diff import diff_models
from weightaudit.records import DiffResult

ROUNDING = 1e-9


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tiny_model("gpt2", folder)
    return folder


@pytest.fixture(scope="module")
def trained_on(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every number a little different."""
    return derived(gpt2, tmp_path_factory.mktemp("noisy"), noisy)


@pytest.fixture(scope="module")
def compared(gpt2: Path, trained_on: Path) -> DiffResult:
    return diff(gpt2, trained_on)


def test_what_rounding_swallowed_has_no_spectrum(gpt2: Path, tmp_path: Path) -> None:
    """Small changes of all entries, and large ones of a few, which put Δ above the floor."""
    draw = torch.Generator().manual_seed(1)

    def swallowed(tensors: Tensors) -> Tensors:
        made = {}
        for name, W in tensors.items():
            small, few = torch.randn(W.shape, generator=draw), torch.rand(W.shape, generator=draw) < 0.03
            made[name] = (W * (1 + 2e-3 * small + 0.2 * few)).to(torch.bfloat16)
        return made

    base = derived(gpt2, tmp_path / "base", lambda tensors: {name: W.bfloat16() for name, W in tensors.items()})
    other = derived(base, tmp_path / "other", lambda tensors: swallowed({n: W.float() for n, W in tensors.items()}))
    found = [change for change in diff(base, other, directions=True).matrices if change.kind == "at the resolution"]
    assert any(change.entries is not None and change.entries.above_floor > 6.0 for change in found)
    assert {(change.spectrum, change.ranks, change.directions) for change in found} == {(None, None, None)}


def test_numbers_are_those_of_float64(gpt2: Path, trained_on: Path, compared: DiffResult) -> None:
    other, result = trained_on, compared
    before, after = (
        {matrix.key: matrix.load().double().numpy() for matrix in wa.matrices(model)} for model in (gpt2, other)
    )
    assert len(result.matrices) > 10
    for change in result.matrices:
        W0, W1 = before[change.place.key], after[change.place.key]
        assert change.entries is not None
        assert change.spectrum is not None
        assert change.relative == pytest.approx(np.linalg.norm(W1 - W0) / np.linalg.norm(W0), rel=ROUNDING)
        assert change.entries.cosine == pytest.approx(
            float((W0 * W1).sum() / np.linalg.norm(W0) / np.linalg.norm(W1)), rel=ROUNDING
        )
        top = np.linalg.norm(W1 - W0, 2)
        assert change.spectrum.spectral_norm <= top * (1 + ROUNDING)
        assert change.spectrum.spectral_norm_upper >= top * (1 - ROUNDING)
    vectors = load_file(gpt2 / "model.safetensors"), load_file(other / "model.safetensors")
    assert {change.tensors[0] for change in result.vectors} == {n for n in vectors[0] if vectors[0][n].ndim == 1}
    for change in result.vectors:
        b0, b1 = (one[change.tensors[0]].double() for one in vectors)
        assert change.relative == pytest.approx(float((b1 - b0).norm() / b0.norm()), rel=ROUNDING)
    assert result.summary.matrices == len(result.matrices)
    assert result.summary.vectors == len(result.vectors)
    assert not result.summary.identical


def test_each_weight_once(gpt2: Path, trained_on: Path, compared: DiffResult) -> None:
    """QKV repeats Q, K and V; asked for alone it is compared."""
    assert "QKV" not in {change.place.role for change in compared.matrices}
    alone = diff_models(str(gpt2), str(trained_on), AuditConfig(roles=("QKV",)))
    assert {change.place.role for change in alone.changes} == {"QKV"}
    assert alone.partial == ("--roles",)


def test_the_same_twice(gpt2: Path, tmp_path: Path) -> None:
    result = diff(gpt2, derived(gpt2, tmp_path, lambda tensors: None))
    assert result.summary.identical
    assert {change.kind for change in result.changes} == {"unchanged"}
    assert [finding.id for finding in result.findings] == ["diff-identical"]


@pytest.mark.parametrize("threads", some_of([1, 2], 2))
def test_numbers_do_not_depend_on_threads(gpt2: Path, trained_on: Path, compared: DiffResult, threads: int) -> None:
    one = diff_models(str(gpt2), str(trained_on), AuditConfig(threads=threads))
    assert one.changes == compared.changes


@pytest.mark.slow
def test_names_and_shards_and_order_are_no_matter(
    gpt2: Path, trained_on: Path, compared: DiffResult, tmp_path: Path
) -> None:
    wrapped = derived(
        trained_on, tmp_path, lambda tensors: {f"module.{name}": tensors[name] for name in reversed(tensors)}
    )
    plain, odd = compared, diff(gpt2, wrapped)
    assert [one.relative for one in plain.changes] == [one.relative for one in odd.changes]
    assert len(plain.vectors) == len(odd.vectors) > 4


@pytest.mark.parametrize("there", some_of([True, False], True))
def test_a_prefix_that_one_side_has_is_no_matter(tmp_path: Path, there: bool) -> None:
    """A model saved with its head has a prefix that the one without does not have."""
    base = tmp_path / "bert"
    tiny_model("bert", base)
    plain = derived(
        base,
        tmp_path / "plain",
        lambda tensors: {
            name.removeprefix("bert."): tensor for name, tensor in tensors.items() if name.startswith("bert.")
        },
        architectures=["BertModel"],
    )
    result = diff(plain, base) if there else diff(base, plain)
    assert {change.kind for change in result.changes} == {"unchanged"}
    assert len(result.vectors) > 20
    assert {one.side for one in result.one_sided} == {"derived" if there else "base"}
    assert all(one.tensors[0].startswith("cls.") for one in result.one_sided)


@pytest.mark.parametrize("turned", some_of([False, True], True))
def test_norms_and_biases_of_a_gguf_file_are_those_of_their_names(tmp_path: Path, turned: bool) -> None:
    float_model, gguf = write_both(MODELS["llama"](Random(np.float32)), tmp_path)
    one, other = (gguf, float_model) if turned else (float_model, gguf)
    result = diff(one, other)
    assert len(result.vectors) > 1
    assert {change.kind for change in result.changes} == {"unchanged"}
    assert not [lone for lone in result.one_sided if "norm" in lone.tensors[0]]


def test_what_one_side_has_alone(gpt2: Path, tmp_path: Path) -> None:
    def without(tensors: Tensors) -> Tensors:
        kept = {name: tensor for name, tensor in tensors.items() if ".1.mlp.c_fc." not in name}
        return {**kept, "extra.bias": torch.ones(3)}

    result = diff(gpt2, derived(gpt2, tmp_path, without))
    lone = {(one.side, one.place.words() or one.tensors[0]) for one in result.one_sided}
    assert lone == {
        ("base", "layer 1 M1"),
        ("base", "transformer.h.1.mlp.c_fc.bias"),
        ("derived", "extra.bias"),
    }
    assert not result.summary.identical


def test_another_architecture_is_refused_and_says_where(gpt2: Path, tmp_path: Path) -> None:
    tiny("phi", hidden_size=32).save_pretrained(tmp_path / "phi")
    with pytest.raises(MappingError, match=r"base .*another model, of family gpt2 and not phi"):
        diff(gpt2, tmp_path / "phi")
    tiny("gpt2", n_embd=32).save_pretrained(tmp_path / "wide")
    with pytest.raises(MappingError, match=r"layer 0 Q is 24 × 24 here and 32 × 32 there"):
        diff(tmp_path / "wide", gpt2)


@pytest.mark.parametrize("more", [5, -5])
def test_a_resized_vocabulary_is_compared_by_the_rows_that_both_have(gpt2: Path, tmp_path: Path, more: int) -> None:
    def resized(tensors: Tensors) -> None:
        table = tensors["transformer.wte.weight"]
        tensors["transformer.wte.weight"] = table[:more] if more < 0 else torch.cat([table, table[:more]])

    rows = load_file(gpt2 / "model.safetensors")["transformer.wte.weight"].shape[0]
    result = diff(gpt2, derived(gpt2, tmp_path, resized, vocab_size=rows + more))
    change = at(result, "EMBED")
    assert change.resized
    assert change.kind == "unchanged"
    assert (change.shape[0], change.shape_base[0]) == (rows + more, rows)
    assert not result.summary.identical


@pytest.mark.parametrize("new", some_of(["mean", "equal", "random"], "mean", "random"))
def test_rows_that_were_added_are_told_from_trained_ones(tmp_path: Path, new: str) -> None:
    tiny("gpt2", vocab_size=300, n_embd=64).save_pretrained(tmp_path / "base")

    def resized(tensors: Tensors) -> None:
        table = tensors["transformer.wte.weight"]
        row = table.mean(dim=0, keepdim=True) if new == "mean" else table[:1] * 1.5
        rows = 0.02 * torch.randn(12, 64) if new == "random" else row.repeat(12, 1)
        tensors["transformer.wte.weight"] = torch.cat([3 * torch.logspace(0, -2, 64) * table, rows])

    result = diff(tmp_path / "base", derived(tmp_path / "base", tmp_path / "new", resized, vocab_size=312))
    facts = at(result, "EMBED").added
    assert facts is not None
    found = {"mean": facts.mean, "equal": sum(facts.equal, ()), "random": facts.random}
    assert set(found[new]) == set(range(300, 312)) or (new == "mean" and set(found["equal"]) == set(range(300, 312)))
    (told,) = [finding.detail for finding in result.findings if finding.id == "diff-vocabulary"]
    assert "12 rows were added, 12 of them are" in told


def test_of_which_model_it_is(gpt2: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((gpt2 / "config.json").read_text())
    (broken / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match=r"^base .*broken"):
        diff(broken, gpt2)
    with pytest.raises(CheckpointError, match=r"^(?!base).*broken"):
        diff(gpt2, broken)
    with pytest.raises(CheckpointError, match=r"^parent .*broken"):
        diff(gpt2, gpt2, parents=[str(broken)])
    with pytest.raises(UsageError, match=r"adapter .* whole model"):
        diff(gpt2, gpt2, adapter=str(gpt2))


def test_not_a_number_on_one_side(gpt2: Path, tmp_path: Path) -> None:
    def spoilt(tensors: Tensors) -> None:
        tensors["transformer.h.1.mlp.c_proj.weight"][3, 4] = math.nan
        tensors["transformer.ln_f.bias"][2] = math.inf

    result = diff(gpt2, derived(gpt2, tmp_path, spoilt))
    assert at(result, "layer 1 M2").kind == at(result, "transformer.ln_f.bias").kind == "not finite"
    assert math.isnan(at(result, "layer 1 M2").relative)
    assert at(result, "layer 0 M2").kind == "unchanged"


def test_memory_is_bounded_for_all_models_together(gpt2: Path) -> None:
    with pytest.raises(UsageError, match="must be held at once"):
        diff_models(str(gpt2), str(gpt2), AuditConfig(memory=12_000))

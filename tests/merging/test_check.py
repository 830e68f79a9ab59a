"""Several models streamed together: every matrix of each beside that of the base, against float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import weightaudit as wa
from tests.support.adapters import saved_adapter, saved_model, shapes_of
from tests.support.covering import some_of
from tests.support.gguf_models import MODELS, Random, write_both
from tests.support.models import tiny_model
from tests.support.variants import Tensors, derived, noisy
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import MappingError, UsageError
from weightaudit.merging.check import check_merge
from weightaudit.records import Meeting, MergeCheckResult


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tiny_model("gpt2", folder)
    return folder


@pytest.fixture(scope="module")
def tuned(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("tuned")
    return [
        derived(gpt2, root / name, lambda tensors, i=i: noisy(tensors, seed=i, size=0.02 * i))  # type: ignore[misc]
        for i, name in enumerate(("math", "code", "chat"), 1)
    ]


def check(
    models: Sequence[Path], base: Path | None = None, config: AuditConfig = DEFAULTS, **asked: Any
) -> MergeCheckResult:
    return check_merge([str(one) for one in models], config, base=None if base is None else str(base), **asked)


def matrices(model: Path) -> dict[str, np.ndarray]:
    return {matrix.key: matrix.load().double().numpy() for matrix in wa.matrices(model)}


def at(result: MergeCheckResult, words: str) -> Meeting:
    (found,) = (one for one in result.meetings if one.place.words() == words)
    return found


def disturbance(E: np.ndarray, own: np.ndarray) -> float:
    return float(np.linalg.norm((E - own) @ own.T) / np.linalg.norm(own @ own.T))


@pytest.mark.parametrize("weights", [(1.0, 0.5, -0.25), pytest.param(None, marks=pytest.mark.slow)])
def test_numbers_are_those_of_float64(gpt2: Path, tuned: list[Path], weights: tuple[float, ...] | None) -> None:
    result = check(tuned, gpt2, weights=weights)
    w = weights or (1.0, 1.0, 1.0)
    before = matrices(gpt2)
    changes = [{key: W - before[key] for key, W in matrices(model).items()} for model in tuned]
    assert len(result.meetings) > 10
    assert {one.place.role for one in result.meetings if one.table} == {"EMBED", "POSITION"}
    of_model: list[list[float]] = [[], [], []]
    for one in result.counted:
        E = sum(x * own[one.place.key] for x, own in zip(w, changes, strict=True))
        for a, own in enumerate(changes):
            expected = disturbance(E, own[one.place.key])
            assert one.interactions.effect(a, w).disturbance == pytest.approx(expected, rel=1e-3), one.place
            of_model[a].append(expected)
    for standing, expected_of in zip(result.summary.standings, of_model, strict=True):
        assert standing.disturbance == pytest.approx(np.mean(expected_of), rel=1e-3)
        assert standing.matrices == len(expected_of)
    assert result.summary.weights == w
    assert result.base is not None
    assert (result.base.name, [one.name for one in result.models]) == (gpt2.name, ["math", "code", "chat"])


def test_suggested_weights_disturb_least(gpt2: Path, tuned: list[Path]) -> None:
    """No weights near them, or at random, sum up to a smaller D²."""
    result = check(tuned, gpt2)
    suggested = result.summary.suggested

    def total(w: Sequence[float]) -> float:
        squares = [[m.interactions.effect(a, w).disturbance ** 2 for m in result.counted] for a in range(3)]
        return float(sum(np.mean(own) for own in squares))

    least = total(suggested)
    rng = np.random.default_rng(0)
    for step in (1e-2, 0.3):
        for _ in range(20):
            assert total((np.asarray(suggested) + step * rng.standard_normal(3)).tolist()) > least
    assert [one.disturbance for one in result.summary.suggested_standings] == pytest.approx(
        [np.mean([m.interactions.effect(a, suggested).disturbance for m in result.counted]) for a in range(3)]
    )


def test_pairs_are_merged_alone(gpt2: Path, tuned: list[Path]) -> None:
    """With the weights that they have, whatever else is merged."""
    whole = check(tuned, gpt2, weights=(1.0, 0.5, 2.0))
    alone = check([tuned[0], tuned[2]], gpt2, weights=(1.0, 2.0))
    (found,) = (one for one in whole.summary.encounters if (one.victim, one.other) == (0, 2))
    assert found.standing.disturbance == pytest.approx(alone.summary.standings[0].disturbance, rel=1e-4)
    flat = [
        torch.cat(
            [
                (W - load_file(gpt2 / "model.safetensors")[n]).flatten()
                for n, W in load_file(m / "model.safetensors").items()
                if W.ndim == 2 and "wte" not in n and "wpe" not in n
            ]
        ).double()
        for m in (tuned[0], tuned[2])
    ]
    assert found.size_ratio == pytest.approx(float(flat[1].norm() / flat[0].norm()), rel=1e-5)
    assert found.cosine == pytest.approx(float(flat[0] @ flat[1] / flat[0].norm() / flat[1].norm()), abs=1e-6)
    assert found.opposed == pytest.approx(float(((flat[0] * flat[1]) < 0).double().mean()), abs=1e-3)


def test_without_a_base_weights_are_added(tuned: list[Path]) -> None:
    result = check(tuned[:2])
    one, other = map(matrices, tuned[:2])
    assert result.base is None
    assert all(map(math.isnan, result.summary.shrink))
    for meeting in result.counted:
        key = meeting.place.key
        expected = disturbance(one[key] + other[key], one[key])
        assert meeting.interactions.effect(0, (1, 1)).disturbance == pytest.approx(expected, rel=1e-3)


def test_a_merge_that_exists(gpt2: Path, tuned: list[Path], tmp_path: Path) -> None:
    base, one, other = (load_file(model / "model.safetensors") for model in (gpt2, *tuned[:2]))
    merged = derived(
        gpt2,
        tmp_path / "merged",
        lambda tensors: {n: base[n] + 0.6 * (one[n] - base[n]) + 0.3 * (other[n] - base[n]) for n in tensors},
    )
    judged, thought_of = check(tuned[:2], gpt2, merged=str(merged)), check(tuned[:2], gpt2, weights=(0.6, 0.3))
    assert judged.merged is not None
    assert judged.summary.weights == ()
    assert judged.summary.fitted == pytest.approx((0.6, 0.3), abs=1e-4)
    assert judged.summary.unexplained < 1e-6
    pairs = zip(judged.summary.standings, thought_of.summary.standings, strict=True)
    assert all(a.disturbance == pytest.approx(b.disturbance, rel=1e-3) for a, b in pairs)
    assert "merge-linear" in [one.id for one in judged.findings]
    with pytest.raises(UsageError, match="beside --merged"):
        check(tuned[:2], gpt2, merged=str(merged), weights=(1, 1))


def test_what_a_model_left_alone(gpt2: Path, tmp_path: Path) -> None:
    """Does not count among its matrices, and disturbs nobody."""

    def only(part: str, seed: int) -> Path:
        def change(tensors: Tensors) -> None:
            changed = dict(tensors)
            noisy(changed, seed=seed)
            tensors.update({name: W for name, W in changed.items() if part in name})

        return derived(gpt2, tmp_path / part, change)

    result = check([only("c_fc", 1), only("h.0", 2)], gpt2)
    first, second = result.summary.standings
    assert first.matrices == 2
    for meeting in result.counted:
        if meeting.place.layer == 1:
            assert meeting.place.role == "M1"
            assert meeting.interactions.effect(0, (1, 1)).disturbance == pytest.approx(0.0, abs=1e-3)
            assert not meeting.interactions.changed_by(1)
    assert second.matrices == len([one for one in result.counted if one.place.layer == 0])


def test_a_model_that_is_the_base_and_twins(gpt2: Path, tuned: list[Path]) -> None:
    result = check([gpt2, tuned[0], tuned[0]], gpt2)
    assert math.isnan(result.summary.standings[0].disturbance)
    assert result.summary.standings[1].retention == pytest.approx(2.0, rel=1e-3)
    assert {"merge-unchanged", "merge-same"} <= {one.id for one in result.findings}
    assert result.names == (gpt2.name, "math (2)", "math (3)")
    nothing = check([gpt2, gpt2], gpt2)
    assert (nothing.meetings, nothing.summary.suggested) == ((), ())


def test_adapters(tmp_path: Path) -> None:
    """Exactly, by their factors: with a base, beside a whole fine-tune, and without one."""
    base = saved_model(tmp_path / "base")
    adapters, changes = [], []
    for number, ends in enumerate((("q_proj", "v_proj"), ("q_proj",))):
        shapes = shapes_of(base, *ends)
        folder, of = saved_adapter(tmp_path / f"lora{number}", shapes, lora_alpha=6 + number)
        adapters.append(folder)
        changes.append({path: change * (6 + number) / 6 for path, change in of.items()})
    for found in (check(adapters, base), check(adapters)):
        assert {one.place.role for one in found.counted} == {"Q", "V"}
        assert found.summary.low_rank == (True, True)
        assert "merge-adapters" in [one.id for one in found.findings]
        for meeting in found.counted:
            path = f"model.layers.{meeting.place.layer}.self_attn.{meeting.place.role.lower()}_proj"
            own, other = (of.get(path, np.zeros(meeting.shape)) for of in changes)
            effect = meeting.interactions.effect(0, (1, 1))
            assert effect.disturbance == pytest.approx(disturbance(own + other, own), rel=1e-5, abs=1e-9)
    whole = derived(base, tmp_path / "whole", noisy)
    mixed = check([adapters[0], whole], base)
    assert mixed.summary.low_rank == (True, False)
    assert "are not to be compared" in next(one.detail for one in mixed.findings if one.id == "merge-adapters")
    with pytest.raises(MappingError, match="others here are whole models"):
        check([adapters[0], whole])


def test_dora_needs_the_base(tmp_path: Path) -> None:
    base = saved_model(tmp_path / "base")
    dora, _ = saved_adapter(tmp_path / "dora", shapes_of(base, "q_proj"), magnitudes=True)
    lora, _ = saved_adapter(tmp_path / "lora", shapes_of(base, "q_proj"))
    with pytest.raises(MappingError, match=r"DoRA.*--base"):
        check([lora, dora])
    found = check([lora, dora], base)
    assert all(math.isfinite(one.disturbance) for one in found.summary.standings)


def test_a_gguf_file_among_them(tmp_path: Path) -> None:
    """Rows of Q and K in their own order, names that are the same in all families."""
    plain, file = write_both(MODELS["llama"](Random(np.float32)), tmp_path)
    tuned = derived(plain, tmp_path / "tuned", noisy)
    found = check([tuned, file], plain)
    assert not any(one.interactions.changed_by(1) and one.interactions.norm(1) > 0.1 for one in found.counted)
    assert found.summary.standings[0].disturbance < 0.05


def test_other_vocabularies_and_architectures(gpt2: Path, tuned: list[Path], tmp_path: Path) -> None:
    def longer(tensors: Tensors) -> None:
        wte = tensors["transformer.wte.weight"]
        tensors["transformer.wte.weight"] = torch.cat([wte, wte[:5]])

    rows = len(load_file(gpt2 / "model.safetensors")["transformer.wte.weight"])
    resized = derived(gpt2, tmp_path / "resized", longer, vocab_size=rows + 5)
    found = check([tuned[0], resized], gpt2)
    assert at(found, "EMBED").shape[0] == rows
    assert any("rows are compared" in note for note in found.notes), found.notes
    with pytest.raises(MappingError, match=r"model .*: it is another model"):
        check([tuned[0], saved_model(tmp_path / "llama")], gpt2)
    stranger = check([tuned[0], derived(gpt2, tmp_path / "stranger", lambda tensors: noisy(tensors, size=10.0))], gpt2)
    (finding,) = (one for one in stranger.findings if one.id == "merge-unrelated")
    assert (finding.severity, "stranger" in finding.detail, "math" in finding.detail) == ("error", True, False)


def test_parts_and_memory(gpt2: Path, tuned: list[Path]) -> None:
    found = check(tuned, gpt2, AuditConfig(roles=("Q", "M1"), layers=(1,)))
    assert [one.place.words() for one in found.meetings] == ["layer 1 Q", "layer 1 M1"]
    assert found.partial == ("--roles", "--layers")
    with pytest.raises(UsageError, match="memory"):
        check(tuned, gpt2, AuditConfig(memory=1000))
    assert repr(check(tuned, gpt2, AuditConfig(memory=2 * 10**6)).meetings) == repr(check(tuned, gpt2).meetings)


@pytest.mark.parametrize("threads", some_of([1, 3], 3))
def test_the_same_numbers_on_any_number_of_threads(gpt2: Path, tuned: list[Path], threads: int) -> None:
    assert repr(check(tuned, gpt2, AuditConfig(threads=threads)).meetings) == repr(check(tuned, gpt2).meetings)


def test_an_entry_that_is_no_number(gpt2: Path, tuned: list[Path], tmp_path: Path) -> None:
    """Is told, and the other matrices have their numbers."""

    def broken(tensors: Tensors) -> None:
        noisy(tensors)
        tensors["transformer.h.1.mlp.c_fc.weight"][0, 0] = math.nan

    found = check([tuned[0], derived(gpt2, tmp_path / "broken", broken)], gpt2)
    assert all(math.isfinite(one.disturbance) for one in found.summary.standings)
    assert found.summary.standings[0].matrices == len(found.counted) - 1
    (finding,) = (one for one in found.findings if one.id == "merge-not-finite")
    assert "layer 1 M1" in finding.detail


def test_how_many(tuned: list[Path]) -> None:
    for models in (tuned[:1], tuned * 3):
        with pytest.raises(UsageError, match="Name 2 to 8"):
            check(models)


def test_a_standing_of_nothing() -> None:
    from weightaudit.merging.summary import standing

    found = standing([], 0, (1.0,))
    assert found.matrices == 0
    assert math.isnan(found.disturbance)

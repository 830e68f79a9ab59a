"""What a derived model is made of: an adapter of its own, one that was merged, parents that were added up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.adapters import saved_adapter, saved_model, shapes_of
from tests.support.covering import some_of
from weightaudit.config import AuditConfig
from weightaudit.errors import MappingError, UsageError
from weightaudit.pairs.diff import diff_models
from weightaudit.records import Change, DiffResult

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("llama"))


def written(base: Path, folder: Path, tensors: Tensors) -> Path:
    folder.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text((base / "config.json").read_text())
    return folder


def plus(base: Path, folder: Path, changes: Mapping[str, Any], scale: float = 1.0) -> Path:
    """``base`` with ``changes`` of its modules, times ``scale``, merged."""
    tensors = load_file(base / "model.safetensors")
    for path, change in changes.items():
        name = f"{path}.weight"
        tensors[name] = (tensors[name].double() + scale * torch.from_numpy(change)).float()
    return written(base, folder, tensors)


def other(base: Path, folder: Path, seed: int, size: float = 0.02) -> Path:
    draw = torch.Generator().manual_seed(seed)
    tensors = load_file(base / "model.safetensors")
    moved = {name: w + size * torch.randn(w.shape, generator=draw) for name, w in tensors.items()}
    return written(base, folder, moved)


def diff(base: Path, derived: Path, roles: tuple[str, ...] = (), **asked: Any) -> DiffResult:
    return diff_models(str(base), str(derived), AuditConfig(roles=roles or None), **asked)


def by_tensor(result: DiffResult) -> dict[str, Change]:
    return {change.tensors[0]: change for change in result.changes}


def ids(result: DiffResult) -> list[str]:
    return [finding.id for finding in result.findings]


def test_an_adapter_is_the_change_that_it_makes(base: Path, tmp_path: Path) -> None:
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj", "down_proj"))
    result = diff(base, adapter)
    tensors = load_file(base / "model.safetensors")
    assert len(result.changes) == len(changes)
    for change in result.changes:
        name = change.tensors[0]
        delta, W0 = changes[name.removesuffix(".weight")], tensors[name].double().numpy()
        assert change.relative == pytest.approx(np.linalg.norm(delta) / np.linalg.norm(W0), rel=1e-6)
        assert change.kind == "low rank"
        assert change.ranks is not None
        assert change.spectrum is not None
        assert change.ranks.rank == np.linalg.matrix_rank(delta, tol=1e-6 * np.linalg.norm(delta)) == 4
        assert change.spectrum.spectral_norm == pytest.approx(np.linalg.norm(delta, 2), rel=1e-6)
    assert not result.one_sided  # what an adapter leaves alone is not missing


def test_an_adapter_with_magnitudes_changes_whole_matrices(base: Path, tmp_path: Path) -> None:
    adapter, _ = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"), magnitudes=True)
    for change in diff(base, adapter).changes:
        assert change.entries is not None
        assert change.kind in ("dense", "rows scaled")


@pytest.mark.parametrize(
    ("scale", "told"),
    some_of([(1.0, "diff-merged"), (2.0, "diff-merged-twice"), (0.5, "diff-merge-scale")], (2.0, "diff-merged-twice")),
)
def test_a_merged_adapter_is_told_with_its_scale(base: Path, tmp_path: Path, scale: float, told: str) -> None:
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj", "down_proj"))
    result = diff(base, plus(base, tmp_path / "merged", changes, scale), adapter=str(adapter))
    for path in changes:
        recipe = by_tensor(result)[f"{path}.weight"].recipe
        assert recipe is not None
        assert recipe.exact
        assert recipe.weights[0] == pytest.approx(scale, abs=1e-4)
    assert told in ids(result)
    assert "diff-merge-residue" not in ids(result)


def test_an_adapter_that_was_not_merged(base: Path, tmp_path: Path) -> None:
    adapter, _ = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"))
    same = written(base, tmp_path / "same", load_file(base / "model.safetensors"))
    (found,) = [one for one in diff(base, same, adapter=str(adapter)).findings if one.id == "diff-not-merged"]
    assert found.severity == "error"
    elsewhere = diff(base, other(base, tmp_path / "other", 3), ("Q", "V"), adapter=str(adapter))
    assert "diff-not-merged" in ids(elsewhere)


def test_more_than_the_adapter_was_merged(base: Path, tmp_path: Path) -> None:
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"))
    merged = plus(base, tmp_path / "merged", changes)
    result = diff(base, other(merged, tmp_path / "more", 4, 1e-3), ("Q", "V"), adapter=str(adapter))
    assert "diff-merge-residue" in ids(result)
    assert "diff-merged" not in ids(result)


def test_a_merged_adapter_with_magnitudes(base: Path, tmp_path: Path) -> None:
    """Of DoRA the rows get other norms: the merge is told from the matrix that both make."""
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"), magnitudes=True)
    norms = load_file(adapter / "adapter_model.safetensors")
    tensors = load_file(base / "model.safetensors")
    for path, change in changes.items():
        whole = tensors[f"{path}.weight"].double() + torch.from_numpy(change)
        wanted = norms[f"base_model.model.{path}.lora_magnitude_vector"].double()
        tensors[f"{path}.weight"] = (whole * (wanted / whole.norm(dim=1))[:, None]).float()
    assert "diff-merged" in ids(diff(base, written(base, tmp_path / "merged", tensors), adapter=str(adapter)))


def test_parents_of_a_linear_merge(base: Path, tmp_path: Path) -> None:
    parents = [other(base, tmp_path / name, seed) for seed, name in ((5, "p"), (6, "q"))]
    kept = [load_file(parent / "model.safetensors") for parent in parents]
    mixed = {name: (0.3 * w.double() + 0.7 * kept[1][name].double()).float() for name, w in kept[0].items()}
    result = diff(base, written(base, tmp_path / "mixed", mixed), parents=[str(parent) for parent in parents])
    assert result.summary.recipe[:2] == pytest.approx((0.3, 0.7), abs=1e-3)
    assert result.summary.recipe_exact
    assert "diff-recipe" in ids(result)
    assert [parent.name for parent in result.parents] == ["p", "q"]


def test_parents_that_have_no_part_in_it(base: Path, tmp_path: Path) -> None:
    parents = [str(other(base, tmp_path / name, seed)) for seed, name in ((5, "p"), (6, "q"))]
    result = diff(base, other(base, tmp_path / "else", 7), ("Q", "M2"), parents=parents)
    assert not result.summary.recipe_exact
    assert "diff-recipe" not in ids(result)
    unexplained = [change.recipe.unexplained for change in result.matrices if change.recipe is not None]
    assert min(unexplained) > 0.8


def test_parents_and_an_adapter_are_asked_apart(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--parents"):
        diff(base, base, parents=[str(base)], adapter=str(base))
    adapter, _ = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"))
    with pytest.raises(MappingError, match=r"parent .* itself"):
        diff(base, base, parents=[str(adapter)])


def test_what_is_recorded_of_the_options(base: Path, tmp_path: Path) -> None:
    options = diff(base, base).options
    assert options["parents"] is None
    assert options["adapter"] is None
    assert "spectrum" not in options
    json.dumps(options)

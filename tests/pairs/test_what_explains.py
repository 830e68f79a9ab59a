"""What may explain a difference, parents and adapters: read beside it, whatever they have more or less."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as np_load_file
from safetensors.numpy import save_file as np_save_file

from tests.pairs.models import Tensors, at, derived, diff, noisy
from tests.support.adapters import saved_adapter, saved_model, shapes_of
from tests.support.covering import some_of
from tests.support.models import tiny_model
from weightaudit.arrays import Array
from weightaudit.config import AuditConfig
from weightaudit.errors import MappingError
from weightaudit.pairs.diff import diff_models
from weightaudit.records import DiffResult, Explained

NORM = "model.norm.weight"
EMBED = "model.embed_tokens.weight"
LAST = "model.layers.1.self_attn.v_proj.weight"
Lora = tuple[Path, dict[str, Array]]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def lora(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Lora:
    return saved_adapter(tmp_path_factory.mktemp("adapters") / "style", shapes_of(llama, "q_proj", "v_proj"))


def merge(tensors: Tensors, changes: dict[str, Array]) -> None:
    for path, change in changes.items():
        tensors[f"{path}.weight"] = (tensors[f"{path}.weight"].double() + torch.from_numpy(change)).float()


def with_more(adapter: Path, folder: Path, **more: Array) -> Path:
    """The adapter with further tensors, saved whole."""
    shutil.copytree(adapter, folder)
    file = folder / "adapter_model.safetensors"
    np_save_file({**np_load_file(file), **{f"base_model.model.{name}": w for name, w in more.items()}}, file)
    return folder


def said(result: DiffResult) -> dict[str, str]:
    return {one.id: one.detail for one in result.findings}


def recipe_of(result: DiffResult, words: str) -> Explained:
    recipe = at(result, words).recipe
    assert recipe is not None
    return recipe


def test_norms_that_the_adapter_has_are_merged_too(llama: Path, lora: Lora, tmp_path: Path) -> None:
    """A vector that is a multiple of the base's, as norms are that began at one."""
    norm = np.full(48, 1.3, np.float32)
    adapter = with_more(lora[0], tmp_path / "more", **{NORM: norm})

    def merged(tensors: Tensors) -> None:
        merge(tensors, lora[1])
        tensors[NORM] = torch.from_numpy(norm.copy())

    result = diff(llama, derived(llama, tmp_path / "merged", merged), adapter=str(adapter))
    assert set(said(result)) == {"diff-merged"}
    assert "all 5 matrices and vectors that it changes (Q and V of layers 0-1" in said(result)["diff-merged"]
    assert recipe_of(result, NORM).weights == pytest.approx((1.0,))
    without = diff(llama, derived(llama, tmp_path / "without", lambda ts: merge(ts, lora[1])), adapter=str(adapter))
    assert "1 of 5 matrices and vectors that it changes (model.norm.weight)" in said(without)["diff-not-merged"]


def test_a_matrix_that_the_adapter_changes_and_the_model_lacks_is_told(llama: Path, lora: Lora, tmp_path: Path) -> None:
    def less(tensors: Tensors) -> None:
        merge(tensors, lora[1])
        del tensors[LAST]

    result = diff(llama, derived(llama, tmp_path, less), adapter=str(lora[0]))
    assert said(result) == {"diff-merge-residue": "The base alone has layer 1 V."}
    assert "Not compared, though adapter style changes them: layer 1 V." in result.notes
    assert [(one.side, one.place.role) for one in result.one_sided] == [("base", "V")]  # and no QKV besides


def test_an_entry_that_is_no_number_is_of_a_matrix_that_the_adapter_changes(
    llama: Path, lora: Lora, tmp_path: Path
) -> None:
    def broken(tensors: Tensors) -> None:
        merge(tensors, lora[1])
        tensors[LAST][0, 0] = torch.nan

    result = diff(llama, derived(llama, tmp_path, broken), adapter=str(lora[0]))
    assert set(said(result)) == {"diff-nonfinite", "diff-merged"}
    assert "Of layer 1 V it cannot be told: it has entries that are no numbers." in said(result)["diff-merged"]


@pytest.mark.parametrize("magnitudes", some_of([False, True], False))
def test_an_adapter_of_a_table_of_which_the_model_has_fewer_rows(magnitudes: bool, llama: Path, tmp_path: Path) -> None:
    shape = {"model.embed_tokens": shapes_of(llama, "embed_tokens")["model.embed_tokens"]}
    adapter, changes = saved_adapter(tmp_path / "adapter", shape, magnitudes=magnitudes)
    rows = shape["model.embed_tokens"][0] - 5

    def cut(tensors: Tensors) -> None:
        if not magnitudes:
            merge(tensors, changes)
        tensors[EMBED] = tensors[EMBED][:rows]

    result = diff(llama, derived(llama, tmp_path / "cut", cut, vocab_size=rows), adapter=str(adapter))
    recipe = recipe_of(result, "EMBED")
    assert recipe.weights == pytest.approx((0.0 if magnitudes else 1.0,), abs=1e-5)


def test_a_table_that_an_adapter_has_in_another_size_is_told(llama: Path, lora: Lora, tmp_path: Path) -> None:
    rows, cols = shapes_of(llama, "embed_tokens")["model.embed_tokens"]
    adapter = with_more(lora[0], tmp_path / "more", **{EMBED: np.ones((rows + 4, cols), np.float32)})
    result = diff(llama, llama, adapter=str(adapter))
    assert f"Adapter more: not compared, for they have other sizes in base llama: {EMBED}." in result.notes


def test_a_parent_with_fewer_rows_or_layers_explains_nothing_there(llama: Path, tmp_path: Path) -> None:
    rows = shapes_of(llama, "embed_tokens")["model.embed_tokens"][0]

    def small(tensors: Tensors) -> None:
        noisy(tensors)
        tensors[EMBED] = tensors[EMBED][: rows - 4]
        for name in [name for name in tensors if ".layers.1." in name]:
            del tensors[name]

    parent = derived(llama, tmp_path / "parent", small, vocab_size=rows - 4, num_hidden_layers=1)
    other = derived(llama, tmp_path / "other", noisy)
    result = diff(llama, other, parents=[str(parent)])
    assert at(result, "EMBED").recipe is None
    assert at(result, "layer 1 Q").recipe is None
    assert recipe_of(result, "layer 0 Q").exact
    assert not result.summary.recipe_exact
    assert "diff-recipe" not in said(result)
    notes = " ".join(result.notes)
    assert f"in parent parent: EMBED is {rows} × 48 here and {rows - 4} × 48 there" in notes
    assert "parent parent does not have them: layer 1 Q" in notes


def test_a_parent_with_more_rows_explains_those_that_are_compared(llama: Path, tmp_path: Path) -> None:
    rows = shapes_of(llama, "embed_tokens")["model.embed_tokens"][0]

    def grown(tensors: Tensors) -> None:
        noisy(tensors)
        tensors[EMBED] = torch.cat([tensors[EMBED], torch.ones(4, 48)])

    parent = derived(llama, tmp_path / "parent", grown, vocab_size=rows + 4)
    other = derived(llama, tmp_path / "other", noisy)
    result = diff_models(str(llama), str(other), AuditConfig(roles=("EMBED",)), parents=[str(parent)])
    assert recipe_of(result, "EMBED").exact


@pytest.mark.parametrize("whole", some_of([True, False], False))
def test_vectors_are_part_of_the_sum(whole: bool, llama: Path, tmp_path: Path) -> None:
    parent = derived(llama, tmp_path / "parent", noisy)

    def half(tensors: Tensors) -> None:
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        noisy(tensors)
        for name in tensors:
            tensors[name] = (before[name] + tensors[name]) / 2
        if not whole:
            tensors[NORM] = torch.linspace(0, 1, 48)

    result = diff(llama, derived(llama, tmp_path / "half", half), parents=[str(parent)])
    assert recipe_of(result, NORM).exact == whole
    assert said(result)["diff-recipe"].endswith("Not so model.norm.weight.") != whole


def test_what_does_not_fit_is_called_what_it_is(llama: Path, lora: Lora, tmp_path: Path) -> None:
    tiny_model("gpt2", tmp_path / "gpt2")
    other, _ = saved_adapter(tmp_path / "other", {"transformer.h.0.attn.c_proj": (24, 24)})
    with pytest.raises(MappingError, match=r"^adapter .*other: it does not fit base .*llama, for .*this base$"):
        diff(llama, llama, adapter=str(other))
    with pytest.raises(MappingError, match=r"^parent .*gpt2: it is another model.*made from the same base$"):
        diff(llama, llama, parents=[str(tmp_path / "gpt2")])
    with pytest.raises(MappingError, match=r"^parent .*style: it is a LoRA adapter itself. Ask for it with --adapter$"):
        diff(llama, llama, parents=[str(lora[0])])


def test_a_part_of_the_models_is_called_so(llama: Path, lora: Lora, tmp_path: Path) -> None:
    other = derived(llama, tmp_path, lambda tensors: merge(tensors, lora[1]))
    result = diff_models(str(llama), str(other), AuditConfig(roles=("Q",)), adapter=str(lora[0]))
    assert "all 2 matrices that it changes and that were compared (Q of layers 0-1)" in said(result)["diff-merged"]
    assert "Not compared, though adapter style changes them: layer 0 V and layer 1 V." in result.notes

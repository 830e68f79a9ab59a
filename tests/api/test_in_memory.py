"""Models in memory: a scan of one says what a scan of its saved checkpoint says, and reads it where it lies."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import transformers

import weightaudit as wa
from tests.support import tiny
from tests.support.covering import some_of
from tests.support.models import build
from weightaudit.audit.progress import Silent
from weightaudit.errors import ChangedMeanwhile, CheckpointError, UsageError
from weightaudit.source.held import HeldTensors
from weightaudit.source.live import held_model

TYPES = ("bert", "gpt2", "llama", "mixtral", "qwen3_moe", "gemma3", "t5", "whisper", "mamba", "llava")
"""Tied and not, fused, transposed, experts that lie stacked in memory and single in files, two stacks, towers."""


def without_names(report: wa.ScanReport) -> list[list[str]]:
    """The CSV's cells but for what the model is called."""
    return [line.split(",")[2:] for line in report.to_csv().splitlines()]


def told(report: wa.ScanReport) -> list[tuple[str, str, str]]:
    return sorted((one.id, one.place.words(), one.detail) for one in report.findings)


@pytest.mark.parametrize("model_type", some_of(TYPES, "qwen3_moe", "llava"))
def test_a_model_is_scanned_as_its_saved_checkpoint(model_type: str, tmp_path: Path) -> None:
    model = tiny.tiny(model_type)
    model.save_pretrained(tmp_path)
    saved, live = wa.scan(tmp_path), wa.scan(model)
    assert len(saved.rows) > 5
    assert without_names(live) == without_names(saved)
    assert told(live) == told(saved)
    assert live.map.family == saved.map.family
    assert not live.map.guessed


@pytest.mark.slow
@pytest.mark.parametrize("model_type", tiny.all_model_types())
def test_every_type_is(model_type: str, tmp_path: Path) -> None:
    try:
        model = tiny.tiny(model_type)
        model.save_pretrained(tmp_path)
    except Exception as error:  # of transformers: not every type builds or saves at these sizes
        pytest.skip(f"transformers: {error}")
    assert without_names(wa.scan(model)) == without_names(wa.scan(tmp_path))


def test_it_is_called_as_it_was_loaded(tmp_path: Path) -> None:
    model = build("gpt2")
    assert wa.scan(model).identity.name == "GPT2LMHeadModel"
    model.save_pretrained(tmp_path / "mine")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "mine")
    report = wa.scan(loaded)
    assert report.identity.name == "mine"
    assert str(tmp_path) not in report.to_json()


@pytest.mark.parametrize(
    "dtype",
    some_of((torch.float64, torch.float32, torch.float16, torch.bfloat16), torch.float64, torch.bfloat16),
)
def test_numbers_of_every_precision_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    model = build("gpt2").to(dtype)
    model.save_pretrained(tmp_path)
    live, saved = (without_names(wa.scan(one, layers=0)) for one in (model, tmp_path))
    assert len(saved) > 5
    assert live == saved


def test_a_state_dict_with_a_config_and_without() -> None:
    model = build("gpt2")
    whole = wa.scan(model, layers=0)
    assert len(whole.rows) > 5
    for config in (model.config, model.config.to_dict()):
        report = wa.scan(model.state_dict(), model_config=config, layers=0)
        assert without_names(report) == without_names(whole)
    guessed = wa.scan(model.state_dict(), layers=0)
    assert guessed.map.guessed
    assert {row.matrix.role for row in guessed.rows} >= {"QKV", "O", "M1", "M2"}


def test_arrays_are_taken_too() -> None:
    model = build("gpt2").to(torch.bfloat16)
    arrays = {
        name: tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16) for name, tensor in model.state_dict().items()
    }
    read = without_names(wa.scan(arrays, model_config=model.config, layers=0))
    assert len(read) > 5
    assert read == without_names(wa.scan(model, layers=0))


def test_a_plain_module_is_mapped_by_names() -> None:
    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj = torch.nn.Linear(48, 48, bias=False)
            self.k_proj = torch.nn.Linear(48, 24, bias=False)

    module = torch.nn.Sequential()
    module.layers = torch.nn.ModuleList([Block(), Block()])
    report = wa.scan(module)
    assert [(row.matrix.layer, row.matrix.role) for row in report.rows] == [(0, "Q"), (0, "K"), (1, "Q"), (1, "K")]
    assert report.identity.name == "Sequential"
    assert report.map.guessed


def test_tensors_are_read_however_they_lie() -> None:
    wide = torch.randn(48, 96, generator=torch.Generator().manual_seed(1))
    strided = {"layers.0.q_proj.weight": wide.T[::2], "layers.0.k_proj.weight": wide[:, ::2]}
    dense = {name: tensor.contiguous() for name, tensor in strided.items()}
    assert wa.scan(strided).to_csv() == wa.scan(dense).to_csv()


def test_a_wrapped_model_is_unwrapped() -> None:
    model = build("gpt2")
    wrapped = torch.nn.DataParallel(model)
    assert told(wa.scan(wrapped)) == told(wa.scan(model))


def test_a_container_is_no_wrapper() -> None:
    """What is called module in it is not all of it."""
    both = torch.nn.ModuleDict({"module": build("gpt2"), "adapter": torch.nn.Linear(24, 24)})
    assert "adapter.weight" in {entry.tensor for entry in wa.scan(both).coverage_entries}


@pytest.mark.parametrize(
    ("loaded", "called"),
    [("/home/alice/secret/run7", "run7"), ("./gone/run7", "run7"), ("~/run7/", "run7"), ("org/name", "org/name")],
)
def test_no_way_to_a_folder_is_in_its_name(loaded: str, called: str) -> None:
    model = build("gpt2")
    model.config._name_or_path = loaded
    assert wa.scan(model, roles="Q").identity.name == called


def test_an_open_checkpoint_stays_open(tiny_checkpoints: dict[str, Path]) -> None:
    with wa.open_checkpoint(tiny_checkpoints["gpt2"]) as checkpoint:
        report = wa.scan(checkpoint)
        assert without_names(report) == without_names(wa.scan(tiny_checkpoints["gpt2"]))
        assert checkpoint.read("transformer.wte.weight").any()
        with pytest.raises(UsageError, match="open already"):
            wa.scan(checkpoint, revision="main")


def test_matrices_of_a_model_in_memory() -> None:
    model = build("gpt2")
    found = {matrix.key: matrix for matrix in wa.matrices(model)}
    M1 = found["/0//M1"].load()
    assert torch.equal(M1, model.transformer.h[0].mlp.c_fc.weight.T)


def test_two_models_in_memory_are_compared(tmp_path: Path) -> None:
    base = build("gpt2")
    tuned = copy.deepcopy(base)
    with torch.no_grad():
        tuned.transformer.h[1].mlp.c_fc.weight += 0.01 * torch.randn(24, 40, generator=torch.Generator().manual_seed(2))
    base.save_pretrained(tmp_path)
    for first in (base, tmp_path):
        difference = wa.diff(first, tuned)
        changed = [change.place.key for change in difference.changes if change.kind != "unchanged"]
        assert changed == ["/1//M1"]


def test_a_merge_of_models_in_memory() -> None:
    base = build("gpt2")
    models = [copy.deepcopy(base), copy.deepcopy(base)]
    for seed, model in enumerate(models):
        with torch.no_grad():
            noise = torch.randn(24, 40, generator=torch.Generator().manual_seed(seed))
            model.transformer.h[0].mlp.c_fc.weight += 0.01 * noise
    report = wa.merge_check(models, base=base)
    assert [one.place.key for one in report.meetings] == ["/0//M1"]


@pytest.mark.filterwarnings("default::FutureWarning")  # PEFT asks transformers for what it calls deprecated
def test_an_adapter_of_peft_is_scanned_as_it_would_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=4, lora_alpha=0.05, target_modules=["c_attn", "c_fc"], init_lora_weights=False, fan_in_fan_out=True
    )
    model = peft.get_peft_model(build("gpt2"), config)
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda *a, **k: pytest.fail("the Hub"))
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    saved, live = wa.scan(tmp_path), wa.scan(model)
    assert without_names(live) == without_names(saved)
    assert live.identity.adapter is not None
    assert saved.identity.adapter is not None
    assert sorted(live.identity.adapter.modules) == sorted(saved.identity.adapter.modules)  # PEFT saves a set
    assert replace(live.identity.adapter, modules=()) == replace(saved.identity.adapter, modules=())
    assert live.identity.adapter.rank == 4
    merged = model.merge_and_unload()
    difference = wa.diff(build("gpt2"), merged, adapter=tmp_path)
    assert {change.kind for change in difference.matrices} == {"low rank", "unchanged"}


def _sparse() -> torch.Tensor:
    return torch.eye(4).to_sparse()


def _sharded() -> torch.Tensor:
    tensor = torch.eye(4)
    tensor.__tensor_flatten__ = lambda: ()  # type: ignore[attr-defined]  # as a DTensor has, and torchao's
    return tensor


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.empty(4, 4, device="meta"), "a meta tensor has no entries. Load the weights first"),
        (_sparse, "its layout is torch.sparse_coo. Make it dense first"),
        (_sharded, "does not hold its numbers itself. Gather it first"),
        (lambda: {"inner": torch.eye(4)}, "a dict is no tensor. Hand in what is under 'x'"),
        (lambda: "text", "a str is no tensor. Leave it out"),
        (lambda: np.array(["a"]), "its dtype is <U1"),
    ],
)
def test_what_cannot_be_read_is_told(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError, match="tensor 'x'") as error:
        wa.scan({"x": make()})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: wa.scan(5), "a int is no model"),  # type: ignore[arg-type]
        (lambda: wa.scan({}, model_config=5), "model_config: a int is no config"),
        (lambda: wa.scan("gpt2", model_config={}), "the files of this model have a config of their own"),
        (lambda: wa.scan({"x": torch.eye(2)}, revision="main"), "this is no Hub model"),
    ],
)
def test_wrong_use_is_told(call: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()


def test_a_model_that_is_trained_meanwhile_is_noticed() -> None:
    model = build("gpt2")

    class Trainer(Silent):
        def tensor(self, name: str) -> None:
            with torch.no_grad():
                model.transformer.h[0].mlp.c_fc.weight += 1.0

    with pytest.raises(ChangedMeanwhile, match=r"c_fc\.weight'.*Scan when no other thread trains"):
        wa.scan(model, progress=Trainer())


def test_nothing_of_the_model_is_copied_or_changed() -> None:
    model = build("gpt2")
    before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in model.state_dict().items()}
    architectures = model.config.architectures
    wa.scan(model)
    assert model.config.architectures == architectures
    for name, tensor in model.state_dict().items():
        pointer, entries = before[name]
        assert tensor.data_ptr() == pointer
        assert torch.equal(tensor, entries)


def pieces(size: int) -> Iterator[tuple[int, int]]:
    rng = np.random.default_rng(3)
    for _ in range(200):
        start = int(rng.integers(0, size + 1))
        yield start, int(rng.integers(0, size - start + 1))


def test_any_range_of_the_file_is_that_of_the_saved_file(tmp_path: Path) -> None:
    from safetensors.torch import load, save

    tensors = {
        "a": torch.arange(12.0).reshape(3, 4).T,
        "empty": torch.empty(0, 4),
        "scalar": torch.tensor(7),
        "b": torch.arange(5, dtype=torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "c": torch.arange(6.0).reshape(2, 3),
    }
    source = HeldTensors("model.safetensors", "here", tensors)
    whole = bytearray(source.size)
    source.read_into(0, memoryview(whole))
    loaded = load(bytes(whole))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    assert len(save({name: tensor.contiguous() for name, tensor in tensors.items()})) > 0
    for start, length in pieces(source.size):
        piece = bytearray(length)
        source.read_into(start, memoryview(piece))
        assert piece == whole[start : start + length]
    with pytest.raises(CheckpointError, match="it ends at"):
        source.read_into(source.size, memoryview(bytearray(1)))


def test_a_held_model_has_the_files_of_a_saved_one() -> None:
    held = held_model(build("gpt2"))
    assert held.files() == ["config.json", "model.safetensors"]
    assert held.size_of("config.json")
    assert held.size_of("other") is None
    with pytest.raises(CheckpointError, match="it has no file 'other'"):
        held.open("other")


def test_reports_are_written_of_it(tmp_path: Path) -> None:
    report = wa.scan(build("gpt2"))
    report.write(tmp_path / "report.html")
    buffer = io.StringIO()
    report.to_csv(buffer)
    assert buffer.getvalue() == report.to_csv()

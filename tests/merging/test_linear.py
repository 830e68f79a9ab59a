"""The linear merge: torch's own sum to the last bit, whole or not at all, with its recipe in the files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.adapters import saved_adapter, saved_model, shapes_of
from tests.support.covering import some_of
from tests.support.forks import linux
from tests.support.minilm import minilm_directory, needs_minilm
from tests.support.models import tiny_model
from tests.support.own_forks import OwnFork, ended
from tests.support.running import CommandLine
from tests.support.variants import Tensors, derived, noisy
from weightaudit.errors import CheckpointError, MappingError, OutputError, UsageError
from weightaudit.merging.linear import folder as folders
from weightaudit.merging.linear import sums
from weightaudit.merging.linear.shards import ShardWriter

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tiny_model("gpt2", folder)
    return folder


def stored(folder: Path) -> Tensors:
    tensors: Tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def torch_sum(base: Tensors | None, models: Sequence[Tensors], weights: Sequence[float], dtype: Any = None) -> Tensors:
    """As anybody would write it."""
    found = {}
    for name, first in (base or models[0]).items():
        terms = [
            w * (model[name].double() - (base[name].double() if base else 0.0))
            for w, model in zip(weights, models, strict=True)
        ]
        total = base[name].double() if base else terms.pop(0)
        for term in terms:
            total = total + term
        found[name] = total.to(dtype or first.dtype)
    return found


def same(one: Tensors, other: Tensors) -> bool:
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return one.keys() == other.keys() and all(
        W.dtype == other[name].dtype
        and torch.equal(W.view(bits[W.element_size()]), other[name].view(bits[W.element_size()]))
        for name, W in one.items()
    )


def variants(base: Path, root: Path, dtypes: Sequence[str] = ("float32", "float32")) -> list[Path]:
    def change(seed: int, dtype: str) -> Any:
        def of(tensors: Tensors) -> Tensors:
            noisy(tensors, seed=seed, size=0.05)
            return {name: W.to(DTYPES[dtype]) if W.is_floating_point() else W for name, W in tensors.items()}

        return of

    return [derived(base, root / f"tuned{i}", change(i, dtype)) for i, dtype in enumerate(dtypes)]


@pytest.mark.parametrize(
    ("of", "dtype", "has_base"),
    some_of(
        product(
            [("float32", "float32"), ("bfloat16", "float16"), ("bfloat16", "bfloat16")], [None, *DTYPES], [True, False]
        ),
        *[
            (("float32", "float32"), None, False),  # which is torch's own sum too
            (("float32", "float32"), "float16", True),
            (("bfloat16", "float16"), None, True),
            (("bfloat16", "bfloat16"), "float64", True),
        ],
    ),
    ids=str,
)
def test_torchs_sum_to_the_last_bit(
    gpt2: Path, tmp_path: Path, has_base: bool, dtype: str | None, of: tuple[str, str]
) -> None:
    models = variants(gpt2, tmp_path, of)
    weights = (0.3, 0.7) if has_base else (1.0, 1.0)
    made = wa.merge(models, tmp_path / "sum", base=gpt2 if has_base else None, weights=weights, dtype=dtype)
    expected = torch_sum(
        load_file(gpt2 / "model.safetensors") if has_base else None,
        [load_file(model / "model.safetensors") for model in models],
        weights,
        DTYPES[dtype] if dtype else None,
    )
    assert same(stored(tmp_path / "sum"), expected)
    assert made.tensors == len(expected)
    if not has_base and of == ("float32", "float32") and dtype is None:
        one, other = (load_file(model / "model.safetensors") for model in models)
        assert same(stored(tmp_path / "sum"), {name: one[name] + other[name] for name in one})


def smaller_minilm(folder: Path, layers: int, vocabulary: int) -> Path:
    """The real model's files, with so many of its layers and words."""
    whole = minilm_directory()
    assert whole is not None

    def cut(tensors: Tensors) -> Tensors:
        words = "embeddings.word_embeddings.weight"
        numbers = {name: int(name.split(".")[2]) if name.startswith("encoder.layer.") else 0 for name in tensors}
        kept = {name: W for name, W in tensors.items() if numbers[name] < layers}
        return {**kept, words: tensors[words][:vocabulary]}

    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return derived(whole, folder, cut, num_hidden_layers=layers, vocab_size=vocabulary)


@needs_minilm
@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "vocabulary", "shard", "roles"),
    [(2, 200, "4MB", "Q,M1"), (6, 30522, "40MB", None)],
)
def test_two_fine_tuned_minilms(tmp_path: Path, layers: int, vocabulary: int, shard: str, roles: str | None) -> None:
    """A real model's files; whole numbers are copied, transformers loads it, and diff finds its weights."""
    base = smaller_minilm(tmp_path / "minilm", layers, vocabulary)
    models = variants(base, tmp_path)
    made = wa.merge(models, tmp_path / "both", base=base, weights=(0.9, 0.4), shard_size=shard)
    assert len(made.files) > 2
    assert {"config.json", "tokenizer.json", "vocab.txt"} <= {*made.copied}
    before, *tuned = (load_file(model / "model.safetensors") for model in (base, *models))
    expected = torch_sum(before, tuned, (0.9, 0.4))
    whole = {name: W for name, W in before.items() if not W.is_floating_point()}
    assert whole
    assert same(stored(tmp_path / "both"), expected | whole)
    loaded, said = transformers.AutoModel.from_pretrained(tmp_path / "both", output_loading_info=True)
    assert not said["missing_keys"]
    assert not said["mismatched_keys"]
    name = "encoder.layer.1.attention.self.query.weight"
    assert torch.equal(loaded.state_dict()[name], expected[name])
    found = wa.diff(base, tmp_path / "both", parents=models, roles=roles)
    assert found.summary.recipe[:2] == pytest.approx((0.9, 0.4), abs=1e-4)
    assert found.summary.recipe_exact


def test_the_recipe_is_in_every_file(gpt2: Path, tmp_path: Path) -> None:
    models = variants(gpt2, tmp_path)
    made = wa.merge(models, tmp_path / "both", base=gpt2, weights=(0.5, -1), shard_size=20_000)
    index = json.loads((tmp_path / "both" / "model.safetensors.index.json").read_text())
    assert sorted(set(index["weight_map"].values())) == sorted(made.files)
    assert index["metadata"]["total_size"] == made.nbytes
    for name in made.files:
        assert (tmp_path / "both" / name).stat().st_size < 60_000
        with safe_open(tmp_path / "both" / name, "np") as file:
            metadata = file.metadata()
            assert {*file.keys()} == {tensor for tensor, of in index["weight_map"].items() if of == name}
        recipe = json.loads(metadata["weightaudit"])
        assert metadata["format"] == "pt"
        assert [one["weight"] for one in recipe["models"]] == [0.5, -1.0]
        assert [one["name"] for one in recipe["models"]] == ["tuned0", "tuned1"]
        assert recipe["base"]["files"] == [
            {"name": "model.safetensors", "bytes": (gpt2 / "model.safetensors").stat().st_size}
        ]
    assert str(tmp_path) not in json.dumps(recipe)  # nothing of this machine
    assert len(wa.scan(tmp_path / "both").rows) == len(wa.scan(gpt2).rows)


@pytest.mark.parametrize("model_type", some_of(["llama", "gpt2"], "gpt2"))
def test_adapters_are_put_on_the_base(model_type: str, tmp_path: Path) -> None:
    """GPT-2 stores (in, out): a product, which is (out, in), is turned, square or not."""
    base = saved_model(tmp_path / "base", model_type)
    ends = ("q_proj", "v_proj") if model_type == "llama" else ("attn.c_proj", "mlp.c_fc")
    shapes = shapes_of(base, *ends)
    if model_type == "gpt2":
        shapes = {path: (cols, rows) for path, (rows, cols) in shapes.items()}
    adapter, changes = saved_adapter(tmp_path / "lora", shapes, fan_in_fan_out=model_type == "gpt2")
    whole = derived(base, tmp_path / "whole", noisy)
    wa.merge([adapter, whole], tmp_path / "both", base=base, weights=(0.5, 1.0))
    before, tuned, made = (stored(folder) for folder in (base, whole, tmp_path / "both"))
    touched = 0
    for name, W in made.items():
        change = changes.get(name.removesuffix(".weight"))
        expected = tuned[name].double()
        if change is not None:
            touched += 1
            expected = expected + 0.5 * torch.from_numpy(change.T if model_type == "gpt2" else change)
        torch.testing.assert_close(W.double(), expected, rtol=0, atol=1e-6)
    assert touched == len(changes) > 0
    assert before.keys() == made.keys()


def test_names_that_a_wrapper_changed(gpt2: Path, tmp_path: Path) -> None:
    plain = variants(gpt2, tmp_path)[0]
    wrapped = derived(plain, tmp_path / "wrapped", lambda tensors: {f"module.{name}": W for name, W in tensors.items()})
    wa.merge([plain, wrapped], tmp_path / "both", base=gpt2, weights=(0.5, 0.5))
    expected = torch_sum(stored(gpt2), [stored(plain)] * 2, (0.5, 0.5))
    assert same(stored(tmp_path / "both"), expected)


def refused(change: Any, gpt2: Path, tmp_path: Path, **config: Any) -> Path:
    return derived(gpt2, tmp_path / "odd", change, **config)


def test_what_is_refused(gpt2: Path, tmp_path: Path) -> None:
    """By name, with a next step; nothing is left."""

    def longer(tensors: Tensors) -> None:
        tensors["transformer.wte.weight"] = torch.cat([tensors["transformer.wte.weight"]] * 2)

    def fewer(tensors: Tensors) -> None:
        del tensors["transformer.h.1.ln_1.bias"]

    tuned = variants(gpt2, tmp_path)[0]
    with pytest.raises(MappingError, match=r"odd: transformer.wte.weight: its shape is another.*same vocabulary"):
        wa.merge([tuned, refused(longer, gpt2, tmp_path)], tmp_path / "out", base=gpt2)
    with pytest.raises(MappingError, match=r"odd: it has no tensor transformer.h.1.ln_1.bias"):
        wa.merge([tuned, refused(fewer, gpt2, tmp_path)], tmp_path / "out", base=gpt2)
    counted = []
    for i in (1, 2):
        more = {"steps": torch.tensor([i])}
        counted.append(derived(gpt2, tmp_path / f"counted{i}", lambda tensors, more=more: {**tensors, **more}))  # type: ignore[misc]
    with pytest.raises(CheckpointError, match="steps: these whole numbers differ"):
        wa.merge(counted, tmp_path / "out")
    lora, _ = saved_adapter(tmp_path / "lora", {"transformer.h.0.attn.c_proj": (24, 24)})
    with pytest.raises(MappingError, match="it is an adapter"):
        wa.merge([tuned, lora], tmp_path / "out")
    with pytest.raises(UsageError, match="floats are not written"):
        wa.merge([tuned, tuned], tmp_path / "out", dtype="int8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "counted1",
        "counted2",
        "lora",
        "odd",
        "tuned0",
        "tuned1",
    ]


def test_the_name_that_a_header_keeps_for_itself_is_refused(gpt2: Path, tmp_path: Path) -> None:
    """torch's files may have it; a merge with it could not be read."""
    (model := tmp_path / "model").mkdir()
    shutil.copy(gpt2 / "config.json", model)
    torch.save({**stored(gpt2), "__metadata__": torch.ones(2)}, model / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="__metadata__: safetensors files keep that name"):
        wa.merge([model, model], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_quantised_weights_are_refused(gpt2: Path, tmp_path: Path) -> None:
    small = derived(
        gpt2,
        tmp_path / "fp8",
        lambda tensors: {n: W.to(torch.float8_e4m3fn) if W.ndim == 2 else W for n, W in tensors.items()},
    )
    with pytest.raises(CheckpointError, match=r"quantised.*quantise the merge"):
        wa.merge([gpt2, small], tmp_path / "out")


def test_where_it_may_lie(gpt2: Path, tmp_path: Path) -> None:
    tuned = variants(gpt2, tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for out in (tmp_path / "full", tmp_path / "full" / "notes.txt", tmp_path / "none" / "out", tuned[0] / "out"):
        with pytest.raises(OutputError):
            wa.merge(tuned, out, base=gpt2)
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"
    assert not (tuned[0] / "out").exists()
    (tmp_path / "empty").mkdir()
    wa.merge(tuned, tmp_path / "empty", base=gpt2)
    assert (tmp_path / "empty" / "model.safetensors").exists()
    with pytest.raises(OutputError):
        wa.merge(tuned, tmp_path / "empty", base=gpt2)


def test_files_beside(gpt2: Path, tmp_path: Path) -> None:
    """Code is not copied, and told of; the config names the dtype that is written."""
    base = tmp_path / "base"
    shutil.copytree(gpt2, base)
    (base / "modeling_odd.py").write_text("print('run')")
    (base / "tokenizer.json").write_text("{}")
    made = wa.merge([gpt2, gpt2], tmp_path / "out", base=base)
    assert not list((tmp_path / "out").glob("*.py"))
    assert any("modeling_odd.py" in note for note in made.notes)
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "{}"
    assert (
        json.loads((wa.merge([gpt2, gpt2], tmp_path / "half", dtype="bfloat16").folder / "config.json").read_text())[
            "dtype"
        ]
        == "bfloat16"
    )


@pytest.mark.parametrize(
    "target",
    some_of(["../secret.txt", "../models/secret.txt", "/etc/hostname", "nowhere"], "../models/secret.txt", "nowhere"),
)
def test_a_link_out_of_the_model_is_not_copied(target: str, gpt2: Path, tmp_path: Path) -> None:
    """What it leads to is not the model's: whoever publishes the merge would publish it."""
    base = tmp_path / "model"
    shutil.copytree(gpt2, base)
    (tmp_path / "models").mkdir()
    for secret in (tmp_path / "secret.txt", tmp_path / "models" / "secret.txt"):
        secret.write_text("secret")
    (base / "vocab.txt").write_text("inside")
    (base / "vocab.json").symlink_to("vocab.txt")
    (base / "tokenizer.json").symlink_to(target)
    if target == "nowhere":
        (base / "tokenizer.json").unlink()
        (base / "tokenizer.json").symlink_to(tmp_path / target)
    made = wa.merge([gpt2, gpt2], tmp_path / "out", base=base)
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert (tmp_path / "out" / "vocab.json").read_text() == "inside"
    assert not (tmp_path / "out" / "vocab.json").is_symlink()
    assert [note for note in made.notes if "tokenizer.json" in note and "link that leads out" in note]
    assert "tokenizer.json" not in made.copied


def test_links_of_the_cache_are_followed_within_a_model(gpt2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models--org--base"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir()
    (tmp_path / "models--org--other").mkdir()
    (tmp_path / "models--org--other" / "blob").write_text("another's")
    for i, path in enumerate([*gpt2.iterdir()]):
        shutil.copy(path, folder / "blobs" / str(i))
        (snapshot / path.name).symlink_to(f"../../blobs/{i}")
    (folder / "blobs" / "t").write_text("{}")
    (snapshot / "tokenizer.json").symlink_to("../../blobs/t")
    (snapshot / "vocab.json").symlink_to("../../../models--org--other/blob")
    made = wa.merge([gpt2, gpt2], tmp_path / "out", base=snapshot)
    assert {"config.json", "tokenizer.json"} <= {*made.copied}
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "{}"
    assert not (tmp_path / "out" / "vocab.json").exists()


@pytest.mark.parametrize("has_base", [True, False])
def test_buffers_are_no_weights(has_base: bool, gpt2: Path, tmp_path: Path) -> None:
    """GPT-2's masks lie in its own file and in no newer one: they are missed nowhere, and not added up."""
    masks = {
        "transformer.h.0.attn.bias": torch.tril(torch.ones(1, 1, 16, 16)),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e9),
    }
    old = derived(gpt2, tmp_path / "old", lambda tensors: {**tensors, **masks})
    longer = {name: torch.ones(1, 1, 32, 32) for name in [*masks][:1]}
    tuned = derived(gpt2, tmp_path / "tuned", lambda tensors: {**tensors, **longer})
    models = [gpt2, tuned] if has_base else [old, gpt2, tuned]
    made = wa.merge(models, tmp_path / "out", base=old if has_base else None, dtype="float16")
    found = stored(tmp_path / "out")
    assert same({name: found[name] for name in masks}, masks)
    assert found["transformer.h.0.ln_1.weight"].dtype == torch.float16
    assert made.notes == ()


def test_a_tied_head_that_only_some_models_store(gpt2: Path, tmp_path: Path) -> None:
    """Files of torch hold the head beside the embedding that it repeats, others do not: a loader ties them again."""
    head, table = "lm_head.weight", "transformer.wte.weight"
    both = derived(gpt2, tmp_path / "both", lambda tensors: {**tensors, head: tensors[table].clone()})
    made = wa.merge([gpt2, gpt2], tmp_path / "out", base=both)
    assert stored(tmp_path / "out").keys() == stored(gpt2).keys()
    assert [note for note in made.notes if note.endswith(f"not all models store both: {head}.")]
    wa.merge([both, both], tmp_path / "kept", base=both)
    assert head in stored(tmp_path / "kept")
    lora, _ = saved_adapter(tmp_path / "lora", {"lm_head": (stored(both)[head].shape[0], stored(both)[head].shape[1])})
    with pytest.raises(MappingError, match="it has no tensor lm_head"):
        wa.merge([gpt2, lora], tmp_path / "none", base=both)
    untied = derived(both, tmp_path / "untied", lambda tensors: None, tie_word_embeddings=False)
    with pytest.raises(MappingError, match="it has no tensor lm_head"):
        wa.merge([gpt2, gpt2], tmp_path / "none", base=untied)


def test_shapes_without_numbers_and_numbers_that_are_none(gpt2: Path, tmp_path: Path) -> None:
    more: Tensors = {"a": torch.zeros(3, 0), "b": torch.zeros(0, 3), "c": torch.tensor(2.5), "d": torch.zeros(0)}
    odd = derived(gpt2, tmp_path / "odd", lambda tensors: {**tensors, **more})
    wa.merge([odd, odd], tmp_path / "out")
    found = stored(tmp_path / "out")
    assert {name: found[name].tolist() for name in more} == {"a": [[], [], []], "b": [], "c": 5.0, "d": []}
    complex_too = derived(
        gpt2, tmp_path / "complex", lambda tensors: {**tensors, "z": torch.zeros(2).to(torch.complex64)}
    )
    with pytest.raises(CheckpointError, match=r"z: it is stored as complex64\. Only real numbers"):
        wa.merge([complex_too, complex_too], tmp_path / "none")


@pytest.mark.parametrize("shape", [(2, 3, 50), (150,), (1, 150), (150, 1), (3, 2, 1, 25), (7, 20)], ids=str)
def test_no_piece_is_larger_than_it_may_be(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacked experts, long rows and vectors too, stored in any order."""
    monkeypatch.setattr(sums, "PIECE", 16)
    draw = torch.Generator().manual_seed(0)
    base, one, other = (torch.randn(shape, generator=draw) for _ in range(3))
    turned = np.asfortranarray(one.numpy())
    pieces = list(sums.merged_pieces(base.numpy(), [turned, other.numpy(), None], (0.3, -2.0, 9.0), "float32"))
    assert max(piece.size for piece, _ in pieces) <= 16
    expected = base.double() + 0.3 * (one.double() - base.double())
    expected = (expected + -2.0 * (other.double() - base.double())).float()
    joined = np.concatenate([piece.reshape(-1) for piece, _ in pieces])
    assert np.array_equal(joined.view(np.int32), expected.numpy().reshape(-1).view(np.int32))


def test_sums_that_the_dtype_cannot_hold_are_told(gpt2: Path, tmp_path: Path) -> None:
    def large(tensors: Tensors) -> None:
        tensors["transformer.ln_f.bias"][:3] = torch.tensor([40000.0, -40000.0, torch.inf])

    model = derived(gpt2, tmp_path / "large", large)
    made = wa.merge([model, model], tmp_path / "half", dtype="float16")
    assert [note for note in made.notes if note.startswith("2 finite sums became infinite") and "ln_f.bias" in note]
    assert stored(tmp_path / "half")["transformer.ln_f.bias"][:3].tolist() == [torch.inf, -torch.inf, torch.inf]
    assert wa.merge([model, model], tmp_path / "brain", dtype="bfloat16").notes == ()


def test_all_of_it_is_on_the_disk_before_it_has_its_name(
    gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    safe: set[int] = set()
    named: list[bool] = []

    def fsync(descriptor: int) -> None:
        safe.add(os.fstat(descriptor).st_ino)
        named.append(out.exists())

    monkeypatch.setattr(os, "fsync", fsync)
    wa.merge([gpt2, gpt2], out, shard_size=20_000)
    assert {path.name for path in out.iterdir() if path.stat().st_ino not in safe} == set()
    assert named == [False] * (len(named) - 1) + [True]
    if os.name != "nt":
        assert out.stat().st_ino in safe
        assert tmp_path.stat().st_ino in safe


@pytest.mark.parametrize(
    "name", some_of(["../outside", "a/../../b", "/etc/x", "con:stream", "x" * 500], "../outside", "/etc/x", "x" * 500)
)
def test_names_of_tensors_are_no_paths(name: str, gpt2: Path, tmp_path: Path) -> None:
    tensors = load_file(gpt2 / "model.safetensors")
    models = []
    for i in range(2):
        (folder := tmp_path / "models" / str(i)).mkdir(parents=True)
        save_file({**tensors, name: torch.ones(3)}, folder / "model.safetensors")
        shutil.copy(gpt2 / "config.json", folder)
        models.append(folder)
    wa.merge(models, tmp_path / "out")
    assert torch.equal(stored(tmp_path / "out")[name], torch.full((3,), 2.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "out"]


def written(folder: Path) -> int:
    """Bytes of an unfinished merge in it; 0 where it is being renamed."""
    try:
        return sum(path.stat().st_size for path in folder.glob(".weightaudit-*.merge/*"))
    except FileNotFoundError:
        return 0


@linux
@pytest.mark.parametrize(("moments", "layers"), [(6, 12), pytest.param(20, 24, marks=pytest.mark.slow)])
def test_killed_at_any_moment(moments: int, layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each such part of what it writes: nothing under the name, or all; the next run leaves only its own."""
    rng = np.random.default_rng(0)
    tensors = {
        f"layer.{i}.weight": torch.from_numpy(rng.standard_normal((200, 200)).astype(np.float32)) for i in range(layers)
    }
    for name in "ab":
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text('{"model_type": "odd"}')

    def merge() -> None:
        wa.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out", shard_size=480_000)

    merge()
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    shutil.rmtree(tmp_path / "out")
    size = sum(map(len, whole.values()))
    write = ShardWriter.write

    def slowly(self: ShardWriter, piece: Any) -> None:
        time.sleep(0.01)
        write(self, piece)

    monkeypatch.setattr(ShardWriter, "write", slowly)
    unfinished = 0
    for moment in range(moments):
        running = OwnFork.start(merge)
        while written(tmp_path) <= size * moment / moments and not ended(running.process):
            time.sleep(0.004)  # less than a piece takes
        with suppress(ProcessLookupError):  # it may have come to its end
            os.kill(running.process, signal.SIGKILL)
        assert running.end() in ((0, "None"), (-signal.SIGKILL, ""), (-signal.SIGKILL, "None"))
        left = [path.name for path in tmp_path.iterdir() if path.name not in ("a", "b", "out")]
        unfinished += bool(left)
        assert all(name.startswith(".weightaudit-") for name in left)
        if (tmp_path / "out").exists():
            assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole
            shutil.rmtree(tmp_path / "out")
    assert unfinished > moments // 2, "no run was killed while it was writing"
    assert OwnFork.start(merge).end() == (0, "None")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "out"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole


def test_only_dead_runs_of_this_machine_are_swept(tmp_path: Path, gpt2: Path) -> None:
    host = folders._host()
    names = {
        f".weightaudit-{host}-{os.getpid()}-{'0' * 16}.merge": True,
        f".weightaudit-{'0' * 8}-1-{'0' * 16}.merge": True,
    }
    names |= {f".weightaudit-{host}-{2**22 + 7}-{'1' * 16}.merge": False, ".weightaudit-mine.merge": True}
    for name in names:
        (tmp_path / name).mkdir()
    wa.merge([gpt2, gpt2], tmp_path / "out")
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_a_full_disk_leaves_nothing(tmp_path: Path, gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weightaudit.merging.linear.shards import ShardWriter

    def full(self: Any, piece: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ShardWriter, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        wa.merge([gpt2, gpt2], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_command(weightaudit: CommandLine, gpt2: Path, tmp_path: Path) -> None:
    tuned = variants(gpt2, tmp_path)
    words = ("--base", gpt2, "--weights", "0.5,0.5", "--shard-size", "20kB")
    done = weightaudit("merge", *tuned, *words, "--out", tmp_path / "both")
    assert done.code == 0, done.stderr
    assert f"wrote {tmp_path / 'both'}: 28 tensors in" in done.stderr
    assert same(stored(tmp_path / "both"), torch_sum(stored(gpt2), [stored(model) for model in tuned], (0.5, 0.5)))
    for wrong, said in (
        (("merge", tuned[0], "--out", tmp_path / "x"), "Name 2 to 8"),
        (("merge", *tuned, "--weights", "1", "--out", tmp_path / "x"), "1 weight for 2 models"),
        (("merge", *tuned, "--shard-size", "big", "--out", tmp_path / "x"), "big"),
        (("merge", *tuned, "--dtype", "int4", "--out", tmp_path / "x"), "Choose float32"),
        (("merge", *tuned, "--out", tmp_path / "both"), "Name"),
    ):
        again = weightaudit(*wrong)
        assert (again.code, said in " ".join(again.stderr.split())) == (2, True), again.stderr
    assert not (tmp_path / "x").exists()


def test_memory_is_bounded(gpt2: Path, tmp_path: Path) -> None:
    tuned = variants(gpt2, tmp_path)
    with pytest.raises(UsageError, match="memory"):
        wa.merge(tuned, tmp_path / "out", base=gpt2, memory=1000)
    wa.merge(tuned, tmp_path / "out", base=gpt2, memory="2MB")
    assert same(stored(tmp_path / "out"), torch_sum(stored(gpt2), [stored(model) for model in tuned], (1.0, 1.0)))

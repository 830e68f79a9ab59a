"""What is audited is what transformers loads, however a repository names its weights; else that is refused or told.

Every file of a case holds the same tensors, full of a number of its own: so one sees which was loaded.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.loaders import loaded_otherwise
from weightaudit.errors import ModelError

TENSOR = "encoder.layer.0.attention.self.query.weight"
CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 10,
    "max_position_embeddings": 8,
}
SAFE_INDEX, BIN_INDEX = "model.safetensors.index.json", "pytorch_model.bin.index.json"
REFUSED = None


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    from transformers import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    yield
    transformers_logging.set_verbosity(level)
    transformers_logging.enable_progress_bar()


@pytest.fixture(scope="module")
def shapes(quiet: None) -> dict[str, torch.Tensor]:
    from transformers import BertConfig, BertModel

    state = BertModel(BertConfig(**CONFIG)).state_dict()
    return {name: value for name, value in state.items() if value.is_floating_point()}


@dataclass(frozen=True)
class Case:
    """``files``: name → the number in it, or what makes it; ``loaded`` and ``audited``: which number, None: refused."""

    files: Mapping[str, int | Callable[[Path], object]]
    loaded: int | None
    audited: int | None
    config: Mapping[str, Any] = field(default_factory=dict)
    told: bool = False


def folder(path: Path) -> None:
    path.mkdir()


def broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def text(contents: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(contents))


def nested(path: Path) -> None:
    torch.save({"state_dict": {TENSOR: torch.full((8, 8), 9.0)}}, path)


def named(value: Any) -> dict[str, Any]:
    return {"transformers_weights": value}


ADAPTER = text({"base_model_name_or_path": "someone/else", "peft_type": "LORA"})
CASES = {
    "safetensors": Case({"model.safetensors": 1}, 1, 1),
    "a safetensors index": Case({SAFE_INDEX: 1}, 1, 1),
    "pytorch": Case({"pytorch_model.bin": 1}, 1, 1),
    "a pytorch index": Case({BIN_INDEX: 1}, 1, 1),
    "both formats": Case({"model.safetensors": 1, "pytorch_model.bin": 2}, 1, 1),
    "both indexes": Case({SAFE_INDEX: 1, BIN_INDEX: 2}, 1, 1),
    "an index and pytorch": Case({SAFE_INDEX: 1, "pytorch_model.bin": 2}, 1, 1),
    "a file and its index": Case({"model.safetensors": 1, SAFE_INDEX: 2}, 1, 1),
    "pytorch and its index": Case({"pytorch_model.bin": 1, BIN_INDEX: 2}, 1, 1),
    "safetensors of another name": Case({"weights.safetensors": 1}, REFUSED, 1),
    "safetensors of another name and pytorch": Case({"weights.safetensors": 1, "pytorch_model.bin": 2}, 2, 2),
    "safetensors of another name and an index": Case({"weights.safetensors": 1, BIN_INDEX: 2}, 2, 2),
    "an index of another name and pytorch": Case({"lm.safetensors.index.json": 1, "pytorch_model.bin": 2}, 2, 2),
    "a variant": Case({"model.fp16.safetensors": 1, "pytorch_model.bin": 2}, 2, 2),
    "a variant alone": Case({"model.fp16.safetensors": 1}, REFUSED, 1),
    "a consolidated copy": Case({"consolidated.safetensors": 1, "pytorch_model.bin": 2}, 2, 2),
    "pt and pth": Case({"model.pt": 1, "model.pth": 2, "pytorch_model.bin": 3}, 3, 3),
    "other programs' files": Case({"tf_model.h5": 1, "flax_model.msgpack": 2, "m.gguf": 3, SAFE_INDEX: 4}, 4, 4),
    "only other programs' files": Case({"tf_model.h5": 1, "flax_model.msgpack": 2}, REFUSED, REFUSED),
    "only a folder's": Case({"sub/model.safetensors": 1}, REFUSED, REFUSED),
    "a folder of that name": Case({"model.safetensors": folder, "pytorch_model.bin": 2}, 2, 2),
    "a broken link of that name": Case({"model.safetensors": broken_link, "pytorch_model.bin": 2}, 2, REFUSED),
    "an index of a folder": Case(
        {SAFE_INDEX: text({"metadata": {}, "weight_map": {TENSOR: "sub/m.safetensors"}}), "sub/m.safetensors": 1},
        1,
        REFUSED,
    ),
    "weights inside a trainer's checkpoint": Case({"pytorch_model.bin": nested}, REFUSED, 9),
    "named": Case({"other.safetensors": 1}, 1, 1, named("other.safetensors")),
    "named index": Case({"other.safetensors.index.json": 1}, 1, 1, named("other.safetensors.index.json")),
    "named beside the usual": Case({"model.safetensors": 1, "x.safetensors": 2}, 2, 2, named("x.safetensors"), True),
    "named beside pytorch": Case({"pytorch_model.bin": 1, "x.safetensors": 2}, 2, 2, named("x.safetensors"), True),
    "named as usual": Case({"model.safetensors": 1, "x.safetensors": 2}, 1, 1, named("model.safetensors")),
    "named nothing": Case({"model.safetensors": 1, "x.safetensors": 2}, 1, 1, named(None)),
    "named in a folder": Case({"model.safetensors": 1, "s/m.safetensors": 2}, 2, REFUSED, named("s/m.safetensors")),
    "named outside": Case({"model.safetensors": 1}, REFUSED, REFUSED, named("../model.safetensors")),
    "named and missing": Case({"model.safetensors": 1}, REFUSED, REFUSED, named("x.safetensors")),
    "named pytorch": Case({"pytorch_model.bin": 1}, REFUSED, REFUSED, named("pytorch_model.bin")),
    "named by a number": Case({"model.safetensors": 1}, REFUSED, REFUSED, named(7)),
    "named by no text": Case({"model.safetensors": 1}, REFUSED, REFUSED, named("")),
    "a named adapter": Case({"adapter_model.bin": 1, SAFE_INDEX: 2}, 1, 1, named("adapter_model.bin"), True),
    "an adapter beside": Case({"model.safetensors": 1, "adapter_config.json": ADAPTER}, 1, 1, told=True),
    "another config": Case(
        {
            "model.safetensors": 1,
            "x.safetensors": 2,
            "config.4.0.0.json": text({**CONFIG, **named("x.safetensors")}),
        },
        2,
        1,
        {"configuration_files": ["config.4.0.0.json"]},
        True,
    ),
}


def write(folder: Path, case: Case, shapes: Mapping[str, torch.Tensor]) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **case.config}))
    for name, made in case.files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not isinstance(made, int):
            made(path)
            continue
        tensors = {key: torch.full_like(value, made) for key, value in shapes.items()}
        if name.endswith(".index.json"):
            suffix = ".bin" if ".bin." in name else ".safetensors"
            shard = f"{name.removesuffix(suffix + '.index.json')}-00001-of-00001{suffix}"
            text({"metadata": {}, "weight_map": dict.fromkeys(tensors, shard)})(path)
            path = folder / shard
        if path.suffix == ".safetensors":
            save_file(tensors, path, {"format": "pt"})
        else:
            torch.save(tensors, path)


def loaded(folder: Path) -> int | None:
    """The number in the weights as transformers loads them by default."""
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True)
    except Exception:  # it raises nearly anything
        return REFUSED
    return int(model.state_dict()[TENSOR][0, 0])


def audited(folder: Path) -> tuple[int | None, bool]:
    """The number in the weights that are audited, and whether it is told that others may be loaded."""
    try:
        with open_checkpoint(folder) as checkpoint:
            return int(checkpoint.read(TENSOR)[0, 0]), bool(checkpoint.identity.loaded_otherwise)
    except ModelError:
        return REFUSED, False


@pytest.mark.parametrize("name", CASES)
def test_what_is_audited(name: str, tmp_path: Path) -> None:
    """As `CASES` has it, of files with no more than the one tensor."""
    case = CASES[name]
    write(tmp_path, case, {TENSOR: torch.zeros(8, 8)})
    assert audited(tmp_path) == (case.audited, case.told)
    assert REFUSED in (case.loaded, case.audited) or case.loaded == case.audited or case.told


@pytest.mark.slow  # what transformers does changes with its versions, not with this code
@pytest.mark.parametrize("name", CASES)
def test_what_is_audited_is_what_transformers_loads(
    name: str, tmp_path: Path, shapes: Mapping[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    for home in ("integrations.peft", "models.auto.auto_factory"):  # with PEFT it adds an adapter that lies beside
        monkeypatch.setattr(f"transformers.{home}.is_peft_available", lambda: False)
    write(tmp_path, case, shapes)
    assert loaded(tmp_path) == case.loaded
    assert audited(tmp_path) == (case.audited, case.told)


def test_a_file_that_the_user_names_is_audited_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, CASES["named beside the usual"], {TENSOR: torch.zeros(8, 8)})
    with open_checkpoint(tmp_path / "model.safetensors") as checkpoint:
        assert checkpoint.read(TENSOR)[0, 0] == 1
        assert checkpoint.identity.loaded_otherwise == ()


@pytest.mark.parametrize(
    ("config", "files", "said"),
    [
        ({"text_config": named("t.safetensors")}, [], "names other weights in 'text_config'.* t.safetensors"),
        ({"text_config": named("\x1b[2J")}, [], r"\\x1b\[2J"),
        ({}, ["shard-00001-model-00001-of-00002.safetensors"], "the distributed checkpoint shard-00001-model"),
    ],
)
def test_why_other_weights_may_be_loaded(config: dict[str, Any], files: list[str], said: str) -> None:
    (sentence,) = loaded_otherwise(config, ["model.safetensors", *files], "model.safetensors")
    assert sentence.isprintable()
    assert re.search(said, sentence)

"""config.json made to be believed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.attack import Attack
from tests.support import forge
from tests.support.browser import needs_chromium, opened
from tests.support.covering import in_turn, some_of
from tests.support.models import RECIPES
from tests.support.plain_models import plain_model, shapes
from weightaudit import scan
from weightaudit.errors import ModelError

HUGE = int("9" * 4000)
DEEP_10 = json.loads("[" * 10 + "]" * 10)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sound")
    for family in ("bert", "gpt2"):
        plain_model(family, root / family)
    return {family: root / family for family in ("bert", "gpt2")}


@pytest.fixture
def bert(tmp_path_factory: pytest.TempPathFactory, sound: dict[str, Path]) -> Path:
    return Path(shutil.copytree(sound["bert"], tmp_path_factory.mktemp("m") / "bert"))


def change(model: Path, **changes: Any) -> None:
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.slow
@pytest.mark.parametrize("family", RECIPES)
def test_the_models_are_as_transformers_saves_them(family: str, tiny_checkpoints: dict[str, Path]) -> None:
    from safetensors.torch import load_file

    stored = load_file(tiny_checkpoints[family] / "model.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in stored.items()} == shapes(family, RECIPES[family][2])


SIZES = ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"]


@pytest.mark.parametrize(
    ("told", "key"),
    in_turn(
        [
            (HUGE, "absurdly large"),
            (2**63, "absurdly large"),
            (-HUGE, "must be a whole number"),
            (-1, "must be a whole number"),
            (1e308, "must be a whole number"),
            (float("nan"), "must be a whole number"),
            (float("-inf"), "must be a whole number"),
            (True, "must be a whole number"),
            ("24", "must be a whole number"),
            ("\x1b[2J" * 999, "must be a whole number"),
            ([24], "must be a whole number"),
            ({"a": {}}, "must be a whole number"),
            (DEEP_10, "must be a whole number"),
        ],
        SIZES,
    ),
    ids=lambda each: repr(each)[:14],
)
def test_a_size_that_is_none(key: str, told: tuple[Any, str], attack: Attack, bert: Path) -> None:
    value, says = told
    change(bert, **{key: value})
    attack.refused(bert, "config.json", key, says)


@pytest.mark.parametrize("value", [0, 2**53 - 1, pytest.param(1, marks=pytest.mark.slow)])
def test_a_size_that_is_no_tensor_s(value: int, attack: Attack, bert: Path) -> None:
    change(bert, hidden_size=value)
    attack.refused(bert, "the config makes it", f"hidden_size = {value}")


@pytest.mark.parametrize("value", some_of([0, 2**53 - 1, 1], 2**53 - 1))
def test_a_size_that_is_not_all_tensors(value: int, attack: Attack, bert: Path) -> None:
    change(bert, intermediate_size=value)
    coverage = {entry["tensor"]: entry for entry in attack.scanned(bert).json["coverage"]}
    left = coverage["bert.encoder.layer.0.intermediate.dense.weight"]
    assert left["status"] == "unmapped"
    assert "the config makes it" in left["detail"]
    assert f"intermediate_size = {value}" in left["detail"]


@pytest.mark.parametrize(
    ("n_inner", "says"),
    [
        (None, ("config.json", "ff follows to be absurdly large")),
        (2**53 - 1, ("the config makes it", "n_embd = 9007199254740991")),
    ],
)
def test_products_of_sizes_overflow_nothing(
    n_inner: int | None, says: tuple[str, ...], attack: Attack, model: Path, sound: dict[str, Path]
) -> None:
    shutil.copytree(sound["gpt2"], model, dirs_exist_ok=True)
    change(model, n_inner=n_inner, n_embd=2**53 - 1)
    attack.refused(model, *says)


def test_layers_without_end_take_no_time(attack: Attack, bert: Path) -> None:
    change(bert, num_hidden_layers=2**53 - 1)
    attack.scanned(bert)
    done = attack.run("archs", "--check", bert)
    assert "missing: config.json has 9007199254740991 layers; the checkpoint holds only layers 0-1." in done.stdout


TYPES: list[tuple[Any, str]] = [
    (7, "model_type must be a text"),
    (DEEP_10, "model_type must be a text"),
    ({"\x1b[2J": 1}, "model_type must be a text"),
    ("x" * 9_000_000, "model_type has 9000000 characters"),
    ("\x1b" * 201, "model_type has 201 characters"),
    ("", "no model_type"),
]


@pytest.mark.parametrize(("value", "says"), TYPES, ids=range(len(TYPES)))
def test_a_model_type_that_is_none(value: Any, says: str, attack: Attack, bert: Path) -> None:
    change(bert, model_type=value)
    attack.refused(bert, "config.json", says)


def test_a_tie_that_is_no_boolean(attack: Attack, bert: Path) -> None:
    change(bert, tie_word_embeddings="no\x1b[2J")
    attack.refused(bert, "tie_word_embeddings must be true or false")


CONTENTS: dict[str, tuple[bytes, str]] = {
    "nested 100,000 deep": (b'{"model_type":"bert","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "objects 100,000 deep": (b'{"a":' * 100_000 + b"0" + b"}" * 100_000, "nested too deeply"),
    "a number of 5000 digits": (b'{"model_type":"bert","hidden_size":' + b"9" * 5000 + b"}", "absurdly long"),
    "bad UTF-8": (b'{"model_type":"\xff"}', "not UTF-8"),
    "a pickle": (b"\x80\x04K\x01.", "not UTF-8"),
    "nothing": (b"", "not valid JSON"),
    "NULs": (bytes(1000), "not valid JSON"),
    "a list": (b"[]", "JSON array where an object"),
    "a page": (b"<html>", "not valid JSON"),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_a_config_that_cannot_be_read(what: str, attack: Attack, bert: Path) -> None:
    content, says = CONTENTS[what]
    (bert / "config.json").write_bytes(content)
    attack.refused(bert, "config.json", says)


def test_every_depth_of_nesting_ends_well(attack: Attack, bert: Path) -> None:
    """Where the reader's own limit lies depends on the Python: on neither side of it may anything else happen."""

    def too_deep(depth: int) -> bool:
        nested = json.dumps({"model_type": "bert", "hidden_size": 0}).replace("0", "[" * depth + "]" * depth)
        (bert / "config.json").write_text(nested)
        with pytest.raises(ModelError, match=r"config\.json") as caught:
            scan(bert)
        return "too deeply" in str(caught.value)

    said = {depth: too_deep(depth) for depth in range(100, 1100, 50)}
    limit = min((depth for depth, told in said.items() if told), default=1100)
    said |= {depth: too_deep(depth) for depth in range(limit - 50, limit, 4)}
    assert not said[100]
    assert [said[depth] for depth in sorted(said)] == sorted(said.values())
    for depth in (limit - 50, limit):
        too_deep(depth)
        attack.refused(bert, "config.json")


def test_ten_levels_of_nesting_are_nothing_odd(attack: Attack, bert: Path) -> None:
    change(bert, x=DEEP_10, quantization_config={"a": {"b": DEEP_10}}, auto_map={"AutoModel": "evil.py--Evil"})
    assert attack.scanned(bert).json["architecture"]["family"] == "bert"


@pytest.mark.parametrize("size", [10_000_001, 300_000_000])
def test_a_config_of_many_megabytes_is_not_read(size: int, attack: Attack, bert: Path) -> None:
    with open(bert / "config.json", "r+b") as file:
        file.truncate(size)  # sparse
    attack.refused(bert, "config.json", f"{size} bytes, more than 10000000")


@needs_chromium
@pytest.mark.browser
def test_a_guessed_model_s_hostile_numbers_draw(attack: Attack, model: Path) -> None:
    """The page's axes and the config's hidden size: infinite in JavaScript, it would draw ticks for ever."""
    stored = forge.tensors()
    far = {name.replace("layers.0.", "layers.999999999."): tensor.clone() for name, tensor in stored.items()}
    forge.write_model(model, {**stored, **far})
    forge.write_config(model, {"hidden_size": HUGE, "num_hidden_layers": HUGE})
    assert attack.scanned(model).json["architecture"]["dimensions"] == {"layers": 2}
    forge.write_config(model, {"hidden_size": 2**53 - 1, "num_hidden_layers": HUGE, "tie_word_embeddings": DEEP_10})
    outputs = attack.scanned(model)
    assert outputs.json["architecture"]["dimensions"] == {"layers": 2, "hidden": 2**53 - 1}
    dom, console = opened(outputs.page)
    assert console == []
    assert 'data-ready="true"' in dom

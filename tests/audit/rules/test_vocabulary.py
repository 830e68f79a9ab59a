"""A tokenizer that is larger or smaller than the embedding, in each of the forms that tokenizers are stored in."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import weightaudit as wa
from tests.support.covering import some_of
from tests.support.trained import EMBED, VOCAB, write
from weightaudit.records import Finding

RULES = ("tokenizer-size", "rows-without-token")
few = partial(write, layers=1)


def words(count: int) -> dict[str, int]:
    return {f"w{i}": i for i in range(count)}


def put(model: Path, name: str, content: Any) -> None:
    (model / name).write_text(content if isinstance(content, str) else json.dumps(content))


def fast(model: Path, count: int) -> None:
    """tokenizer.json, its last token an added one."""
    added = [{"id": count - 1, "content": "<last>", "special": True}]
    put(model, "tokenizer.json", {"model": {"type": "BPE", "vocab": words(count - 1)}, "added_tokens": added})


def unigram(model: Path, count: int) -> None:
    put(model, "tokenizer.json", {"model": {"type": "Unigram", "vocab": [[f"w{i}", -1.0] for i in range(count)]}})


def fast_and_settings(model: Path, count: int) -> None:
    put(model, "tokenizer.json", {"model": {"vocab": words(count - 1)}})
    put(model, "tokenizer_config.json", {"added_tokens_decoder": {str(count - 1): {"content": "<last>"}}})


def slow(model: Path, count: int) -> None:
    put(model, "vocab.json", words(count - 1))
    put(model, "added_tokens.json", {"<last>": count - 1})


def lines(model: Path, count: int) -> None:
    put(model, "vocab.txt", "".join(f"w{i}\n" for i in range(count)))


FORMS = (fast, unigram, fast_and_settings, slow, lines)
Form = Callable[[Path, int], None]


def told(model: Path) -> list[Finding]:
    return list(wa.scan(model, roles=["EMBED", "HEAD"]).findings)


@pytest.mark.parametrize("form", FORMS)
def test_a_token_without_a_row_is_an_error_and_one_for_each_row_is_none(form: Form, tmp_path: Path) -> None:
    model = few(tmp_path / "model")
    form(model, VOCAB)
    assert told(model) == []
    form(model, VOCAB + 1)
    (finding,) = told(model)
    assert (finding.id, finding.severity, finding.role, finding.tensors) == (
        "tokenizer-size",
        "error",
        "EMBED",
        (EMBED,),
    )
    assert finding.detail.startswith(f"1 of {VOCAB + 1} tokens of ")
    assert f"({VOCAB})" in finding.detail


@pytest.mark.parametrize(("size", "found"), [(VOCAB, []), (1, []), (513, [])])
def test_padding_is_no_fault(size: int, found: list[str], tmp_path: Path) -> None:
    model = few(tmp_path / "model", _of_rows(1024) if size == 513 else None, vocab_size=max(VOCAB, 2 * (size - 1)))
    lines(model, size)
    assert [one.id for one in wa.scan(model).findings if one.id in RULES] == found


def test_rows_beyond_padding_are_told(tmp_path: Path) -> None:
    model = few(tmp_path / "model", _of_rows(1025), vocab_size=1025)
    lines(model, 512)
    (finding,) = [one for one in told(model) if one.id in RULES]
    assert (finding.id, finding.severity, finding.value) == ("rows-without-token", "info", 513.0)


def _of_rows(count: int) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        for one in (EMBED, "lm_head.weight"):
            tensors[one] = tensors[one].repeat(6, 1)[:count]

    return change


@pytest.mark.parametrize(
    "content",
    some_of(["version https://git-lfs.github.com/spec/v1\n", "[]", '{"model": ', "[" * 5000], "[]", "[" * 5000),
)
def test_a_file_that_is_no_tokenizer_is_told_and_the_weights_are_measured(content: str, tmp_path: Path) -> None:
    model = few(tmp_path / "model")
    put(model, "tokenizer.json", content)
    report = wa.scan(model)
    (finding,) = report.findings
    assert finding.id == "tokenizer-size"
    assert "tokenizer.json cannot be read" in finding.detail
    assert report.rows


@pytest.mark.parametrize(
    "content",
    some_of(
        [
            {},
            {"model": None},
            {"model": {"vocab": 3}},
            {"model": {"vocab": {"a": -1}}},
            {"model": {"vocab": {"a": 1e300}}},
            {"model": {"vocab": {"a": 1 << 70}}},
            {"model": {"vocab": {"a": True}}},
            {"model": {"vocab": {"en": {"a": 900}}}},
            {"model": {"vocab": [3, None]}},
            {"model": {"vocab": {"a": 0}}, "added_tokens": [3, {"id": "x"}, {"id": 1 << 70}]},
        ],
        {"model": None},
        {"model": {"vocab": [3, None]}},
        {"model": {"vocab": {"a": 0}}, "added_tokens": [3, {"id": "x"}, {"id": 1 << 70}]},
    ),
)
def test_what_lists_its_tokens_in_another_way_is_not_judged(content: object, tmp_path: Path) -> None:
    model = few(tmp_path / "model")
    put(model, "tokenizer.json", content)
    put(model, "tokenizer_config.json", {"added_tokens_decoder": {"²": {}, "9" * 5000: {}, "-1": 3, "1": 3}})
    assert [one.id for one in told(model) if one.id in RULES] == []


def test_names_of_tokens_are_made_harmless(tmp_path: Path) -> None:
    model = few(tmp_path / "model")
    put(model, "vocab.json", {"\x1b[31mred\n": VOCAB + 7})
    (finding,) = told(model)
    assert finding.detail.isprintable()


def test_a_device_in_the_place_of_a_tokenizer_stops_no_scan(tmp_path: Path) -> None:
    model = few(tmp_path / "model")
    (model / "tokenizer.json").symlink_to("/dev/null")
    (finding,) = told(model)
    assert finding.id == "tokenizer-size"


def test_one_file_of_a_model_is_not_held_to_the_tokenizer_beside_it(tmp_path: Path) -> None:
    model = few(tmp_path / "model")
    lines(model, VOCAB + 1)
    assert [one.id for one in told(model / "model.safetensors")] == []

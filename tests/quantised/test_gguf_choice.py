"""Which GGUF file of a model is read, how one is named, splits, and what is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import weightaudit as wa
from tests.support.covering import in_turn
from tests.support.gguf_files import split_gguf, write_gguf
from tests.support.gguf_models import NUMBERS, Model, Random, entries, llama
from tests.support.hub import pointed_at, serve
from weightaudit.batches.model_list import read_model_list
from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.select import choose
from weightaudit.config import AuditConfig
from weightaudit.errors import CheckpointError, ConfigError, ModelError
from weightaudit.model_files import ModelFiles, split_label

MODEL = llama(Random(np.float32))
HALF = {name: matrix.astype(np.float16) for name, matrix in MODEL.converted.items()}


def write(path: Path, model: Model = MODEL, **values: Any) -> Path:
    return write_gguf(path, {**model.values, **values}, model.converted)


def opened(model: Path | str) -> str:
    with open_checkpoint(model) as checkpoint:
        return checkpoint.identity.files[0].name


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (["model-Q4_K_M.gguf", "README.md"], "model-Q4_K_M.gguf"),
        (["model-Q4_K_M.gguf", "mmproj-model-f16.gguf", "imatrix.gguf", "ggml-vocab-llama.gguf"], "model-Q4_K_M.gguf"),
        (["model-Q4_K_M.gguf", "model.safetensors"], "model.safetensors"),
        (["model-Q4_K_M.gguf", "pytorch_model.bin"], "pytorch_model.bin"),
        (["model-imatrix-Q4_K_M.gguf"], "model-imatrix-Q4_K_M.gguf"),
        ([f"m-Q8_0-0000{i}-of-00002.gguf" for i in (1, 2)], "m-Q8_0-00001-of-00002.gguf"),
    ],
)
def test_taken_of_a_directory(files: list[str], taken: str) -> None:
    assert choose(files, where="DIR") == taken


def test_several_are_listed_with_their_sizes_and_how_to_name_one(tmp_path: Path) -> None:
    sizes = {
        "m-Q4_K_M.gguf": 3_000_000_000,
        "m-F16-00001-of-00002.gguf": 8_000_000_000,
        "m-F16-00002-of-00002.gguf": 5 * 10**9,
    }
    with pytest.raises(CheckpointError) as refused:
        choose([*sizes, "mmproj-f16.gguf"], where="DIR", size_of=sizes.get)
    assert "2 GGUF models" in refused.value.cause
    assert "m-F16-*-of-00002.gguf (13.00 GB), m-Q4_K_M.gguf (3.00 GB)" in refused.value.cause
    assert "`weightaudit scan DIR:F16`" in refused.value.hint
    for name in ("m-Q8_0.gguf", "m-Q4_0.gguf"):
        write(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"m-Q8_0\.gguf \([0-9,]+ bytes\)") as refused:
        open_checkpoint(tmp_path)
    (followed,) = re.findall(r"`weightaudit scan (\S+:\S+)`", refused.value.hint)
    assert opened(followed) == "m-Q4_0.gguf"


@pytest.mark.parametrize(
    ("label", "taken"),
    [
        ("q8_0", "m-Q8_0.gguf"),
        ("Q4_K_M", "m.Q4_K_M.gguf"),
        ("IQ4_XS", "m-UD-IQ4_XS.gguf"),
        ("bf16", "BF16/m-BF16-00001-of-00002.gguf"),
    ],
)
def test_a_label_names_one(label: str, taken: str, tmp_path: Path) -> None:
    for name in ("m-Q8_0.gguf", "m.Q4_K_M.gguf", "m-UD-IQ4_XS.gguf", "mmproj-BF16.gguf"):
        write(tmp_path / name)
    split_gguf(tmp_path / "BF16", "m-BF16", MODEL.values, MODEL.converted, 2)
    with open_checkpoint(f"{tmp_path}:{label}") as checkpoint:
        assert checkpoint.identity.files[0].name == taken
        assert checkpoint.identity.name == f"{tmp_path.name}:{label}"
        assert checkpoint.read("output.weight").shape == MODEL.converted["output.weight"].shape


def test_a_label_that_names_none_or_several_lists_them(tmp_path: Path) -> None:
    for name in ("a-Q8_0.gguf", "b-Q8_0.gguf", "b-Q4_0.gguf"):
        write(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"2 of its GGUF models are q8_0: a-Q8_0\.gguf"):
        open_checkpoint(f"{tmp_path}:q8_0")
    with pytest.raises(CheckpointError, match=r"none of its GGUF models is Q2_K: a-Q8_0\.gguf .*b-Q4_0\.gguf"):
        open_checkpoint(f"{tmp_path}:Q2_K")


def test_a_label_names_one_in_folders_of_folders(tmp_path: Path) -> None:
    paths = split_gguf(tmp_path / "m" / "all" / "Q8_0", "m-Q8_0", MODEL.values, MODEL.converted, 2)
    write(tmp_path / "m" / "all" / "m-F16.gguf")
    with open_checkpoint(f"{tmp_path}/m:Q8_0") as checkpoint:
        assert [file.name for file in checkpoint.identity.files] == [f"all/Q8_0/{path.name}" for path in paths]
        assert len(checkpoint.tensors) == len(MODEL.converted)
    assert opened(f"{tmp_path}/m:F16") == "all/m-F16.gguf"


def test_a_split_model_is_read_whole_whichever_shard_is_named(tmp_path: Path) -> None:
    paths = split_gguf(tmp_path, "m-F32", MODEL.values, MODEL.converted, 3)
    whole = entries(write(tmp_path / "whole" / "m.gguf"))
    for model in (tmp_path, *paths):
        found = entries(model)
        assert found.keys() == whole.keys()
        assert all(np.array_equal(found[key], whole[key]) for key in whole)
    with open_checkpoint(tmp_path) as checkpoint:
        assert [file.name for file in checkpoint.identity.files] == [path.name for path in paths]
        assert checkpoint.identity.format == "GGUF"


def splits(tmp_path: Path) -> list[Path]:
    return split_gguf(tmp_path, "m", MODEL.values, MODEL.converted, 3)


def _missing(tmp_path: Path) -> Path:
    splits(tmp_path)[0].unlink()
    return tmp_path / "m-00002-of-00003.gguf"


def _renamed(tmp_path: Path) -> Path:
    return splits(tmp_path)[0].rename(tmp_path / "model.gguf")


def _of_another(tmp_path: Path) -> Path:
    other = split_gguf(tmp_path / "other", "m", MODEL.values, dict(list(MODEL.converted.items())[:5]), 3)
    other[1].replace(splits(tmp_path)[1])
    return tmp_path


def _twice(tmp_path: Path) -> Path:
    paths = splits(tmp_path)
    values = {"split.no": np.uint16(2), "split.count": np.uint16(3), "split.tensors.count": len(MODEL.converted)}
    write_gguf(
        paths[2],
        values,
        dict(
            [
                *((f"x{i}", np.zeros(3, np.float32)) for i in range(len(MODEL.converted) // 2 - 1)),
                *list(MODEL.converted.items())[:1],
            ]
        ),
    )
    return tmp_path


def _swapped(tmp_path: Path) -> Path:
    _, one, two = splits(tmp_path)
    one.rename(tmp_path / "x")
    two.rename(one)
    (tmp_path / "x").rename(two)
    return tmp_path


def _lost_tensors(tmp_path: Path) -> Path:
    paths = splits(tmp_path)
    values = {"split.no": np.uint16(2), "split.count": np.uint16(3), "split.tensors.count": len(MODEL.converted)}
    write_gguf(paths[2], values, {"x": np.zeros(3, np.float32)})
    return tmp_path


def _unsplit(tmp_path: Path) -> Path:
    return write(splits(tmp_path)[1]).parent


def _kind(**values: Any) -> Callable[[Path], Path]:
    return lambda tmp_path: write(tmp_path / "m.gguf", **{key.replace("__", "."): one for key, one in values.items()})


def _without(key: str) -> Callable[[Path], Path]:
    values = {name: value for name, value in MODEL.values.items() if name != key}
    return lambda tmp_path: write_gguf(tmp_path / "m.gguf", values, MODEL.converted)


def _saying(**values: Any) -> Callable[[Path], Path]:
    own = {f"llama.{key.replace('__', '.')}": value for key, value in values.items()}
    return lambda tmp_path: write_gguf(tmp_path / "m.gguf", {**MODEL.values, **own}, MODEL.converted)


REFUSED: Mapping[str, tuple[Callable[[Path], Path], type[ModelError], str]] = {
    "a shard alone": (_missing, CheckpointError, r"lack: m-00001-of-00003\.gguf"),
    "a shard renamed": (_renamed, CheckpointError, "file 1 of 3, its name does not"),
    "shards of two models": (_of_another, CheckpointError, "counts 5 tensors in all files"),
    "a tensor twice": (_twice, CheckpointError, "is in m-00002-of-00003.gguf too"),
    "shards swapped": (_swapped, CheckpointError, "file 3 of 3, its name that it is 2 of 3"),
    "a shard with too few": (_lost_tensors, CheckpointError, "tensors in all files, they have"),
    "a whole file among shards": (_unsplit, CheckpointError, "its header does not"),
    "an importance matrix": (_kind(general__type="imatrix"), CheckpointError, "importance matrix"),
    "a projector": (_kind(general__type="mmproj"), CheckpointError, "projector"),
    "an old projector": (_kind(general__architecture="clip"), CheckpointError, "projector"),
    "a vocabulary": (_kind(general__type="vocab"), CheckpointError, "vocabulary"),
    "an adapter": (_kind(general__type="adapter"), CheckpointError, "adapter"),
    "no architecture": (_without("general.architecture"), ConfigError, "no general.architecture"),
    "no layers": (_without("llama.block_count"), ConfigError, "no llama.block_count"),
    "no width": (_without("llama.embedding_length"), ConfigError, "no llama.embedding_length"),
    "no heads": (_without("llama.attention.head_count"), ConfigError, "no llama.attention.head_count"),
    "a width in words": (_saying(embedding_length="64"), ConfigError, "must be a whole number, it is '64'"),
    "a broken width": (_saying(embedding_length=64.5), ConfigError, "must be a whole number"),
    "negative layers": (_saying(block_count=-2), ConfigError, "must be a whole number, it is -2"),
    "too few numbers": (_saying(attention__head_count=(4,)), ConfigError, "has 1 numbers for 2 layers"),
    "more layers than an array": (
        _saying(block_count=2**32 - 1, feed_forward_length=(96, 96)),
        ConfigError,
        "has 2 numbers for",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    make, kind, says = REFUSED[case]
    with pytest.raises(kind, match=says) as refused:
        open_checkpoint(make(tmp_path))
    assert refused.value.hint


def test_of_any_number_of_shards_the_sizes_of_a_few_are_asked_for() -> None:
    asked: list[str] = []

    def size_of(name: str) -> int:
        asked.append(name)
        return 7

    files = [f"m-{label}-{i:05d}-of-01999.gguf" for label in ("Q8_0", "Q4_0") for i in range(1, 2_000)]
    told = re.escape("m-Q4_0-*-of-01999.gguf, m-Q8_0-*-of-01999.gguf, small-F16.gguf (7 bytes).")
    with pytest.raises(CheckpointError, match=told):
        choose([*files, "small-F16.gguf"], where="m", size_of=size_of)
    assert asked == ["small-F16.gguf"]


SIZES = [
    "block_count",
    "embedding_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "feed_forward_length",
    "expert_count",
    "rope.dimension_count",
    "attention.kv_lora_rank",
    "attention.key_length_mla",
    "nextn_predict_layers",
    "vocab_size",
]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *in_turn(SIZES, [0, 2**32 - 1]),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in product(SIZES, [1, 3, 2**31])),
    ],
)
def test_any_number_of_a_header_gives_a_report_or_an_error_of_ours(key: str, value: int, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {**MODEL.values, f"llama.{key}": value}, MODEL.converted)
    with suppress(wa.WeightauditError):
        assert wa.scan(path).rows


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What a scan of the model finds."""
    path = write_gguf(tmp_path_factory.mktemp("plain") / "a.gguf", MODEL.values, MODEL.converted)
    return wa.scan(path).layers[["role", "rows", "cols", "frobenius_norm", "spectral_norm"]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention", 5),
        ("attention.head_count.of", 5),
        pytest.param("block_count.of", 5, marks=pytest.mark.slow),
        ("per_layer_config", 5),
        ("model_type", "gpt2"),
        ("text_config", 5),
        ("quantization_config.quant_method", "gptq"),
        ("." * 50_000, 5),
        ("", 5),
    ],
)
def test_a_key_of_a_header_takes_no_other_ones_place(key: str, value: Any, plain: pd.DataFrame, tmp_path: Path) -> None:
    more = write_gguf(tmp_path / "b.gguf", {f"llama.{key}": value, **MODEL.values}, MODEL.converted)
    assert_frame_equal(plain, wa.scan(more).layers[list(plain)])


def test_a_config_beside_is_of_the_base_and_not_used(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    report = wa.scan(tmp_path)
    assert report.map.family == "gguf"
    assert any("config.json beside m.gguf is of the model that it was made from" in note for note in report.notes)
    assert any("architecture llama" in note and "F32" in note for note in report.notes)


def test_others_beside_are_told(tmp_path: Path) -> None:
    write(tmp_path / "m-Q4_0.gguf")
    write(tmp_path / "mmproj-f16.gguf")
    with open_checkpoint(tmp_path) as checkpoint:
        assert [(one.name, one.why.partition(":")[0]) for one in checkpoint.identity.skipped_files] == [
            ("mmproj-f16.gguf", "no model")
        ]


def test_a_split_model_streams_from_the_hub_and_no_byte_comes_twice(tmp_path: Path) -> None:
    paths = split_gguf(tmp_path / "m" / "all" / "Q8_0", "m-Q8_0", MODEL.values, MODEL.converted, 3)
    other = write(tmp_path / "m" / "m-F16.gguf")
    files = {f"all/Q8_0/{path.name}": path for path in paths} | {other.name: other}
    local = wa.scan(paths[0])
    with serve({"org/name": files}) as hub, pointed_at(hub.url, tmp_path / "home"):
        with pytest.raises(CheckpointError, match=r"m-F16\.gguf"):
            open_checkpoint("org/name:Q2_K")
        hub.log.clear()
        streamed = wa.scan("org/name:q8_0")
        sent = hub.sent("cdn")
    assert streamed.identity.name == "org/name:q8_0"
    assert_frame_equal(streamed.layers[NUMBERS], local.layers[NUMBERS], check_exact=True)
    size = sum(path.stat().st_size for path in paths)
    tensors = sum(matrix.nbytes for matrix in MODEL.converted.values())
    assert (
        tensors <= sent <= size + tensors
    )  # headers are read in ranges that may reach into these small files' tensors


def test_a_model_and_its_label_are_told_apart(tmp_path: Path) -> None:
    assert split_label("org/name:Q4_K_M") == ("org/name", "Q4_K_M")
    for model in ("gpt2", "C:model", "org/name:", "a:b/c", "./m:Q4 K"):
        assert split_label(model) == (model, "")
    (tmp_path / "m:Q4_0").mkdir()
    assert split_label(f"{tmp_path}/m:Q4_0") == (f"{tmp_path}/m:Q4_0", "")


@pytest.mark.skipif(os.name == "nt", reason="there a letter before a colon is a drive")
def test_a_directory_of_one_letter_is_no_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_label("g:Q4_1") == ("g:Q4_1", "")
    (tmp_path / "g").mkdir()
    assert split_label("g:Q4_1") == ("g", "Q4_1")


def test_a_label_is_no_revisions_and_no_file_gets_one(tmp_path: Path) -> None:
    path = write(tmp_path / "m-Q8_0.gguf")
    with pytest.raises(wa.WeightauditError, match="this is a local path"):
        open_checkpoint(f"{tmp_path}:Q8_0", revision="main")
    with pytest.raises(wa.WeightauditError, match="no such file"):
        open_checkpoint(f"{path}:Q8_0")


def test_a_model_list_may_name_quantisations(tmp_path: Path) -> None:
    write(tmp_path / "m-Q8_0.gguf")
    (listed := tmp_path / "list.txt").write_text(f"{tmp_path}:Q8_0\norg/name:Q4_K_M@v1\n")
    local, distant = read_model_list(listed, AuditConfig())
    assert (local.model, local.local) == (f"{tmp_path}:Q8_0", True)
    assert (distant.model, distant.config.revision) == ("org/name:Q4_K_M", "v1")


def test_no_output_replaces_a_file_of_a_labelled_model(tmp_path: Path) -> None:
    write(tmp_path / "m-Q8_0.gguf")
    (tmp_path / "config.json").write_text("{}")
    files = ModelFiles.of([f"{tmp_path}:Q8_0"])
    with pytest.raises(wa.WeightauditError, match="model"):
        files.check(tmp_path / "config.json", tmp_path / "config.json")


def test_a_gguf_file_needs_no_class_of_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing transformers takes as long as scanning a small model."""

    def asked(model_type: str) -> dict[str, Any]:
        raise AssertionError(f"the class of {model_type} was asked")

    monkeypatch.setattr("weightaudit.architecture.class_defaults.asked_of_class", asked)
    assert wa.scan(write(tmp_path / "m.gguf")).map.dimensions["layers"] == 2


def test_a_downloaded_model_is_read_from_the_cache_offline(tmp_path: Path) -> None:
    files = {"m-F16.gguf": write(tmp_path / "m" / "m-F16.gguf"), "m-Q8_0.gguf": write(tmp_path / "m" / "m-Q8_0.gguf")}
    with serve({"org/name": files}) as hub, pointed_at(hub.url, tmp_path / "home"):
        first = wa.scan("org/name:F16", download=True)
        hub.log.clear()
        again = wa.scan("org/name:F16", offline=True)
        assert hub.log == []
        with pytest.raises(wa.WeightauditError):
            wa.scan("org/name:Q8_0", offline=True)
    assert_frame_equal(first.layers[NUMBERS], again.layers[NUMBERS], check_exact=True)

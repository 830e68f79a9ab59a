"""A model beside the one that it was made from: how far each matrix is from the same one there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.quantised import packers
from tests.support.covering import in_turn, some_of
from tests.support.gguf_files import q8_0, write_gguf
from tests.support.gguf_models import MODELS, Random, write_both
from tests.support.hub import folder_files, pointed_at, serve
from tests.support.linear_packers import COMPRESSED, FP8, GPTQ, compressed, fp8, gptq
from tests.support.models import tiny_model
from tests.support.packed_models import packed
from tests.support.tiny import tiny
from weightaudit.arrays import Array
from weightaudit.audit.base import base_facts
from weightaudit.errors import CheckpointError, MappingError, ModelNotFound, UsageError
from weightaudit.spectral import measure

ROUNDING = 1e-9


def entries(model: Path) -> dict[str, Array]:
    return {matrix.key: matrix.load().double().numpy() for matrix in wa.matrices(model)}


def check(report: wa.ScanReport, model: Path, base: Path) -> None:
    """Every matrix that both have, against float64."""
    ours, theirs = entries(model), entries(base)
    compared = []
    for row in report.rows:
        if row.matrix.key not in theirs:
            assert row.base is None
            continue
        W, facts = theirs[row.matrix.key], row.base
        difference = ours[row.matrix.key] - W
        assert facts is not None
        frobenius = np.linalg.norm(difference) / np.linalg.norm(W)
        spectral = np.linalg.norm(difference, 2) / np.linalg.norm(W, 2)
        assert facts.relative_frobenius == pytest.approx(frobenius, rel=ROUNDING)
        assert facts.relative_spectral <= spectral * (1 + ROUNDING)
        assert facts.relative_spectral_upper >= spectral * (1 - ROUNDING)
        assert facts.relative_spectral_upper <= facts.relative_spectral * 1.02
        compared.append(frobenius)
    assert np.count_nonzero(compared) > 6


WIDE = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 8, "head_dim": 8}
CASES: dict[str, Callable[[Path], tuple[Path, Path]]] = {
    "llama, GPTQ": partial(packed, "llama", gptq, {"quantization_config": GPTQ}),
    "llama, compressed-tensors": partial(packed, "llama", compressed, {"quantization_config": COMPRESSED}),
    "llama, NF4": lambda folder: packed("llama", packers.nf4, {}, folder, **WIDE),
    "mixtral, FP8": partial(packed, "mixtral", fp8, {"quantization_config": FP8}),
    "gpt2, whose base is stored (in, out)": partial(packed, "gpt2", gptq, {"quantization_config": GPTQ}),
}


@pytest.mark.parametrize(
    ("case", "turned"),
    some_of(
        product(CASES, (False, True)),
        *(("mixtral, FP8", True), ("gpt2, whose base is stored (in, out)", False)),
    ),
)
def test_errors_are_those_of_float64(case: str, turned: bool, tmp_path: Path) -> None:
    model, base = CASES[case](tmp_path)
    if turned:  # what is quantised may be the base too
        check(wa.scan(base, base=model), base, model)
        return
    report = wa.scan(model, base=base)
    check(report, model, base)
    assert not any("compared" in note for note in report.notes)
    assert report.base is not None
    assert report.base.name == "base"


@pytest.mark.parametrize(
    "family",
    [
        # Mixtral's Q and K are permuted too, and GPT-2 is among the packed ones, fused.
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("llama", "llama, fused")),
        pytest.param("gpt2", marks=pytest.mark.slow),
        "mixtral, stacked",
        *(
            pytest.param(name, marks=pytest.mark.slow) for name in ("deepseek, new", "t5")
        ),  # whose entries are looked at
    ],
)
def test_a_gguf_file_beside_the_float_model(family: str, tmp_path: Path) -> None:
    """Rows of Q and K come in the model's own order, and what is stacked or fused is compared place by place."""
    model = MODELS[family](Random(np.float32))
    base, _ = write_both(model, tmp_path)
    blocks = {
        name: q8_0(matrix)[0] if matrix.ndim > 1 and matrix.shape[-1] % 32 == 0 else matrix
        for name, matrix in model.converted.items()
    }
    gguf = write_gguf(tmp_path / "q" / "model-Q8_0.gguf", model.values, blocks)
    report = wa.scan(gguf, base=base)
    check(report, gguf, base)
    errors = [row.base.relative_frobenius for row in report.rows if row.base]
    assert len(errors) == len(report.rows)
    assert max(errors) < 0.01
    assert not any("ompared" in note for note in report.notes)


ROUTES = [(False, "exact"), (False, "krylov"), (True, "auto")]
"""Whether the base is in shards, and the method."""


@pytest.mark.parametrize(("route", "family"), in_turn(ROUTES, ["gpt2", "bert"]))
def test_nothing_is_nothing(family: str, route: tuple[bool, str], tmp_path: Path) -> None:
    """A model beside itself, in one file and in shards: exactly 0 in every matrix, whatever the route."""
    in_shards, method = route
    model, shards = tmp_path / "model", tmp_path / "shards"
    tiny_model(family, model)
    if in_shards:
        tiny_model(family, shards, max_shard_size="20KB")
        assert (shards / "model.safetensors.index.json").exists()
    report = wa.scan(model, base=shards if in_shards else model, method=method)
    assert len(report.rows) > 6
    for row in report.rows:
        assert row.base is not None
        assert (row.base.relative_frobenius, row.base.relative_spectral_upper) == (0.0, 0.0)
    assert not any("base" in note for note in report.notes)


def test_what_a_base_changes(tmp_path: Path) -> None:
    """Columns and what stands beside them, and no other number, finding or option."""
    model, base = CASES["llama, GPTQ"](tmp_path)
    plain, beside = wa.scan(model), wa.scan(model, base=base)
    columns = ["relative_frobenius", "relative_spectral", "relative_spectral_upper"]
    assert list(beside.layers.columns) == [*plain.layers.columns, *columns]
    assert beside.layers.drop(columns=columns).equals(plain.layers)
    assert beside.findings == plain.findings
    assert beside.options == {**plain.options, "base": str(base)}
    assert "base" not in plain.options
    for report, is_said in ((plain, False), (beside, True)):
        for kind in (".json", ".csv", ".html", ".md", ".parquet"):
            report.write(tmp_path / f"out{kind}")
        said = json.loads((tmp_path / "out.json").read_text())
        assert ("base" in said) is is_said
        assert ("relative_spectral_upper" in (tmp_path / "out.csv").read_text().splitlines()[0]) is is_said
        assert (f"--base {base} --method auto" in (tmp_path / "out.html").read_text()) is is_said
        assert ('id="base"' in (tmp_path / "out.html").read_text()) is is_said
        assert ("Against base base: relative difference 0 to 0." in (tmp_path / "out.md").read_text()) is is_said
    assert said["base"]["model"] == "base"
    assert said["base"]["location"] == str(base)
    first = next(one for one in said["layers"] if one["relative_frobenius"])
    assert 0 < first["relative_spectral"] <= first["relative_spectral_upper"] < 1


def test_a_base_on_the_hub(tmp_path: Path) -> None:
    """Streamed: each byte of its matrices once, and none of what is not compared."""
    model, base = CASES["llama, GPTQ"](tmp_path)
    local = wa.scan(model, base=base)
    with serve({"org/base": folder_files(base)}) as hub, pointed_at(hub.url, tmp_path / "home"):
        report = wa.scan(model, base="org/base")
        size = (base / "model.safetensors").stat().st_size
        assert size - 30_000 < hub.sent("cdn") <= size + 10_000
    assert [row.base for row in report.rows] == [row.base for row in local.rows]
    assert report.base is not None
    assert (report.base.name, len(report.base.revision)) == ("org/base", 40)


def changed(model: Path, into: Path, change: Callable[[dict[str, torch.Tensor]], None], **said: Any) -> Path:
    tensors = load_file(model / "model.safetensors")
    change(tensors)
    into.mkdir()
    save_file(tensors, into / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((model / "config.json").read_text())
    (into / "config.json").write_text(json.dumps({**config, **said}))
    return into


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    tiny("llama").save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


@pytest.mark.parametrize("grown", [True, False])
def test_a_vocabulary_of_another_size(grown: bool, llama: Path, tmp_path: Path) -> None:
    """The rows that both have are compared."""
    rows = json.loads((llama / "config.json").read_text())["vocab_size"]

    def grow(tensors: dict[str, torch.Tensor]) -> None:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            tensors[name] = torch.cat([tensors[name] * 1.5, torch.ones(3, tensors[name].shape[1])])

    larger = changed(llama, tmp_path / "larger", grow, vocab_size=rows + 3)
    report = wa.scan(*((larger,) if grown else (llama,)), base=llama if grown else larger)
    told = {row.matrix.role: row.base for row in report.rows if row.matrix.layer is None}
    for role in ("EMBED", "HEAD"):
        facts = told[role]
        assert facts is not None
        assert facts.relative_frobenius == pytest.approx(0.5 if grown else 1 / 3, rel=1e-6)
    assert sum(f"the first {rows} rows are compared" in note for note in report.notes) == 2


def test_what_only_one_of_both_has(llama: Path, tmp_path: Path) -> None:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["lm_head.weight"]
        for name in [name for name in tensors if "layers.1." in name]:
            del tensors[name]

    less = changed(llama, tmp_path / "less", drop, num_hidden_layers=1)
    report = wa.scan(llama, base=less)
    assert {row.matrix.layer for row in report.rows if row.base is None} == {1, None}
    (note,) = [note for note in report.notes if "base less does not have them" in note]
    assert "layer 1 Q, layer 1 K" in note
    other = wa.scan(less, base=llama)
    assert all(row.base is not None for row in other.rows)
    assert any(note.startswith("Only base llama has them: layer 1 Q") for note in other.notes)
    # What was not asked for is not missed.
    assert not any("nly base" in note for note in wa.scan(less, base=llama, roles="Q").notes)


def test_a_tied_base_has_an_output_head(llama: Path, tmp_path: Path) -> None:
    """Its embedding; a model trained on from there may have untied the two."""

    def tie(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["lm_head.weight"]

    tied = changed(llama, tmp_path / "tied", tie, tie_word_embeddings=True)
    report = wa.scan(llama, base=tied)
    facts = next(row.base for row in report.rows if row.matrix.role == "HEAD")
    head, embedding = (load_file(llama / "model.safetensors")[f"{n}.weight"] for n in ("lm_head", "model.embed_tokens"))
    assert facts is not None
    assert facts.relative_frobenius == pytest.approx(float((head - embedding).norm() / embedding.norm()), rel=1e-5)


def test_sizes_that_differ_in_part_are_told(llama: Path, tmp_path: Path) -> None:
    """A model whose MLPs were pruned."""

    def prune(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if "up_proj" in name or "gate_proj" in name:
                tensors[name] = tensor[:40].contiguous()
            elif "down_proj" in name:
                tensors[name] = tensor[:, :40].contiguous()

    pruned = changed(llama, tmp_path / "pruned", prune, intermediate_size=40)
    report = wa.scan(pruned, base=llama)
    assert {row.matrix.role for row in report.rows if row.base is None} == {"GATE", "M1", "M2"}
    assert any(
        "Not compared, for they have other sizes in base llama: layer 0 GATE is 40 × 48 here" in n for n in report.notes
    )


def test_another_model_is_no_base(llama: Path, tmp_path: Path) -> None:
    bert = tmp_path / "bert"
    tiny("bert").save_pretrained(bert)
    with pytest.raises(
        MappingError, match=r"base .*bert: it is another model, of family bert and not llama: layer 0 Q is"
    ):
        wa.scan(llama, base=bert)
    tiny("llama", hidden_size=32, head_dim=8, num_attention_heads=4).save_pretrained(tmp_path / "narrow")
    with pytest.raises(MappingError, match=r"layer 0 Q is .* there; of \d+ matrices none can be compared"):
        wa.scan(llama, base=tmp_path / "narrow")


def test_a_base_that_cannot_be_read_is_named(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"^base .*nowhere"):
        wa.scan(llama, base=tmp_path / "nowhere")
    broken = changed(llama, tmp_path / "broken", lambda tensors: None)
    (broken / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match=r"^base .*broken"):
        wa.scan(llama, base=broken)
    with pytest.raises(UsageError, match="base"):
        wa.scan(llama, base=3)


def test_a_base_counts_to_the_memory(llama: Path) -> None:
    with pytest.raises(UsageError, match=r"weight of \S+ must be held at once"):
        wa.scan(llama, base=llama, memory=60_000)
    assert wa.scan(llama, memory=60_000).rows


def test_what_has_no_relative_error() -> None:
    """Nothing is 0 of anything; something is no share of nothing; and NaN is not known."""
    zero, one = measure(np.zeros((3, 3))), measure(np.eye(3))
    unknown = measure(np.full((3, 3), np.nan))
    assert base_facts(zero, one).relative_spectral_upper == 0.0
    assert base_facts(zero, zero).relative_frobenius == 0.0
    for facts in (base_facts(one, zero), base_facts(unknown, one), base_facts(unknown, unknown)):
        assert math.isnan(facts.relative_frobenius)
        assert math.isnan(facts.relative_spectral)
        assert math.isnan(facts.relative_spectral_upper)

"""Ties and dtypes of config.json against what is stored, and the files themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.audit.rules.healthy import changed, evidence
from weightaudit.audit.rules import run_rules
from weightaudit.records import LayerRow, SkippedFile, SourceFile


def as_float16(one: LayerRow) -> LayerRow:
    return replace(one, matrix=replace(one.matrix, dtype="float16"))


def test_a_tie_that_does_not_hold() -> None:
    broken = replace(evidence(), broken_ties=(("lm_head.weight", "wte.weight"),))
    (finding,) = run_rules(broken)
    assert (finding.id, finding.severity) == ("tie-broken", "warning")
    assert finding.tensors == ("lm_head.weight", "wte.weight")
    assert "The config ties lm_head.weight to wte.weight" in finding.detail
    assert run_rules(replace(broken, map=replace(broken.map, guessed=True))) == ()


def test_equal_embedding_and_head_that_nothing_ties() -> None:
    def same(one: LayerRow) -> LayerRow:
        return replace(one, digest="same")

    (finding,) = run_rules(changed(changed(evidence(), "///EMBED", same), "///HEAD", same))
    assert (finding.id, finding.severity, finding.role) == ("tie-undeclared", "info", "")
    assert finding.tensors == ("model.None.None.EMBED", "model.None.None.HEAD")
    assert "23,040,000 parameters are stored again" in finding.detail


def test_equal_positions_are_computed_ones() -> None:
    rows = [replace(one, digest="p") if one.matrix.role == "POSITION" else one for one in evidence().rows]
    copy = next(one for one in rows if one.matrix.role == "POSITION")
    rows.append(replace(copy, matrix=replace(copy.matrix, stack="decoder")))
    assert run_rules(evidence(rows)) == ()


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"dtype": "float32"}, []),
        ({"torch_dtype": "torch.float32"}, []),
        ({"torch_dtype": "float"}, []),
        ({"dtype": None, "torch_dtype": "auto"}, []),
        ({"dtype": ["bfloat16"]}, []),
        ({"text_config": "none"}, []),
        ({}, []),
        (None, []),
        ({"dtype": "bfloat16"}, ["dtype-mismatch"]),
        ({"torch_dtype": "float16"}, ["dtype-mismatch"]),
        ({"text_config": {"torch_dtype": "half"}}, ["dtype-mismatch"]),
    ],
)
def test_dtype_of_the_config(config: dict[str, Any] | None, found: list[str]) -> None:
    assert [one.id for one in run_rules(replace(evidence(), config=config))] == found


def test_the_dtype_of_most_of_the_layers_counts() -> None:
    table_apart = changed(evidence(), "///EMBED", as_float16)  # in its role the only one
    assert run_rules(table_apart) == ()
    (finding,) = run_rules(replace(evidence(), config={"dtype": "bfloat16"}))
    assert finding.detail == ("config.json says bfloat16, and 100 % of the parameters analysed are stored as float32.")


def test_a_restricted_scan_need_not_have_seen_most() -> None:
    shown = replace(evidence(), config={"dtype": "bfloat16"})
    assert [one.id for one in run_rules(shown)] == ["dtype-mismatch"]
    assert run_rules(replace(shown, restricted=True)) == ()


def test_several_dtypes_in_one_role() -> None:
    (one,) = run_rules(changed(evidence(), "/7//M1", as_float16))
    assert (one.id, one.layer, one.role, one.value) == ("mixed-dtypes", 7, "M1", 1.0)
    two = run_rules(changed(changed(evidence(), "/7//M1", as_float16), "/8//M1", as_float16))
    assert [(finding.id, finding.layer, finding.role, finding.value) for finding in two] == [
        ("mixed-dtypes", None, "M1", 2.0)
    ]
    assert two[0].detail == (
        "10 of 12 matrices of this role are stored as float32, 2 as float16: layer 7 M1 and layer 8 M1."
    )


def test_pickles() -> None:
    shown = evidence()
    others = (SkippedFile("pytorch_model-*-of-00002.bin", "safetensors come first"), SkippedFile("m.gguf", "not read"))
    (beside,) = run_rules(replace(shown, identity=replace(shown.identity, skipped_files=others)))
    assert (beside.id, beside.value) == ("pickle", 1.0)
    assert beside.detail == "Beside what was read: pytorch_model-*-of-00002.bin (a pickle)."
    files = (SourceFile("pytorch_model.bin", 1),)
    (read,) = run_rules(replace(shown, identity=replace(shown.identity, files=files, format="torch zip")))
    assert read.detail == "Read here as data only: pytorch_model.bin (a pickle)."
    assert run_rules(replace(shown, identity=replace(shown.identity, skipped_files=others[1:]))) == ()

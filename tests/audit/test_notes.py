"""What a report warns of."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.audit.rows import row
from weightaudit.audit.notes import notes
from weightaudit.records import Discrepancy, LayerRow, ModelIdentity, ModelMap, SourceFile

KNOWN = ModelMap(family="gpt2", model_type="gpt2", guessed=False, dimensions={}, matrices=(), coverage=())
WHOLE = ModelIdentity("m", "", "m", (SourceFile("model.safetensors", 1),))


def wide(layer: int) -> LayerRow:
    one = row(layer, "V", 1.0, 2.0)
    return replace(one, spectrum=replace(one.spectrum, converged=False))


def test_nothing_to_say() -> None:
    assert list(notes(WHOLE, KNOWN, [row(0, "Q", 1.0, 2.0)])) == []


def test_guessed_map() -> None:
    guessed = replace(KNOWN, model_type="\x1b[31mgpt9", guessed=True, nearest=("gpt2",))
    (note,) = notes(WHOLE, guessed, [])
    assert "GUESSED" in note
    assert "gpt2" in note
    assert "\x1b" not in note


def test_what_a_guessed_map_misses_is_a_note() -> None:
    lacking = (Discrepancy("missing", "The config has 4 layers, the file 2."),)
    assert list(notes(WHOLE, replace(KNOWN, discrepancies=lacking), [])) == []
    said = list(notes(WHOLE, replace(KNOWN, guessed=True, discrepancies=lacking), []))
    assert said[1:] == ["The config has 4 layers, the file 2."]


def test_map_and_intervals() -> None:
    said = list(notes(WHOLE, replace(KNOWN, notes=("layer 3 is absent",)), [wide(2)]))
    assert said[0] == "layer 3 is absent"
    assert said[1].startswith("layer 2 V (t): the interval is wider than the tolerance")
    assert len(said) == 2


def test_what_is_a_finding_is_no_note() -> None:
    nonfinite = row(1, "K", math.nan, math.nan, nonfinite=3)
    nonfinite = replace(nonfinite, spectrum=replace(nonfinite.spectrum, converged=False))
    assert list(notes(WHOLE, KNOWN, [nonfinite])) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("model-00002-of-00003.safetensors",), 1),
        (("model-00001-of-00001.safetensors",), 0),
        (("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"), 0),
    ],
)
def test_a_shard_read_alone(files: tuple[str, ...], said: int) -> None:
    identity = replace(WHOLE, files=tuple(SourceFile(name, 1) for name in files))
    told = list(notes(identity, KNOWN, []))
    assert len(told) == said
    assert all(
        note.startswith("model-00002-of-00003.safetensors is one of 3 shards and was read alone") for note in told
    )


def test_many_wide_intervals_are_told_briefly() -> None:
    said = list(notes(WHOLE, KNOWN, [wide(i) for i in range(100)]))
    assert len(said) == 9
    assert said[-1].startswith("So are 92 more intervals")
